"""Contexts, senders and receivers, for functions that communicate with other contexts.

Executed in the namespace of `mitogen.core` when a name that is missing in it is first looked up. The
source is requested as the module `mitogen.api`; most children never need it.

While one thread executes this file, others can see the names that it has defined so far. A name that is
defined further down is therefore looked up in `me`: if it is missing, the lookup waits for the whole file,
whose last statements mark the end. For the same reason, no statement outside of functions may look up a
name in `me` or in `router`.
"""


class ChannelError(Error):
    """The channel was closed."""

    local_msg = u"Channel closed by local end."
    remote_msg = u"Channel closed by remote end."


class TimeoutError(Error):
    """The deadline of a wait was exceeded."""


def channel_ended(msg):
    """Raise the error that a dead message stands for."""
    local = ChannelError.local_msg if msg.src_id == context_id else ChannelError.remote_msg
    raise ChannelError(u"%s", msg.data.decode("utf-8", "replace") or local)


def takes_econtext(func):
    """Mark a function that takes the keyword argument `econtext`."""
    func.mitogen_takes_econtext = True
    return func


def takes_router(func):
    """Mark a function that takes the keyword argument `router`."""
    func.mitogen_takes_router = True
    return func


def checked(value, low, high, kind=int):
    if type(value) is not kind and not (kind is int and type(value).__name__ == "long"):
        raise TypeError("expected %s, got %r" % (kind.__name__, type(value)))
    size = value if kind is int else len(value)
    if not low <= size <= high:
        raise ValueError("Required length %d..%d, got %d" % (low, high, size))
    return value


def _unpickle_context(context_id, name):
    checked(context_id, 0, 0xFFFFFFFF)
    if name is not None:
        checked(as_text(name) if not PY3 else name, 0, 500, text)
    return router.context_by_id(context_id, name=name)


def _unpickle_sender(context_id, dst_handle):
    return me.Sender(_unpickle_context(context_id, None), checked(dst_handle, 1, 0xFFFFFFFF))


class Sender(object):
    """The sending end of a channel to the handle `dst_handle` of `context`. Can be sent in messages."""

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

    explicit_close_msg = u"Sender was explicitly closed"

    def close(self):
        self.context.send(Message.dead(self.explicit_close_msg, handle=self.dst_handle))


class Receiver(object):
    """The receiving end of a channel: the messages to `handle`, in order."""

    closed = False
    closed_msg = u"the Receiver has been closed"

    # Called with the receiver for each message; mitogen.select sets it.
    notify = None

    def __init__(self, router=None, handle=None, persist=True, respondent=None, policy=None,
                 overwrite=False):
        self.router = me.router
        self.items = deque()
        self.handle = me.router.add_handler(
            self.on_message, handle, persist, policy, respondent, overwrite
        )

    def __repr__(self):
        return "Receiver(%r)" % (self.handle,)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def on_message(self, msg):
        self.items.append(msg)
        if self.notify:
            self.notify(self)
        notify()

    def to_sender(self):
        return Sender(router.myself(), self.handle)

    def size(self):
        return len(self.items)

    def empty(self):
        return not self.items

    def get(self, timeout=None, block=True, throw_dead=True):
        """The next message. Raises ChannelError at the end of the channel, TimeoutError after `timeout` seconds."""
        while True:
            if not wait(lambda: self.items or self.closed, timeout if block else 0):
                raise TimeoutError("deadline exceeded")
            try:
                msg = self.items.popleft()
                break
            except IndexError:
                # Closed, or another thread was faster.
                if self.closed:
                    raise ChannelError(self.closed_msg)
        if throw_dead and msg.is_dead:
            msg.unpickle()
        return msg

    def __iter__(self):
        while True:
            try:
                msg = self.get()
            except ChannelError:
                return
            yield msg

    def close(self):
        if self.handle:
            router.del_handler(self.handle)
        self.handle = None
        self.closed = True
        notify()


# Why a function cannot be called elsewhere: it is a closure, anonymous, or a method of an object.
UNNAMED = tuple(map("Mitogen cannot invoke {0}, as another context cannot find {0} by name.".format, (
    "closures", "anonymous functions", "instance methods",
)))


def service_message(service, method, kwargs):
    name = service if isinstance(service, (text, bytes)) else service.name()
    return Message.pickled((as_text(name), as_text(method), Kwargs(kwargs)), handle=110)


def call_message(func, args, kwargs, chain_id=None):
    owner = getattr(func, "__self__", None)
    if getattr(func, "__closure__", None) is not None and (
        getattr(modules.get(func.__module__), func.__name__, None) is not func
    ):
        raise TypeError(UNNAMED[0])
    if func.__name__ == "<lambda>":
        raise TypeError(UNNAMED[1])
    if hasattr(func, "__func__") and owner is not None and not isinstance(owner, type):
        raise TypeError(UNNAMED[2])
    owner = as_text(owner.__name__) if isinstance(owner, type) else None
    return Message.pickled(
        (chain_id, as_text(func.__module__), owner, as_text(func.__name__), args, Kwargs(kwargs)),
        handle=CALL_FUNCTION,
    )


class Context(object):
    """A context of the session, by id."""

    via = None

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
        """Send `msg`. Returns the Receiver of its reply."""
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

    def call_service_async(self, service_name, method_name, **kwargs):
        return self.send_async(service_message(service_name, method_name, kwargs))

    def call_service(self, service_name, method_name, **kwargs):
        return self.call_service_async(service_name, method_name, **kwargs).get().unpickle()

    def call_service_no_reply(self, service_name, method_name, **kwargs):
        # A reply is requested because the service sends errors to it; they are dropped.
        self.call_service_async(service_name, method_name, **kwargs).close()

    def shutdown(self, wait=False):
        """End the context. Waits for that, or returns a latch for it."""
        return me.end_context(self, wait)

    default_call_chain = property(lambda self: me.CallChain(self))


def missing(self, name):
    """The `__getattr__` of this module and of the router: names that only programs use."""
    if name[:2] == "__":
        raise AttributeError(name)
    __import__("mitogen.names")
    return modules["mitogen.names"].find(self, name)


def _context_by_id(self, context_id, via_id=None, create=True, name=None):
    context = self.contexts.get(context_id)
    if context is None and create:
        context = self.contexts.setdefault(context_id, Context(self, context_id, name))
    if context and name and not context.name:
        context.name = name
    return context


def _detach(self):
    """`mitogen.detach.detach`, as a method for functions that take the `econtext`."""
    __import__("mitogen.detach")
    modules["mitogen.detach"].detach()


Router.context_by_id = _context_by_id
router.on_lost.append(lambda lost: router.contexts.pop(lost, None))
Router.detach = _detach
Router.myself = lambda self: self.context_by_id(context_id, name=u"self")
Router.parent = property(lambda self: self.context_by_id(parent_ids[0], name=u"parent"))
Router.master = property(lambda self: self.context_by_id(0, name=u"master"))
Router.__getattr__ = missing

# The file is complete: `lazy` and `Module.__getattr__` look for it no more. A thread that waits for it may
# have left a second copy of its source in `rest`.
api = True
Module.__getattr__ = missing
lazy = lambda: me
del rest[:]
