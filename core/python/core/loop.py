

class Loop(object):
    """The I/O loop, and who runs it.

    The main thread runs it while it has no call to run. While it has one, the baton is free, and
    the thread `patrol` takes it up when it sees the same call at two looks in a row. Whoever
    holds the baton reads, routes and changes registrations; anybody may defer work to it.
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
        posix.read(self.wake_fd, 4096)
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
            self.guard(self.later.pop(0))
        if self.timers:
            limit = more().run_timers(limit)
        try:
            ready = self.poller.poll(limit if limit is None else limit * 1000 + 1)
        except select.error:
            return
        for fd, events in ready:
            func = self.files.get(fd)
            if func:
                self.guard(func, events)

    def guard(self, func, *args):
        try:
            func(*args)
        except Exception:
            more().log_exception("mitogen")

    def run(self):
        self.take()
        while True:
            # The patrol may have taken calls in after our last look.
            if not calls:
                self.pump()
            if calls:
                self.work()

    def work(self):
        """Run the calls that have come, with the baton free for the patrol."""
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
            _thread.start_new_thread(self.patrol, ())
        last = clock()
        while calls:
            self.seq += 1
            call(*calls.popleft())
            now = clock()
            # While the patrol has the loop it waits for the kernel alone, not for our replies.
            if self.owner or now - last > 0.0002:
                parent.flush()
                last = now
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
                if idle > 20:
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
