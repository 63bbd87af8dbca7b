"""The I/O loop, and the transfer of its ownership between the main thread and the watchdog thread."""


class Loop(object):
    """The I/O loop. One thread at a time owns it: the holder of `lock`.

    The main thread owns the loop while it has no call to run. During a call the loop has no owner,
    and the watchdog thread takes it when it sees the same call in two checks in a row. The owner
    polls, reads, routes and changes registrations; any thread may defer functions to the loop.

    Invariants, which test_stress.py tests, and why they hold:

    1. Only the owner polls, reads links and accesses `files`. `owner` is its thread id, set after
       the lock is acquired and cleared before it is released.
    2. No wake-up is lost. `woken` means that a byte is in the pipe or about to be written: `wake`
       sets it before the write, and the owner reads the pipe before it clears the flag. A `wake`
       between those two steps writes nothing and need not: everything that it can announce
       (`later`, `wanted`, `busy`, the condition of a `wait`) is checked after the flag is cleared
       and before the next poll.
    3. The poll does not block on work that its own round has produced: after deferred functions or
       timers have run, it polls with timeout 0, and the caller checks its condition again.
    4. The main thread gets the loop back. It sets `wanted`, then wakes, then waits for the lock; the
       watchdog checks `wanted` after each round and does not take the loop while it is set.
    5. The watchdog does not sleep through a call: it sets `parked` before it checks `busy`, and the
       main thread sets `busy` before it checks `parked`. A spurious `unpark` stays in the lock and
       costs one extra check.
    6. A queued reply is sent. The main thread queues it, then checks `owner`; the watchdog sets
       `owner`, then flushes. So one of them writes it before the watchdog blocks in the poll.
       Without the watchdog, replies are written after the last call, when 0.2 ms have passed since
       the last flush, or at the watchdog's second check. In `Stream.flush` a thread that finds the
       lock taken may return: the holder checks the queue again after it releases the lock.
    7. The link is read during a sequence of short calls: the main thread takes the loop and polls
       every 5 ms.
    8. No thread waits for the loop while it holds a lock that the owner may need: `wait` returns at
       once if it can, and releases the import lock, which fork takes too.
    9. If a thread died of an exception, it would never release the loop. Therefore handlers are
       guarded, and the process exits when the watchdog ends.
    """

    busy = wanted = woken = parked = False
    owner = None
    seq = 0

    def __init__(self):
        self.main = get_ident()
        self.poller = select.poll()
        self.files = {}
        self.later = []
        self.timers = []
        self.waiters = []
        self.lock = _thread.allocate_lock()
        self.unpark = _thread.allocate_lock()
        self.unpark.acquire()
        self.wake_fd, self.waker = pipe()
        nonblock(self.waker)
        self.add(self.wake_fd, self.on_wake)

    def add(self, fd, func, events=1):
        """Call `func(events)` when the poller shows `events` (1: readable, 4: writable)."""
        self.files[fd] = func
        self.poller.register(fd, events)

    def remove(self, fd):
        if self.files.pop(fd, None):
            self.poller.unregister(fd)

    def on_wake(self, events):
        try:
            posix.read(self.wake_fd, 4096)
        except EnvironmentError:
            # A nested loop has already read the pipe.
            pass
        self.woken = False

    def wake(self):
        if not self.woken:
            self.woken = True
            posix.write(self.waker, b"w")

    def defer(self, func):
        """Run `func()` on the loop in its next round."""
        self.later.append(func)
        if self.owner != get_ident():
            self.wake()

    def blocked(self, stream):
        """The descriptor of `stream` is full: flush again when it is writable."""
        def ready(events=None):
            self.remove(stream.wfd)
            stream.flush()
        self.defer(lambda: stream.gone or self.add(stream.wfd, ready, 4))

    def pump(self, limit=None):
        """One round: handle ready descriptors. Waits `limit` seconds at most, without limit if it is None."""
        while self.later:
            limit = 0
            self.guard(self.later.pop(0))
        if self.timers:
            limit = self.run_timers(limit)
        try:
            ready = self.poller.poll(limit and limit * 1000 + 1)
        except select.error:
            return
        for fd, events in ready:
            func = self.files.get(fd)
            if func:
                self.guard(func, events)

    def guard(self, func, *args):
        try:
            func(*args)
        except BaseException:
            lazy().log_exception("mitogen")

    def run(self):
        self.take()
        while True:
            # The watchdog may have received calls since `calls` was last checked.
            self.pump(0 if calls else None)
            if calls:
                self.work()

    def work(self):
        """Run queued calls for up to 5 ms. Meanwhile the watchdog may take the loop."""
        self.busy = True
        self.give()
        if self.parked:
            self.parked = False
            try:
                self.unpark.release()
            except Exception:
                # The lock is free already: the watchdog has not acquired it yet, and will not block.
                pass
        elif not self.seq:
            _thread.start_new_thread(self.guarded_watchdog, ())
        last = began = clock()
        while calls:
            self.seq += 1
            call(*calls.popleft())
            now = clock()
            # While the watchdog owns the loop, it does not flush replies that this thread queues.
            if self.owner or now - last > 0.0002:
                parent.flush()
                last = now
            if now - began > 0.005:
                break
        self.busy = False
        parent.flush()
        self.take()

    def take(self):
        if not self.lock.acquire(False):
            self.wanted = True
            self.wake()
            self.lock.acquire()
            self.wanted = False
        self.owner = self.main

    def give(self):
        self.owner = None
        self.lock.release()

    def guarded_watchdog(self):
        try:
            self.watchdog()
        finally:
            posix._exit(1)

    def watchdog(self):
        seen = idle = 0
        while True:
            time.sleep(0.005)
            if self.busy:
                idle = 0
                if self.seq == seen:
                    parent.flush()
                    if not self.wanted and self.lock.acquire(False):
                        self.owner = get_ident()
                        # Replies that were queued before `owner` was set; see invariant 6.
                        parent.flush()
                        while self.busy and not self.wanted:
                            self.pump()
                        self.give()
                seen = self.seq
            else:
                idle += 1
                if idle > 3:
                    idle = 0
                    self.parked = True
                    # The main thread sets `busy`, then checks `parked`: at least one of the two
                    # threads sees the other's flag.
                    if self.busy:
                        self.parked = False
                    else:
                        self.unpark.acquire()


def pipe():
    """A pipe that started programs do not inherit. Its read end is non-blocking."""
    ends = posix.pipe()
    for fd in ends:
        cloexec(fd)
    nonblock(ends[0])
    return ends


def cloexec(fd):
    if PY3:
        posix.set_inheritable(fd, False)
    else:
        fcntl.fcntl(fd, fcntl.F_SETFD, 1)


def nonblock(fd):
    if PY3:
        posix.set_blocking(fd, False)
    else:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | posix.O_NONBLOCK)
