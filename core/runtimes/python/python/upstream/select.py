"""`mitogen.select`: waiting for the first of several receivers, latches or other selects."""
import mitogen.core as core


class Error(core.Error):
    """A source was added or removed wrongly."""


class Event(object):
    """Something that arrived: its source, and its data (a message, or what was put into a latch)."""

    source = None
    data = None


class Select(object):
    """Waits for any of `receivers`. If `oneshot` is true, each is removed after its first event, and
    iteration ends when all have been."""

    notify = None
    closed = False
    loop_msg = "Adding this Select instance would create a Select cycle"
    owned_msg = "Cannot add: Receiver is already owned by another Select"
    not_present_msg = "Instance is not a member of this Select"
    empty_msg = "Cannot get(), Select instance is empty"

    def __init__(self, receivers=(), oneshot=True):
        self.sources = []
        self.oneshot = oneshot
        # The sources of events in order, one entry for each event.
        self.ready = core.Latch()
        for source in receivers:
            self.add(source)

    @classmethod
    def all(cls, receivers):
        """The results of all `receivers`, in the order of their arrival."""
        return list(cls(receivers).iter_data())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __bool__(self):
        return bool(self.sources)

    __nonzero__ = __bool__

    def __iter__(self):
        while self.sources:
            yield self.get()

    def iter_data(self):
        for data in self:
            yield data.unpickle() if isinstance(data, core.Message) else data

    def iter_events(self):
        while self.sources:
            yield self.get_event()

    def contains(self, other):
        return other is self or any(
            isinstance(source, Select) and source.contains(other) for source in self.sources
        )

    def on_event(self, source):
        self.ready.put(source)
        if self.notify:
            self.notify(self)

    def add(self, source):
        if isinstance(source, Select) and source.contains(self):
            raise Error(self.loop_msg)
        if source.notify:
            raise Error(self.owned_msg)
        self.sources.append(source)
        source.notify = self.on_event
        # What arrived before; what arrives meanwhile may be announced twice, which `get` checks for.
        for _ in range(source.size()):
            self.on_event(source)

    def remove(self, source):
        """Remove a source. Events of it that were not fetched stay in it."""
        if source.notify != self.on_event:
            raise Error(self.not_present_msg)
        self.sources = [each for each in self.sources if each is not source]
        source.notify = None

    def close(self):
        """Remove all sources. Threads that wait for them get a LatchError."""
        for source in list(self.sources):
            self.remove(source)
        self.ready.close()

    def size(self):
        return sum(source.size() for source in self.sources)

    def empty(self):
        return self.size() == 0

    def get(self, timeout=None, block=True):
        """The data of the next event."""
        return self.get_event(timeout, block).data

    def get_event(self, timeout=None, block=True):
        """The next event. TimeoutError after `timeout` seconds, or at once if `block` is false and there is
        none."""
        if not self.sources:
            raise Error(self.empty_msg)
        while True:
            source = self.ready.get(timeout, block)
            # It may have been removed, or its event fetched by another thread.
            if not any(each is source for each in self.sources):
                continue
            try:
                if isinstance(source, Select):
                    event = source.get_event(block=False)
                else:
                    event = Event()
                    event.source = source
                    options = {"throw_dead": False} if isinstance(source, core.Receiver) else {}
                    event.data = source.get(block=False, **options)
            except (core.TimeoutError, core.ChannelError, core.LatchError, Error):
                continue
            if isinstance(event.data, core.Message):
                event.data.receiver = event.source
            if self.oneshot:
                self.remove(source)
            return event
