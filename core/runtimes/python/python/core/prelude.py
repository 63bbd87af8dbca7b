"""Names for Python 2 and 3 alike, and the few types that every call needs.

The files of this directory are joined into the module `mitogen.core`, in the order of
`core/runtimes/python/src/sources.rs`. The eager part is compiled before the child reports that it is
running, so it must not import modules that are slow to load. The lazy part is compiled by `lazy()`
when it is first needed.
"""
__package__ = ""
import _struct
import posix
import select
import sys
import time
from _collections import deque

PY3 = sys.version_info[0] > 2

if PY3:
    import _imp as imp
    import _thread
    # _pickle imports functools, of which it needs only the name that _functools defines. Importing
    # functools would take longer than the rest of this file.
    _saved = "functools" in sys.modules
    if not _saved:
        sys.modules["functools"] = type(sys)("functools")
        sys.modules["functools"].partial = __import__("_functools").partial
    try:
        import _pickle
    finally:
        if not _saved:
            del sys.modules["functools"]
    import _signal
    from io import BytesIO, FileIO
    clock = time.monotonic
    encode = _pickle.dumps
else:
    import cPickle as _pickle
    import fcntl
    import imp
    import signal as _signal
    import thread as _thread
    from cStringIO import StringIO as BytesIO
    from _io import FileIO
    clock = time.time
    encode = _pickle.dumps

text = type(u"")
modules = sys.modules
get_ident = _thread.get_ident
header = _struct.Struct(">HLLLLLL")
pack = header.pack
unpack = header.unpack_from
size_of = _struct.Struct("<L").pack

CHUNK_SIZE = 131072
MGC = 0x4D49
PKL = 0x4D4A
BIN = 0x4D4B
GET_MODULE = 100
CALL_FUNCTION = 101
FORWARD_LOG = 102
ADD_ROUTE = 103
DEL_ROUTE = 104
SHUTDOWN = 106
LOAD_MODULE = 107
FORWARD_MODULE = 108
RUN_PLAN = 120
IS_DEAD = 999
NONE = b"\x80\x02N."


class Kwargs(dict):
    """Keyword arguments. On the wire their names may be bytes, which Python 2 callers send."""

    def __reduce__(self):
        return Kwargs, (dict(self),)


def _kwargs(dct):
    kwargs = Kwargs(dct)
    if PY3:
        for key in dct:
            if type(key) is bytes:
                kwargs[key.decode()] = kwargs.pop(key)
    return kwargs


GLOBALS = {("mitogen.core", "Kwargs"): _kwargs}


def lazy():
    """Compile the lazy part once. Returns this module."""
    lock.acquire()
    try:
        if rest:
            code = rest.pop()
            exec(compile(code, "mitogen.core", "exec"), globals())
    finally:
        lock.release()
    return me


lock = _thread.allocate_lock()


def find_class(*args):
    """Resolve a global in a pickle. Only those that docs/protocol.md lists are allowed."""
    found = GLOBALS.get(args[-2:]) or (lazy() and GLOBALS.get(args[-2:]))
    if not found:
        raise StreamError("cannot unpickle %r/%r", *args[-2:])
    return found


if PY3:
    class Unpickler(_pickle.Unpickler):
        find_class = find_class

    class View(object):
        """A file over a large frame whose reads return slices, not copies."""

        def __init__(self, data):
            self.data = memoryview(data)
            self.pos = 0

        def peek(self, size):
            return self.data[self.pos:self.pos + CHUNK_SIZE]

        def read(self, size):
            pos = self.pos
            self.pos = min(pos + size, len(self.data))
            return self.data[pos:self.pos]

        def readline(self):
            end = bytes(self.data[self.pos:self.pos + 4096]).find(b"\n") + 1
            return bytes(self.read(end or 4096))

    def loads(data):
        """Decode the first pickle in `data`."""
        file = BytesIO(data) if len(data) < 65536 else View(data)
        return Unpickler(file, encoding="bytes").load()
else:
    def loads(data):
        unpickler = _pickle.Unpickler(BytesIO(data))
        unpickler.find_global = find_class
        return unpickler.load()


def dumps(obj):
    """Pickle `obj` into a list of pieces; large bytes are not copied. May raise any exception."""
    if obj is None:
        return [NONE]
    if PY3 and isinstance(obj, bytes):
        size = b"T" + size_of(len(obj))
        if type(obj) is bytes:
            return [b"\x80\x02" + size, obj, b"."]
        if type(obj) is lazy().Blob:
            return [b"\x80\x02cmitogen.core\nBlob\n" + size, obj, b"\x85R."]
    data = encode(obj, 2)
    if PY3 and (b"c_codecs\nencode\n" in data or b"c__builtin__\nbytes\n" in data):
        data = lazy().raw_bytes(encode(obj, 3))
    return [data]
