"""After the cut: compiled when first needed.

Nothing here may import at its top level: this text may be run from inside an import.
"""


class Error(Exception):
    """Base of our exceptions; the message may be a format with its arguments."""

    def __init__(self, fmt=None, *args):
        Exception.__init__(self, fmt % args if args else fmt)


class StreamError(Error):
    """A message or a connection is broken."""


class ChannelError(Error):
    """The other end of a conversation is gone."""

    local_msg = u"Channel closed by local end."
    remote_msg = u"Channel closed by remote end."


class TimeoutError(Error):
    """A wait took too long."""


class CallError(Error):
    """An exception that happened elsewhere, as text; or one from here, about to travel."""

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


def checked(value, low, high, kind=int):
    if type(value) is not kind and not (kind is int and type(value).__name__ == "long"):
        raise TypeError("expected %s, got %r" % (kind.__name__, type(value)))
    size = value if kind is int else len(value)
    if not low <= size <= high:
        raise ValueError("Required length %d..%d, got %d" % (low, high, size))
    return value


def _unpickle_call_error(message):
    return CallError(u"%s", checked(message, 0, 9999, text))


def _unpickle_context(context_id, name):
    checked(context_id, 0, 0xFFFFFFFF)
    if name is not None:
        checked(as_text(name) if not PY3 else name, 0, 500, text)
    return router.context_by_id(context_id, name=name)


def _unpickle_sender(context_id, dst_handle):
    return Sender(_unpickle_context(context_id, None), checked(dst_handle, 1, 0xFFFFFFFF))


def _blob(data):
    if PY3 and not isinstance(data, bytes):
        raise TypeError("Blob needs bytes")
    return Blob(data)


for _name, _func in (
    ("Blob", _blob), ("Secret", Secret), ("CallError", _unpickle_call_error),
    ("_unpickle_call_error", _unpickle_call_error), ("_unpickle_context", _unpickle_context),
    ("_unpickle_sender", _unpickle_sender),
):
    GLOBALS["mitogen.core", _name] = _func
GLOBALS["_codecs", "encode"] = lambda data, encoding: data.encode("latin-1")
GLOBALS["__builtin__", "bytes"] = bytes

# Bytes of argument that follow an opcode in a pickle of protocol 3.
ARGUMENTS = dict(zip(bytearray(b"\x80KMJGqhrj"), (1, 1, 2, 4, 8, 1, 1, 4, 4)))


def raw_bytes(data):
    """A pickle of protocol 3 as one of protocol 2, its bytes as the byte strings of old."""
    data = bytearray(data)
    data[1] = 2
    pos = 2
    while pos < len(data):
        op = data[pos]
        if op == 66 or op == 67:
            # BINBYTES and SHORT_BINBYTES: BINSTRING and SHORT_BINSTRING are laid out alike.
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
    """One message, as handlers and receivers see it."""

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
        return [
            pack(
                self.enc, self.dst_id, self.src_id, self.auth_id, self.handle, self.reply_to,
                len(self.data),
            ),
            self.data,
        ]

    def reply(self, obj):
        """Answer with `obj` (a Message, or anything that can be pickled), if an answer is wanted."""
        if self.reply_to and not self.is_dead:
            msg = obj if isinstance(obj, Message) else Message.pickled(obj)
            msg.dst_id = self.src_id
            msg.handle = self.reply_to
            router.route(msg)

    def unpickle(self, throw=True, throw_dead=True):
        """The object in the message; a CallError is raised, and so is the end of the channel."""
        if throw_dead and self.is_dead:
            local = ChannelError.local_msg if self.src_id == context_id else ChannelError.remote_msg
            raise ChannelError(u"%s", self.data.decode("utf-8", "replace") or local)
        if self.enc == BIN:
            raise ValueError("cannot unpickle a raw message")
        try:
            obj = loads(self.data)
        except (TypeError, ValueError):
            raise StreamError("invalid message: %s", sys.exc_info()[1])
        if throw and isinstance(obj, CallError):
            raise obj
        return obj


class Sender(object):
    """The sending end of a channel to (`context`, `dst_handle`); travels in messages."""

    def __init__(self, context, dst_handle):
        self.context = context
        self.dst_handle = dst_handle

    def __repr__(self):
        return "Sender(%r, %r)" % (self.context, self.dst_handle)

    def __reduce__(self):
        return _unpickle_sender, (self.context.context_id, self.dst_handle)

    def send(self, data):
        self.context.send(Message.pickled(data, handle=self.dst_handle))

    def send_bytes(self, data):
        self.context.send(Message(data=data, handle=self.dst_handle, enc=BIN))

    def close(self):
        self.context.send(Message.dead(u"Sender was explicitly closed", handle=self.dst_handle))


class Receiver(object):
    """The receiving end: messages to `handle`, in order."""

    closed = False

    def __init__(self, router=None, handle=None, persist=True, respondent=None, policy=None,
                 overwrite=False):
        self.items = deque()
        self.handle = me.router.add_handler(
            self.on_message, handle, persist, policy, respondent, overwrite
        )

    def on_message(self, msg):
        self.items.append(msg)
        notify()

    def to_sender(self):
        return Sender(router.myself(), self.handle)

    def empty(self):
        return not self.items

    def get(self, timeout=None, block=True, throw_dead=True):
        """The next message. Raises ChannelError at the end, TimeoutError after `timeout` seconds."""
        if not wait(lambda: self.items or self.closed, timeout if block else 0):
            raise TimeoutError("deadline exceeded")
        if not self.items:
            raise ChannelError(ChannelError.local_msg)
        msg = self.items.popleft()
        if throw_dead and msg.is_dead:
            msg.unpickle()
        return msg

    def __iter__(self):
        while True:
            msg = self.get(throw_dead=False)
            if msg.is_dead:
                return
            yield msg

    def close(self):
        self.closed = True
        router.del_handler(self.handle)
        notify()


class Context(object):
    """A context of the tree, by id."""

    def __init__(self, router, context_id, name=None):
        self.router = router
        self.context_id = context_id
        self.name = name

    def __repr__(self):
        return "Context(%r, %r)" % (self.context_id, self.name)

    def __reduce__(self):
        return _unpickle_context, (self.context_id, self.name and as_text(self.name))

    def __eq__(self, other):
        return isinstance(other, Context) and other.context_id == self.context_id

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(self.context_id)

    def send(self, msg):
        msg.dst_id = self.context_id
        router.route(msg)

    def send_async(self, msg, persist=False):
        """Send `msg` and give the Receiver of its reply."""
        receiver = Receiver(persist=persist, respondent=self)
        msg.reply_to = receiver.handle
        self.send(msg)
        return receiver

    def send_await(self, msg, deadline=None):
        return self.send_async(msg).get(deadline).unpickle()

    def call_async(self, func, *args, **kwargs):
        return self.send_async(call_message(func, args, kwargs))

    def call(self, func, *args, **kwargs):
        return self.call_async(func, *args, **kwargs).get().unpickle()

    def call_no_reply(self, func, *args, **kwargs):
        self.send(call_message(func, args, kwargs))


def call_message(func, args, kwargs):
    owner = getattr(func, "__self__", None)
    owner = as_text(owner.__name__) if isinstance(owner, type) else None
    return Message.pickled(
        (None, as_text(func.__module__), owner, as_text(func.__name__), args, Kwargs(kwargs)),
        handle=CALL_FUNCTION,
    )
