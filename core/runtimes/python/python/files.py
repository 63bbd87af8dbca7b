"""Files to and from this context: raw chunks with credit, a checksum at the end, resume, atomic rename.

`put` and `get` are called; each starts a thread, and what follows are messages between two ends, of
which core/ops/src/files has the other. A file's contents are BIN; all else is a tuple:

source to target: ("total", files, bytes), ("dir", name, mode, mtime), ("up",), ("link", name, to),
("file", name, size, mode, mtime, ask), ("from", offset), ("end", digest), ("changed",),
("skip", path, errno, text), ("fail", errno, path, text), ("finish",);
target to source: ("have", size, digest) if it was asked, ("credit", bytes), ("fail", ...), ("finished",).

Names are bytes, one component each: nothing that the other end says leads out of the tree.
"""
import collections
import hashlib
import os
import stat

import mitogen.core as core

CHUNK = 262144
sessions = set()


class Gone(Exception):
    """The other end has lost interest."""


class Failure(Exception):
    """What goes wrong with a path; 0 stands for an error that no system call has given."""

    def __init__(self, number, path, text=None):
        Exception.__init__(self, number, path, text)
        self.fields = number, path, core.as_text(text or os.strerror(number))


def put(handle, dest, into, options):
    """Start to receive at `dest`, or in it if it is a directory (or `into` says that it must be)."""
    return Target(handle, options).start(dest, into)


def get(handle, paths, options):
    """Start to send what is at `paths`."""
    return Source(handle, options).start(paths)


class Session(object):
    """One end of a transfer, on a thread of its own; messages come to it by way of the loop."""

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
            # It is awake.
            pass

    def next(self):
        while not self.items:
            self.ready.acquire()
        msg = self.items.popleft()
        if msg.is_dead:
            raise Gone()
        return msg

    def tell(self, *fields):
        core.send(self.caller, self.handle, b"".join(core.dumps(fields)), core.PKL)

    def guarded(self, *args):
        try:
            try:
                self.run(*args)
            finally:
                sessions.discard(self)
                core.router.del_handler(self.control)
        except Gone:
            pass
        except Failure as exc:
            self.tell(u"fail", *exc.fields)
        except EnvironmentError as exc:
            self.tell(u"fail", exc.errno or 0, core.as_text(exc.filename or "").encode("utf-8"),
                      core.as_text(exc.strerror or str(exc)))
        except BaseException as exc:
            self.tell(u"fail", 0, b"", core.describe(exc))


def attempt(path, func, *args):
    """`func(*args)`; a system call that fails does so with `path`."""
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
    """Writes. The part of a file that has arrived is kept under a name of its own until it is whole."""

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
                raise Gone()
            if op[0] not in (u"dir", u"up", u"link", u"file"):
                continue
            getattr(self, "on_" + str(op[0]))(*op[1:])
        self.tell(u"finished")

    def place(self, name):
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise Failure(22, name)
        if self.stack:
            return os.path.join(self.stack[-1][0], name)
        return os.path.join(self.dest, name) if self.inside else self.dest

    def on_dir(self, name, mode, mtime):
        path = self.place(name)
        try:
            status = os.lstat(path)
        except EnvironmentError:
            attempt(path, os.mkdir, path, 0o700)
            self.own(path)
            self.stack.append((path, mode, mtime))
        else:
            if not stat.S_ISDIR(status.st_mode):
                raise Failure(20, path)
            # It was here before: how it looks is not ours to change.
            self.stack.append((path, None, mtime))

    def on_up(self):
        path, mode, mtime = self.stack.pop()
        if mode is not None:
            attempt(path, os.chmod, path, mode & 0o777)
            attempt(path, set_mtime, path, mtime)

    def on_link(self, name, target):
        path = self.place(name)
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
        path = self.place(name)
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
                self.tell(u"have", have, digest.hexdigest().encode())
                op = self.next().unpickle()
                if op[0] != u"from":
                    raise Gone()
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
                    raise Gone()
                if ending[1] != digest.hexdigest().encode() or os.lseek(fd, 0, 1) != size:
                    keep = False
                    raise Failure(0, path, u"checksum mismatch: the received contents differ from the source")
                self.settle(fd, path, part, mode, mtime)
            except Failure as exc:
                # A full disk is not left full.
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
        """Write what comes; gives the tuple that follows it."""
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
                self.tell(u"credit", self.unacked)
                self.unacked = 0

    def settle(self, fd, path, part, mode, mtime):
        """All but the name: owner, mode, time."""
        wanted = self.options.get("mode")
        if self.owner:
            attempt(path, os.fchown, fd, *self.owner)
        elif not os.geteuid():
            # A file that is replaced stays with whom it belongs to.
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
    """Where a file waits until it is whole: beside its place, since names are moved within one disk."""
    head, name = os.path.split(path)
    if len(name) > 230:
        name = name[:190] + hashlib.sha256(name).hexdigest()[:32].encode()
    return os.path.join(head, b"." + name + b".mitogen-part")


def open_part(part, path, fresh):
    """The part, open. What others may have put in its place is not touched: neither a link nor their file."""
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
        # A link (ELOOP, EMLINK), a pipe that nobody reads, a part that is not ours: try without it.
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
    """Digest the first `size` bytes; how many there were."""
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
    """The user and group of `user[:group]`, as numbers; -1 leaves what is."""
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
    """Reads. What cannot be read is skipped, and told of."""

    def run(self, paths):
        self.room = self.options["window"]
        total = [0, 0]
        for path in paths:
            self.measure(path, attempt(path, os.stat, path), total)
        self.tell(u"total", *total)
        for path in paths:
            name = os.path.basename(path.rstrip(b"/")) or b"root"
            if name in (b".", b".."):
                name = os.path.basename(os.path.abspath(path)) or b"root"
            self.entry(path, name, attempt(path, os.stat, path))
        self.tell(u"finish")
        # The last word is the target's.
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
                self.tell(u"link", name, os.readlink(path))
            elif stat.S_ISDIR(kind):
                names = sorted(os.listdir(path))
                self.tell(u"dir", name, stat.S_IMODE(kind), mtime_of(status))
                for name in names:
                    below = os.path.join(path, name)
                    try:
                        status = os.lstat(below)
                    except EnvironmentError as exc:
                        self.skip(below, exc)
                    else:
                        self.entry(below, name, status)
                self.tell(u"up")
            else:
                self.tell(u"skip", path, 0, u"neither a file, a directory nor a symbolic link")
        except EnvironmentError as exc:
            self.skip(path, exc)

    def skip(self, path, exc):
        self.tell(u"skip", path, exc.errno or 0, core.as_text(exc.strerror or str(exc)))

    def file(self, path, name):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            core.cloexec(fd)
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                return self.tell(u"skip", path, 0, u"no longer a regular file")
            size = before.st_size
            # What can be had again in a moment is not worth the question.
            ask = bool(self.options.get("resume")) and size >= self.options["resume_threshold"]
            self.tell(u"file", name, size, stat.S_IMODE(before.st_mode), mtime_of(before), ask)
            digest = hashlib.sha256()
            offset = 0
            if ask:
                op = self.answer()
                offset = min(op[1], size)
                if digest_upto(fd, offset, digest) != offset or digest.hexdigest().encode() != op[2]:
                    offset = 0
                    digest = hashlib.sha256()
                os.lseek(fd, offset, 0)
                self.tell(u"from", offset)
            while offset < size:
                data = attempt(path, os.read, fd, min(CHUNK, size - offset))
                if not data:
                    break
                self.spend(len(data))
                core.send(self.caller, self.handle, data, core.BIN)
                digest.update(data)
                offset += len(data)
            after = os.fstat(fd)
            if offset != size or (after.st_size, after.st_mtime) != (size, before.st_mtime):
                self.tell(u"changed")
                raise Failure(0, path, u"the source changed while it was read")
            self.tell(u"end", digest.hexdigest().encode())
        finally:
            os.close(fd)

    def answer(self):
        while True:
            op = self.next().unpickle()
            if op[0] == u"credit":
                self.room += op[1]
            elif op[0] == u"fail":
                raise Gone()
            else:
                return op

    def spend(self, size):
        """Take room for `size` bytes, when there is some."""
        while self.items or self.room < size:
            op = self.next().unpickle()
            if op[0] == u"fail":
                raise Gone()
            if op[0] == u"credit":
                self.room += op[1]
        self.room -= size


def on_lost(context_id):
    for session in list(sessions):
        if session.caller == context_id:
            session.on_message(core.Message.dead())


core.router.on_lost.append(on_lost)
