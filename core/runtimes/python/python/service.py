"""Services: objects whose methods other contexts call by name. A pool of threads runs them.

This module is loaded, and the pool started, by the first call with the authority of a parent. Calls and
replies are described in docs/protocol.md#services; each method has policies that say who may call it.
"""
import collections
import sys
import threading

import mitogen.core as core

# By version, not by ImportError: a missing module would be requested from the master.
if core.PY3:
    from queue import Queue
else:
    from Queue import Queue

CALL_SERVICE = 110
DEFAULT_POOL_SIZE = 2
TEXTS = (core.text, bytes)
_lock = threading.Lock()
_pool = None


class Error(Exception):
    """A service has refused a request."""

    def __init__(self, fmt=None, *args):
        Exception.__init__(self, fmt % args if args else fmt)


class TooLateError(Error):
    """The pool has stopped."""


class Policy(object):
    """Who may call a method."""

    def is_authorized(self, service, msg):
        raise NotImplementedError()


class AllowAny(Policy):
    def is_authorized(self, service, msg):
        return True


class AllowParents(Policy):
    def is_authorized(self, service, msg):
        return core.has_parent_authority(msg)


def expose(policy):
    """Let callers that `policy` authorizes call a method. Given twice, both policies must authorize."""
    def mark(func):
        func.mitogen_service__policies = [policy] + getattr(func, "mitogen_service__policies", [])
        return func
    return mark


def arg_spec(spec):
    """Check the types of arguments before a method is called."""
    def mark(func):
        func.mitogen_service__arg_spec = spec
        return func
    return mark


def no_reply():
    """Do not send the result of the method. It may reply itself by `msg.reply`."""
    def mark(func):
        func.mitogen_service__no_reply = True
        return func
    return mark


def warn(service, method, exc):
    core.log(30, "mitogen.service", u"call of %s.%s() failed: %s" % (
        core.as_text(service), core.as_text(method), core.describe(exc)
    ))


class Invoker(object):
    """Calls the methods of a service and sends their replies. Calls run concurrently."""

    def __init__(self, service):
        self.service = service

    def check(self, name, kwargs, msg):
        """The method, if the sender of `msg` may call it with these arguments. CallError otherwise."""
        shown = str(name) if not core.PY3 else name
        method = None if name.startswith("_") else getattr(self.service, str(name), None)
        if not callable(method):
            raise core.CallError(u"No such method: %r" % (shown,))
        policies = getattr(method, "mitogen_service__policies", None)
        if not policies:
            raise core.CallError(u"Method has no policies set.")
        if not all(policy.is_authorized(self.service, msg) for policy in policies):
            raise core.CallError(u"Caller is not authorized to invoke %r of service %r" % (
                shown, str(self.service.name())
            ))
        for arg, kind in sorted(getattr(method, "mitogen_service__arg_spec", {}).items()):
            if arg not in kwargs:
                raise core.CallError(u"Required argument %r missing." % (arg,))
            if not isinstance(kwargs[arg], kind):
                raise core.CallError(u"Argument %r type incorrect, got %r, expected %r" % (
                    arg, type(kwargs[arg]), kind
                ))
        return method

    def invoke(self, name, kwargs, msg):
        self.answer(name, self.check(name, kwargs, msg), kwargs, msg)

    def answer(self, name, method, kwargs, msg):
        quiet = getattr(method, "mitogen_service__no_reply", False)
        if "msg" in method.__code__.co_varnames:
            kwargs["msg"] = msg
        try:
            response = method(**kwargs)
        except Exception:
            exc = sys.exc_info()[1]
            warn(self.service.name(), name, exc)
            if quiet:
                return
            response = self.failed(exc)
        if not quiet and response is not Service.NO_REPLY:
            self.reply(name, response, msg)

    def failed(self, exc):
        return exc if isinstance(exc, core.CallError) else core.CallError(exc)

    def reply(self, name, response, msg):
        try:
            msg.reply(response)
        except Exception:
            # The response cannot be pickled.
            msg.reply(core.CallError(sys.exc_info()[1]))


class SerializedInvoker(Invoker):
    """Runs one call at a time. Waiting calls occupy no thread."""

    def __init__(self, service):
        Invoker.__init__(self, service)
        self.waiting = collections.deque()
        self.lock = threading.Lock()
        self.running = False

    def invoke(self, name, kwargs, msg):
        method = self.check(name, kwargs, msg)
        with self.lock:
            self.waiting.append((name, method, kwargs, msg))
            if self.running:
                return
            self.running = True
        while True:
            with self.lock:
                if not self.waiting:
                    self.running = False
                    return
                item = self.waiting.popleft()
            try:
                self.answer(*item)
            except BaseException:
                warn(self.service.name(), item[0], sys.exc_info()[1])

    def failed(self, exc):
        return exc if isinstance(exc, core.CallError) else core.Message.dead()


class DeduplicatingInvoker(Invoker):
    """Calls a method once for the same arguments. All callers get the same reply, also later ones."""

    def __init__(self, service):
        Invoker.__init__(self, service)
        self.lock = threading.Lock()
        self.answers = {}
        self.waiters = {}

    def invoke(self, name, kwargs, msg):
        method = self.check(name, kwargs, msg)
        key = name, frozenset(kwargs.items())
        with self.lock:
            if key in self.answers:
                answer = self.answers[key]
            else:
                first = key not in self.waiters
                self.waiters.setdefault(key, []).append(msg)
                if not first:
                    return
                answer = None
        if answer is not None:
            return msg.reply(answer[0])
        try:
            response = method(**kwargs)
        except Exception:
            warn(self.service.name(), name, sys.exc_info()[1])
            response = self.failed(sys.exc_info()[1])
        with self.lock:
            self.answers[key] = (response,)
            waiters = self.waiters.pop(key)
        for waiter in waiters:
            self.reply(name, response, waiter)


class Service(object):
    """The base class of services. A service is called by the name `module.Class`."""

    NO_REPLY = object()
    invoker_class = Invoker
    max_message_size = 0
    pool = None

    @classmethod
    def name(cls):
        return u"%s.%s" % (core.as_text(cls.__module__), core.as_text(cls.__name__))

    def __init__(self, router):
        self.router = router
        self.invoker = self.invoker_class(service=self)

    def __repr__(self):
        return "%s()" % type(self).__name__

    def on_shutdown(self):
        """Called after the pool has stopped."""

    def defer(self, func, *args, **kwargs):
        """Queue `func` to run on the pool."""
        self.pool.defer(func, *args, **kwargs)


class Pool(object):
    """Threads that run the calls to handle 110."""

    def __init__(self, router=None, services=(), size=1, overwrite=False):
        self.router = core.router
        self.size = size
        self.closed = False
        self.queue = Queue()
        self.services = {}
        self.lock = threading.Lock()
        for service in services:
            self.add(service)
        self.listen(overwrite)
        self.threads = []
        for number in range(size):
            thread = threading.Thread(target=self.work, name="mitogen.service.%d" % number)
            thread.daemon = True
            thread.start()
            self.threads.append(thread)

    def add(self, service):
        if service.name() in self.services:
            raise Error("cannot register two services with the name %r", str(service.name()))
        service.pool = self
        self.services[service.name()] = service

    def listen(self, overwrite=True):
        core.router.add_handler(self.on_message, CALL_SERVICE, overwrite=overwrite)

    def on_message(self, msg):
        # Runs on the loop. A dead message is no call.
        if not msg.is_dead:
            self.queue.put((self.handle, (msg,), {}))

    def defer(self, func, *args, **kwargs):
        if self.closed:
            raise TooLateError("the pool has stopped")
        self.queue.put((func, args, kwargs))

    def work(self):
        while True:
            item = self.queue.get()
            if item is None:
                return
            try:
                item[0](*item[1], **item[2])
            except BaseException:
                warn(u"mitogen.service", u"pool", sys.exc_info()[1])

    def handle(self, msg):
        name = method = u"?"
        try:
            name, method, kwargs = self.parse(msg)
            self.find(name, msg).invoker.invoke(method, kwargs, msg)
        except core.CallError:
            warn(name, method, sys.exc_info()[1])
            msg.reply(sys.exc_info()[1])
        except Exception:
            warn(name, method, sys.exc_info()[1])
            msg.reply(core.CallError(sys.exc_info()[1]))

    def parse(self, msg):
        data = msg.unpickle(throw=False)
        if not (
            isinstance(data, tuple) and len(data) == 3 and isinstance(data[0], TEXTS)
            and isinstance(data[1], TEXTS) and isinstance(data[2], dict)
        ):
            raise core.CallError(u"Invalid message format.")
        return core.as_text(data[0]), core.as_text(data[1]), dict(data[2])

    def find(self, name, msg):
        """The service. A caller with the authority of a parent, or this context itself (`msg` is None),
        creates it if necessary."""
        found = self.services.get(name)
        if found is None:
            if msg is not None and not core.has_parent_authority(msg):
                raise core.CallError(
                    u"Service %r is not yet activated in this context, and the caller is not "
                    u"privileged, therefore autoactivation is disabled." % (str(name),)
                )
            module, _, cls = name.rpartition(u".")
            __import__(str(module))
            cls = getattr(sys.modules[str(module)], str(cls), None)
            if not (isinstance(cls, type) and issubclass(cls, Service)):
                raise core.CallError(u"%r is not a service" % (str(name),))
            with self.lock:
                found = self.services.get(name)
                if found is None:
                    found = cls(router=self.router)
                    self.add(found)
        return found

    def get_service(self, name):
        """The service, which is created if necessary."""
        return self.find(core.as_text(name), None)

    def stop(self, join=True):
        self.closed = True
        core.router.del_handler(CALL_SERVICE)
        for _ in self.threads:
            self.queue.put(None)
        for thread in self.threads if join else ():
            thread.join()
        for service in self.services.values():
            service.on_shutdown()


def get_or_create_pool(size=None, router=None, context=None):
    """The pool of this process."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = Pool(size=size or DEFAULT_POOL_SIZE, overwrite=True)
        return _pool


def reset():
    """Drop the state of the process that this one is a copy of: its threads do not exist here."""
    global _pool, _lock
    _lock = threading.Lock()
    if _pool:
        _pool.closed = True
        _pool = None
    core.router.on_lost[:] = [
        func for func in core.router.on_lost if not isinstance(getattr(func, "__self__", None), Service)
    ]
    # Threads are started by the first call.
    core.router.add_handler(
        lambda msg: get_or_create_pool().on_message(msg), CALL_SERVICE, True, core.has_parent_authority,
        overwrite=True,
    )


def call(service_name, method_name, call_context=None, **kwargs):
    """Call a service of `call_context`, by default of this context, and wait for the reply."""
    return (call_context or core.router.myself()).call_service(service_name, method_name, **kwargs)
