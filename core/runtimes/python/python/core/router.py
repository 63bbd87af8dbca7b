"""Routes, handles, policies, waiting and exit. In the lazy part: plain calls do not need it."""


class Router(object):
    """Checks and delivers messages (docs/protocol.md#routing). All methods but `route` run on the loop."""

    def __init__(self):
        self.handlers = {}
        self.contexts = {}
        self.on_lost = []

    router = property(lambda self: self)
    importer = property(lambda self: importer)

    def __getattr__(self, name):
        # The methods that deal with contexts are defined by mitogen.api, which replaces this one.
        me.api
        return getattr(self, name)

    def add_handler(self, fn, handle=None, persist=True, policy=None, respondent=None,
                    overwrite=False):
        """Call `fn(message)` for messages to `handle`. By default, choose a free handle at random."""
        while not handle or not overwrite and handle in self.handlers:
            if handle:
                raise Error("handle %d is in use", handle)
            handle, = _struct.unpack("<L", urandom(4))
            handle = handle % 0x7FFFFFFF
            if handle < 1000 or handle in self.handlers:
                handle = None
        self.handlers[handle] = fn, persist, policy, respondent
        return handle

    def del_handler(self, handle):
        self.handlers.pop(handle, None)

    def stream_for(self, dst):
        return routes.get(dst, parent)

    def route(self, msg):
        """Send a message of this context. One to this context is delivered in the next round of the loop."""
        if len(msg.data) > max_size:
            self.refuse(msg, u"message too large (max %d bytes)" % max_size, True)
        elif msg.dst_id == context_id:
            loop.defer(lambda: self.deliver(msg, None))
        else:
            self.stream_for(msg.dst_id).send(msg.pieces())

    def on_frame(self, stream, enc, dst, src, auth, handle, reply_to, frame):
        # For a context without children. mitogen.routes replaces this method.
        msg = self.message(enc, dst, src, auth, handle, reply_to, frame)
        if dst == context_id:
            self.deliver(msg, stream)
        else:
            self.no_route(msg)

    def message(self, enc, dst, src, auth, handle, reply_to, frame):
        return Message(dst, handle, bytes(body(frame)), reply_to, enc, src, auth)

    def no_route(self, msg):
        self.refuse(msg, u"no route to %d, my ID is %d" % (msg.dst_id, context_id))

    def refuse(self, msg, reason, tell_target=False):
        if msg.reply_to and not msg.is_dead:
            target = msg.src_id, msg.reply_to
        elif tell_target:
            target = msg.dst_id, msg.handle
        else:
            return
        self.route(Message.dead(reason, dst_id=target[0], handle=target[1]))

    def deliver(self, msg, stream):
        """Pass a message to its handler. `stream` is None for messages of this context."""
        entry = self.handlers.get(msg.handle)
        if not entry:
            return self.refuse(msg, u"invalid handle")
        func, persist, policy, respondent = entry
        if respondent is not None and msg.src_id != respondent.context_id:
            # Only contexts on the route to the respondent may report that it is gone.
            link = routes.get(respondent.context_id, parent)
            if not msg.is_dead:
                return self.refuse(msg, u"reply from unexpected context")
            if msg.src_id not in authority and routes.get(msg.src_id) is not link:
                return
        if policy and not policy(msg, stream):
            return self.refuse(msg, u"refused by policy")
        if not persist:
            self.del_handler(msg.handle)
        func(msg)

    def forget(self, lost):
        """A context is gone: end all waits for its replies."""
        for func in list(self.on_lost):
            func(lost)
        for handle, entry in list(self.handlers.items()):
            if entry[3] is not None and entry[3].context_id == lost:
                self.del_handler(handle)
                loop.guard(entry[0], Message.dead(
                    u"the respondent Context has disconnected", handle=handle
                ))


def urandom(size):
    # `posix.urandom` of Python 2 keeps a descriptor open.
    with FileIO("/dev/urandom") as file:
        return file.read(size)


def has_parent_authority(msg, stream=None):
    return msg.auth_id in authority


def is_immediate_peer(msg, stream):
    return stream is not None and msg.src_id == stream.remote_id


def send(dst, handle, data, enc=MGC):
    """Send one message that needs no reply."""
    router.route(Message(dst, handle, data, 0, enc))


def notify():
    """Let every `wait`, on the loop or on another thread, check its condition again."""
    for waiter in loop.waiters[:]:
        try:
            waiter.release()
        except Exception:
            pass
    loop.defer(int)


def wait(ready, timeout=None):
    """Wait until `ready()` is true, on any thread. Returns its last result."""
    if ready():
        return ready()
    deadline = None if timeout is None else clock() + timeout
    me = get_ident()
    holding = loop.owner == me
    running = holding or me == loop.main
    locked = 0
    try:
        # The global import lock is held while finders are called, and the owner of the loop may
        # need it to import or to fork.
        while True:
            imp.release_lock()
            locked += 1
    except RuntimeError:
        pass
    waiter = _thread.allocate_lock()
    waiter.acquire()
    # A thread that owns the loop, or can take it, runs it while it waits.
    if not running:
        loop.waiters.append(waiter)
    elif not holding:
        loop.take()
    try:
        while not ready():
            left = None if deadline is None else deadline - clock()
            if left is not None and left <= 0:
                break
            if running:
                loop.pump(left)
            elif left is None:
                waiter.acquire()
            elif PY3:
                waiter.acquire(True, left)
            else:
                time.sleep(0.005)
    finally:
        if not running:
            loop.waiters.remove(waiter)
        elif not holding:
            loop.give()
        while locked:
            imp.acquire_lock()
            locked -= 1
    return ready()


def call_failed(chain, reply_to):
    """Pickle the current exception as a reply, and store it for later calls of the chain."""
    error = CallError(sys.exc_info()[1])
    if chain is not None:
        Dispatcher.failed[chain] = error
    elif not reply_to:
        log(40, "mitogen", u"No-reply function call failed: " + error.args[0])
    return dumps(error)


def slow_reply(src, reply_to, pieces, size):
    """Send a reply that is too large, or that is for this context itself."""
    if size > max_size:
        msg = Message.dead(u"message too large (max %d bytes)" % max_size)
    else:
        msg = Message(data=b"".join(pieces))
    msg.dst_id = src
    msg.handle = reply_to
    router.route(msg)


def on_call(msg):
    if not msg.is_dead:
        calls.append((msg.src_id, msg.reply_to, b"".join(msg.pieces())))


def on_del_route(msg):
    if not msg.is_dead:
        router.forget(int(msg.data.split(b":")[0]))


def on_first(msg):
    # The first message to a handle whose module is loaded on demand. The module replaces the handler
    # when it is complete, whichever thread imports it; messages that arrive before that are queued.
    found = [msg]
    handle = msg.handle
    name = "mitogen." + ("service", "parent")[handle > 110]
    handlers = router.handlers
    entry = handlers[handle]
    mine = handlers[handle] = found.append, 1, None, None

    def load(run):
        try:
            # In Python 2, the import can return while another thread is still at it.
            while __import__(name) and mine is handlers.get(handle):
                time.sleep(0.001)
        except Exception:
            error = CallError(sys.exc_info()[1])

        def finish():
            failed = mine is handlers.get(handle)
            if failed:
                handlers[handle] = entry
            for msg in found:
                msg.reply(error) if failed else router.deliver(msg, parent)
        run(finish)

    # A call on the main thread may import the same module, and wait for the loop while it holds the lock
    # of the module. If it has not, a plan is carried out before the next message, which may be for the
    # new context.
    if handle > 110 and name not in importer.requested:
        load(loop.guard)
    else:
        _thread.start_new_thread(load, (loop.defer,))


def corrupt(stream, buf, size):
    log(40, "mitogen", u"%s from %r, disconnecting" % (
        u"message of %d bytes" % size if size > max_size else u"garbage %r" % buf[:100],
        stream.remote_id,
    ))
    stream.on_disconnect()


def lost(stream):
    """A link was closed. If it is the parent's, exit. mitogen.parent handles those of children."""
    if not stream.gone or stream.rfd in loop.files:
        stream.gone = True
        loop.remove(stream.rfd)
        loop.remove(stream.wfd)
        if stream is parent:
            stop()


class Exit(object):
    hooks = []
    began = False


def stop():
    """Exit, whatever the main thread does: run exit hooks, forward output, flush the link."""
    if Exit.began:
        return
    if get_ident() != loop.main:
        # If the main thread becomes idle within 50 ms, let it run this, because atexit functions
        # belong on the main thread.
        for _ in range(10):
            if loop.wanted:
                loop.later.append(stop)
                loop.give()
                time.sleep(9)
            time.sleep(0.005)
    Exit.began = True
    if loop.owner != get_ident():
        loop.owner = get_ident()
    _thread.start_new_thread(force_exit, ())
    for hook in Exit.hooks:
        loop.guard(hook)
    idle = not loop.busy and loop.main == get_ident()
    if idle and "atexit" in modules:
        loop.guard(modules["atexit"]._run_exitfuncs)
    for file in sys.stdout, sys.stderr:
        loop.guard(file.flush)
    null = posix.open("/dev/null", posix.O_RDWR)
    for rfd in list(printed):
        posix.dup2(null, printed[rfd])
        on_printed(rfd)
        finish_printed(rfd)
    deadline = clock() + 2
    parent.flush()
    while (parent.out or parent.tail) and not parent.gone and clock() < deadline:
        loop.pump(0.1)
    posix._exit(0)


def force_exit():
    time.sleep(5)
    posix._exit(0)


router = Router()
for _handle, _func, _policy in (
    (CALL_FUNCTION, on_call, has_parent_authority),
    (SHUTDOWN, lambda msg: msg.is_dead or stop(), has_parent_authority),
    (DEL_ROUTE, on_del_route, is_immediate_peer),
    (RUN_PLAN, on_first, has_parent_authority),
    (110, on_first, has_parent_authority),
):
    router.add_handler(_func, _handle, True, _policy)
