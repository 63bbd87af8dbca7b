"""File services with the interface of upstream Mitogen's: the second half of `mitogen.service`.

They are for programs that use upstream's services. `mitogen.files` adds checksums and resuming.
"""
import grp
import os
import pwd
import stat


class FileService(Service):
    """Sends files on request, with a window of unacknowledged bytes for each link (docs/protocol.md#fileservice)."""

    window_size_bytes = 1048576
    IO_SIZE = 131072 - 26

    def __init__(self, router):
        Service.__init__(self, router)
        self.lock = threading.Lock()
        self.paths = set()
        self.prefixes = set()
        # By link: [unacknowledged bytes, transfers in order]. A transfer is its sender, its file, and
        # the function that sends a chunk.
        self.links = {}
        core.router.on_lost.append(self.on_lost)

    @expose(AllowParents())
    @arg_spec({"path": TEXTS if not core.PY3 else str})
    def register(self, path):
        self.paths.add(core.as_text(path))

    @expose(AllowParents())
    @arg_spec({"path": TEXTS if not core.PY3 else str})
    def register_prefix(self, path):
        self.prefixes.add(core.as_text(os.path.abspath(path)).rstrip(u"/") + u"/")

    def may_have(self, path, msg):
        whole = core.as_text(os.path.abspath(path))
        return (
            path in self.paths or core.has_parent_authority(msg)
            or any((whole + u"/").startswith(prefix) for prefix in self.prefixes)
        )

    @expose(AllowAny())
    @no_reply()
    @arg_spec({"path": TEXTS if not core.PY3 else str})
    def fetch(self, path, sender, msg):
        try:
            file, metadata = self.open(core.as_text(path), sender, msg)
        except Exception:
            exc = sys.exc_info()[1]
            return msg.reply(exc if isinstance(exc, core.CallError) else core.CallError(exc))
        with self.lock:
            # The metadata must arrive before the data.
            msg.reply(metadata)
            link = self.links.setdefault(core.router.stream_for(msg.src_id), [0, collections.deque()])
            # Upstream releases before 0.3.39 use one encoding for all messages, and expect pickled chunks.
            send = sender.send_bytes if msg.enc != core.MGC else lambda data: sender.send(core.Blob(data))
            link[1].append((sender, file, send))
            self.go_on(link)

    def open(self, path, sender, msg):
        if not self.may_have(path, msg):
            raise Error("Path %r is not registered with FileService.", str(path))
        if msg.src_id != sender.context.context_id:
            raise Error("sender= kwarg context must match requestee context")
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        core.cloexec(fd)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise IOError("%r is not a regular file" % (str(path),))
        return os.fdopen(fd, "rb", 0), {
            u"size": status.st_size,
            u"mode": status.st_mode,
            u"owner": self.name_of(pwd.getpwuid, status.st_uid),
            u"group": self.name_of(grp.getgrgid, status.st_gid),
            u"mtime": float(status.st_mtime),
            u"atime": float(status.st_atime),
        }

    def name_of(self, find, number):
        try:
            return core.as_text(find(number)[0])
        except KeyError:
            return None

    @expose(AllowAny())
    @no_reply()
    @arg_spec({"size": int})
    def acknowledge(self, size, msg):
        with self.lock:
            link = self.links[core.router.stream_for(msg.src_id)]
            if size > link[0]:
                core.log(30, "mitogen.service", u"context %d acknowledged more bytes than it was sent" % msg.src_id)
            link[0] -= min(link[0], max(0, size))
            self.go_on(link)

    def go_on(self, link):
        while link[1] and link[0] < self.window_size_bytes:
            sender, file, send = link[1][0]
            try:
                data = file.read(self.IO_SIZE)
            except EnvironmentError:
                data = b""
            if data:
                link[0] += len(data)
                send(data)
            else:
                link[1].popleft()
                file.close()
                sender.close()

    def on_lost(self, context_id):
        with self.lock:
            for stream, link in list(self.links.items()):
                for item in [item for item in link[1] if item[0].context.context_id == context_id]:
                    item[1].close()
                    link[1].remove(item)
                if stream.gone:
                    del self.links[stream]
                else:
                    # A lost context acknowledges nothing. Do not let the other transfers wait for it.
                    link[0] = 0
                    self.go_on(link)

    def on_shutdown(self):
        with self.lock:
            for link in self.links.values():
                for sender, file, _ in link[1]:
                    file.close()
                    sender.close()
            self.links.clear()

    @classmethod
    def get(cls, context, path, out_fp):
        """Fetch `path` from `context`. Returns whether it is complete, and its metadata."""
        receiver = core.Receiver()
        try:
            metadata = context.call_service(
                cls.name(), u"fetch", path=path, sender=receiver.to_sender()
            )
            received = 0
            for msg in receiver:
                context.call_service_no_reply(cls.name(), u"acknowledge", size=len(msg.data))
                received += len(msg.data)
                out_fp.write(msg.data)
        finally:
            receiver.close()
        return received == metadata["size"], metadata


class PushFileService(Service):
    """Distributes small files to many contexts. Each file is sent once over each link (docs/protocol.md#pushfileservice)."""

    def __init__(self, router):
        Service.__init__(self, router)
        self.changed = threading.Condition()
        self.cache = {}
        # By path: contexts that wait for a file which has not arrived yet.
        self.waiters = {}
        # By link: the paths that were sent over it.
        self.sent = {}
        core.router.on_lost.append(self.on_lost)

    def on_lost(self, context_id):
        with self.changed:
            for stream in [stream for stream in self.sent if stream.gone]:
                del self.sent[stream]

    def get(self, path):
        """Wait for the contents of `path`."""
        path = core.as_text(path)
        with self.changed:
            while path not in self.cache:
                # With a timeout, because Python 2 handles no signals during a wait without one.
                self.changed.wait(60)
            return self.cache[path]

    @expose(AllowParents())
    def propagate_to(self, context, path, overridden_source=None):
        path = core.as_text(path)
        data = overridden_source
        if data is None:
            with open(path, "rb") as file:
                data = file.read()
        with self.changed:
            if self.cache.get(path) != data:
                # A changed file is sent again.
                for sent in self.sent.values():
                    sent.discard(path)
            self.cache[path] = core.Blob(data)
        self.deliver(context, path)

    @expose(AllowParents())
    def propagate_paths_and_modules(self, context, paths, overridden_sources=None, extra_sys_paths=None):
        # `extra_sys_paths` is for a master, which sends modules; this context has none of its own.
        for path in paths:
            self.propagate_to(context, path, (overridden_sources or {}).get(path))

    @expose(AllowParents())
    @no_reply()
    def store_and_forward(self, path, data, context):
        path = core.as_text(path)
        with self.changed:
            self.cache[path] = data
            waiters = self.waiters.pop(path, [])
            self.changed.notify_all()
        for waiter in [context] + waiters:
            self.deliver(waiter, path)

    @expose(AllowParents())
    @no_reply()
    def forward(self, path, context):
        path = core.as_text(path)
        with self.changed:
            if path not in self.cache:
                self.waiters.setdefault(path, []).append(context)
                return
        self.deliver(context, path)

    def deliver(self, context, path):
        if context.context_id == core.context_id:
            return
        stream = core.router.stream_for(context.context_id)
        peer = core.router.context_by_id(stream.remote_id)
        with self.changed:
            first = path not in self.sent.setdefault(stream, set())
            self.sent[stream].add(path)
            data = self.cache[path]
            # Under the lock, so that the contents are sent before messages that refer to them.
            if first:
                peer.call_service_no_reply(
                    self.name(), u"store_and_forward", path=path, data=data, context=context
                )
            elif peer != context:
                peer.call_service_no_reply(self.name(), u"forward", path=path, context=context)


# The module is complete. Once more on the loop, which may be replacing the handler (`on_first`).
core.loop.defer(get_or_create_pool().listen)
