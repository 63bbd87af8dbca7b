"""Links to neighbours: reading frames, writing bytes, and the fast path for calls."""


class Stream(object):
    """A link to a neighbour. Its descriptors are non-blocking.

    The owner of the loop reads. Any thread may send.
    """

    remote_id = None
    size = 16384
    buf = b""
    big = None
    tail = b""
    large = False
    gone = False

    def __init__(self, rfd, wfd):
        self.rfd = rfd
        self.wfd = wfd
        self.out = []
        self.frames = deque()
        self.lock = _thread.allocate_lock()

    def on_receive(self, events=None):
        """Read available data and route every complete frame in it."""
        try:
            if self.big:
                # A large frame is read into its buffer.
                data = self.file.readinto(self.view[self.have:])
                self.have += data or 0
            else:
                data = posix.read(self.rfd, self.size)
        except EnvironmentError:
            data = None if temporary() else b""
        if data is None:
            return
        if not data:
            return self.on_disconnect()
        if self.big:
            if self.have == len(self.big):
                frame = self.big
                self.view = self.file = self.big = None
                self.frames.append(unpack(frame)[:6] + (frame,))
                self.dispatch()
            return
        # A small buffer is cheaper for single calls, a large one for a stream of calls.
        if len(data) == self.size:
            self.size = CHUNK_SIZE
        elif len(data) < 8192:
            self.size = 16384
        self.on_data(self.buf + data if self.buf else data)

    def on_data(self, buf):
        pos = 0
        left = len(buf)
        while left >= 26:
            head = unpack(buf, pos)
            size = head[6] + 26
            if head[6] > max_size or not 0x4D49 <= head[0] <= 0x4D4B:
                self.dispatch()
                return lazy().corrupt(self, buf[pos:], head[6])
            if size > left:
                if size > CHUNK_SIZE:
                    self.big = bytearray(size)
                    self.view = memoryview(self.big)
                    self.view[:left] = buf[pos:]
                    self.have = left
                    self.file = FileIO(self.rfd, "rb", False)
                    pos += left
                break
            self.frames.append(head[:6] + (buf[pos:pos + size],))
            pos += size
            left -= size
        self.buf = buf[pos:]
        self.dispatch()

    def dispatch(self):
        # Frames are queued because a handler may run the loop, and so read further frames, while it
        # waits. Each is guarded, so that an error does not affect the next.
        while self.frames:
            loop.guard(self.on_frame, *self.frames.popleft())

    def on_frame(self, enc, dst, src, auth, handle, reply_to, frame):
        # The fast path for a call with the authority of a parent, from a context that is not a
        # descendant. It does not need the lazy part.
        if (
            handle == CALL_FUNCTION and dst == context_id and self is parent and auth in authority
            and auth not in routes and src not in routes and reply_to != IS_DEAD
        ):
            calls.append((src, reply_to, frame))
        elif handle == SHUTDOWN and dst == context_id and self is parent and auth in authority:
            if reply_to != IS_DEAD:
                lazy().stop()
        else:
            lazy().router.on_frame(self, enc, dst, src, auth, handle, reply_to, frame)

    def send(self, pieces, flush=True):
        """Queue the pieces of one frame, and write as much as possible at once."""
        if not self.gone:
            if len(pieces) > 1 or len(pieces[0]) > 65536:
                self.large = True
            self.out.extend(pieces)
            if flush:
                self.flush()

    def flush(self):
        out = self.out
        while (out or self.tail) and self.lock.acquire(False):
            full = False
            try:
                while out or self.tail:
                    data = self.tail
                    if not data:
                        # Other threads may append frames meanwhile: take a prefix of known length.
                        count = 1 if self.large else len(out)
                        data = out[0] if count == 1 else b"".join(out[:count])
                        del out[:count]
                        self.large = self.large and len(out) > 0
                    self.tail = data
                    wrote = posix.write(self.wfd, data)
                    self.tail = memoryview(data)[wrote:] if wrote < len(data) else b""
            except EnvironmentError:
                full = temporary()
                if not full:
                    self.gone = True
                    self.tail = b""
                    del out[:]
                    loop.defer(self.on_disconnect)
            finally:
                self.lock.release()
            if full:
                # After the release of the lock: another thread may be able to write before this returns.
                return loop.blocked(self)

    def on_disconnect(self):
        lazy().lost(self)


def temporary():
    """Whether the current exception is EINTR, EAGAIN or the EAGAIN of BSD systems."""
    return sys.exc_info()[1].errno in (4, 11, 35)
