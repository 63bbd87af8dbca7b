"""File transfers: what a target accepts, and what a source sends."""
import hashlib
import stat

from harness import *

OUT = 5000
BIG = 2 << 20


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def write(contents, *path):
    with open(os.path.join(*path), "wb") as file:
        file.write(contents)


def summed(data):
    return hashlib.sha256(data).hexdigest().encode()


class Transfer(object):
    """The master's end."""

    def __init__(self, child, handle, func, *args, **options):
        self.child = child
        self.handle = handle
        self.options = dict(
            mode=None, owner=None, resume=True, sync=False, window=4 << 20, credit=1 << 19, entry=1024,
            resume_threshold=1 << 20
        )
        self.options.update(options)
        options = {as_text(key): value for key, value in self.options.items()}
        self.control = child.call("mitogen.files", func, handle, *(args + (options,)))[u"control"]

    def send(self, *fields):
        self.child.send(self.control, dumps(fields), 0, PKL)

    def data(self, data):
        self.child.send(self.control, data, 0, BIN)

    def next(self):
        """The next message that is not a credit."""
        while True:
            got = self.child.reply(self.handle)
            if got.enc == BIN:
                return got.data
            got = got.obj()
            if got[0] != u"credit":
                return got

    def file(self, name, data, size=None, mode=0o644, ask=False):
        self.send(u"file", name, len(data) if size is None else size, mode, 0, ask)
        if ask:
            self.have = self.next()
            self.send(u"from", 0)
        self.data(data)

    def end(self, data):
        self.send(u"end", summed(data))

    def finish(self):
        self.send(u"finish")
        return self.next()


class Files(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push_ours("mitogen.files")
        # Some interpreters lack modules of the standard library, and ask for them.
        self.c.serve(self.c.post("mitogen.files", "home_of", b""), {})
        self.dir = os.path.realpath(self.tempdir())

    def at(self, name):
        return os.path.join(self.dir, name).encode()

    def put(self, dest="", into=False, handle=OUT, **options):
        return Transfer(self.c, handle, "put", self.at(dest), into, **options)

    def names(self, *path):
        return sorted(os.listdir(os.path.join(self.dir, *path)))

    def test_a_directory_that_becomes_a_link_is_not_followed(self):
        os.mkdir(self.at("to"))
        os.mkdir(self.at("outside"))
        put = self.put("to")
        put.send(u"dir", b"d", 0o755, 0)
        put.file(b"one", b"1" * BIG, ask=True)
        # The target has entered `d`, for it has answered.
        os.rename(self.at("to/d"), self.at("moved"))
        os.symlink(self.at("outside"), self.at("to/d"))
        put.end(b"1" * BIG)
        put.file(b"two", b"2")
        put.end(b"2")
        put.send(u"link", b"three", b"/etc")
        put.send(u"dir", b"four", 0o755, 0)
        put.send(u"up")
        put.send(u"up")
        self.assertEqual(put.finish(), (u"finished",))
        self.assertEqual(self.names("outside"), [])
        self.assertEqual(self.names("moved"), ["four", "one", "three", "two"])

    def test_links_are_neither_entered_nor_made_at_the_top(self):
        os.mkdir(self.at("to"))
        os.mkdir(self.at("outside"))
        os.symlink(self.at("outside"), self.at("to/d"))
        put = self.put("to")
        put.send(u"dir", b"d", 0o755, 0)
        self.assertEqual(put.next()[:3], (u"fail", 20, self.at("to/d")))
        put = self.put("to")
        put.send(u"link", b"x", b"/etc")
        self.assertEqual(put.next()[:3], (u"fail", 22, b"x"))
        put = self.put("to")
        put.send(u"up")
        self.assertEqual(put.next()[0], u"fail")
        # A link in place of a file is replaced.
        write(b"precious", self.dir, "victim")
        os.symlink(self.at("victim"), self.at("to/f"))
        put = self.put("to")
        put.file(b"f", b"new")
        put.end(b"new")
        self.assertEqual(put.finish(), (u"finished",))
        self.assertEqual((read(self.dir, "to/f"), read(self.dir, "victim")), (b"new", b"precious"))

    def test_two_transfers_to_the_same_name_do_not_mix(self):
        one, two = self.put("x", handle=OUT), self.put("x", handle=OUT + 1)
        first, second = b"1" * BIG, b"2" * BIG
        one.file(b"x", first, ask=True)
        two.file(b"x", second, ask=True)
        self.assertEqual(self.names(), [".x.1.mitogen-part", ".x.mitogen-part"])
        two.end(second)
        self.assertEqual(two.finish(), (u"finished",))
        self.assertEqual(read(self.dir, "x"), second)
        one.end(first)
        self.assertEqual(one.finish(), (u"finished",))
        self.assertEqual(read(self.dir, "x"), first)
        self.assertEqual(self.names(), ["x"])

    def test_only_the_file_that_was_written_is_put_in_place(self):
        put = self.put("x")
        data = b"1" * BIG
        put.file(b"x", data, ask=True)
        os.unlink(self.at(".x.mitogen-part"))
        write(b"another", self.dir, ".x.mitogen-part")
        put.end(data)
        self.assertEqual(put.next()[0], u"fail")
        self.assertEqual(self.names(), [".x.mitogen-part"])

    def test_files_that_are_named_like_partial_files_stay(self):
        for mode in 0o644, 0o600:
            put = self.put()
            for name in b".a.mitogen-part", b"a":
                put.file(name, name, mode=mode)
                put.end(name)
            self.assertEqual(put.finish(), (u"finished",))
            self.assertEqual(self.names(), [".a.mitogen-part", "a"])
            self.assertEqual(read(self.dir, ".a.mitogen-part"), b".a.mitogen-part")
        os.unlink(self.at(".a.mitogen-part"))
        os.symlink(b"a", self.at(".a.mitogen-part"))
        put = self.put()
        put.file(b"a", b"new")
        put.end(b"new")
        self.assertEqual(put.finish(), (u"finished",))
        self.assertEqual(os.readlink(self.at(".a.mitogen-part")), b"a")

    def test_a_partial_file_is_continued(self):
        data = b"1" * BIG
        put = self.put("x")
        put.file(b"x", data[:1000], size=BIG, ask=True)
        self.c.send(put.control, b"the transfer was abandoned", 999, MGC)
        put = self.put("x", handle=OUT + 1)
        put.send(u"file", b"x", BIG, 0o644, 0, True)
        have = put.next()
        if have[1]:
            self.assertEqual(have, (u"have", 1000, summed(data[:1000]), False))
        put.send(u"from", have[1])
        put.data(data[have[1]:])
        put.end(data)
        self.assertEqual(put.finish(), (u"finished",))
        self.assertEqual(read(self.dir, "x"), data)

    def test_more_than_the_announced_size_is_an_error(self):
        for ask in False, True:
            put = self.put("x", resume=ask)
            put.file(b"x", b"1" * 11, size=10, ask=ask)
            self.assertIn(u"more than the announced size", put.next()[3])
            self.assertEqual(self.names(), [])

    def test_modes(self):
        old = os.umask(0o22)
        try:
            put = self.put()
            for name, mode in (b"tmp", 0o1777), (b"shared", 0o2775), (b"odd", 0o4755):
                put.send(u"dir", name, mode, 0)
                put.send(u"up")
            put.file(b"tool", b"", mode=0o6755)
            put.end(b"")
            self.assertEqual(put.finish(), (u"finished",))
        finally:
            os.umask(old)
        modes = [stat.S_IMODE(os.stat(self.at(name)).st_mode) for name in ("tmp", "shared", "odd", "tool")]
        self.assertEqual(modes, [0o1777, 0o2775, 0o755, 0o755])

    def test_zeros_become_holes(self):
        for data in b"\0" * BIG, b"\0" * (BIG - 4) + b"last", b"first" + b"\0" * BIG, b"\0" * 5000 + b"x" * 5000:
            put = self.put("x", resume=False)
            put.file(b"x", data)
            put.end(data)
            self.assertEqual(put.finish(), (u"finished",))
            self.assertTrue(read(self.dir, "x") == data)
            self.assertLess(os.stat(self.at("x")).st_blocks, 64)

    def test_an_equal_file_stays(self):
        data = b"1" * BIG
        write(data, self.dir, "x")
        before = os.stat(self.at("x"))
        for theirs in data, b"2" * BIG:
            put = self.put("x")
            put.send(u"file", b"x", BIG, 0o600, 10 ** 9, True)
            self.assertEqual(put.next(), (u"have", BIG, summed(data), True))
            if theirs is data:
                put.send(u"from", BIG)
            else:
                put.send(u"from", 0)
                put.data(theirs)
            put.end(theirs)
            self.assertEqual(put.finish(), (u"finished",))
            self.assertEqual(read(self.dir, "x"), theirs)
            after = os.stat(self.at("x"))
            self.assertEqual((after.st_mtime, stat.S_IMODE(after.st_mode)), (1, 0o600))
            self.assertEqual(after.st_ino == before.st_ino, theirs is data)
            self.assertEqual(self.names(), ["x"])

    def test_a_file_that_shrinks_while_it_is_compared_is_sent_whole(self):
        self.c.execute("""
import mitogen.files
digest_upto = mitogen.files.digest_upto


def shrink(path, size):
    def shrinking(fd, count, digest):
        if count == size:
            with open(path, "r+b") as file:
                file.truncate(1000)
        return digest_upto(fd, count, digest)
    mitogen.files.digest_upto = shrinking
""")
        data = b"1" * BIG
        write(data, self.dir, "x")
        self.c.call("probe", "shrink", self.at("x"), BIG)
        put = self.put("x")
        put.send(u"file", b"x", BIG, 0o600, 1, True)
        self.assertEqual(put.next(), (u"have", 0, summed(b""), False))
        put.send(u"from", 0)
        put.data(data)
        put.end(data)
        self.assertEqual(put.finish(), (u"finished",))
        self.assertTrue(read(self.dir, "x") == data)
        self.assertEqual(self.names(), ["x"])

    def test_a_file_that_is_replaced_during_the_transfer_is_an_error(self):
        data = b"1" * BIG
        write(data, self.dir, "x")
        put = self.put("x")
        put.send(u"file", b"x", BIG, 0o600, 1, True)
        self.assertEqual(put.next(), (u"have", BIG, summed(data), True))
        write(b"other", self.dir, "y")
        os.rename(self.at("y"), self.at("x"))
        put.send(u"from", BIG)
        put.end(data)
        self.assertIn(u"changed by another program", repr(put.finish()))
        self.assertEqual(read(self.dir, "x"), b"other")
        self.assertEqual(self.names(), ["x"])

    def test_entries_take_credit(self):
        for number in range(20):
            write(b"", self.dir, "%02d" % number)
        get = Transfer(self.c, OUT, "get", [self.dir.encode()], window=5 << 10)
        got = [get.next() for _ in range(10)]
        self.assertEqual([each[0] for each in got[:3]], [u"total", u"dir", u"file"])
        self.assertEqual([each[1] for each in got if each[0] == u"file"], [b"00", b"01", b"02", b"03"])
        # Nothing follows without credit: the answer to a call comes first.
        self.c.call("os", "getpid")
        get.send(u"credit", 1 << 20)
        rest = [get.next() for _ in range(16 * 2 + 2)]
        self.assertEqual(rest[-2:], [(u"up",), (u"finish",)])
        get.send(u"finished")
        # And a target gives it back.
        put = self.put(credit=4 << 10)
        for _ in range(4):
            put.send(u"dir", b"d", 0o755, 0)
        self.assertEqual(self.c.reply(OUT).obj(), (u"credit", 4 << 10))

    def test_patterns_and_home(self):
        for name in "b.log", "a.log", ".c.log", "[x].log":
            write(name.encode(), self.dir, name)
        for pattern, names in (
            ("*.log", [b"[x].log", b"a.log", b"b.log"]), ("[x].log", [b"[x].log"]), ("?.log", [b"a.log", b"b.log"])
        ):
            get = Transfer(self.c, OUT, "get", [self.at(pattern)])
            names = list(names)
            while names:
                got = get.next()
                if got[0] == u"file":
                    self.assertEqual(got[1], names.pop(0))
            while get.next()[0] != u"finish":
                pass
            get.send(u"finished")
        get = Transfer(self.c, OUT, "get", [self.at("*.txt")])
        self.assertEqual(get.next()[:3], (u"fail", 2, self.at("*.txt")))
        self.c.execute("import os\ndef home(path):\n    os.environ['HOME'] = path")
        self.c.call("probe", "home", self.dir)
        get = Transfer(self.c, OUT, "get", [b"~/a.log"])
        self.assertEqual([get.next()[0], get.next()[1]], [u"total", b"a.log"])
        put = Transfer(self.c, OUT + 1, "put", b"~/new", False)
        put.file(b"x", b"1")
        put.end(b"1")
        self.assertEqual(put.finish(), (u"finished",))
        self.assertEqual(read(self.dir, "new"), b"1")
