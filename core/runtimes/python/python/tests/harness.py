"""Starts children with the real command line, and exchanges frames with them by hand.

The command line and the runtime come from `cargo run -p mitogen-python --example bootstrap_parts`,
whose output the runner puts into the file that MITOGEN_PARTS names. The interpreter that runs the
tests is the one that the children run on.
"""
import ast
import binascii
import json
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

PY3 = sys.version_info[0] > 2
with open(os.environ["MITOGEN_PARTS"]) as fp:
    PARTS = json.load(fp)
RUNTIME = binascii.unhexlify(PARTS["runtime"])
ARGV = [arg if PY3 else arg.encode("utf-8") for arg in PARTS["argv"]]

MGC, PKL, BIN = 0x4D49, 0x4D4A, 0x4D4B
HEADER = struct.Struct(">HLLLLLL")
GET_MODULE, CALL, LOG, ADD_ROUTE, DEL_ROUTE, SHUTDOWN, LOAD = 100, 101, 102, 103, 104, 106, 107
FORWARD_MODULE, GET_RESOURCE, LOAD_RESOURCE, RUN_PLAN = 108, 112, 113, 120
LIMIT = int(os.environ.get("MITOGEN_TEST_LIMIT", "30"))


class Global(object):
    """A global of the protocol with its arguments, sent or received."""

    def __init__(self, module, name, args):
        self.key = module, name
        self.args = args

    def __eq__(self, other):
        return isinstance(other, Global) and (self.key, self.args) == (other.key, other.args)

    def __repr__(self):
        return "Global%r" % ((self.key, self.args),)


def dumps(obj):
    """A pickle as the Rust side writes it: byte strings raw, keyword arguments as Kwargs."""
    out = [b"\x80\x02"]

    def put(obj):
        if obj is None:
            out.append(b"N")
        elif obj is True or obj is False:
            out.append(b"\x88" if obj else b"\x89")
        elif isinstance(obj, (int, type(2 ** 70))):
            out.append(pickle.dumps(obj, 2)[2:-1])
        elif isinstance(obj, float):
            out.append(b"G" + struct.pack(">d", obj))
        elif isinstance(obj, type(u"")):
            data = obj.encode("utf-8")
            out.append(b"X" + struct.pack("<L", len(data)) + data)
        elif isinstance(obj, (bytes, bytearray)):
            out.append(b"T" + struct.pack("<L", len(obj)) + bytes(obj))
        elif isinstance(obj, (tuple, list)):
            out.append(b"(" if isinstance(obj, tuple) else b"](")
            for item in obj:
                put(item)
            out.append(b"t" if isinstance(obj, tuple) else b"e")
        elif isinstance(obj, dict):
            out.append(b"}(")
            for key, value in obj.items():
                put(key)
                put(value)
            out.append(b"u")
        elif isinstance(obj, Global):
            out.append(("c%s\n%s\n" % obj.key).encode())
            put(tuple(obj.args))
            out.append(b"R")
        else:
            raise TypeError(obj)
    put(obj)
    out.append(b".")
    return b"".join(out)


class Strict(pickle.Unpickler if PY3 else object):
    """Decodes globals to `Global`, and refuses those that are not part of the protocol."""

    def find_class(self, module, name):
        if (module, name) == ("_codecs", "encode"):
            raise ValueError("nested bytes must travel raw")
        if module != "mitogen.core":
            raise ValueError("%s.%s" % (module, name))
        return lambda *args: Global(module, name, args)


def loads(data):
    import io
    if PY3:
        return Strict(io.BytesIO(data), encoding="bytes").load()
    unpickler = pickle.Unpickler(io.BytesIO(data))
    unpickler.find_global = unpickler.find_class = Strict().find_class
    return unpickler.load()


def kwargs(**kw):
    return Global("mitogen.core", "Kwargs", ({(k if PY3 else k.decode()): v for k, v in kw.items()},))


class Frame(object):
    def __init__(self, enc, dst, src, auth, handle, reply_to, data):
        self.enc, self.dst, self.src, self.auth = enc, dst, src, auth
        self.handle, self.reply_to, self.data = handle, reply_to, data

    def obj(self):
        return loads(self.data)

    def __repr__(self):
        return "Frame(%r)" % (self.__dict__,)


def config(context_id=1, parents=(0,), **more):
    return dict({
        u"context_id": context_id, u"parent_ids": list(parents), u"name": u"test", u"debug": False,
        u"unidirectional": False, u"max_message_size": 128 << 20, u"log_levels": [30, 30, 30],
        u"version": (0, 3, 54), u"import_overrides": [], u"import_blocks": [],
    }, **more)


def preamble(config):
    data = dumps(config)
    return RUNTIME + struct.pack(">L", len(data)) + data


class Child(object):
    """A child context. The test is its master, context 0."""

    def __init__(self, early=b"", cwd=None, env=None, conf=None, argv=None, wait=True, pipes=False):
        self.config = conf or config()
        self.id = self.config["context_id"]
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)
        self.proc = subprocess.Popen(
            (argv or [sys.executable]) + ARGV, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
            cwd=cwd, env=env, close_fds=True,
        )
        theirs.close()
        self.sock = ours
        self.buf = b""
        self.logs = []
        self.other = []
        self.asked = []
        # By module of the runtime: a line that is inserted between its top-level statements.
        self.pauses = {}
        self.handle = 1000
        self.sock.sendall(preamble(self.config) + early)
        if wait:
            self.up()

    def up(self):
        assert self.line() == b"MITO000", self.buf
        assert self.line() == b"MITO002", self.buf

    def more(self):
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError("%r %r" % (self.buf, self.proc.stderr.read()))
        self.buf += data

    def line(self):
        while b"\n" not in self.buf:
            self.more()
        line, _, self.buf = self.buf.partition(b"\n")
        return line

    def send(self, handle, data=b"", reply_to=0, enc=MGC, dst=None, src=0, auth=0):
        self.sock.sendall(frame(handle, data, reply_to, enc, self.id if dst is None else dst, src, auth))

    def recv(self):
        while len(self.buf) < 26:
            self.more()
        head = HEADER.unpack(self.buf[:26])
        while len(self.buf) < 26 + head[6]:
            self.more()
        data, self.buf = self.buf[26:26 + head[6]], self.buf[26 + head[6]:]
        return Frame(*head[:6] + (data,))

    def until(self, want):
        """The next frame for which `want` is true. Others are kept; log records in `logs`."""
        for i, kept in enumerate(self.other):
            if want(kept):
                return self.other.pop(i)
        while True:
            got = self.recv()
            if got.handle == LOG:
                self.logs.append(tuple(got.data.decode("utf-8").split(u"\0", 2)))
            if got.handle == GET_MODULE and as_text(got.data) in PARTS["modules"]:
                # As the master does: serve the modules of the runtime.
                self.push_ours(as_text(got.data))
                continue
            if want(got):
                return got
            if got.handle != LOG:
                self.other.append(got)

    def log(self, want):
        """The first log record for which `want(name, level, text)` is true."""
        while True:
            for record in self.logs:
                if want(*record):
                    return record
            self.until(lambda f: f.handle == LOG)

    def post(self, module, func, *args, **kw):
        """Send a call. Returns the handle of its reply."""
        self.handle += 1
        cls, dst, chain = kw.pop("cls", None), kw.pop("dst", None), kw.pop("chain", None)
        self.send(CALL, call_data(module, func, args, kw, cls, chain), self.handle, PKL, dst)
        return self.handle

    def reply(self, handle):
        return self.until(lambda f: f.handle == handle)

    def call(self, module, func, *args, **kw):
        """The returned object. A CallError is returned as a Global, a dead message raises EOFError."""
        got = self.reply(self.post(module, func, *args, **kw))
        if got.reply_to == 999:
            raise EOFError(got.data)
        return got.obj()

    def push(self, name, source, pkg=None, related=()):
        self.send(LOAD, module_data(name, source, pkg, related), 0, PKL)

    def push_ours(self, *names):
        for name in names:
            source = zlib.decompress(binascii.unhexlify(PARTS["modules"][name]["source"]))
            pause = self.pauses.get(name)
            self.push(name, interleaved(source, pause) if pause else source)

    def execute(self, source, name="probe", cls=None):
        """Push a module, so that later calls may name its functions."""
        self.push(name, source)

    def serve(self, handle, modules, resources=()):
        """The reply to `handle`. Serves requests meanwhile: `modules` are arguments of `push` by name,
        `resources` are contents by (package, name). `asked` has the requests."""
        resources = dict(resources)
        while True:
            got = self.until(lambda f: f.handle in (GET_MODULE, GET_RESOURCE, handle))
            if got.handle == handle:
                return got
            if got.handle == GET_MODULE:
                name = as_text(got.data)
                self.asked.append(name)
                self.push(name, *modules.get(name, (None,)))
            else:
                key = got.obj()
                self.asked.append(key)
                self.send(LOAD_RESOURCE, resource_data(key, resources.get(key)), 0, PKL)

    def close(self):
        self.sock.close()

    def wait(self):
        """Wait for the exit status."""
        end = time.time() + LIMIT
        while self.proc.poll() is None:
            if time.time() > end:
                self.proc.kill()
                raise AssertionError("the child did not exit")
            time.sleep(0.002)
        return self.proc.returncode

    def finish(self):
        self.close()
        if self.proc.poll() is None:
            self.wait()
        self.proc.stderr.close()


def call_data(module, func, args=(), kw=(), cls=None, chain=None):
    kw = kwargs(**dict(kw))
    return dumps((chain, as_text(module), cls and as_text(cls), as_text(func), tuple(args), kw))


def as_text(value):
    return value if isinstance(value, type(u"")) else value.decode("utf-8")


def interleaved(source, line):
    """`source` with `line` in front of each of its top-level statements."""
    lines = source.decode("utf-8").split(u"\n")
    for node in reversed(ast.parse(source).body):
        first = min([node.lineno] + [each.lineno for each in getattr(node, "decorator_list", ())])
        lines.insert(first - 1, as_text(line))
    return u"\n".join(lines)


def resource_data(key, content):
    return dumps(tuple(key)) + dumps(content)


def module_data(name, source, pkg=None, related=()):
    if source is None:
        # For a missing module, `pkg` is the reason.
        return dumps((as_text(name), None, None, pkg, ()))
    source = source if isinstance(source, bytes) else source.encode("utf-8")
    blob = Global("mitogen.core", "Blob", (zlib.compress(source),))
    path = u"/m/" + as_text(name).replace(u".", u"/") + (u".py" if pkg is None else u"/__init__.py")
    return dumps((as_text(name), pkg, path, blob, list(related)))


def frame(handle, data=b"", reply_to=0, enc=MGC, dst=1, src=0, auth=0):
    return HEADER.pack(enc, dst, src, auth, handle, reply_to, len(data)) + data


class TestCase(unittest.TestCase):
    def child(self, *args, **kw):
        child = Child(*args, **kw)
        self.addCleanup(child.finish)
        return child

    def assertError(self, obj, start, part=u""):
        """`obj` is a CallError whose text starts with `start` and contains `part`."""
        self.assertIsInstance(obj, Global)
        self.assertEqual(obj.key, ("mitogen.core", "_unpickle_call_error"))
        self.assertTrue(obj.args[0].startswith(start), obj.args[0])
        self.assertIn(part, obj.args[0])

    def tempdir(self):
        path = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, path)
        return path
