"""The I/O loop and the hand-over of it between the main thread and the patrol."""


class Loop(object):
    """The I/O loop, and who runs it.

    The main thread runs it while it has no call to run. While it has one, the baton is free, and
    the thread `patrol` takes it up when it sees the same call at two looks in a row. Whoever
    holds the baton reads, routes and changes registrations; anybody may defer work to it.

    What must hold (test_stress.py leans on it), and why it does:

    1. Only the holder polls, reads links and touches `files`. `owner` is the holder's thread, set
       after the baton is taken and cleared before it is given.
    2. A wake is not lost. `woken` set means that a byte is in the pipe or about to be; so `wake`
       sets it before it writes, and the holder reads before it clears it. A wake that falls
       between those two writes nothing, and needs nothing: all that it can be about (`later`,
       `wanted`, `busy`, what `wait` is for) is looked at after the clearing and before the poll.
    3. The poll does not block on what its own round has brought: when deferred functions or
       timers have run, it only looks, and the caller checks what it waits for again.
    4. The main thread gets the baton back. It sets `wanted`, then wakes, then waits; the patrol
       looks at `wanted` after each round and does not begin while it is set.
    5. The patrol does not sleep through a call: it sets `asleep` before it looks at `busy`, the
       main thread sets `busy` before it looks at `asleep`. An alarm that rings for nobody is kept
       by the lock and costs one look.
    6. A queued reply leaves. The main thread queues it, then looks at `owner`; the patrol sets
       `owner`, then flushes; so one of the two writes it before the patrol waits for the kernel.
       Without the patrol the replies leave at the end of the calls, or after 0.2 ms between two,
       or at the patrol's second look. In `Stream.flush` a thread that finds the lock taken may go:
       the holder of the lock looks at the queue again after it has let go.
    7. Nobody keeps the link waiting: between short calls the main thread takes the baton and looks, every 5 ms.
    8. Nobody waits for the baton with a lock that its holder may want: `wait` returns at once when
       it can, and lets go of the import lock, which fork takes too.
    9. A thread that dies of what it runs would take the baton with it: handlers are guarded, and
       the process ends with the thread.
    """

    busy = wanted = woken = asleep = False
    owner = None
    seq = 0

    def __init__(self):
        self.main = get_ident()
        self.poller = select.poll()
        self.files = {}
        self.later = []
        self.timers = []
        self.waiters = []
        self.baton = _thread.allocate_lock()
        self.alarm = _thread.allocate_lock()
        self.alarm.acquire()
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
            # A loop within this round was quicker.
            pass
        self.woken = False

    def wake(self):
        if not self.woken:
            self.woken = True
            posix.write(self.waker, b"w")

    def defer(self, func):
        """Run `func()` on the loop, soon."""
        self.later.append(func)
        if self.owner != get_ident():
            self.wake()

    def blocked(self, stream):
        """The kernel takes no more of `stream`: go on when it does."""
        def ready(events=None):
            self.remove(stream.wfd)
            stream.flush()
        self.defer(lambda: stream.gone or self.add(stream.wfd, ready, 4))

    def pump(self, limit=None):
        """Handle what is ready, waiting for it at most `limit` seconds."""
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
            more().log_exception("mitogen")

    def run(self):
        self.take()
        while True:
            # The patrol may have taken calls in after our last look.
            self.pump(0 if calls else None)
            if calls:
                self.work()

    def work(self):
        """Run calls that have come, for some time, with the baton free for the patrol."""
        self.busy = True
        self.give()
        if self.asleep:
            self.asleep = False
            try:
                self.alarm.release()
            except Exception:
                # It was on its way out of bed by itself; the alarm will not hold it next time.
                pass
        elif not self.seq:
            _thread.start_new_thread(self.guarded_patrol, ())
        last = began = clock()
        while calls:
            self.seq += 1
            call(*calls.popleft())
            now = clock()
            # While the patrol has the loop it waits for the kernel alone, not for our replies.
            if self.owner or now - last > 0.0002:
                parent.flush()
                last = now
            if now - began > 0.005:
                break
        self.busy = False
        parent.flush()
        self.take()

    def take(self):
        if not self.baton.acquire(False):
            self.wanted = True
            self.wake()
            self.baton.acquire()
            self.wanted = False
        self.owner = self.main

    def give(self):
        self.owner = None
        self.baton.release()

    def guarded_patrol(self):
        try:
            self.patrol()
        finally:
            posix._exit(1)

    def patrol(self):
        seen = idle = 0
        while True:
            time.sleep(0.005)
            if self.busy:
                idle = 0
                if self.seq == seen:
                    parent.flush()
                    if not self.wanted and self.baton.acquire(False):
                        self.owner = get_ident()
                        # Replies queued before the main thread could see that; see `work`.
                        parent.flush()
                        while self.busy and not self.wanted:
                            self.pump()
                        self.give()
                seen = self.seq
            else:
                idle += 1
                if idle > 3:
                    idle = 0
                    self.asleep = True
                    # The main thread sets `busy` and then looks at `asleep`; we the other way
                    # round, so that one of the two sees the other.
                    if self.busy:
                        self.asleep = False
                    else:
                        self.alarm.acquire()


def pipe():
    """A pipe that programs we start do not inherit; its read end does not block."""
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
