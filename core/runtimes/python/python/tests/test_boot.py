"""The start of a child: markers, preamble, environment, descriptors, size."""
from harness import *


class Boot(TestCase):
    def test_markers_and_first_call_in_one_round_trip(self):
        data = frame(CALL, call_data("posix", "getpid"), 1001, PKL)
        child = self.child(early=data, wait=False)
        child.up()
        got = child.recv()
        self.assertEqual((got.handle, got.src, got.obj()), (1001, 1, child.proc.pid))

    def test_one_process_is_started_and_the_lazy_part_is_compiled_on_demand(self):
        child = self.child()
        # The started process is the context and has not executed another program.
        self.assertEqual(child.call("posix", "getpid"), child.proc.pid)
        with open("/proc/%d/cmdline" % child.proc.pid, "rb") as fp:
            started = fp.read().split(b"\0")
        self.assertEqual(started[1:-1], [str(arg).encode() for arg in ARGV])
        # The lazy part was received but not compiled.
        child.push("probe", "import sys\ndef f(): return [len(sys.modules['mitogen.core'].rest), 'site' in sys.modules]")
        plain = self.child()
        name = "builtins" if PY3 else "__builtin__"
        code = u"len(__import__('sys').modules['mitogen.core'].__dict__['rest'])"
        self.assertEqual(plain.call(name, "eval", code), 1)
        # The first module from the master needs it.
        self.assertEqual(child.call("probe", "f")[0], 0)

    def test_preamble_in_single_bytes(self):
        child = self.child(wait=False)
        child.up()
        slow = frame(CALL, call_data("posix", "getpid"), 1001, PKL)
        for i in range(len(slow)):
            child.sock.sendall(slow[i:i + 1])
        self.assertEqual(child.recv().obj(), child.proc.pid)

    def test_modules_in_the_current_directory_are_not_imported(self):
        path = self.tempdir()
        names = "os zlib select struct pickle traceback re logging site posixpath io _pickle _collections"
        for name in names.split():
            with open(os.path.join(path, name + ".py"), "w") as fp:
                fp.write("open(%r, 'w'); raise SystemExit(99)" % os.path.join(path, "TAKEN"))
        env = dict(os.environ)
        # The interpreter itself searches PYTHONPATH before the first stage runs.
        env.pop("PYTHONPATH", None)
        child = self.child(cwd=path, env=env)
        child.push("probe", "import os, re, logging, traceback, sys\ndef f(): return sys.path, os.__file__, os.getcwd()")
        paths, file, cwd = child.call("probe", "f")
        self.assertEqual([p for p in paths if not p.startswith("/")], [])
        self.assertFalse(file.startswith(path))
        self.assertEqual(os.path.realpath(cwd), os.path.realpath(path))
        self.assertFalse(os.path.exists(os.path.join(path, "TAKEN")))

    def test_site_is_loaded_for_calls(self):
        child = self.child()
        child.push("probe", "import sys\ndef f(): return 'site' in sys.modules, sys.path")
        has, paths = child.call("probe", "f")
        self.assertTrue(has)
        want = subprocess.check_output(
            [sys.executable, "-c", "import sys; print('\\n'.join(sys.path[1:]))"], cwd="/"
        ).decode().split("\n")[:-1]
        self.assertEqual([os.path.realpath(p) for p in paths], [os.path.realpath(p) for p in want])

    def test_descriptors(self):
        child = self.child()
        child.push("probe", """
import os, sys
def f():
    fds = {}
    for fd in os.listdir('/proc/self/fd'):
        try:
            fds[int(fd)] = os.readlink('/proc/self/fd/' + fd).split(':')[0]
        except OSError: pass
    return fds
def sub():
    import subprocess
    out = subprocess.Popen(['ls', '-l', '/proc/self/fd'], stdout=subprocess.PIPE, close_fds=False).communicate()[0]
    return out.decode()
""")
        fds = child.call("probe", "f")
        self.assertEqual(fds[0], u"/dev/null")
        self.assertEqual((fds[1], fds[2]), (u"pipe", u"pipe"))
        # The link twice, the wake pipe, the pipes of stdout and stderr, and nothing else.
        self.assertEqual(sorted(fds.values()), sorted([u"/dev/null"] + [u"pipe"] * 6 + [u"socket"] * 2))
        listing = child.call("probe", "sub")
        self.assertNotIn("socket", listing)

    def test_unsupported_interpreter_is_reported(self):
        argv = list(ARGV)
        argv[2] = argv[2].replace("v=sys.version_info[:2]", "v=(3,4)")
        proc = subprocess.Popen([sys.executable] + argv, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = proc.communicate()
        self.assertEqual((proc.returncode, out), (78, b""))
        self.assertEqual(err.decode(), "mitogen: unsupported python 3.4 at %s\n" % sys.executable)

    def test_interpreter_is_found_by_the_shell(self):
        path = self.tempdir()
        os.symlink(sys.executable, os.path.join(path, "python2.7"))
        probe = [str(arg) for arg in PARTS["probe"]]
        env = dict(os.environ, PATH=path)
        data = preamble(config()) + frame(CALL, call_data("sys", "gettrace"), 1001, PKL) + frame(SHUTDOWN)
        proc = subprocess.Popen(probe, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        out, _ = proc.communicate(data)
        self.assertTrue(out.startswith(b"MITO000\nMITO002\n"), out)
        self.assertEqual(proc.returncode, 0)

    def search(self, path):
        """The search for an interpreter, among the names in `path` only."""
        probe = [str(arg) for arg in PARTS["probe"]]
        probe[2] = probe[2].replace("/usr/", "/nowhere/").replace("/opt/", "/nowhere/")
        data = preamble(config()) + frame(CALL, call_data("sys", "gettrace"), 1001, PKL) + frame(SHUTDOWN)
        proc = subprocess.Popen(probe, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=dict(os.environ, PATH=path))
        out, err = proc.communicate(data)
        return proc.returncode, out, err

    def test_search_goes_on_until_an_interpreter_works(self):
        broken = {
            "a shim": (0o755, "#!/bin/sh\necho 'pyenv: python3: command not found' >&2;exit 127\n"),
            "too old": (0o755, "#!/bin/sh\necho ZeroDivisionError >&2;exit 1\n"),
            "no program": (0o755, "\1\2\3"),
            "no interpreter": (0o755, "#!/nowhere/sh\n"),
            "not executable": (0o644, "#!/bin/sh\n"),
            "eats its input": (0o755, "#!/bin/sh\nread x;echo $x\n"),
        }
        for name in ("python3.9", "python2.7"):
            for kind in broken:
                path = self.tempdir()
                os.symlink(sys.executable, os.path.join(path, name))
                mode, text = broken[kind]
                with open(os.path.join(path, "python3"), "w") as stream:
                    stream.write(text)
                os.chmod(stream.name, mode)
                status, out, _ = self.search(path)
                self.assertTrue(out.startswith(b"MITO000\nMITO002\n"), (name, kind, out))
                self.assertEqual(status, 0, (name, kind))

    def test_words_of_the_only_interpreter_are_the_error(self):
        path = self.tempdir()
        with open(os.path.join(path, "python3"), "w") as stream:
            stream.write("#!/bin/sh\necho 'my own words' >&2;exit 78\n")
        os.chmod(stream.name, 0o755)
        self.assertEqual(self.search(path), (78, b"", b"my own words\n"))

    def test_no_interpreter_is_found(self):
        probe = [str(arg) for arg in PARTS["probe"]]
        probe[2] = probe[2].replace("/", "/nowhere/").replace("/nowhere/dev/nowhere/null", "/dev/null")
        proc = subprocess.Popen(probe, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={"PATH": "/nowhere"})
        out, err = proc.communicate()
        self.assertEqual((proc.returncode, out), (127, b""))
        self.assertTrue(err.startswith(b"mitogen: no python found (tried python3 "), err)

    def test_strings_survive_login_shells(self):
        for arg in PARTS["argv"] + PARTS["probe"]:
            for bad in u"\n'!":
                self.assertNotIn(bad, arg)

    def test_size(self):
        total = len(PARTS["preamble"]) // 2 + sum(map(len, PARTS["argv"]))
        self.assertLess(total, 10600)

    def test_configuration_is_decoded(self):
        ours, theirs = socket.socketpair()
        proc = subprocess.Popen([sys.executable] + ARGV, stdin=theirs, stdout=theirs, close_fds=True)
        theirs.close()
        source = "import mitogen.core\ndef f(): return mitogen.core.config"
        ours.sendall(binascii.unhexlify(PARTS["preamble"]) + frame(LOAD, module_data("probe", source), 0, PKL)
                     + frame(CALL, call_data("probe", "f"), 9, PKL))
        self.addCleanup(proc.wait)
        self.addCleanup(ours.close)
        data = b""
        while not (data.partition(b"MITO002\n")[2][26:].endswith(b".") and b"context_id" in data):
            data += ours.recv(65536)
        self.assertEqual(loads(data.partition(b"MITO002\n")[2][26:]), config(name=u"local.1"))

    def test_minified_sources_have_the_same_syntax_tree(self):
        import ast

        def tree(text):
            root = ast.parse(text)
            for node in ast.walk(root):
                for field in "body", "orelse", "finalbody":
                    block = getattr(node, field, None)
                    if isinstance(block, list) and block:
                        kept = [n for n in block if not (isinstance(n, ast.Expr) and isinstance(
                            n.value, ast.Str
                            if sys.version_info < (3, 8) else ast.Constant
                        ))]
                        setattr(node, field, kept or [ast.Pass()])
            return ast.dump(root)
        self.assertGreater(len(PARTS["minified"]), 10)
        for path, text in PARTS["minified"].items():
            with open(path, "rb") as fp:
                self.assertEqual(tree(fp.read()), tree(text.encode("utf-8")), path)

    def test_closed_input_ends_the_first_stage(self):
        proc = subprocess.Popen([sys.executable] + ARGV, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = proc.communicate(RUNTIME[:100])
        self.assertEqual((out, proc.returncode), (b"MITO000\n", 1))

    def test_config_is_visible(self):
        child = self.child(conf=config(7, (3, 0)))
        child.push("probe", "import mitogen, mitogen.core\ndef f(): return mitogen.context_id, mitogen.parent_id, mitogen.parent_ids, mitogen.is_master, mitogen.__version__, mitogen.core.Receiver.__name__")
        self.assertEqual(child.call("probe", "f"), (7, 3, [3, 0], False, u"0.3.54", u"Receiver") if PY3 else (7, 3, [3, 0], False, b"0.3.54", b"Receiver"))


if __name__ == "__main__":
    unittest.main()
