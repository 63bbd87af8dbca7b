"""Modules on demand: requests, source lines, errors."""
from harness import *

# A package and its modules, as `Child.serve` takes them.
TREE = {
    u"pkg": ("from . import a\nNAME = __name__\n", [u"a", u"b", u"sub", u"_speed", u"loop1", u"loop2"]),
    u"pkg.a": ("from .b import B\nfrom pkg.sub import deep\ndef f(): return [B, deep.D, __package__]\n",),
    u"pkg.b": ("B = 'b'\n",),
    u"pkg.sub": ("", [u"deep"]),
    u"pkg.sub.deep": ("from ..b import B\nD = B + 'd'\n",),
    u"pkg.loop1": ("from pkg import loop2\nimport pkg.loop2 as again\nV = 1\n",),
    u"pkg.loop2": ("import pkg.loop1\nW = 2\n",),
    u"pkg._speed": (None, u"pkg._speed is an extension module (/x/_speed.so), which cannot be sent"),
}

PROBE = '''
def plain(name):
    try:
        __import__(name)
    except ImportError as e:
        return [type(e).__name__, str(e), getattr(e, "name", None)]
def member(package, name):
    try:
        exec("from %s import %s" % (package, name), {})
    except ImportError as e:
        return [type(e).__name__, str(e), getattr(e, "name", None)]
def there(name):
    import pkgutil
    if str is bytes:
        return pkgutil.get_loader(name) is not None
    import importlib.util
    return importlib.util.find_spec(name) is not None
def version():
    import sys
    return "%d.%d.%d" % sys.version_info[:3]
'''


class Modules(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push("probe", PROBE)

    def served(self, func, *args, **kw):
        """A call of `func`, by default in the module `probe`, with the package available."""
        module, _, func = func.rpartition(".")
        tree = dict(TREE, **kw.pop("more", {}))
        got = self.c.serve(self.c.post(module or "probe", func, *args), tree)
        return texts(got.obj())

    def test_relative_imports_send_one_request_each(self):
        self.assertEqual(self.served("pkg.a.f"), [u"b", u"bd", u"pkg"])
        self.assertEqual(self.c.asked, [u"pkg", u"pkg.a", u"pkg.b", u"pkg.sub", u"pkg.sub.deep"])

    def test_circular_imports(self):
        self.c.push("circle", "def f():\n import pkg.loop1, pkg.loop2\n return pkg.loop1.V + pkg.loop2.W")
        self.assertEqual(self.served("circle.f"), 3)
        self.assertEqual(len(self.c.asked), len(set(self.c.asked)))

    def test_missing_module(self):
        for _ in range(2):
            kind, said, name = self.served("plain", u"nowhere")
            self.assertTrue(said.startswith(u"The Mitogen master process was unable to serve nowhere"), said)
            self.assertIn(u"[context test, Python %s on %s" % (texts(self.c.call("probe", "version")), texts(sys.platform)), said)
            self.assertEqual((kind, name), (u"ModuleNotFoundError" if PY3 else u"ImportError", u"nowhere"))
            # find_spec() returns None.
            self.assertEqual(self.served("there", u"nowhere"), False)
        self.assertEqual(self.served("there", u"neither"), False)
        self.assertEqual(self.c.asked, [u"nowhere", u"neither"])
        self.assertEqual(self.served("there", u"pkg"), True)

    def test_refusal_reason_is_in_the_error(self):
        for func, args in ("plain", (u"pkg._speed",)), ("member", (u"pkg", u"_speed")):
            got = self.served(func, *args)
            self.assertIsInstance(got, list, got)
            kind, said, name = got
            self.assertEqual((kind, name), (u"ImportError", u"pkg._speed"))
            self.assertTrue(said.startswith(TREE[u"pkg._speed"][1] + u" [context test, Python "), said)
        # A module that its package does not list is not requested.
        self.assertEqual(self.served("plain", u"pkg.other")[0], u"ModuleNotFoundError" if PY3 else u"ImportError")
        self.assertEqual(self.c.asked.count(u"pkg._speed"), 1)
        self.assertNotIn(u"pkg.other", self.c.asked)

    def test_refusal_reason_that_was_pushed(self):
        self.c.push("never", None, u"it is for others\u2026")
        said = texts(self.c.call("probe", "plain", u"never"))[1]
        self.assertTrue(said.startswith(u"it is for others\u2026 [context test"), said)
        self.assertEqual(self.c.other, [])

    def test_refusals(self):
        fixed = u"Mitogen won't serve %s, it's e.g. binary, legacy, part of stdlib"
        for name in [u"org.python", u"builtins" if not PY3 else u"__builtin__"] + [u"cStringIO"] * PY3:
            parent = name.split(u".")[0]
            self.assertEqual(self.served("plain", name)[1:], [fixed % parent, parent])
            self.assertEqual(self.served("there", parent), False)
        if hasattr(sys, "stdlib_module_names"):
            # A module of the standard library on Windows only.
            self.assertEqual(self.served("plain", u"winreg")[1:], [fixed % u"winreg", u"winreg"])
        for more, name, said in (
            ({"import_overrides": [u"pkg", u"probe"]}, u"else", u"not in the overrides list"),
            ({"import_blocks": [u"evil"]}, u"evil.one", u"in the blocks list"),
        ):
            self.c = self.child(conf=config(**more))
            self.c.push("probe", PROBE)
            top = name.split(u".")[0]
            self.assertEqual(self.served("plain", name)[1:], [u"Mitogen won't serve %s, it's %s" % (top, said), top])
            self.assertEqual(self.served("there", top), False)
        self.assertEqual(self.c.asked, [])

    def test_overrides_may_name_the_standard_library(self):
        self.c = self.child(conf=config(import_overrides=[u"winsound", u"probe", u"json"]))
        self.c.push("probe", PROBE + "def f():\n import winsound, json\n return [winsound.V, json.V]\n")
        more = {u"winsound": ("V = 'theirs'\n",), u"json": ("V = 'ours'\n",)}
        self.assertEqual(self.served("f", more=more), [u"theirs", u"ours"])
        self.assertEqual(self.c.asked, [u"winsound", u"json"])
        # Overrides do not apply to modules of the runtime.
        self.assertEqual(self.served("plain", u"mitogen.process"), None)

    def test_source_lines_are_shown(self):
        lines = [u"# -*- coding: utf-8 -*-", u"\x0c", u"def f():", u"    # why", u"    raise KeyError(u'\u00e9')  # here", u""]
        for end in u"\n", u"\r\n":
            c = self.child()
            c.push("shown", end.join(lines))
            self.assertError(c.call("shown", "f"), u"%s.KeyError" % (u"builtins" if PY3 else u"exceptions"),
                             u'File "master:/m/shown.py", line 5, in f\n    raise KeyError(u\'\u00e9\')  # here\n')
        c.push("looks", '''
import inspect, linecache, pkgutil, sys, traceback
import shown
def f():
    loader = pkgutil.get_loader("shown") if str is bytes else shown.__spec__.loader
    out = [inspect.getsource(shown.f), shown.__loader__.get_source("shown"), loader.get_source("shown"), inspect.getsource(K)]
    out.append(linecache.getline(shown.__file__, 5, shown.__dict__))
    try: shown.f()
    except KeyError: out.append([line for line in traceback.format_exc().splitlines() if 'KeyError' in line][0])
    return out + [inspect.getsourcefile(shown.f), inspect.getmodule(shown.f).__name__]
class K(object):
    """Doc."""
    x = 1
''')
        body = u"\n".join(lines[2:5]) + u"\n"
        whole = u"\n".join(lines).replace(u"\x0c", u" ")
        got = texts(c.call("looks", "f"))
        self.assertEqual(got, [body, whole, whole, u'class K(object):\n    """Doc."""\n    x = 1\n', lines[4] + u"\n", lines[4],
                               u"master:/m/shown.py", u"shown"])

    def test_the_debugger_shows_lines(self):
        self.c.push("shown", "def f():\n    x = 1\n    return x  # here\n")
        self.c.push("debug", '''
import pdb, io
import shown
def f():
    out = io.BytesIO() if str is bytes else io.StringIO()
    d = pdb.Pdb(stdin=io.StringIO(u"l\\nn\\nc\\n"), stdout=out)
    d.runcall(shown.f)
    return out.getvalue()
''')
        # The debugger of 3.13 imports __main__.
        said = self.served("debug.f", more={u"__main__": ("",)})
        self.assertIn(u"-> return x  # here", said)
        self.assertIn(u"  1  \tdef f():\n", said)

    def test_walking_a_package(self):
        self.c.push("walk", '''
import pkgutil
import pkg
def f():
    one = sorted((x[1], x[2]) for x in pkgutil.iter_modules(pkg.__path__))
    try: two = sorted(x[1] for x in pkgutil.walk_packages(pkg.__path__, "pkg."))
    except ImportError as e: two = str(e)
    return [one, two]
''')
        one, two = self.served("walk.f")
        self.assertEqual(one, [(u"_speed", False), (u"a", False), (u"b", False), (u"loop1", False), (u"loop2", False), (u"sub", True)])
        self.assertEqual(two, sorted(name for name in TREE if name != u"pkg"))
        self.assertEqual(sorted(self.c.asked), sorted(TREE))

    def test_a_directory_named_like_a_package_path_is_not_used(self):
        place = self.tempdir()
        os.makedirs(os.path.join(place, "master:", "m", "pkg"))
        for name in "other", "a":
            with open(os.path.join(place, "master:", "m", "pkg", name + ".py"), "w") as fp:
                fp.write("EVIL = 1\n")
        self.c = self.child(cwd=place)
        self.c.push("probe", PROBE + "def f():\n import pkg.a, importlib\n getattr(importlib, 'invalidate_caches', int)()\n return hasattr(pkg.a, 'EVIL')")
        self.assertEqual(self.served("f"), False)
        self.assertEqual(self.served("plain", u"pkg.other")[2:], [u"pkg.other"] if PY3 else [None])

    def test_threads_share_a_request(self):
        # In Python 2 a thread sees a module that another is still importing, if that one waits.
        name = u"pkg.sub.deep" if PY3 else u"count"
        more = {u"count": ("D = 'bd'\nimport sys\nsys.count = getattr(sys, 'count', 0) + 1\n",)}
        for func in "join", "spin":
            self.c = self.child()
            self.c.push("crowd", CROWD % (name, name))
            self.assertEqual(self.served("crowd." + func, more=more), [u"bd"] * 8)
            expected = [u"pkg", u"pkg.a", u"pkg.b", u"pkg.sub", name] if PY3 else [name]
            self.assertEqual(sorted(self.c.asked), expected)

    def test_a_failed_import_leaves_no_module(self):
        more = {u"broken": ("import broken.half\n", [u"half"]), u"broken.half": ("import sys\nX = 1\nraise KeyError('later')\n",)}
        self.c.push("tries", '''
import sys
def f():
    said = []
    for _ in range(2):
        try: import broken
        except KeyError as e: said.append(e.args[0])
    return said + sorted(name for name in sys.modules if name.startswith("broken") and sys.modules[name])
''')
        self.assertEqual(self.served("tries.f", more=more), [u"later"] * 2)
        self.assertEqual(self.c.asked, [u"broken", u"broken.half"])

    def test_reload(self):
        self.c.push("again", '''
import sys
import thing
def f():
    if str is bytes: again = reload
    else: from importlib import reload as again
    old, thing.V = thing, 5
    new = again(thing)
    return [new is old, sys.modules["thing"] is old, thing.V, thing.__file__]
''')
        got = self.served("again.f", more={u"thing": ("V = 1\n",)})
        self.assertEqual(got, [True, True, 1, u"master:/m/thing.py"])
        self.assertEqual(self.c.asked, [u"thing"])

    def test_submodules_of_local_packages_are_not_requested(self):
        self.c.push("local", "def f():\n try:\n  import json.nothing\n except ImportError: pass\n try:\n  from json import none\n except ImportError: return 1\n")
        self.assertEqual(self.served("local.f"), 1)
        self.assertEqual(self.c.asked, [])

    def test_names_from_main(self):
        more = {u"__main__": ("class K(object):\n pass\ndef f(x): return [x, __name__]\ndef same():\n import __main__\n return __main__.f is f\n",)}
        self.assertEqual(self.served("__main__.f", 3, more=more), [3, u"__main__"])
        self.assertEqual(self.served("__main__.same", more=more), True)
        self.assertEqual(self.c.asked, [u"__main__"])

    def test_main_is_not_run_for_pkg_resources(self):
        more = {u"pkg_resources": ("try:\n from __main__ import __requires__\nexcept ImportError:\n DONE = 1\nworking_set = {}\n",),
                u"__main__": ("V = 3\n",)}
        self.c = self.child(conf=config(import_overrides=[u"pkg_resources", u"__main__", u"req"]))
        self.c.push("req", "def f():\n import pkg_resources, __main__\n return [pkg_resources.DONE, __main__.V]")
        self.assertEqual(self.served("req.f", more=more), [1, 3])
        self.assertEqual(self.c.asked, [u"pkg_resources", u"__main__"])

    def test_pbr_needs_no_installation(self):
        more = {u"pbr": ("import os\ndef f(): return os.environ['PBR_VERSION']\n",)}
        self.assertEqual(self.served("pbr.f", more=more), u"0.0.0")

    def test_pushed_modules_cost_no_request(self):
        names = [u"m%d" % i for i in range(50)]
        self.c.push("big", "", names)
        for name in names:
            self.c.push(u"big." + name, "V = 1\n")
        self.c.push("all", "def f():\n return sum(__import__('big.m%d' % i, {}, {}, ['V']).V for i in range(50))")
        self.assertEqual(self.served("all.f"), 50)
        self.assertEqual(self.c.asked, [])

    def test_non_ascii_names(self):
        self.c.send(LOAD, dumps((u"thing", None, u"/jos\u00e9/thing.py", Global("mitogen.core", "Blob", (zlib.compress(b"def f(): return __file__"),)), [])), 0, PKL)
        self.assertEqual(texts(self.c.call("thing", "f")), u"master:/jos\u00e9/thing.py")


CROWD = '''
import threading
got = []
def worker():
    import %s
    got.append(%s.D)
threads = [threading.Thread(target=worker) for _ in range(8)]
def join():
    for t in threads: t.start()
    for t in threads: t.join()
    return got
def spin():
    for t in threads: t.start()
    worker()
    got.pop()
    while len(got) < 8: pass
    return got
'''


def texts(obj):
    """Convert all strings to text."""
    if isinstance(obj, (list, tuple)):
        return type(obj)(map(texts, obj))
    return as_text(obj) if isinstance(obj, bytes) else obj


if __name__ == "__main__":
    unittest.main()
