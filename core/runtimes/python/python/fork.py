"""Contexts that are copies of this process, and the clean-up that a copy needs.

A plan with the start `fork` starts no program: the thread that runs the loop forks, and the copy
recreates all state that belongs to one process only. It keeps the imported modules and the cached
sources. It never returns to the frames below the fork.
"""
import fcntl
import os
import select
import sys

import mitogen.core as core
from mitogen.parent import Child, socketpair
from mitogen.process import Process, on_fork
from mitogen.routes import children, module_waiters, paused, resource_requests

# The plan of a copy that is not started by a plan of the master.
PLAN = {"version": 1, "name": "fork", "method": "fork", "start": "fork", "timeout": 30}

RECURSION = sys.getrecursionlimit()

# Objects that must not be freed: files whose descriptors now belong to others, and whose buffers
# the original process will flush.
retained = []


class Fork(Child):
    """A copy of this process while it connects, and then the link to it."""

    pid = None
    on_end = None

    def uncork(self):
        self.corked = False
        self.flush()

    def spawn(self):
        if self.pid is None:
            self.fork(lambda link: serve(link, self))
        self.process = Process(self.pid, self.on_exit)

    def on_forked(self):
        """A hook that runs in the copy after its state was reset, before it takes messages."""

    def fork(self, main):
        """Fork, on any thread. The copy calls `main(link)`, which must not return."""
        self.sent.update(core.importer.cache)
        self.rfd, link = socketpair()
        try:
            self.wfd = os.dup(self.rfd)
            for fd in self.rfd, self.wfd, link:
                core.cloexec(fd)
                core.nonblock(fd)
            # The marker is written before the fork, so that the parent does not wait until the copy is
            # ready: calls wait in the link, and if the copy fails, the link ends.
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
            # Processes that the copy has forked may hold the link open: read what it contains, then close it.
            poller = select.poll()
            poller.register(self.rfd, 1)
            while not self.gone and poller.poll(0):
                self.on_receive()
            self.on_disconnect()


def serve(link, fork):
    """The main function of a copy that is an ordinary context."""
    os.setsid()
    # A file that was locked by another thread at the fork would block every flush.
    retained.append((sys.stdout, sys.stderr))
    sys.stdout = core.BytesIO()
    os.dup2(link, 0)
    os.dup2(link, 1)
    reset_process_state(fork, [link], ())
    fork.on_forked()
    attach_parent(core.take_link())
    core.loop.run()


def attach_parent(parent):
    """Start to read the link to the parent."""
    core.parent = parent
    parent.remote_id = core.parent_ids[0]
    parent.relayed = 0
    parent.up = True
    core.loop.add(parent.rfd, parent.on_receive)


def reset_process_state(fork, ours, keep):
    """Reset all state that belongs to one process only. Also closes the descriptors `ours`."""
    config = fork.config
    close_inherited(set(ours) | own_descriptors(fork), keep)
    core.lock = core._thread.allocate_lock()
    for shared in (
        core.calls, core.routes, core.printed, core.lines, core.Dispatcher.failed,
        core.router.contexts, core.importer.requested, core.importer.imported, children, paused, module_waiters,
    ):
        shared.clear()
    del resource_requests[:]
    core.importer.guard = None
    # Well-known handles stay. Other handles wait for replies to the original process.
    for handle in [handle for handle in core.router.handlers if handle >= 1000]:
        del core.router.handlers[handle]
    resources = sys.modules.get("mitogen.resources")
    if resources:
        resources.requested.clear()
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
    for name in "busy", "wanted", "woken", "parked", "owner", "seq":
        core.loop.__dict__.pop(name, None)
    core.loop.__init__()
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(RECURSION + depth)
    for reset in (
        reset_imports, reset_services, reset_threads, reset_logging, reset_exit_functions, reseed_random,
    ):
        core.loop.guard(reset)


# Descriptors


def own_descriptors(fork):
    """Descriptors of the runtime, which no object closes a second time."""
    fds = set(core.loop.files)
    fds.add(core.loop.waker)
    for stream in [core.parent, fork] + list(children):
        fds.update((stream.rfd, stream.wfd, getattr(stream, "diag", None)))
    return fds


def close_inherited(ours, keep):
    """Close inherited descriptors. Those that objects of the program may own are replaced by
    /dev/null instead: the objects may close them later, when the numbers would be in use again."""
    # A parent has three adjacent descriptors for each child. A range is closed by one call, and its
    # descriptors are not listed below.
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


# State of the standard library that concerns threads and processes


def reset_imports():
    """Forget partial imports of other threads, so that the modules are imported again."""
    # Python 2 has one global lock, which fork acquires.
    if not core.PY3:
        return
    import _frozen_importlib as importing
    # Locks exist only during imports. Checking every module takes longer than the fork.
    if not importing._module_locks:
        return
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None) if type(module) is type(sys) else None
        if getattr(spec, "_initializing", False):
            del sys.modules[name]
    for locks in importing._module_locks, importing._blocking_on:
        if locks:
            locks.clear()


def reset_services():
    """Let the first call of a service load the module again, or start its threads again."""
    core.router.add_handler(core.on_first, 110, True, core.has_parent_authority, overwrite=True)
    getattr(sys.modules.get("mitogen.service"), "reset", int)()


def reset_threads():
    threading = sys.modules.get("threading")
    if threading and type(threading.current_thread()) is not threading._MainThread:
        # The current thread becomes the main thread, which the module keeps by name.
        threading._active.clear()
        threading._main_thread = threading._MainThread()


def reset_logging():
    logging = sys.modules.get("logging")
    if hasattr(logging, "captureWarnings"):
        import threading
        logging._lock = threading.RLock()
        for handler in list(logging._handlers.values()):
            handler.createLock()
        core.install_logging()


def reset_exit_functions():
    """Drop the exit functions of the original process."""
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


def reseed_random():
    """Reseed random number generators, which would repeat the numbers of the original process."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(core.urandom(32), 32.0)
