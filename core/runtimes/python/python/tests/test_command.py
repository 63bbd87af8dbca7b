"""Programs run for the master."""
from harness import *
from test_parent import PROBE

OUT = 5000


class Command(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push_ours("mitogen.process", "mitogen.command")
        self.c.push("probe", PROBE)

    def start(self, argv, handle=OUT, **options):
        options = {as_text(key): value for key, value in options.items()}
        got = self.c.call("mitogen.command", "start", argv, handle, options)
        return got if isinstance(got, Global) else (got[u"pid"], got[u"control"])

    def gather(self, handle=OUT, control=None):
        """Collects output, credits and the exit, and acknowledges output."""
        out = {b"1": b"", b"2": b""}
        credit = 0
        while True:
            got = self.c.reply(handle)
            if got.enc == BIN:
                out[got.data[:1]] += got.data[1:]
                if control:
                    self.c.send(control, dumps((u"ack", len(got.data) - 1)), 0, PKL)
                continue
            obj = got.obj()
            if obj[0] == u"credit":
                credit += obj[1]
            else:
                return out[b"1"], out[b"2"], obj, credit

    def test_output_and_status(self):
        pid, control = self.start([u"/bin/sh", b"-c", u"echo out; echo err >&2; exit 3"])
        self.assertEqual(self.gather(), (b"out\n", b"err\n", (u"exit", 3, None), 0))

    def test_options(self):
        os.environ["GONE"] = "1"
        path = os.path.realpath(self.tempdir())
        self.start([u"/bin/sh", u"-c", u"pwd; echo $A; echo ${GONE-none}; cat; ps -o stat= -p $$ >/dev/null"], cwd=as_text(path),
                   env={u"A": u"b\xe9", u"GONE": None})
        self.assertEqual(self.gather()[0], path.encode() + b"\nb\xc3\xa9\nnone\n")

    def test_start_errors(self):
        self.assertError(self.start([u"/nowhere/x"]), u"", u"No such file")
        self.assertError(self.start([u"true"], cwd=u"/nowhere"), u"", u"No such file")

    def test_path_is_searched_like_execvpe(self):
        first, second = self.tempdir(), self.tempdir()
        path = as_text("/nowhere:%s:%s" % (first, second))
        for place, mode in (first, 0o644), (second, 0o755):
            name = os.path.join(place, "tool")
            with open(name, "w") as file:
                file.write("#!/bin/sh\necho %s $A\n" % place)
            os.chmod(name, mode)
        # The same with posix_spawn and, for a given directory, with fork.
        for options in {}, {"cwd": u"/"}:
            self.start([u"tool"], env={u"PATH": path, u"A": u"x"}, **options)
            self.assertEqual(self.gather()[0].decode(), "%s x\n" % second)
            only = as_text("%s:/nowhere" % first)
            self.assertError(self.start([u"tool"], env={u"PATH": only}, **options), u"", u"Permission denied")
            self.assertError(self.start([u"none"], env={u"PATH": only}, **options), u"", u"No such file")
            self.assertError(self.start([u"true", u"a\0b"], **options), u"", u"Invalid argument")

    def test_stdin(self):
        pid, control = self.start([u"cat"], stdin=True)
        data = os.urandom(1000) * 1500
        for i in range(0, len(data), 50000):
            self.c.send(control, data[i:i + 50000], 0, BIN)
        self.c.send(control, dumps((u"eof",)), 0, PKL)
        out, err, end, credit = self.gather(control=control)
        self.assertTrue(out == data)
        self.assertEqual((err, end, credit), (b"", (u"exit", 0, None), len(data)))

    def test_stdin_that_is_not_read(self):
        pid, control = self.start([u"/bin/sh", u"-c", u"exec <&-; sleep 0.2"], stdin=True)
        self.c.send(control, b"x" * 1000000, 0, BIN)
        out, err, end, credit = self.gather()
        self.assertEqual(end, (u"exit", 0, None))

    def test_signal(self):
        pid, control = self.start([u"/bin/sh", u"-c", u"echo on; sleep 1000; echo off"])
        self.c.until(lambda f: f.handle == OUT)
        self.c.send(control, dumps((u"signal", 15)), 0, PKL)
        self.assertEqual(self.gather(), (b"", b"", (u"exit", None, 15), 0))

    def test_window(self):
        pid, control = self.start([u"/bin/sh", u"-c", u"head -c 3000000 /dev/zero"], window=100000)
        got = b""
        while len(got) < 100000:
            got += self.c.reply(OUT).data[1:]
        # Output stops at the window; calls are served meanwhile.
        self.c.call("posix", "getpid")
        self.assertEqual(self.c.other, [])
        self.c.send(control, dumps((u"ack", len(got))), 0, PKL)
        out, err, end, _ = self.gather(control=control)
        self.assertEqual((len(out) + len(got), end), (3000000, (u"exit", 0, None)))

    def test_background_process_does_not_delay_the_exit(self):
        pid, control = self.start([u"/bin/sh", u"-c", u"echo before; sleep 1000 & exit 4"])
        self.assertEqual(self.gather()[::2], (b"before\n", (u"exit", 4, None)))
        os.killpg(pid, signal.SIGKILL)

    def test_several_while_busy(self):
        for i in range(5):
            self.start([u"/bin/sh", u"-c", u"sleep 0.1; echo %d" % i], OUT + i)
        self.c.post("probe", "spin")
        for i in range(5):
            self.assertEqual(self.gather(OUT + i)[0], b"%d\n" % i if PY3 else "%d\n" % i)

    def test_default_dispositions(self):
        self.start([u"/bin/sh", u"-c", u"exec cat /proc/self/status"])
        status = dict(line.split(":") for line in self.gather()[0].decode().splitlines())
        # 32 and 33 are reserved by the C library.
        masks = [int(status[name], 16) & 0x7FFFFFFF for name in ("SigIgn", "SigBlk")]
        self.assertEqual(masks, [0, 0])
        self.start([u"/bin/ls", u"/proc/self/fd"])
        # The fourth is the descriptor of ls itself.
        self.assertEqual(self.gather()[0].split(), [b"0", b"1", b"2", b"3"])

    def test_programs_end_with_the_caller_or_the_context(self):
        script = u"trap '' HUP; echo on; sleep 1000 & sleep 1000"
        pid, control = self.start([u"/bin/sh", u"-c", script])
        self.c.until(lambda f: f.handle == OUT)
        self.c.close()
        self.assertEqual(self.c.wait(), 0)
        end = time.time() + LIMIT
        while True:
            try:
                os.killpg(pid, 0)
            except OSError:
                break
            stats = []
            for name in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/stat" % name) as fp:
                        stat = fp.read().rpartition(")")[2].split()
                    if int(stat[2]) == pid:
                        stats.append(stat[0])
                except (IOError, OSError):
                    pass
            if set(stats) <= set("Z"):
                break
            self.assertLess(time.time(), end)
            time.sleep(0.01)

    def test_no_descriptor_or_process_is_left(self):
        before = self.c.call("probe", "fds")
        for i in range(5):
            self.start([u"true"], stdin=True)
            self.gather()
        end = time.time() + LIMIT
        while self.c.call("probe", "fds") != before or self.c.call("probe", "children"):
            self.assertLess(time.time(), end)


if __name__ == "__main__":
    unittest.main()
