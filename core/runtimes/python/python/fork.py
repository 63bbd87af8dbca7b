"""Contexts that are copies of this process, and the hygiene that a copy needs.

A plan whose start is `fork` starts no program: whoever runs the loop forks, and the copy makes
everything new that belongs to one process only. It keeps what was loaded: modules, and the sources
that came from our parent. It never returns into the frames that it was born in.
"""
import fcntl
import os
import select
import sys

import mitogen.core as core
from mitogen.parent import Child, socketpair
from mitogen.process import Process, on_fork
from mitogen.routes import children, held, questions, wanted

# The plan of a copy that no master has planned.
PLAN = {"version": 1, "name": "fork", "method": "fork", "start": "fork", "timeout": 30}

RECURSION = sys.getrecursionlimit()

# What must not be collected, because its end would be felt: files over descriptors that are others'
# now, with text in them that the first process will write.
kept = []


class Fork(Child):
    """A copy of this process on its way to being a context, and then the link to it."""

    pid = None
    on_end = None

    def uncork(self):
        self.corked = False
        self.flush()

    def spawn(self):
        if self.pid is None:
            self.fork(lambda link: serve(link, self))
        self.process = Process(self.pid, self.on_exit)

    def settle(self):
        """The copy, when all is new in it and before it is up."""

    def fork(self, main):
        """Make the copy, on any thread; there `main(link)` is called, and must not return."""
        self.sent.update(core.importer.cache)
        self.rfd, link = socketpair()
        try:
            self.wfd = os.dup(self.rfd)
            for fd in self.rfd, self.wfd, link:
                core.cloexec(fd)
                core.nonblock(fd)
            # That it is up is said for it: a copy needs longer to be ready than a call to come, which
            # waits in the link; and what goes wrong there, the link's end tells.
            os.write(link, b"MITO002\n")
            self.pid = os.fork()
            if not self.pid:
                try:
                    main(link)
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(1)
        finally:
            os.close(link)

    def on_exit(self, code, number):
        Child.on_exit(self, code, number)
        if self.on_end:
            self.on_end(code, number)
        if self.up and not self.gone:
            # Processes that it forked may hold the link open: what is in it now is all there is.
            poller = select.poll()
            poller.register(self.rfd, 1)
            while not self.gone and poller.poll(0):
                self.on_receive()
            self.on_disconnect()


def serve(link, fork):
    """The copy: a context like any other, from here on."""
    os.setsid()
    # A file that is locked by a thread which is not here would hang whoever flushes it.
    kept.append((sys.stdout, sys.stderr))
    sys.stdout = core.BytesIO()
    os.dup2(link, 0)
    os.dup2(link, 1)
    renew(fork, [link], ())
    fork.settle()
    begin(core.take_link())
    core.loop.run()


def begin(parent):
    """Take what the link to our parent brings."""
    core.parent = parent
    parent.remote_id = core.parent_ids[0]
    parent.relayed = 0
    parent.up = True
    core.loop.add(parent.rfd, parent.on_receive)


def renew(fork, ours, keep):
    """Make new what belongs to one process only. The descriptors `ours` are closed, too."""
    config = fork.config
    close_inherited(set(ours) | own_descriptors(fork), keep)
    core.lock = core._thread.allocate_lock()
    for shared in (
        core.calls, core.routes, core.printed, core.lines, core.Dispatcher.failed,
        core.router.contexts, core.importer.asked, core.importer.guard, children, held, wanted,
    ):
        shared.clear()
    del questions[:]
    # Standard handles are ours as well; the others are waits for replies that our parent will get.
    for handle in [handle for handle in core.router.handlers if handle >= 1000]:
        del core.router.handlers[handle]
    resources = sys.modules.get("mitogen.resources")
    if resources:
        resources.asked.clear()
        resources.waiting.clear()
    for func in on_fork:
        func()
    core.config = dict(core.config, **dict((str(key), config[key]) for key in config))
    core.context_id = core.package.context_id = config["context_id"]
    core.parent_ids = core.package.parent_ids = list(config["parent_ids"])
    core.package.parent_id = core.parent_ids[0]
    core.authority = set(core.parent_ids + [core.context_id])
    core.max_size = config["max_message_size"]
    core.overrides = config["import_overrides"]
    core.econtext.config = core.config
    for name in "busy", "wanted", "woken", "asleep", "owner", "seq":
        core.loop.__dict__.pop(name, None)
    core.loop.__init__()
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(RECURSION + depth)
    for clean in clean_imports, clean_threads, clean_logging, clean_exits, clean_noise:
        core.loop.guard(clean)


# Descriptors


def own_descriptors(fork):
    """Those that no object would close a second time."""
    fds = set(core.loop.files)
    fds.add(core.loop.waker)
    for stream in [core.parent, fork] + list(children):
        fds.update((stream.rfd, stream.wfd, getattr(stream, "diag", None)))
    return fds


def close_inherited(ours, keep):
    """Close what we have inherited. Somebody's objects may own the others and close them in their
    time, whatever is behind their numbers then; so behind those we put nothing."""
    # A parent of many has three descriptors for each child, next to each other: closed by the range
    # they cost one call, and are not there to be listed.
    low = high = 3
    for fd in sorted(fd for fd in ours.difference(keep) if fd is not None and fd > 2):
        if fd > high:
            os.closerange(low, high)
            low = fd
        high = fd + 1
    os.closerange(low, high)
    null = os.open(os.devnull, os.O_RDWR)
    for path in "/proc/self/fd", "/dev/fd":
        try:
            found = [int(name) for name in os.listdir(path)]
            break
        except (OSError, ValueError):
            found = range(3, 1024)
    for fd in found:
        if fd < 3 or fd == null or fd in keep:
            continue
        try:
            fcntl.fcntl(fd, fcntl.F_GETFD)
            os.dup2(null, fd)
            core.cloexec(fd)
        except EnvironmentError:
            pass
    os.close(null)


# What the standard library keeps of threads and processes


def clean_imports():
    """Modules that a thread was about to import will be imported anew."""
    # Python 2 has one lock for all, which fork waits for.
    if not core.PY3:
        return
    import _frozen_importlib as importing
    # There are locks for what is being imported only; to look at every module takes longer than a fork.
    if not importing._module_locks:
        return
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None) if type(module) is type(sys) else None
        if getattr(spec, "_initializing", False):
            del sys.modules[name]
    for locks in importing._module_locks, importing._blocking_on:
        if locks:
            locks.clear()


def clean_threads():
    threading = sys.modules.get("threading")
    if threading and type(threading.current_thread()) is not threading._MainThread:
        # We are the main thread now, and it is joined and asked for by name.
        threading._active.clear()
        threading._main_thread = threading._MainThread()


def clean_logging():
    logging = sys.modules.get("logging")
    if hasattr(logging, "captureWarnings"):
        import threading
        logging._lock = threading.RLock()
        for handler in list(logging._handlers.values()):
            handler.createLock()
        core.install_logging()


def clean_exits():
    """What our parent has put off until its end is not for us to do."""
    modules = sys.modules
    atexit = modules.get("atexit")
    if not atexit:
        return
    if core.PY3:
        atexit._clear()
    else:
        del atexit._exithandlers[:]
    finalize = getattr(modules.get("weakref"), "finalize", None)
    if finalize:
        finalize._registry.clear()
        finalize._registered_with_atexit = False
    for name, func in ("logging", "shutdown"), ("multiprocessing.util", "_exit_function"):
        if name in modules:
            getattr(modules.get("multiprocessing.util"), "_finalizer_registry", {}).clear()
            atexit.register(getattr(modules[name], func))


def clean_noise():
    """Two copies of one generator would draw the same numbers."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(core.urandom(32), 32.0)
