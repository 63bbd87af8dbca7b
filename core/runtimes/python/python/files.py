"""File transfers to and from this context: chunks with credit, checksum, resume, atomic rename.

`put` and `get` are calls; each starts a thread. Everything after that is messages between the two ends
of the transfer; core/ops/src/files implements the other end. File contents are BIN messages; all other
messages are tuples:

source to target: ("total", files, bytes), ("dir", name, mode, mtime), ("up",), ("link", name, to),
("file", name, size, mode, mtime, ask), ("from", offset), ("end", digest), ("changed",),
("skip", path, errno, text), ("fail", errno, path, text), ("finish",);
target to source: ("have", size, digest) if `ask` is true, ("credit", bytes), ("fail", ...), ("finished",).

Names are bytes, one path component each, so that a peer cannot name a path outside of the destination.
"""
import collections
import hashlib
import os
import stat

import mitogen.core as core

CHUNK = 262144
sessions = set()


class Cancelled(Exception):
    """The other end has cancelled the transfer."""


class Failure(Exception):
    """An error that concerns a path. `number` is an errno, or 0 if the error is not of a system call."""

    def __init__(self, number, path, text=None):
        Exception.__init__(self, number, path, text)
        self.fields = number, path, core.as_text(text or os.strerror(number))


def put(handle, dest, into, options):
    """Start to receive to `dest`, or into it if it is a directory. `into`: it must be a directory."""
    return Target(handle, options).start(dest, into)


def get(handle, paths, options):
    """Start to send the files and directories `paths`."""
    return Source(handle, options).start(paths)


class Session(object):
    """One end of a transfer, on a thread of its own. The loop passes its messages to it."""

    def __init__(self, handle, options):
        self.caller = core.loop.caller
        self.handle = handle
        self.options = options
        self.items = collections.deque()
        self.ready = core._thread.allocate_lock()

    def start(self, *args):
        self.control = core.router.add_handler(
            self.on_message, policy=lambda msg, stream: msg.src_id == self.caller
        )
        sessions.add(self)
        core._thread.start_new_thread(self.guarded, args)
        return {u"control": self.control}

    def on_message(self, msg):
        self.items.append(msg)
        try:
            self.ready.release()
        except Exception:
            # The lock is free already: the thread is running.
            pass

    def next(self):
        while not self.items:
            self.ready.acquire()
        msg = self.items.popleft()
        if msg.is_dead:
            raise Cancelled()
        return msg

    def send_op(self, *fields):
        core.send(self.caller, self.handle, b"".join(core.dumps(fields)), core.PKL)

    def guarded(self, *args):
        try:
            try:
                self.run(*args)
            finally:
                sessions.discard(self)
                core.router.del_handler(self.control)
        except Cancelled:
            pass
        except Failure as exc:
            self.send_op(u"fail", *exc.fields)
        except EnvironmentError as exc:
            self.send_op(u"fail", exc.errno or 0, core.as_text(exc.filename or "").encode("utf-8"),
                      core.as_text(exc.strerror or str(exc)))
        except BaseException as exc:
            self.send_op(u"fail", 0, b"", core.describe(exc))


def attempt(path, func, *args):
    """Call `func(*args)`. An error of a system call becomes a Failure with `path`."""
    try:
        return func(*args)
    except EnvironmentError as exc:
        raise Failure(exc.errno or 0, path, None if exc.errno else str(exc))


def mtime_of(status):
    return status.st_mtime_ns if core.PY3 else int(status.st_mtime * 1000000000)


def set_mtime(path, mtime):
    if core.PY3:
        os.utime(path, ns=(mtime, mtime))
    else:
        os.utime(path, (mtime / 1e9, mtime / 1e9))


class Target(Session):
    """The end that writes. An incomplete file has a temporary name, see `part_of`."""

    def run(self, dest, into):
        self.owner = owner_of(self.options.get("owner"))
        self.stack = []
        self.unacked = 0
        self.dest = dest.rstrip(b"/") or b"/"
        self.inside = os.path.isdir(dest)
        if into and not self.inside:
            found = os.path.lexists(self.dest)
            raise Failure(20 if found else 2, dest)
        while True:
            op = self.next().unpickle()
            if op[0] == u"finish":
                break
            if op[0] == u"fail":
                raise Cancelled()
            if op[0] not in (u"dir", u"up", u"link", u"file"):
                continue
            getattr(self, "on_" + str(op[0]))(*op[1:])
        self.send_op(u"finished")

    def path_of(self, name):
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise Failure(22, name)
        if self.stack:
            return os.path.join(self.stack[-1][0], name)
        return os.path.join(self.dest, name) if self.inside else self.dest

    def on_dir(self, name, mode, mtime):
        path = self.path_of(name)
        try:
            status = os.lstat(path)
        except EnvironmentError:
            attempt(path, os.mkdir, path, 0o700)
            self.own(path)
            self.stack.append((path, mode, mtime))
        else:
            if not stat.S_ISDIR(status.st_mode):
                raise Failure(20, path)
            # An existing directory keeps its mode.
            self.stack.append((path, None, mtime))

    def on_up(self):
        path, mode, mtime = self.stack.pop()
        if mode is not None:
            attempt(path, os.chmod, path, mode & 0o777)
            attempt(path, set_mtime, path, mtime)

    def on_link(self, name, target):
        path = self.path_of(name)
        part = part_of(path)
        if os.path.isdir(path) and not os.path.islink(path):
            raise Failure(21, path)
        if os.path.lexists(part):
            attempt(part, os.unlink, part)
        attempt(path, os.symlink, target, part)
        if self.owner:
            attempt(path, os.lchown, part, *self.owner)
        self.rename(part, path)

    def rename(self, part, path):
        try:
            os.rename(part, path)
        except EnvironmentError as exc:
            os.unlink(part)
            raise Failure(exc.errno, path)

    def own(self, path):
        if self.owner:
            attempt(path, os.chown, path, *self.owner)

    def on_file(self, name, size, mode, mtime, ask):
        path = self.path_of(name)
        if os.path.isdir(path) and not os.path.islink(path):
            raise Failure(21, path)
        part = part_of(path)
        fd = open_part(part, path, not ask)
        keep = ask
        try:
            digest = hashlib.sha256()
            have = 0
            if ask:
                have = os.fstat(fd).st_size
                have = have if have <= size else 0
                have = digest_upto(fd, have, digest)
                self.send_op(u"have", have, digest.hexdigest().encode())
                op = self.next().unpickle()
                if op[0] != u"from":
                    raise Cancelled()
                if op[1] != have:
                    have = 0
                    digest = hashlib.sha256()
            attempt(path, os.ftruncate, fd, have)
            os.lseek(fd, have, 0)
            try:
                ending = self.contents(fd, path, digest)
                if ending[0] == u"changed":
                    keep = False
                if ending[0] != u"end":
                    raise Cancelled()
                if ending[1] != digest.hexdigest().encode() or os.lseek(fd, 0, 1) != size:
                    keep = False
                    raise Failure(0, path, u"checksum mismatch: the received contents differ from the source")
                self.set_metadata(fd, path, part, mode, mtime)
            except Failure as exc:
                # ENOSPC and EDQUOT: free the space.
                keep = keep and exc.fields[0] not in (28, 122)
                raise
        except BaseException:
            if not keep:
                os.unlink(part)
            raise
        finally:
            os.close(fd)
        self.rename(part, path)

    def contents(self, fd, path, digest):
        """Write received contents. Returns the tuple that follows them."""
        while True:
            msg = self.next()
            if msg.enc != core.BIN:
                return msg.unpickle()
            data = memoryview(msg.data) if core.PY3 else msg.data
            digest.update(data)
            while data:
                data = data[attempt(path, os.write, fd, data):]
            self.unacked += len(msg.data)
            if self.unacked >= self.options["credit"]:
                self.send_op(u"credit", self.unacked)
                self.unacked = 0

    def set_metadata(self, fd, path, part, mode, mtime):
        """Set owner, mode and modification time."""
        wanted = self.options.get("mode")
        if self.owner:
            attempt(path, os.fchown, fd, *self.owner)
        elif not os.geteuid():
            # As root: a replaced file keeps its owner.
            try:
                old = os.lstat(path)
                os.fchown(fd, old.st_uid, old.st_gid)
            except EnvironmentError:
                pass
        attempt(path, os.fchmod, fd, mode & 0o777 if wanted is None else wanted)
        attempt(path, set_mtime, part, mtime)
        if self.options.get("sync"):
            attempt(path, os.fsync, fd)


def part_of(path):
    """The name of an incomplete file: in the same directory, because a rename works within a file system."""
    head, name = os.path.split(path)
    if len(name) > 230:
        name = name[:190] + hashlib.sha256(name).hexdigest()[:32].encode()
    return os.path.join(head, b"." + name + b".mitogen-part")


def open_part(part, path, fresh):
    """Open the partial file. A link, or a file of another user, of that name is replaced, never written."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
    fd = None
    try:
        fd = os.open(part, flags, 0o600)
        status = os.fstat(fd)
        if (
            not fresh and stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            and status.st_nlink == 1
        ):
            core.cloexec(fd)
            return fd
    except EnvironmentError as exc:
        # A link (ELOOP, EMLINK), a pipe without a reader, or no permission: replace it.
        if exc.errno not in (40, 31, 62, 6, 13):
            raise Failure(exc.errno, path)
    if fd is not None:
        os.close(fd)
    if os.path.lexists(part):
        attempt(path, os.unlink, part)
    fd = attempt(path, os.open, part, flags | os.O_EXCL, 0o600)
    core.cloexec(fd)
    return fd


def digest_upto(fd, size, digest):
    """Feed the first `size` bytes to `digest`. Returns how many there were."""
    os.lseek(fd, 0, 0)
    done = 0
    while done < size:
        data = os.read(fd, min(CHUNK, size - done))
        if not data:
            break
        digest.update(data)
        done += len(data)
    return done


def owner_of(text):
    """Parse `user[:group]` to numbers. -1 leaves the owner or group unchanged."""
    if not text:
        return None
    user, colon, group = core.as_text(text).partition(u":")
    uid = gid = -1
    try:
        if user.isdigit():
            uid = int(user)
        elif user:
            import pwd
            found = pwd.getpwnam(str(user))
            uid = found.pw_uid
            if colon and not group:
                gid = found.pw_gid
        if group.isdigit():
            gid = int(group)
        elif group:
            import grp
            gid = grp.getgrnam(str(group)).gr_gid
    except KeyError:
        raise Failure(0, b"", u"no such user or group: %s" % core.as_text(text))
    return uid, gid


class Source(Session):
    """The end that reads. A file that cannot be read is skipped and reported."""

    def run(self, paths):
        self.credit = self.options["window"]
        total = [0, 0]
        for path in paths:
            self.measure(path, attempt(path, os.stat, path), total)
        self.send_op(u"total", *total)
        for path in paths:
            name = os.path.basename(path.rstrip(b"/")) or b"root"
            if name in (b".", b".."):
                name = os.path.basename(os.path.abspath(path)) or b"root"
            self.entry(path, name, attempt(path, os.stat, path))
        self.send_op(u"finish")
        # Wait until the target has finished.
        while self.next().unpickle()[0] not in (u"finished", u"fail"):
            pass

    def measure(self, path, status, total):
        if stat.S_ISDIR(status.st_mode):
            for name in self.names(path):
                try:
                    self.measure(os.path.join(path, name), os.lstat(os.path.join(path, name)), total)
                except EnvironmentError:
                    pass
        elif stat.S_ISREG(status.st_mode):
            total[0] += 1
            total[1] += status.st_size

    def names(self, path):
        try:
            return sorted(os.listdir(path))
        except EnvironmentError:
            return []

    def entry(self, path, name, status):
        kind = status.st_mode
        try:
            if stat.S_ISREG(kind):
                self.file(path, name)
            elif stat.S_ISLNK(kind):
                self.send_op(u"link", name, os.readlink(path))
            elif stat.S_ISDIR(kind):
                names = sorted(os.listdir(path))
                self.send_op(u"dir", name, stat.S_IMODE(kind), mtime_of(status))
                for name in names:
                    below = os.path.join(path, name)
                    try:
                        status = os.lstat(below)
                    except EnvironmentError as exc:
                        self.skip(below, exc)
                    else:
                        self.entry(below, name, status)
                self.send_op(u"up")
            else:
                self.send_op(u"skip", path, 0, u"neither a file, a directory nor a symbolic link")
        except EnvironmentError as exc:
            self.skip(path, exc)

    def skip(self, path, exc):
        self.send_op(u"skip", path, exc.errno or 0, core.as_text(exc.strerror or str(exc)))

    def file(self, path, name):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            core.cloexec(fd)
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                return self.send_op(u"skip", path, 0, u"no longer a regular file")
            size = before.st_size
            # For small files, resuming costs more than sending them again.
            ask = bool(self.options.get("resume")) and size >= self.options["resume_threshold"]
            self.send_op(u"file", name, size, stat.S_IMODE(before.st_mode), mtime_of(before), ask)
            digest = hashlib.sha256()
            offset = 0
            if ask:
                op = self.answer()
                offset = min(op[1], size)
                if digest_upto(fd, offset, digest) != offset or digest.hexdigest().encode() != op[2]:
                    offset = 0
                    digest = hashlib.sha256()
                os.lseek(fd, offset, 0)
                self.send_op(u"from", offset)
            while offset < size:
                data = attempt(path, os.read, fd, min(CHUNK, size - offset))
                if not data:
                    break
                self.take_credit(len(data))
                core.send(self.caller, self.handle, data, core.BIN)
                digest.update(data)
                offset += len(data)
            after = os.fstat(fd)
            if offset != size or (after.st_size, after.st_mtime) != (size, before.st_mtime):
                self.send_op(u"changed")
                raise Failure(0, path, u"the source changed while it was read")
            self.send_op(u"end", digest.hexdigest().encode())
        finally:
            os.close(fd)

    def answer(self):
        while True:
            op = self.next().unpickle()
            if op[0] == u"credit":
                self.credit += op[1]
            elif op[0] == u"fail":
                raise Cancelled()
            else:
                return op

    def take_credit(self, size):
        """Wait until the credit allows `size` bytes, and take them from it."""
        while self.items or self.credit < size:
            op = self.next().unpickle()
            if op[0] == u"fail":
                raise Cancelled()
            if op[0] == u"credit":
                self.credit += op[1]
        self.credit -= size


def on_lost(context_id):
    for session in list(sessions):
        if session.caller == context_id:
            session.on_message(core.Message.dead())


core.router.on_lost.append(on_lost)
