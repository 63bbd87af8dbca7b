"""Scripts from the master: they must behave as in an interpreter that runs them as a file."""
from harness import *
from test_command import Command as Commands
from test_parent import PROBE

OUT = 5000

# Each also runs in an interpreter; output and exit status must be equal.
PROGRAMS = {
    "arguments": "import sys\nprint(__name__, __file__, sys.argv, __doc__)\nprint(sorted(k for k in globals() if k[:2] != '__'))",
    "text_status": "import sys\nprint('out')\nsys.exit('text \\xe9')",
    "status": "raise SystemExit(7)",
    "wide_status": "raise SystemExit(-1)",
    "no_status": "import sys\nsys.exit()",
    "odd_status": "import sys\nsys.exit([1, 2])",
    "hard_status": "import os, sys\nsys.stdout.write('gone')\nsys.stdout.flush()\nos._exit(9)",
    "traceback": "def f(x):\n    return 1 // x  # here\n\nprint('before')\nf(0)",
    "chain": "def f():\n  raise KeyError('a')\ntry:\n  f()\nexcept KeyError:\n  [][1]",
    "in_library": "import textwrap\ntextwrap.dedent(5)",
    "syntax": "print('x')\nx = = 1\n",
    "indent": "if 1:\nprint('x')\n",
    "unicode": u"# coding: utf-8\nimport sys\nx = u'\xe9\u20ac'\nprint(repr(x.encode('utf-8')))\nraise ValueError('v')  # \xe9",
    "latin": u"# coding: latin-1\nprint(repr(u'\xe9'))\n1/0 # x".encode("latin-1"),
    "crlf": b"print('a')\r\nprint('b')\r\n1/0\r\n",
    "no_import": "import nosuchmodule",
    "caught": "import traceback\ntry:\n  1/0\nexcept ZeroDivisionError:\n  traceback.print_exc()",
    "hook": "import sys\ndef hook(kind, value, tb):\n  print(kind.__name__, value, tb.tb_lineno, tb.tb_frame.f_code.co_name)\nsys.excepthook = hook\n1/0",
    "bad_hook": "import sys\ndef hook(kind, value, tb):\n  1/0\nsys.excepthook = hook\n[][1]",
    "threads": "import threading, time\ndef f():\n  time.sleep(0.1)\n  print('thread')\nthreading.Thread(target=f).start()\nprint('main')\n",
    "thread_dies": "import threading, sys\ndef f():\n  sys.exit(3)\nt = threading.Thread(target=f)\nt.start()\nt.join()\nprint(threading.active_count(), threading.current_thread().name)\n",
    "atexit": "import atexit\natexit.register(print_ := None or (lambda: __import__('sys').stdout.write('bye\\n')))\nraise SystemExit(4)"
    if sys.version_info > (3, 8) else "import atexit, sys\natexit.register(lambda: sys.stdout.write('bye\\n'))\nraise SystemExit(4)",
    "failing_atexit": "import atexit, sys\natexit.register(lambda: sys.stdout.write('bye\\n'))\ndef f():\n  sys.exit(3)\n",
    "destructor": "class A(object):\n  def __del__(self): print('gone')\na = A()\nprint('end')",
    "pickle": "import pickle\nclass A(object): pass\na = A()\na.x = 1\nprint(pickle.loads(pickle.dumps(a)).x, A.__module__)",
    "source": "import inspect\ndef f(x):\n    # why\n    return x\nclass A:\n    y = 1\nprint(inspect.getsource(f))\nprint(inspect.getsource(A))",
    "main_module": "import sys, __main__\nprint(__main__ is sys.modules[__name__], __main__.sys is sys)\nx = 1\nprint(__main__.x)",
    "subprocess": "import subprocess, sys\nsys.stdout.flush()\nprint(subprocess.call(['/bin/sh', '-c', 'echo out; echo err >&2; exit 3']))",
    "fork": "import os, sys\nprint('one')\nsys.stdout.flush()\npid = os.fork()\nif not pid:\n  print('child')\n  sys.exit(5)\nprint(os.waitpid(pid, 0)[1] >> 8)",
    "killed": "import os\nprint('x')\n__import__('sys').stdout.flush()\nos.kill(os.getpid(), 9)",
    "terminated": "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)",
    "interrupt": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
    "dispositions": "import signal\nprint([n for n in range(1, 32) if signal.getsignal(n) != signal.SIG_DFL])",
    "logging": "import logging\nlogging.warning('w')\nlogging.info('i')\nlogging.getLogger('x').error('e')",
    "warning": "import warnings\nwarnings.warn('careful')",
    "recursion": "def f(n): return n and f(n - 1)\nprint(f(950))",
    "descriptors": "import os\nprint([fd for fd in range(3) if os.fstat(fd)])\nprint(os.getcwd())",
    "stdin": "import sys\nprint(repr(sys.stdin.readline()), repr(sys.stdin.read()))",
    "input": "print(repr((input if __import__('sys').version_info > (3,) else raw_input)()))",
    "binary": "import sys\n(getattr(sys.stdout, 'buffer', sys.stdout)).write(bytes(bytearray(range(256))) * 100)",
    "no_newline": "import sys\nsys.stdout.write('a')\nsys.stderr.write('b')",
    "encodings": "import sys\nprint(sys.stdout.encoding, sys.stdin.encoding)" if PY3 else "print(1)",
    "random": "import random\nrandom.seed(1)\nprint(random.random())",
    "pool": "from concurrent.futures import ThreadPoolExecutor\ne = ThreadPoolExecutor(2)\nprint(e.submit(len, 'abc').result())" if PY3 else "print(1)",
    "processes": "import multiprocessing\ndef f(x): return x * 2\nif __name__ == '__main__':\n  c = multiprocessing.get_context('fork') if hasattr(multiprocessing, 'get_context') else multiprocessing\n  p = c.Pool(2)\n  print(p.map(f, range(5)))\n  p.close()\n  p.join()",
    "asyncio": "import asyncio\nasync def f():\n  await asyncio.sleep(0.01)\n  return 5\nprint(asyncio.new_event_loop().run_until_complete(f()))" if PY3 else "print(1)",
    "unclosed": "import sys\nf = open(sys.argv[2], 'w')\nf.write('kept')\nclass Keep: pass\nsys.keep = Keep()\nsys.keep.f = f\n",
    "future": "from __future__ import print_function, division\nprint(1 / 2, sep='')",
    "doc": "'''The doc.'''\nprint(__doc__)",
    "group": "raise ExceptionGroup('g', [ValueError(1), KeyError(2)])" if sys.version_info >= (3, 11) else "print(1)",
    "notes": "e = ValueError('v')\ngetattr(e, 'add_note', len)('note')\nraise e",
    "cause": "try:\n  1/0\nexcept Exception as e:\n  x = ValueError('v')\n  x.__cause__ = e\n  raise x",
    "exit": "exit(6)",
    "empty": "",
}


class Script(Commands):
    def setUp(self):
        super(Script, self).setUp()
        self.c.push_ours("mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent", "mitogen.fork",
                         "mitogen.script")
        self.id = 100

    def run_here(self, source, args=(), handle=OUT, path=u"dir/prog.py", **options):
        self.id += 1
        options.update(id=self.id, source=Global("mitogen.core", "Blob", (as_bytes(source),)))
        options = {as_text(key): value for key, value in options.items()}
        argv = [path] + list(args)
        got = self.c.call("mitogen.script", "start", argv, handle, options)
        return got if isinstance(got, Global) else (got[u"pid"], got[u"control"])

    def ended(self, handle=OUT, control=None):
        """As `gather`; only modules of the runtime are available."""
        out = {b"1": b"", b"2": b""}
        while True:
            got = self.c.until(lambda f: f.handle in (handle, GET_MODULE))
            if got.handle == GET_MODULE:
                self.c.push(as_text(got.data), None)
            elif got.enc == BIN:
                out[got.data[:1]] += got.data[1:]
                if control:
                    self.c.send(control, dumps((u"ack", len(got.data) - 1)), 0, PKL)
            elif got.obj()[0] == u"exit":
                return out[b"1"], out[b"2"], got.obj()[1:]

    def test_scripts_behave_as_in_an_interpreter(self):
        where = os.path.realpath(self.tempdir())
        os.mkdir(os.path.join(where, "dir"))
        path = os.path.join(where, "dir", "prog.py")
        differences = []
        for name in sorted(PROGRAMS):
            source = as_bytes(PROGRAMS[name])
            with open(path, "wb") as fp:
                fp.write(source)
            args = ["a b", os.path.join(where, "file")]
            ends = []
            process = subprocess.Popen(
                [sys.executable, path] + args, cwd=where, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            out, err = process.communicate(b"line\nmore")
            status = process.returncode
            expected = out, err, (status, None) if status >= 0 else (None, -status)
            kept = self.content(args[1])
            # The target may have a different file of this name.
            with open(path, "wb") as fp:
                fp.write(b"wrong\n" * 20)
            pid, control = self.run_here(source, map(as_text, args), stdin=True, cwd=as_text(where), path=as_text(path))
            self.c.send(control, b"line\nmore", 0, BIN)
            self.c.send(control, dumps((u"eof",)), 0, PKL)
            got = self.ended(control=control)
            if got != expected or self.content(args[1]) != kept:
                differences.append("== %s\n%r\n%s\n%s\n--\n%r\n%s\n%s" % (
                    (name, expected[2]) + tuple(map(as_text, expected[:2]))
                    + (got[2],) + tuple(map(as_text, got[:2]))
                ))
        self.assertFalse(differences, "\n".join(differences))

    def content(self, path):
        try:
            with open(path) as fp:
                return fp.read()
        except EnvironmentError:
            return None
        finally:
            if os.path.exists(path):
                os.unlink(path)

    def test_from_standard_input(self):
        self.run_here("import sys\nprint(sys.argv)\nprint('__file__' in globals())\n1/0", path=u"-")
        out, err, end = self.ended()
        self.assertEqual(out, b"['-']\nFalse\n")
        self.assertIn(b'  File "<stdin>", line 4, in <module>\n', err)

    def test_modules_come_through_the_context(self):
        self.run_here("import deep.er\nprint(deep.er.f(1))\ndeep.er.f(0)")
        asked = []
        for name, source, pkg in (("deep", "", []), ("deep.er", "def f(x):\n  return 1 // x", None)):
            asked.append(self.c.until(lambda f: f.handle == GET_MODULE))
            self.c.push(name, source, [u"er"] if pkg is not None else None)
        out, err, end = self.ended()
        self.assertEqual([(f.data, f.src) for f in asked], [(b"deep", 1), (b"deep.er", 1)])
        self.assertEqual((out, end), (b"1\n", (1, None)))
        lines = err.decode().splitlines()
        lines = [line for line in lines if set(line) - set(" ^~")]
        self.assertEqual(lines, [
            "Traceback (most recent call last):",
            '  File "dir/prog.py", line 3, in <module>', "    deep.er.f(0)",
            '  File "master:/m/deep/er.py", line 2, in f', "    return 1 // x",
            lines[-1],
        ])
        self.assertIn("ZeroDivisionError", lines[-1])

    def test_a_failed_import_shows_no_frame_of_the_runtime(self):
        self.run_here("import broken")
        self.assertEqual(self.c.until(lambda f: f.handle == GET_MODULE).data, b"broken")
        self.c.push("broken", "x = 1\n1 / 0")
        out, err, end = self.ended()
        lines = [line for line in err.decode().splitlines() if set(line) - set(" ^~")]
        self.assertEqual(lines[1:5], [
            '  File "dir/prog.py", line 1, in <module>', "    import broken",
            '  File "master:/m/broken.py", line 2, in <module>', "    1 / 0",
        ])

    def test_threads_import_concurrently(self):
        self.run_here(
            "import threading, sys\ndone = []\ndef f(n):\n  done.append(__import__('m%d' % n).x)\n"
            "ts = [threading.Thread(target=f, args=(n,)) for n in range(5)]\n"
            "[t.start() for t in ts]\n[t.join() for t in ts]\nprint(sorted(done))"
        )
        for _ in range(5):
            name = as_text(self.c.until(lambda f: f.handle == GET_MODULE).data)
            self.c.push(name, "x = %s" % name[1:])
        self.assertEqual(self.ended(), (b"[0, 1, 2, 3, 4]\n", b"", (0, None)))

    def test_a_fork_of_the_script_imports_cached_modules_only(self):
        self.run_here(
            "import os, sys\nimport early\npid = os.fork()\nif not pid:\n"
            "  try:\n    print(early.x, __import__('json').dumps(1))\n    import late\n"
            "  except ImportError as e:\n    print(e)\n    sys.exit(4)\n"
            "print(os.waitpid(pid, 0)[1] >> 8)\nimport late\nprint(late.x)"
        )
        for name in "early", "late":
            self.assertEqual(as_text(self.c.until(lambda f: f.handle == GET_MODULE).data), name)
            self.c.push(name, "x = 1")
        out, err, end = self.ended()
        self.assertEqual(out.splitlines()[-3:], [
            b"late must be imported before the script forks", b"4", b"1",
        ])
        self.assertEqual((err, end), (b"", (0, None)))

    def test_large_output(self):
        pid, control = self.run_here(
            "import sys, os\nout = getattr(sys.stdout, 'buffer', sys.stdout)\n"
            "for i in range(100): out.write(bytes(bytearray((i + j) % 256 for j in range(1000))) * 100)"
        )
        out, err, end = self.ended(control=control)
        expected = b"".join(bytes(bytearray((i + j) % 256 for j in range(1000))) * 100 for i in range(100))
        self.assertTrue(out == expected)
        self.assertEqual((err, end), (b"", (0, None)))

    def test_start_errors(self):
        self.assertError(self.run_here("", cwd=u"/nowhere"), u"", u"No such file")

    def test_environment_and_descriptors(self):
        self.run_here(
            "import os\nprint(os.environ['A'], 'GONE' in os.environ)\n"
            "fds = os.listdir('/proc/self/fd')\nprint(len(fds))\nos.system('echo $A; ls /proc/self/fd')",
            env={u"A": u"b", u"GONE": None},
        )
        out = self.ended()[0].split(b"\n")
        self.assertIn(out[0], (b"b False", b"('b', False)"))
        # Two of the link, two of the wake pipe, and that of the listing.
        self.assertEqual(out[1:3] + out[3:7], [b"8", b"b", b"0", b"1", b"2", b"3"])

    def test_signals_reach_the_process_group(self):
        pid, control = self.run_here(
            "import subprocess, time\np = subprocess.Popen(['sleep', '1000'])\nprint('on', flush=True)\np.wait()"
            if PY3 else
            "import subprocess, sys\np = subprocess.Popen(['sleep', '1000'])\nprint('on')\nsys.stdout.flush()\np.wait()"
        )
        self.c.until(lambda f: f.handle == OUT)
        self.c.send(control, dumps((u"signal", 15)), 0, PKL)
        self.assertEqual(self.ended(), (b"", b"", (None, 15)))

    def test_scripts_end_with_the_context(self):
        pid, control = self.run_here("import time\ntime.sleep(1000)")
        self.c.close()
        self.assertEqual(self.c.wait(), 0)
        end = time.time() + LIMIT
        while os.path.exists("/proc/%d" % pid):
            self.assertLess(time.time(), end)

    def test_no_descriptor_or_process_is_left(self):
        self.run_here("pass")
        self.ended()
        before = self.c.call("probe", "fds")
        for i in range(5):
            self.run_here("import sys\nsys.exit(3)", stdin=True)
            self.ended()
        end = time.time() + LIMIT
        while self.c.call("probe", "fds") != before or self.c.call("probe", "children"):
            self.assertLess(time.time(), end)
        routes = [f.data for f in self.c.other if f.handle in (ADD_ROUTE, DEL_ROUTE)]
        self.assertEqual(len(routes), 12)

    def test_while_the_context_is_busy(self):
        # Two scripts and a busy main thread: the loop serves all.
        self.run_here("import time\nprint('a')\ntime.sleep(0.3)\nprint('b')")
        self.c.post("probe", "spin")
        self.assertEqual(self.ended(), (b"a\nb\n", b"", (0, None)))


def as_bytes(value):
    return value if isinstance(value, bytes) else value.encode("utf-8")


for _name in dir(Commands):
    if _name.startswith("test_") and _name not in Script.__dict__:
        setattr(Script, _name, None)
del Commands

if __name__ == "__main__":
    unittest.main()
