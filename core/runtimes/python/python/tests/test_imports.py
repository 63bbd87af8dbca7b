"""Modules from the parent."""
from harness import *


class Imports(TestCase):
    def setUp(self):
        self.c = self.child()

    def asked(self):
        return self.c.until(lambda f: f.handle == GET_MODULE).data

    def test_modules_are_requested_once(self):
        handle = self.c.post("wanted", "f")
        self.assertEqual(self.asked(), b"wanted")
        self.c.push("wanted", "X = __file__, __name__, __loader__.get_source(__name__)\ndef f(): return X")
        file, name, source = self.c.reply(handle).obj()
        self.assertEqual((as_text(file), as_text(name)), (u"master:/m/wanted.py", u"wanted"))
        self.assertIn(u"def f()", source)
        self.assertEqual(as_text(self.c.call("wanted", "f")[1]), u"wanted")
        self.assertEqual([f for f in self.c.other if f.handle == GET_MODULE], [])

    def test_packages(self):
        self.c.push("pkg", "from pkg import a", [u"a", u"sub"])
        self.c.push("pkg.a", "def f():\n import pkg.sub.c\n return pkg.sub.c.V, pkg.__path__, pkg.a.__package__")
        self.c.push("pkg.sub", "", [u"c"])
        self.c.push("pkg.sub.c", "V = 42")
        got = self.c.call("pkg.a", "f")
        self.assertEqual((got[0], list(map(as_text, got[1])), as_text(got[2])), (42, [u"master:/m/pkg"], u"pkg"))
        # A module that its package does not list is not requested.
        self.assertError(self.c.call("pkg.other", "f"), u"", u"other")
        self.assertEqual(self.c.other, [])

    def test_missing_module(self):
        self.c.push("never", None)
        self.c.push("probe", "def f():\n try:\n  import never\n except ImportError as e: return str(e)")
        self.assertIn(u"never", as_text(self.c.call("probe", "f")))

    def test_local_modules_have_priority(self):
        self.c.push("colorsys", "def f(): return 'remote'")
        self.assertError(self.c.call("colorsys", "f"), u"", u"AttributeError")

    def test_overrides_and_blocks(self):
        c = self.child(conf=config(import_overrides=[u"colorsys", u"probe"], import_blocks=[]))
        c.push("colorsys", "def f(): return u'remote'")
        self.assertEqual(c.call("colorsys", "f"), u"remote")
        self.assertError(c.call("elsewhere", "f"), u"", u"elsewhere")
        c = self.child(conf=config(import_blocks=[u"evil"]))
        self.assertError(c.call("evil", "f"), u"", u"evil")
        self.assertEqual(c.other, [])

    def test_main_comes_from_the_master(self):
        self.c.push("__main__", "def f(): return __name__")
        self.assertEqual(as_text(self.c.call("__main__", "f")), u"__main__")

    def test_failing_module_can_be_retried(self):
        self.c.push("bad", "raise KeyError('first')")
        self.assertError(self.c.call("bad", "f"), u"", u"KeyError")
        self.c.push("bad", "def f(): return 1")
        self.assertEqual(self.c.call("bad", "f"), 1)

    def test_syntax_error(self):
        self.c.push("bad", "def f(:")
        self.assertError(self.c.call("bad", "f"), u"", u"SyntaxError")

    def test_import_from_another_thread(self):
        self.c.push("probe", """
import threading, time
got = []
def worker():
    import late
    got.append(late.V)
def begin():
    t = threading.Thread(target=worker); t.daemon = True; t.start()
def busy():
    t = threading.Thread(target=worker); t.daemon = True; t.start()
    end = time.time() + 20
    while not got and time.time() < end: time.sleep(0.001)
    return got
def join():
    return got
""")
        # While the main thread is in a call, and while it is not.
        handle = self.c.post("probe", "busy")
        self.assertEqual(self.asked(), b"late")
        self.c.push("late", "V = 5")
        self.assertEqual(self.c.reply(handle).obj(), [5])
        self.c.push("probe2", "import threading\ngot = []\ndef worker():\n import later\n got.append(later.V)\ndef begin():\n t = threading.Thread(target=worker); t.daemon = True; t.start()\ndef see(): return got")
        self.c.call("probe2", "begin")
        self.assertEqual(self.asked(), b"later")
        self.c.push("later", "V = 6")
        end = time.time() + LIMIT
        while self.c.call("probe2", "see") != [6]:
            self.assertLess(time.time(), end)

    def test_unprivileged_module_is_refused(self):
        c = self.child(conf=config(5, (3, 0)))
        c.send(LOAD, module_data("wanted", "def f(): return 1"), 88, PKL, src=9, auth=9)
        self.assertEqual(c.reply(88).data, b"refused by policy")

    def test_inspect_finds_source(self):
        self.c.push("probe", "import inspect\ndef f():\n    return inspect.getsource(f)\n")
        self.assertEqual(as_text(self.c.call("probe", "f")), u"def f():\n    return inspect.getsource(f)\n")


if __name__ == "__main__":
    unittest.main()
