"""Data files of packages from the master, with the APIs of each Python version."""
from harness import *
from test_modules import texts
from test_parent import PYTHON, plan, start

VERSION = sys.version_info[:2]
BIG = os.urandom(300000)
FILES = {
    (u"pkg", u"a.txt"): u"d\u00e9j\u00e0\n".encode("utf-8"),
    (u"pkg", u"big.bin"): BIG,
    (u"pkg", u"empty"): b"",
    (u"pkg", u"t/b.html"): b"<b>",
    (u"pkg.sub", u"c.txt"): b"deep",
    (u"pkg", u""): b"a.txt\nbig.bin\nempty\nt/",
    (u"pkg", u"t/"): b"b.html",
    (u"pkg.sub", u""): b"c.txt",
}
TREE = {u"pkg": ("", [u"sub"]), u"pkg.sub": ("", [])}

PROBE = '''
import pkg
def get_data(package, name):
    import pkgutil
    try:
        # Python 2 does not call the finder to list a package.
        __import__(package)
        data = pkgutil.get_data(package, name)
    except IOError as e:
        return [type(e).__name__, e.errno, e.filename]
    return data
def by_path(name):
    import os
    return pkg.__loader__.get_data(os.path.join(os.path.dirname(pkg.__file__), name))
def no_path():
    try: pkg.__loader__.get_data("master:/elsewhere/x")
    except IOError as e: return type(e).__name__
def classic():
    from importlib import resources
    with resources.open_binary("pkg", "big.bin") as fp: size = len(fp.read())
    with resources.open_text("pkg", "a.txt", encoding="utf-8") as fp: line = fp.read()
    with resources.path("pkg", "a.txt") as path: temp = path.read_text("utf-8")
    try: resources.read_binary("pkg", "missing"); missing = None
    except FileNotFoundError as e: missing = e.filename
    return [size, line, temp, missing, sorted(resources.contents("pkg")),
            [resources.is_resource("pkg", name) for name in ("a.txt", "missing", "t")],
            resources.read_text("pkg", "a.txt", encoding="utf-8")]
def files():
    from importlib import resources
    top = resources.files("pkg")
    inner = top.joinpath("t").joinpath("b.html")
    with (top / "big.bin").open("rb") as fp: size = len(fp.read())
    with resources.as_file(top / "a.txt") as path: temp = path.read_text("utf-8")
    return [size, temp, (top / "a.txt").read_text("utf-8"), inner.read_bytes(), inner.name,
            sorted(x.name for x in top.iterdir()), [x.name for x in (top / "t").iterdir()],
            [(top / name).is_file() for name in ("a.txt", "t")], [top.is_dir(), (top / "t").is_dir()]]
def nested():
    from importlib import resources
    import pkg.sub
    return [resources.files("pkg").joinpath("sub", "c.txt").read_bytes(), resources.files(pkg.sub).joinpath("c.txt").read_text()]
def missing():
    from importlib import resources
    try: (resources.files("pkg") / "missing").read_text()
    except FileNotFoundError as e: return [str(e), e.filename]
def outside():
    from importlib import resources
    said = []
    for name in "../x", "/etc/passwd", "t/../../x":
        try: resources.files("pkg").joinpath(name).read_bytes()
        except FileNotFoundError as e: said.append(1)
    return said
def unlisted():
    from importlib import resources
    try: return list(resources.files("pkg").iterdir()) if hasattr(resources, "files") else list(resources.contents("pkg"))
    except NotImplementedError as e: return str(e)
def crowd():
    import threading, pkgutil
    got = []
    threads = [threading.Thread(target=lambda: got.append(len(pkgutil.get_data("pkg", "big.bin")))) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    return got
'''


class Resources(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push("probe", PROBE)

    def served(self, func, *args, **kw):
        files = kw.pop("files", FILES)
        return texts(self.c.serve(self.c.post("probe", func, *args, **kw), TREE, files).obj())

    def asked(self):
        return [key for key in self.c.asked if isinstance(key, tuple)]

    def test_get_data(self):
        self.assertEqual(self.served("get_data", u"pkg", u"a.txt"), u"d\u00e9j\u00e0\n")
        handle = self.c.post("probe", "get_data", u"pkg", u"big.bin")
        self.assertEqual(self.c.serve(handle, TREE, FILES).obj(), BIG)
        self.assertEqual(self.served("get_data", u"pkg", u"t/b.html"), u"<b>")
        self.assertEqual(self.served("get_data", u"pkg.sub", u"c.txt"), u"deep")
        self.assertEqual(self.served("by_path", u"a.txt"), u"d\u00e9j\u00e0\n")
        self.assertEqual(self.served("by_path", u"sub/c.txt"), u"deep")
        wrong = [u"FileNotFoundError" if PY3 else u"IOError", 2, u"missing"]
        for _ in range(2):
            self.assertEqual(self.served("get_data", u"pkg", u"missing"), wrong)
        self.assertEqual(self.served("no_path"), wrong[0])
        # Each is requested once, however often it is read.
        self.assertEqual(self.asked(), [(u"pkg", u"a.txt"), (u"pkg", u"big.bin"), (u"pkg", u"t/b.html"), (u"pkg.sub", u"c.txt"), (u"pkg", u"missing")])

    def test_threads_share_a_request(self):
        self.assertEqual(self.served("crowd"), [len(BIG)] * 8)
        self.assertEqual(self.asked(), [(u"pkg", u"big.bin")])

    def test_resources_of_blocked_packages_are_not_requested(self):
        self.c = self.child(conf=config(import_blocks=[u"pkg.sub"]))
        self.c.push("probe", PROBE)
        self.assertEqual(self.served("by_path", u"a.txt"), u"d\u00e9j\u00e0\n")
        self.c.push("deny", "def f():\n import mitogen.resources as r\n return r.fetch(u'pkg.sub', u'c.txt')")
        self.assertIs(self.c.call("deny", "f"), None)
        self.assertEqual(self.asked(), [(u"pkg", u"a.txt")])

    def test_only_plain_data_is_accepted(self):
        handle = self.c.post("probe", "get_data", u"pkg", u"a.txt")
        self.c.push("pkg", *TREE[u"pkg"])
        self.c.until(lambda f: f.handle == GET_RESOURCE)
        for bad in (
            dumps((u"pkg", u"a.txt")) + b"cos\ngetcwd\n(tR.",
            dumps((u"pkg", u"a.txt")) + dumps(u"text"),
            dumps((b"pkg", u"a.txt")) + dumps(b"bytes"),
            dumps((u"pkg",)) + dumps(b"bytes"),
            dumps((u"pkg", u"a.txt")),
            b"",
        ):
            self.c.send(LOAD_RESOURCE, bad, 0, PKL)
            self.c.log(lambda name, level, text: level == u"40")
            self.c.logs[:] = []
        self.c.send(LOAD_RESOURCE, resource_data((u"pkg", u"a.txt"), b"good"), 0, PKL)
        self.assertEqual(self.c.reply(handle).obj(), b"good")

    def test_only_parents_may_send_resources(self):
        c = self.child(conf=config(5, (3, 0)))
        c.push("use", "def f():\n import mitogen.resources")
        c.call("use", "f")
        c.send(LOAD_RESOURCE, resource_data((u"pkg", u"a.txt"), b"bad"), 88, PKL, src=9, auth=9)
        self.assertEqual(c.reply(88).data, b"refused by policy")

    if VERSION >= (3, 7):
        def test_classic_functions(self):
            text = u"d\u00e9j\u00e0\n"
            self.assertEqual(self.served("classic"), [
                len(BIG), text, text, u"missing",
                [u"a.txt", u"big.bin", u"empty", u"t"], [True, False, False], text
            ])
            self.assertEqual(len(self.asked()), len(set(self.asked())))

        def test_a_master_that_cannot_list_resources(self):
            plain = dict((key, value) for key, value in FILES.items() if key[1] and key[1][-1] != u"/")
            if VERSION != (3, 9):
                self.assertIn(u"cannot list the resources of pkg", self.served("unlisted", files=plain))
            self.assertEqual(self.served("get_data", u"pkg", u"empty", files=plain), u"")

    if VERSION >= (3, 9):
        def test_files(self):
            text = u"d\u00e9j\u00e0\n"
            self.assertEqual(self.served("files"), [
                len(BIG), text, text, u"<b>", u"b.html", [u"a.txt", u"big.bin", u"empty", u"t"], [u"b.html"],
                [True, False], [True, True]
            ])
            self.assertEqual(len(self.asked()), len(set(self.asked())))

    if VERSION >= (3, 10):
        def test_missing_files(self):
            self.assertEqual(self.served("nested"), [u"deep", u"deep"])
            self.assertEqual(self.served("missing"), [u"[Errno 2] No such resource in package pkg on the master: 'missing'", u"missing"])
            self.assertEqual(self.served("outside"), [1, 1, 1])
            self.assertEqual(self.asked(), [(u"pkg.sub", u"c.txt"), (u"pkg", u"missing")])


class Hops(TestCase):
    def up(self, id, parents):
        self.c.handle += 1
        request = start(id, plan(PYTHON), parents)
        self.c.send(RUN_PLAN, dumps(request), self.c.handle, PKL, dst=parents[0])
        got = self.c.serve(self.c.handle, {}).obj()
        self.assertEqual(got[u"ok"], True, got)

    def setUp(self):
        self.c = self.child()
        self.c.push_ours("mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent")
        for id, parents in (2, (1, 0)), (3, (2, 1, 0)), (4, (2, 1, 0)), (5, (1, 0)):
            self.up(id, parents)
        self.c.push("probe", PROBE)

    def test_each_resource_is_requested_once(self):
        handles = [self.c.post("probe", "get_data", u"pkg", name, dst=id)
                   for name in (u"big.bin", u"missing", u"big.bin") for id in (3, 4, 5, 2, 1)]
        tree = dict(TREE, probe=(PROBE,))
        replies = [self.c.serve(handle, tree, FILES).obj() for handle in handles]
        for i in range(5):
            self.assertEqual(replies[i], BIG)
            self.assertEqual(texts(replies[5 + i])[2], u"missing")
            self.assertEqual(replies[10 + i], BIG)
        keys = [key for key in self.c.asked if isinstance(key, tuple)]
        self.assertEqual(sorted(keys), [(u"pkg", u"big.bin"), (u"pkg", u"missing")])
        names = [name for name in self.c.asked if not isinstance(name, tuple)]
        self.assertEqual(sorted(names), [u"pkg"])

    def test_a_master_without_the_module(self):
        PARTS["modules"].pop("mitogen.resources")
        self.addCleanup(PARTS["modules"].__setitem__, "mitogen.resources", RESOURCES)
        # A request of a child with another runtime, written by hand in a child with this one.
        tree = {u"asks": ('''
import mitogen.core as core
got = []
def f():
    core.router.add_handler(got.append, 113, True, core.has_parent_authority, overwrite=True)
    core.send(core.parent_ids[0], 112, b"".join(core.dumps((u"pkg", u"x"))), core.PKL)
    core.wait(lambda: got)
    return core.loads(got[0].data[got[0].data.index(b".") + 1:]) is None
''',)}
        self.assertEqual(self.c.serve(self.c.post("asks", "f", dst=5), tree).obj(), True)


RESOURCES = PARTS["modules"]["mitogen.resources"]


if __name__ == "__main__":
    unittest.main()
