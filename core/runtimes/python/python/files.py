"""File transfers to and from this context: chunks with credit, checksum, resume, atomic rename.

`put` and `get` are calls; each starts a thread. Everything after that is messages between the two ends
of the transfer; core/ops/src/files implements the other end. File contents are BIN messages; all other
messages are tuples:

source to target: ("total", files, bytes), ("dir", name, mode, mtime), ("up",), ("link", name, to),
("file", name, size, mode, mtime, ask), ("from", offset), ("end", digest), ("changed",),
("skip", path, errno, text), ("fail", errno, path, text), ("finish",);
target to source: ("have", size, digest, in place) if `ask` is true, ("credit", bytes), ("fail", ...),
("finished",).

Names are bytes, one path component each, so that a peer cannot name a path outside of the destination. The
target writes relative to descriptors of directories and follows no link. Contents take credit, and so does
each directory, link, file and omission: `entry` bytes.
"""
import collections
import errno
import fcntl
import glob
import hashlib
import os
import stat
import sys

import mitogen.core as core

CHUNK = 262144
HOLE = b"\0" * 4096
# The mode of partial files: the sticky bit, which has no effect on files, marks them. The BSDs reserve it for root.
PART_MODE = 0o600 if "bsd" in sys.platform else 0o1600
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


def set_mtime(fd, path, mtime):
    if core.PY3:
        os.utime(fd, ns=(mtime, mtime))
    else:
        own = "/proc/self/fd/%d" % fd
        os.utime(own if os.path.exists(own) else path, (mtime / 1e9, mtime / 1e9))


def home_of(path):
    """The path with a leading `~` replaced by the user's home directory."""
    return os.path.expanduser(path) if path == b"~" or path[:2] == b"~/" else path


def is_same(one, other):
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


class Directory(object):
    """An open directory, in which names are resolved without following links."""

    def __init__(self, func, path, mode=None, mtime=None, flags=0):
        """`func(flags)` opens it. `mode` and `mtime` are set at the end, if given."""
        flags |= os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_CLOEXEC", 0)
        try:
            self.fd = func(flags)
        except EnvironmentError as exc:
            if exc.errno in (errno.ELOOP, errno.EMLINK):
                exc.errno = errno.ENOTDIR
            if exc.errno != errno.EACCES or sys.platform[:5] != "linux":
                raise Failure(exc.errno, path)
            # O_PATH: a directory that may be passed, but not read.
            self.fd = attempt(path, func, flags | 0o10000000)
        core.cloexec(self.fd)
        self.path = self.real = path
        self.mode = mode
        self.mtime = mtime

    def where(self, name):
        """Python 2 cannot name a file relative to a descriptor, but Linux can."""
        base = b"/proc/self/fd/%d" % self.fd
        if not os.path.isdir(base):
            base = self.real
            if not is_same(os.lstat(base), os.fstat(self.fd)):
                raise Failure(errno.ENOTDIR, base)
        return os.path.join(base, name)

    def do(self, func, name, *args):
        """Call a function of `os` for `name` in this directory."""
        if core.PY3:
            return func(name, *args, dir_fd=self.fd)
        return func(self.where(name), *args)

    def look(self, name):
        """The status of `name` itself, or None."""
        try:
            return self.do(os.lstat, name)
        except EnvironmentError as exc:
            if exc.errno != errno.ENOENT:
                raise Failure(exc.errno, os.path.join(self.path, name))

    def open(self, name, flags, mode=0):
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
        fd = self.do(os.open, name, flags, mode)
        core.cloexec(fd)
        return fd

    def enter(self, name, path, mode, mtime):
        below = Directory(
            lambda flags: self.do(os.open, name, flags, 0), path, mode, mtime, os.O_NOFOLLOW | os.O_NONBLOCK
        )
        below.real = os.path.join(self.real, name)
        return below

    def symlink(self, target, name):
        self.do(lambda name, **at: os.symlink(target, name, **at), name)

    def lchown(self, name, uid, gid):
        if core.PY3:
            os.chown(name, uid, gid, dir_fd=self.fd, follow_symlinks=False)
        else:
            os.lchown(self.where(name), uid, gid)

    def rename(self, part, name):
        if core.PY3:
            os.rename(part, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        else:
            os.rename(self.where(part), self.where(name))

    def holds(self, name, fd):
        """Whether `name` is the open file."""
        found = self.look(name)
        return bool(found) and is_same(found, os.fstat(fd))

    def discard(self, part, fd):
        if self.holds(part, fd):
            self.do(os.unlink, part)

    def open_part(self, name, path, fresh):
        """Continue or create a partial file that has no other writer. Returns its name and descriptor."""
        for part in part_names(name):
            new = True
            try:
                fd = self.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, PART_MODE)
            except EnvironmentError as exc:
                if exc.errno != errno.EEXIST:
                    raise Failure(exc.errno, path)
                new = False
                try:
                    fd = self.open(part, os.O_RDWR)
                except EnvironmentError:
                    # Not a partial file, or gone already.
                    continue
            try:
                if new or is_part(fd):
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        free = True
                    except EnvironmentError as exc:
                        # A file system without locks: no other process has opened a new file.
                        free = new and exc.errno != errno.EWOULDBLOCK
                    # Its writer may have put it in place or removed it before it was locked.
                    if free and self.holds(part, fd) and (new or is_part(fd)):
                        if fresh:
                            os.ftruncate(fd, 0)
                        found, fd = fd, None
                        return part, found
            finally:
                if fd is not None:
                    os.close(fd)
        raise Failure(errno.EEXIST, path)


def is_part(fd):
    status = os.fstat(fd)
    return (
        stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == PART_MODE
        and status.st_uid == os.geteuid() and status.st_nlink == 1
    )


def part_names(name):
    """The names for a partial file, in the same directory: a rename works within a file system. The second and
    later ones are for when others have the first."""
    if len(name) > 230:
        name = name[:190] + hashlib.sha256(name).hexdigest()[:32].encode()
    for number in range(1000):
        yield b"." + name + (".%d" % number if number else "").encode() + b".mitogen-part"


class Target(Session):
    """The end that writes. An incomplete file has a temporary name, see `part_names`."""

    def run(self, dest, into):
        self.stack = []
        try:
            self.receive(home_of(dest), into)
        finally:
            for directory in self.stack:
                os.close(directory.fd)

    def receive(self, dest, into):
        self.owner = owner_of(self.options.get("owner"))
        self.unacked = 0
        path = dest.rstrip(b"/") or b"/"
        self.name = None
        if not os.path.isdir(dest):
            if into:
                raise Failure(errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT, dest)
            path, self.name = os.path.split(path)
            if self.name in (b"", b".", b".."):
                raise Failure(errno.ENOENT, dest)
        try:
            real = os.path.realpath(path or b".")
            self.stack.append(Directory(lambda flags: os.open(real, flags), path))
            self.stack[0].real = real
        except Failure as exc:
            raise Failure(exc.fields[0], dest)
        while True:
            op = self.next().unpickle()
            if op[0] == u"finish":
                break
            if op[0] == u"fail":
                raise Cancelled()
            if op[0] not in (u"dir", u"up", u"link", u"file"):
                continue
            getattr(self, "on_" + str(op[0]))(*op[1:])
            self.acknowledge(self.options["entry"])
        self.send_op(u"finished")

    def acknowledge(self, size):
        self.unacked += size
        if self.unacked >= self.options["credit"]:
            self.send_op(u"credit", self.unacked)
            self.unacked = 0

    def place(self, name):
        """The directory, the name in it and the path of an entry."""
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise Failure(errno.EINVAL, name)
        directory = self.stack[-1]
        if len(self.stack) == 1 and self.name is not None:
            name = self.name
        return directory, name, os.path.join(directory.path, name)

    def on_dir(self, name, mode, mtime):
        directory, name, path = self.place(name)
        status = directory.look(name)
        if not status:
            try:
                attempt(path, directory.do, os.mkdir, name, 0o700)
            except Failure as exc:
                # Another transfer has made it in the meantime.
                if exc.fields[0] != errno.EEXIST:
                    raise
                status = True
        elif not stat.S_ISDIR(status.st_mode):
            raise Failure(errno.ENOTDIR, path)
        # An existing directory keeps its mode.
        self.stack.append(directory.enter(name, path, None if status else mode, mtime))
        if not status and self.owner:
            attempt(path, os.fchown, self.stack[-1].fd, *self.owner)

    def on_up(self):
        if len(self.stack) == 1:
            raise Failure(errno.EINVAL, b"..")
        directory = self.stack.pop()
        try:
            if directory.mode is not None:
                # Without the sticky bit, a directory that all may write to would be open to more than at the source.
                attempt(directory.path, os.fchmod, directory.fd, directory.mode & 0o3777)
                attempt(directory.path, set_mtime, directory.fd, directory.path, directory.mtime)
        finally:
            os.close(directory.fd)

    def on_link(self, name, target):
        if len(self.stack) == 1:
            # A later transfer would follow it as its destination.
            raise Failure(errno.EINVAL, name)
        directory, name, path = self.place(name)
        self.refuse_directory(directory, name, path)
        for part in part_names(name):
            try:
                directory.symlink(target, part)
                break
            except EnvironmentError as exc:
                if exc.errno != errno.EEXIST:
                    raise Failure(exc.errno, path)
        else:
            raise Failure(errno.EEXIST, path)
        try:
            if self.owner:
                attempt(path, directory.lchown, part, *self.owner)
            attempt(path, directory.rename, part, name)
        except BaseException:
            directory.do(os.unlink, part)
            raise

    def refuse_directory(self, directory, name, path):
        status = directory.look(name)
        if status and stat.S_ISDIR(status.st_mode):
            raise Failure(errno.EISDIR, path)

    def on_file(self, name, size, mode, mtime, ask):
        directory, name, path = self.place(name)
        self.refuse_directory(directory, name, path)
        part, fd = directory.open_part(name, path, not ask)
        keep = ask
        present = None
        try:
            digest = hashlib.sha256()
            have = 0
            if ask:
                have = os.fstat(fd).st_size
                have = digest_upto(fd, have if have <= size else 0, digest)
                if not have and size:
                    present = self.candidate(directory, name, size)
                    if present is not None:
                        # A digest of its own: the part must not continue another file.
                        before = os.fstat(present)
                        digest = hashlib.sha256()
                        have = digest_upto(present, size, digest)
                        if have != size:
                            have = 0
                            digest = hashlib.sha256()
                            os.close(present)
                            present = None
                self.send_op(u"have", have, digest.hexdigest().encode(), present is not None)
                op = self.next().unpickle()
                if op[0] != u"from":
                    raise Cancelled()
                if op[1] != have:
                    have = 0
                    digest = hashlib.sha256()
                if present is not None and have != size:
                    os.close(present)
                    present = None
            if present is None:
                attempt(path, os.ftruncate, fd, have)
            try:
                ending, have = self.contents(fd, path, digest, have, size)
                if ending[0] == u"changed":
                    keep = False
                if ending[0] != u"end":
                    raise Cancelled()
                if ending[1] != digest.hexdigest().encode() or have != size:
                    keep = False
                    raise Failure(0, path, u"checksum mismatch: the received contents differ from the source")
                # With other attributes than a part's, it would not be found again.
                keep = False
                if present is None:
                    # A hole at the end was not written.
                    attempt(path, os.ftruncate, fd, size)
                    self.set_metadata(fd, directory, name, path, part, mode, mtime)
                    if not directory.holds(part, fd):
                        raise Failure(0, path, u"its partial file was replaced during the transfer")
                    attempt(path, directory.rename, part, name)
                else:
                    after = os.fstat(present)
                    if after[6:9:2] != before[6:9:2] or not directory.holds(name, present):
                        raise Failure(0, path, u"it was changed by another program during the transfer")
                    self.set_metadata(present, directory, name, path, name, mode, mtime)
            except Failure as exc:
                # ENOSPC and EDQUOT: free the space. Too much: the part is not of the file.
                keep = keep and exc.fields[0] not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                raise
        finally:
            try:
                if not keep or present is not None:
                    directory.discard(part, fd)
            finally:
                os.close(fd)
                if present is not None:
                    os.close(present)

    def candidate(self, directory, name, size):
        """Open the file that is in place, if it has this size and may get the attributes of the source."""
        try:
            fd = directory.open(name, os.O_RDONLY)
        except EnvironmentError:
            return None
        status = os.fstat(fd)
        if (
            stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_nlink == 1
            and os.geteuid() in (0, status.st_uid)
        ):
            return fd
        os.close(fd)

    def contents(self, fd, path, digest, offset, size):
        """Write received contents. Returns the tuple that follows them, and where they end."""
        while True:
            msg = self.next()
            if msg.enc != core.BIN:
                return msg.unpickle(), offset
            if len(msg.data) > size - offset:
                raise Failure(errno.EFBIG, path, u"the source sent more than the announced size")
            digest.update(msg.data)
            attempt(path, write_sparse, fd, msg.data, offset)
            offset += len(msg.data)
            self.acknowledge(len(msg.data))

    def set_metadata(self, fd, directory, name, path, part, mode, mtime):
        """Set owner, mode and modification time. The owner first: a change of it clears set-ID bits."""
        wanted = self.options.get("mode")
        mode = mode & 0o777 if wanted is None else wanted
        if self.owner:
            attempt(path, os.fchown, fd, *self.owner)
        elif not os.geteuid():
            # As root: a replaced file keeps its owner.
            old = directory.look(name)
            try:
                if old:
                    os.fchown(fd, old.st_uid, old.st_gid)
            except EnvironmentError:
                # As another owner's, the file would get rights that were meant for the old one.
                mode &= 0o1777
        attempt(path, os.fchmod, fd, mode)
        attempt(path, set_mtime, fd, os.path.join(directory.path, part), mtime)
        if self.options.get("sync"):
            attempt(path, os.fsync, fd)


def write_sparse(fd, data, offset):
    """Write `data` at `offset`, except for blocks of zeros: the file ends there or has a hole."""
    size = len(data)
    start = 0
    while start < size:
        hole = data[start:start + 4096] == HOLE[:size - start]
        end = start + 4096
        while end < size and (data[end:end + 4096] == HOLE[:size - end]) == hole:
            end += 4096
        if not hole:
            os.lseek(fd, offset + start, 0)
            rest = memoryview(data)[start:end] if core.PY3 else data[start:end]
            while rest:
                rest = rest[os.write(fd, rest):]
        start = end


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
        paths = [found for path in paths for found in expand(path)]
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
                self.send_entry(u"link", name, os.readlink(path))
            elif stat.S_ISDIR(kind):
                names = sorted(os.listdir(path))
                self.send_entry(u"dir", name, stat.S_IMODE(kind), mtime_of(status))
                for name in names:
                    below = os.path.join(path, name)
                    try:
                        status = os.lstat(below)
                    except EnvironmentError as exc:
                        self.skip(below, exc)
                    else:
                        self.entry(below, name, status)
                self.send_entry(u"up")
            else:
                self.send_entry(u"skip", path, 0, u"neither a file, a directory nor a symbolic link")
        except EnvironmentError as exc:
            self.skip(path, exc)

    def send_entry(self, *fields):
        self.take_credit(self.options["entry"])
        self.send_op(*fields)

    def skip(self, path, exc):
        self.send_entry(u"skip", path, exc.errno or 0, core.as_text(exc.strerror or str(exc)))

    def file(self, path, name):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            core.cloexec(fd)
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                return self.send_entry(u"skip", path, 0, u"no longer a regular file")
            size = before.st_size
            # For small files, resuming costs more than sending them again.
            ask = bool(self.options.get("resume")) and size >= self.options["resume_threshold"]
            self.send_entry(u"file", name, size, stat.S_IMODE(before.st_mode), mtime_of(before), ask)
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


def expand(path):
    """The paths that a source stands for: a pattern, unless there is a file of that name, and `~` at the start."""
    path = home_of(path)
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        raise Failure(errno.ENOENT, path)
    return found


def on_lost(context_id):
    for session in list(sessions):
        if session.caller == context_id:
            session.on_message(core.Message.dead())


core.router.on_lost.append(on_lost)
