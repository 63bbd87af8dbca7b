"""Names of upstream Mitogen that programs use in children and the runtime itself does not need.

`mitogen.core` and `mitogen.parent` look up here what they lack, and the router gets its methods that start
contexts. A program that is one file for both sides therefore finds the names that it imports.
"""
import collections
import errno
import fcntl
import os
import select
import socket
import sys

import mitogen.core as core

PY3 = core.PY3
BytesType = bytes
UnicodeType = core.text
AnyTextType = BytesType, UnicodeType
integer_types = (int,) if PY3 else (int, long)
iteritems = dict.items if PY3 else dict.iteritems
itervalues = dict.values if PY3 else dict.itervalues
next, all, any, range = next, all, any, range if PY3 else xrange
str_partition, str_rpartition = UnicodeType.partition, UnicodeType.rpartition
bytes_partition = bytes.partition
now = core.clock
ALLOCATE_ID = 105
DETACHING = 109
CALL_SERVICE = 110
LOGGERS = "", "mitogen", "mitogen.io"


def b(s):
    """A string literal as bytes."""
    return s if isinstance(s, bytes) else s.encode("latin-1")


def to_text(o):
    """`o` as text: bytes are decoded as UTF-8, other objects are converted."""
    return o.decode("utf-8") if isinstance(o, bytes) else UnicodeType(o)


def import_module(modname):
    """The module called `modname`, which may be a submodule."""
    __import__(modname)
    return sys.modules[modname]


def module_lineage(fullname):
    """The names of the packages of a module from the top down, and its own."""
    parts = fullname.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def io_op(func, *args):
    """Call `func(*args)` until no signal interrupts it. Returns its result and None, or None and the error
    if the other end has disconnected."""
    while True:
        try:
            return func(*args), None
        except (select.error, OSError, IOError):
            exc = sys.exc_info()[1]
            if exc.args[0] in (errno.EIO, errno.ECONNRESET, errno.EPIPE):
                return None, exc
            if exc.args[0] != errno.EINTR:
                raise


def set_cloexec(fd):
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)


def set_nonblock(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def set_block(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)


# Signals of objects: `listen(context, "disconnect", func)`


def listen(obj, name, func):
    """Call `func` when `fire(obj, name)` is called. The runtime fires `disconnect` of contexts, and `shutdown`
    and `exit` of the broker."""
    obj.__dict__.setdefault("_signals", {}).setdefault(name, []).append(func)


def unlisten(obj, name, func):
    obj.__dict__.get("_signals", {}).get(name, []).remove(func)


def fire(obj, name, *args, **kwargs):
    for func in list(obj.__dict__.get("_signals", {}).get(name, ())):
        func(*args, **kwargs)


def on_lost(context_id):
    context = core.router.contexts.get(context_id)
    if context is not None:
        fire(context, "disconnect")


def on_stop():
    fire(broker, "shutdown")
    fire(broker, "exit")


class LatchError(core.Error):
    """The latch was closed."""


class Latch(object):
    """A queue that any number of threads may put to and wait for."""

    closed = False
    notify = None

    def __init__(self):
        self.items = collections.deque()

    def check(self):
        if self.closed:
            raise LatchError()

    def put(self, obj=None):
        self.check()
        self.items.append(obj)
        if self.notify:
            self.notify(self)
        core.notify()

    def get(self, timeout=None, block=True):
        """The oldest item. Raises TimeoutError after `timeout` seconds, LatchError if the latch is closed."""
        while True:
            ready = core.wait(lambda: self.items or self.closed, timeout if block else 0)
            self.check()
            if not ready:
                raise core.TimeoutError("deadline exceeded")
            try:
                return self.items.popleft()
            except IndexError:
                # Another thread was faster.
                pass

    def size(self):
        self.check()
        return len(self.items)

    def empty(self):
        return self.size() == 0

    def close(self):
        self.closed = True
        core.notify()


class Channel(core.Sender, core.Receiver):
    """A sender to `dst_handle` of `context` and a receiver of what it sends to `handle`."""

    def __init__(self, router, context, dst_handle, handle=None):
        core.Sender.__init__(self, context, dst_handle)
        core.Receiver.__init__(self, router, handle)

    def __repr__(self):
        return "Channel(%r, %r)" % (core.Sender.__repr__(self), core.Receiver.__repr__(self))

    def close(self):
        core.Receiver.close(self)
        core.Sender.close(self)


class IoLogger(object):
    """Logs the lines that are written to a descriptor under a name. `pipe` replaces the descriptor."""

    def __init__(self, broker, name, dest_fd, pipe=True):
        self.name = name
        self.dest_fd = dest_fd
        self.rest = b""
        if pipe:
            self.rfd, wfd = core.pipe()
            os.dup2(wfd, dest_fd)
            os.close(wfd)
            core.loop.defer(lambda: core.loop.add(self.rfd, self.on_receive))

    def on_receive(self, events=None):
        try:
            data = os.read(self.rfd, core.CHUNK_SIZE)
        except EnvironmentError:
            return
        lines = (self.rest + (data or b"\n")).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            if line or data:
                core.log(20, self.name, line.rstrip(b"\r"))
        if not data:
            core.loop.remove(self.rfd)
            os.close(self.rfd)


class Broker(object):
    """The loop of this context, as programs see it. `shutdown` ends the context."""

    def defer(self, func, *args, **kwargs):
        core.loop.defer(lambda: func(*args, **kwargs))

    def defer_sync(self, func):
        """Run `func()` on the loop and return its result."""
        if core.loop.owner == core.get_ident():
            return func()
        found = []

        def run():
            try:
                found.append((func(), None))
            except Exception:
                found.append((None, sys.exc_info()[1]))
            core.notify()
        core.loop.defer(run)
        core.wait(lambda: found)
        if found[0][1]:
            raise found[0][1]
        return found[0][0]

    def keep_alive(self):
        return True

    def shutdown(self):
        core.loop.defer(core.stop)

    def join(self, timeout=None):
        core.wait(lambda: core.Exit.began, timeout)


broker = Broker()


# Contexts


class CallChain(object):
    """Calls of one context. If `pipelined` is true, the first that fails is the result of all that follow."""

    count = 0
    closures_msg, lambda_msg, method_msg = core.UNNAMED

    def __init__(self, context, pipelined=False):
        self.context = context
        self.chain_id = self.make_chain_id() if pipelined else None

    def __repr__(self):
        return "CallChain(%s)" % (self.context,)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.reset()

    @classmethod
    def make_chain_id(cls):
        CallChain.count += 1
        return u"%d-%d-%x" % (core.context_id, os.getpid(), CallChain.count)

    def reset(self):
        """Forget the error of the chain."""
        if self.chain_id:
            self.context.call_no_reply(core.Dispatcher.forget_chain, self.chain_id)

    def make_msg(self, fn, *args, **kwargs):
        return core.call_message(fn, args, kwargs, self.chain_id)

    def call_no_reply(self, fn, *args, **kwargs):
        self.context.send(self.make_msg(fn, *args, **kwargs))

    def call_async(self, fn, *args, **kwargs):
        return self.context.send_async(self.make_msg(fn, *args, **kwargs))

    def call(self, fn, *args, **kwargs):
        return self.call_async(fn, *args, **kwargs).get().unpickle()


def end_context(context, wait):
    """Shut a context down. Returns a latch that gets an item when it is gone, or waits for that."""
    latch = Latch()

    def lost(context_id):
        if context_id == context.context_id:
            core.router.on_lost.remove(lost)
            latch.put()
    core.router.on_lost.append(lost)
    core.send(context.context_id, core.SHUTDOWN, b"")
    if not wait:
        return latch
    latch.get()


class EofError(core.StreamError):
    """The program of a context ended before the context was up."""


class CancelledError(core.StreamError):
    """The start of a context was cancelled."""


class Connection(object):
    """What programs compare with the errors of contexts that did not start."""

    eof_error_msg = "EOF on stream; last 100 lines received:\n"


def upgrade_router(econtext):
    """Nothing to do: this context's router can start contexts."""


def is_immediate_child(msg, stream):
    return stream is not core.parent and core.is_immediate_peer(msg, stream)


def get_sys_executable():
    return sys.executable or "/usr/bin/python"


def create_socketpair(size=None, blocking=None):
    """Two connected sockets with a large buffer."""
    pair = socket.socketpair()
    for end in pair:
        for option in socket.SO_SNDBUF, socket.SO_RCVBUF:
            end.setsockopt(socket.SOL_SOCKET, option, size or core.CHUNK_SIZE)
        if blocking is not None:
            end.setblocking(blocking)
    return pair


def write_all(fd, s, deadline=None):
    """Write all of `s`. TimeoutError if that takes until `deadline`, in the time of `time.time()`."""
    import time
    while s:
        left = None if deadline is None else deadline - time.time()
        if left is not None and left <= 0:
            raise core.TimeoutError("write timed out")
        if select.select([], [fd], [], left)[1]:
            s = s[os.write(fd, s):]


def connect(router, method_name, name=None, via=None, **kwargs):
    """Start a context by a method of the master: below this context, or below `via`. Options have upstream's
    names. Returns the context when it is up; StreamError with the reason if it did not start."""
    options = dict((to_text(key), value) for key, value in kwargs.items())
    name, method = name and to_text(name), to_text(method_name)
    if via is None or via.context_id == core.context_id:
        msg = core.Message.pickled((name, method, options), handle=124)
        target = router.context_by_id(core.parent_ids[-1])
        prefix = u""
    else:
        msg = core.Message.pickled((
            None, u"mitogen.parent", None, u"_proxy_connect", (),
            core.Kwargs(name=name, method_name=method, kwargs=options),
        ), handle=core.CALL_FUNCTION)
        target = via
        prefix = u"%s." % (via.name,)
    answer = dict((to_text(key), value) for key, value in target.send_await(msg).items())
    if answer[u"id"] is None:
        reason = to_text(answer[u"msg"])
        raise (EofError if reason.startswith(u"EOF on stream") else core.StreamError)(u"%s", reason)
    context = router.context_by_id(answer[u"id"], name=prefix + to_text(answer[u"name"]))
    context.via = via
    started.append(context)
    return context


# Contexts that this one has started.
started = []


def method_of(name):
    def start(self, **kwargs):
        return connect(self, name, **kwargs)
    start.__name__ = str(name)
    return start


def lookups():
    """The methods and attributes of the router that programs use, also as attributes of the `econtext`."""
    members = dict((name, method_of(name)) for name in (
        "local", "fork", "ssh", "sudo", "su", "doas", "docker", "podman", "kubectl", "lxc", "lxd", "jail",
        "incus", "buildah", "setns",
    ))
    parent = core.router.parent
    channel = Channel.__new__(Channel)
    channel.router, channel.context, channel.items = core.router, parent, collections.deque()
    channel.handle = channel.dst_handle = core.CALL_FUNCTION
    members.update(
        connect=connect,
        proxy_connect=lambda self, via_context, method_name, name=None, **kwargs: connect(
            self, method_name, name, via_context, **kwargs
        ),
        stream_by_id=lambda self, dst_id: self.stream_for(dst_id),
        upgrade=lambda self, *unused: None,
        broker=broker,
        channel=channel,
        context=property(lambda self: self.myself()),
        stdout_log=IoLogger(broker, "stdout", 1, False),
        stderr_log=IoLogger(broker, "stderr", 2, False),
        duplicate_handle_msg="cannot register a handle that already exists",
        invalid_handle_msg="invalid handle",
        refused_msg="refused by policy",
        respondent_disconnect_msg="the respondent Context has disconnected",
        no_route_msg="no route to %r, my ID is %r",
        too_large_msg="message too large (max %d bytes)",
    )
    return members


for _name, _value in lookups().items():
    setattr(core.Router, _name, _value)
# Before the router forgets the context.
core.router.on_lost.insert(0, on_lost)
core.Exit.hooks.append(on_stop)

PARENT = dict(
    CallChain=CallChain, Context=core.Context, Router=core.Router, upgrade_router=upgrade_router,
    EofError=EofError, CancelledError=CancelledError, Connection=Connection,
    is_immediate_child=is_immediate_child, get_sys_executable=get_sys_executable,
    create_socketpair=create_socketpair, write_all=write_all,
)

# Names of other modules that are imported here are no names of `mitogen.core`.
HIDDEN = set(PARENT) - set(["CallChain"]) | set((
    "collections errno fcntl os select socket sys core started lookups method_of on_lost on_stop connect broker "
    "find find_parent HIDDEN PARENT"
).split())


def find(owner, name):
    """The name of `mitogen.core`, or of the router, which has all that it can have."""
    if owner is core.me and name in ("LOG", "IOLOG"):
        import logging
        return logging.getLogger("mitogen" if name == "LOG" else "mitogen.io")
    if owner is not core.me or name in HIDDEN or name[:1] == "_" or name not in globals():
        raise AttributeError(name)
    return globals()[name]


def find_parent(name):
    """The name of `mitogen.parent`."""
    if name in PARENT:
        return PARENT[name]
    raise AttributeError(name)
