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


    def place(self, files):
        place = self.tempdir()
        for name, source in files.items():
            path = os.path.join(place, name)
            if not os.path.isdir(os.path.dirname(path)):
                os.makedirs(os.path.dirname(path))
            with open(path, "wb") as fp:
                fp.write(source)
        return place

    def test_a_module_may_set_its_own_path(self):
        more = {
            u"selfpkg": (SELFPKG,),
            u"asks": ("def f():\n import selfpkg.moves\n from selfpkg.moves import x\n from selfpkg.virtual.deep import y\n"
                      " try:\n  import selfpkg.none\n except ImportError as e: z = str(e)\n return [x, y, selfpkg.__path__, z]\n",),
        }
        said = u"No module named " + (u"'selfpkg.none'" if PY3 else u"none")
        self.assertEqual(self.served("asks.f", more=more), [1, 2, [], said])
        self.assertEqual(self.c.asked, [u"asks", u"selfpkg"])

    def test_a_module_may_replace_itself(self):
        more = {
            u"other": ("import sys, types\nclass M(types.ModuleType):\n V = 7\nsys.modules[__name__] = M('mine')\n",),
            u"asks": ("def f():\n import other\n from other import V\n return [V, other.__name__]\n",),
        }
        self.assertEqual(self.served("asks.f", more=more), [7, u"mine"])

    def test_a_package_may_extend_its_path(self):
        more = {
            u"big": ("import os, sys\nhere = os.path.dirname(__file__)\n__path__.append(os.path.join(here, 'plugins'))\n"
                     "__path__.insert(0, os.path.join(here, 'first'))\nsys.path.append(here + '/vendor')\n", [u"a", u"b"]),
            u"big.a": ("V = 'own'\n",), u"big.b": ("V = 'own'\n",), u"wanted": ("V = 'top'\n",),
            u"asks": ("def f():\n import big.a, big.b, big.c, big.sub.d\n out = [m.V for m in (big.a, big.b, big.c, big.sub, big.sub.d)]\n"
                      " if str is not bytes:\n  import inner.x, wanted\n  out += [inner.x.V, wanted.V, inner.x.__file__]\n"
                      " try:\n  import big.none\n except ImportError: out += ['none']\n"
                      " import inspect\n return out + [big.c.__file__, inspect.getsource(big.c)]\n",),
        }
        files = {
            (u"big", u"plugins/"): b"c.py\na.py\nsub/", (u"big", u"plugins/sub/"): b"__init__.py\nd.py",
            (u"big", u"plugins/c.py"): b"V = 'c'\n", (u"big", u"plugins/a.py"): b"V = 'wrong'\n",
            (u"big", u"plugins/sub/__init__.py"): b"V = 'sub'\n", (u"big", u"plugins/sub/d.py"): b"from . import V\nV += 'd'\n",
            (u"big", u"first/"): b"b.py", (u"big", u"first/b.py"): b"V = 'first'\n",
            (u"big", u"vendor/"): b"inner/\nwanted.py", (u"big", u"vendor/inner/"): b"__init__.py\nx.py",
            (u"big", u"vendor/wanted.py"): b"V = 'vendored'\n",
            (u"big", u"vendor/inner/__init__.py"): b"", (u"big", u"vendor/inner/x.py"): b"V = 'x'\n",
        }
        got = texts(self.c.serve(self.c.post("asks", "f"), dict(TREE, **more), files).obj())
        vendored = [u"x", u"top", u"master:/m/big/vendor/inner/x.py"] if PY3 else []
        # In Python 2, the modules of the package's own directory come first, wherever it stands.
        second = u"first" if PY3 else u"own"
        self.assertEqual(got, [u"own", second, u"c", u"sub", u"subd"] + vendored + [u"none", u"master:/m/big/plugins/c.py", u"V = 'c'\n"])

    def test_namespaces_are_split(self):
        place = self.place({"google/protobuf/__init__.py": b"V = 1\n", "google/cloud/here.py": b"V = 3\n"})
        more = {
            u"google": ("", [u"auth", u"cloud"]), u"google.auth": ("V = 2\n", []),
            u"google.cloud": ("", [u"there"]), u"google.cloud.there": ("V = 4\n",),
            u"asks": ("def f(place):\n import sys, pkgutil\n sys.path.insert(0, place)\n"
                      " import google.protobuf, google.auth, google.cloud.here, google.cloud.there\n"
                      " try:\n  import google.none\n except ModuleNotFoundError as e: said = str(e)\n"
                      " return [google.protobuf.V, google.auth.V, google.cloud.here.V, google.cloud.there.V, getattr(google, '__file__', None) is None, said,\n"
                      "  sorted(x[1] for x in pkgutil.iter_modules(google.__path__))]\n",),
        }
        got = self.served("asks.f", place, more=more)
        # pkgutil lists a namespace package of the master, as it needs no file there.
        self.assertEqual(got[:6], [1, 2, 3, 4, True, u"No module named 'google.none'"])
        self.assertEqual(got[6], [u"auth", u"cloud", u"protobuf"])

    def test_namespaces_that_call_extend_path_are_split(self):
        init = b"from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n"
        place = self.place({"ns/__init__.py": init, "ns/here.py": b"V = 1\n"})
        more = {
            u"ns": (init.decode(), [u"there"]), u"ns.there": ("V = 2\n",),
            u"asks": ("def f(place):\n import sys\n sys.path.insert(0, place)\n import ns.here, ns.there\n"
                      " return [ns.here.V, ns.there.V]\n",),
        }
        self.assertEqual(self.served("asks.f", place, more=more), [1, 2])

    def test_a_namespace_of_the_master_has_no_file(self):
        more = {u"asks": ("def f():\n import space.a\n return [getattr(space, '__file__', None), space.__path__, space.a.V]\n",)}
        tree = dict(TREE, **more)
        self.c.send(LOAD, dumps((u"space", [u"a"], u"/m/space", Global("mitogen.core", "Blob", (zlib.compress(b""),)), [])), 0, PKL)
        self.c.push("space.a", "V = 5\n")
        self.assertEqual(texts(self.c.serve(self.c.post("asks", "f"), tree).obj()), [None if PY3 else u"master:/m/space", [u"master:/m/space"], 5])

    def test_sources_are_decoded_as_the_interpreter_does(self):
        rows = [
            (b"\xef\xbb\xbfS = u'\xc3\xa9'\nB = '\xc3\xa9'\n", b"\xc3\xa9"),
            (b"# coding: utf-8\nS = u'\xc3\xa9'\nB = '\xc3\xa9'\n", b"\xc3\xa9"),
            (b"# coding: latin-1\nS = u'\xe9'\nB = '\xe9'\n", b"\xe9"),
            (b"#!/usr/bin/python\n# -*- coding: cp850 -*-\nS = u'\x82'\nB = '\x82'\n", b"\x82"),
            (b"# coding: euc-jp\nS = u'\x8f\xab\xb1'\nB = '\x8f\xab\xb1'\n", b"\x8f\xab\xb1"),
        ]
        for number, (source, raw) in enumerate(rows):
            name = u"coded%d" % number
            self.c.push(name, source)
            self.c.push(u"asks_" + name, "def f():\n import %s as m, inspect\n inspect.getsource(m)\n return [m.S, m.B]\n" % name)
            got = self.c.call(u"asks_" + name, "f")
            self.assertEqual(got, [u"\xe9", u"\xe9" if PY3 else raw], source)

    def test_specs_make_new_modules(self):
        self.c.push("asks", '''
import importlib.util, sys
def fresh():
    spec = importlib.util.find_spec("heavy")
    a, b = importlib.util.module_from_spec(spec), importlib.util.module_from_spec(spec)
    spec.loader.exec_module(a)
    spec.loader.exec_module(b)
    c = importlib.util.module_from_spec(spec)
    return [a is b, a is c, a.X, b.X, hasattr(c, "X"), "heavy" in sys.modules]
def lazy():
    spec = importlib.util.find_spec("heavy")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    m = sys.modules["heavy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    before = "X" in object.__getattribute__(m, "__dict__")
    import heavy
    return [before, heavy is m, m.X, importlib.reload(m) is m, m.X]
''')
        more = {u"heavy": ("X = 1\n",)}
        self.assertEqual(self.served("asks.fresh", more=more), [False, False, 1, 1, False, False])
        self.assertEqual(self.served("asks.lazy", more=more), [False, True, 1, True, 1])


if not PY3:
    # It has no specs, and no namespace packages without `extend_path`.
    del Modules.test_specs_make_new_modules, Modules.test_namespaces_are_split

# As `six` does.
SELFPKG = '''
import sys, types
__path__ = []
__package__ = __name__
if globals().get("__spec__") is not None:
    __spec__.submodule_search_locations = []
moves = sys.modules[__name__ + ".moves"] = types.ModuleType(__name__ + ".moves")
moves.x = 1
moves.__path__ = []
class Finder(object):
    def find_module(self, name, path=None):
        return self if name.startswith("selfpkg.virtual") else None
    def find_spec(self, name, path=None, target=None):
        if self.find_module(name):
            from importlib.util import spec_from_loader
            return spec_from_loader(name, self, is_package=True)
    def create_module(self, spec):
        return self.load_module(spec.name)
    def exec_module(self, module):
        pass
    def load_module(self, name):
        if name not in sys.modules:
            module = sys.modules[name] = types.ModuleType(name)
            module.__path__ = []
            module.__loader__ = self
            module.y = 2
        return sys.modules[name]
sys.meta_path.append(Finder())
'''

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
