"""Errors, messages and pickles: the first file of the lazy part, which is compiled when first needed.

The lazy part must not import modules at its top level, because it may be executed during an import.
"""


class Error(Exception):
    """The base of the exceptions of this module. `fmt` may be a format of `args`."""

    def __init__(self, fmt=None, *args):
        Exception.__init__(self, fmt % args if args else fmt)


class StreamError(Error):
    """A message or a connection is broken."""


class CallError(Error):
    """An exception of a remote call, as text; or a local exception that is about to be sent."""

    def __init__(self, fmt=None, *args):
        if isinstance(fmt, BaseException):
            fmt = describe(fmt)
        Error.__init__(self, fmt, *args)

    def __reduce__(self):
        return _unpickle_call_error, (as_text(self.args[0])[:9999],)


def as_text(value):
    if type(value) is text:
        return value
    try:
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else text(value)
    except Exception:
        return u"<unprintable %s object>" % type(value).__name__


def describe(exc):
    """`module.Class: message`, and the traceback when `exc` is being handled."""
    kind = type(exc)
    line = u"%s.%s: %s" % (kind.__module__, kind.__name__, as_text(exc))
    tb = sys.exc_info()[2]
    if tb:
        import traceback
        line += u"\n" + u"".join(map(as_text, traceback.format_tb(tb)))
    return line[:9999]


class Blob(bytes):
    """Bytes that do not show their content when printed."""

    def __repr__(self):
        return "[blob: %d bytes]" % len(self)

    def __reduce__(self):
        return Blob, (bytes(self),)


class Secret(text):
    """Text that is masked when printed."""

    def __repr__(self):
        return "[secret]"

    def __reduce__(self):
        return Secret, (text(self),)


def _unpickle_call_error(message):
    if type(message) is not text:
        raise TypeError("expected text, got %r" % type(message))
    if len(message) > 9999:
        raise ValueError("Required length 0..9999, got %d" % len(message))
    return CallError(u"%s", message)


def _blob(data):
    if PY3 and not isinstance(data, bytes):
        raise TypeError("Blob needs bytes")
    return Blob(data)


for _name, _func in (
    ("Blob", _blob), ("Secret", Secret), ("CallError", _unpickle_call_error),
    ("_unpickle_call_error", _unpickle_call_error),
    ("_unpickle_context", lambda *args: me._unpickle_context(*args)),
    ("_unpickle_sender", lambda *args: me._unpickle_sender(*args)),
):
    GLOBALS["mitogen.core", _name] = _func
GLOBALS["_codecs", "encode"] = lambda data, encoding: data.encode("latin-1")
GLOBALS["__builtin__", "bytes"] = bytes

# The length of the argument of an opcode in a pickle of protocol 3, if it is fixed.
ARGUMENTS = dict(zip(bytearray(b"\x80KMJGqhrj"), (1, 1, 2, 4, 8, 1, 1, 4, 4)))


def raw_bytes(data):
    """Convert a pickle of protocol 3 to protocol 2, with bytes as Python 2 strings."""
    data = bytearray(data)
    data[1] = 2
    pos = 2
    while pos < len(data):
        op = data[pos]
        if op == 66 or op == 67:
            # BINBYTES and SHORT_BINBYTES become BINSTRING and SHORT_BINSTRING, which have the same layout.
            data[pos] = op + 18
        if op in b"BX\x8b":
            pos += 5 + _struct.unpack_from("<L", data, pos + 1)[0]
        elif op in b"C\x8a":
            pos += 2 + data[pos + 1]
        elif op == 99:
            pos = data.index(b"\n", data.index(b"\n", pos) + 1) + 1
        else:
            pos += 1 + ARGUMENTS.get(op, 0)
    return bytes(data)


class Message(object):
    """One message, as handlers and receivers get it."""

    def __init__(self, dst_id=0, handle=0, data=b"", reply_to=0, enc=PKL, src_id=None, auth_id=None):
        self.dst_id = dst_id
        self.src_id = context_id if src_id is None else src_id
        self.auth_id = context_id if auth_id is None else auth_id
        self.handle = handle
        self.reply_to = reply_to
        self.enc = enc
        self.data = data

    is_dead = property(lambda self: self.reply_to == IS_DEAD)

    @classmethod
    def pickled(cls, obj, **kwargs):
        return cls(data=b"".join(dumps(obj)), **kwargs)

    @classmethod
    def dead(cls, reason=u"", **kwargs):
        return cls(data=reason.encode("utf-8"), reply_to=IS_DEAD, enc=MGC, **kwargs)

    def pieces(self):
        size = len(self.data)
        head = pack(
            self.enc, self.dst_id, self.src_id, self.auth_id, self.handle, self.reply_to, size
        )
        # For small payloads, a copy is cheaper than a second write.
        return [head, self.data] if size > 8192 else [head + self.data]

    def reply(self, obj, *unused, **more):
        """Reply with `obj` (a Message, or an object to pickle), if a reply was requested."""
        if self.reply_to and not self.is_dead:
            msg = obj if isinstance(obj, Message) else Message.pickled(obj)
            msg.dst_id = self.src_id
            msg.handle = self.reply_to
            router.route(msg)

    def unpickle(self, throw=True, throw_dead=True):
        """The object in the message. Raises a received CallError, and ChannelError for a dead message."""
        if throw_dead and self.is_dead:
            me.channel_ended(self)
        if self.enc == BIN:
            raise ValueError("cannot unpickle a raw message")
        try:
            obj = loads(self.data)
        except (TypeError, ValueError):
            raise StreamError("invalid message: %s", sys.exc_info()[1])
        if throw and isinstance(obj, CallError):
            raise obj
        return obj
