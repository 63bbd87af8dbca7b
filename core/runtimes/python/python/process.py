"""Starting programs, learning how they end, timers; for `mitogen.parent` and `mitogen.command`.

Does without the subprocess module, which is slow to import and cannot give a program a controlling
terminal. Everything here runs on the loop, except `spawn`.
"""
import errno
import fcntl
import os
import signal
import struct
import sys
import termios

import mitogen.core as core


# To list them as the signal module does takes as long as to start a program.
SIGNALS = getattr(core._signal, "valid_signals", tuple)()

# Called in a copy of this process, to forget what is the first one's.
on_fork = []


def native(value):
    """An argument as this Python's exec wants it."""
    if core.PY3 or isinstance(value, bytes):
        return value
    return value.encode("utf-8")


def merged(changes):
    """Our environment with `changes`, where None removes."""
    env = dict(os.environ)
    for key, value in (changes or {}).items():
        if isinstance(key, bytes) and core.PY3:
            key = os.fsdecode(key)
        if value is None:
            env.pop(native(key), None)
        else:
            env[native(key)] = native(value)
    return env


def spawn(argv, files, env=None, cwd=None, tty=None):
    """Start `argv` as the leader of a session of its own, with `files` as its first descriptors
    and `tty`, if given, as its controlling terminal. Gives its pid; OSError says why it could not
    be started."""
    argv = [native(arg) for arg in argv]
    env = merged(env)
    if cwd is None and tty is None and hasattr(os, "posix_spawn") and sys.platform == "linux":
        try:
            return spawn_quickly(argv, files, env)
        except NotImplementedError:
            # The system's library is too old for sessions.
            pass
    report, told = os.pipe()
    core.cloexec(report)
    core.cloexec(told)
    pid = os.fork()
    if not pid:
        try:
            become(argv, files, env, cwd, tty, told)
        except BaseException:
            number = getattr(sys.exc_info()[1], "errno", None)
            os.write(told, struct.pack("=i", number or errno.EINVAL))
        finally:
            os._exit(127)
    os.close(told)
    try:
        number = os.read(report, 4)
    finally:
        os.close(report)
    if number:
        os.waitpid(pid, 0)
        number = struct.unpack("=i", number)[0]
        raise OSError(number, os.strerror(number), argv[0])
    return pid


def spawn_quickly(argv, files, env):
    """The same without a copy of our memory, which costs more than all the rest, and more the larger
    we are. What this call cannot do is choose a directory or a terminal."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(files)]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in open_fds() if fd > 2]
    number = errno.ENOENT
    for path in [argv[0]] if os.path.dirname(argv[0]) else places(argv[0], env):
        try:
            return os.posix_spawn(
                path, argv, env, file_actions=actions, setsid=True, setsigmask=(),
                setsigdef=SIGNALS
            )
        except (OSError, ValueError):
            # As in the interpreter's own search: the first that is there and does not start says most.
            if number in (errno.ENOENT, errno.ENOTDIR):
                number = getattr(sys.exc_info()[1], "errno", errno.EINVAL)
    raise OSError(number, os.strerror(number), argv[0])


def places(name, env):
    paths = [os.path.join(place, name) for place in os.get_exec_path(env)]
    return [path for path in paths if os.path.lexists(path)]


def become(argv, files, env, cwd, tty, told):
    """The forked side of `spawn`: does not return."""
    os.setsid()
    for number in range(1, 65):
        try:
            if signal.getsignal(number) not in (None, signal.SIG_DFL):
                signal.signal(number, signal.SIG_DFL)
        except (ValueError, OSError, RuntimeError):
            pass
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if tty is not None:
        fcntl.ioctl(tty, termios.TIOCSCTTY, 0)
    # None of `files` is below 3: those descriptors are always taken.
    for number, fd in enumerate(files):
        os.dup2(fd, number)
    for fd in open_fds():
        if fd > 2 and fd != told:
            try:
                os.close(fd)
            except OSError:
                pass
    if cwd is not None:
        os.chdir(native(cwd))
    os.execvpe(argv[0], argv, env)


def open_fds():
    """The numbers of our open descriptors, and maybe some more."""
    for path in "/proc/self/fd", "/dev/fd":
        try:
            return [int(name) for name in os.listdir(path)]
        except (OSError, ValueError):
            pass
    return range(3, 1024)


class Process(object):
    """A program that was started; `on_exit(code, signal)` is called on the loop when it ends."""

    def __init__(self, pid, on_exit):
        self.pid = pid
        self.on_exit = on_exit
        self.ended = False
        self.delay = 0.001
        self.pidfd = None
        try:
            self.pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            # No such call here: look now and then.
            return self.look()
        core.loop.add(self.pidfd, self.look)

    def look(self, events=None):
        if self.ended:
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except OSError:
            # Somebody else has reaped it; how it ended is not known.
            pid, status = self.pid, None
        if not pid:
            if self.pidfd is None:
                self.delay = min(self.delay * 1.5, 0.05)
                at(self.delay, self.look)
            return
        self.ended = True
        if self.pidfd is not None:
            core.loop.remove(self.pidfd)
            os.close(self.pidfd)
        if status is None:
            self.on_exit(None, None)
        elif os.WIFSIGNALED(status):
            self.on_exit(None, os.WTERMSIG(status))
        else:
            self.on_exit(os.WEXITSTATUS(status), None)

    def kill(self, number, group=False):
        """Send a signal to it, or to all of its group; what is gone or not ours to signal is left."""
        try:
            if group:
                os.killpg(self.pid, number)
            elif not self.ended:
                os.kill(self.pid, number)
        except OSError:
            pass


# Timers, which a plain child has none of


def at(delay, func):
    """Run `func()` on the loop `delay` seconds from now; gives what `cancel` takes."""
    timer = [core.clock() + delay, func]
    core.loop.timers.append(timer)
    core.loop.defer(int)
    return timer


def cancel(timer):
    if timer in core.loop.timers:
        core.loop.timers.remove(timer)


def run_timers(limit):
    """Run what is due; gives how long the loop may wait."""
    now = core.clock()
    due = [timer for timer in core.loop.timers if timer[0] <= now]
    for timer in due:
        cancel(timer)
        core.loop.guard(timer[1])
    if due or core.loop.later:
        return 0
    times = [timer[0] - now for timer in core.loop.timers]
    return max(0, min(times + ([] if limit is None else [limit]))) if times else limit


core.loop.run_timers = run_timers


def wait_all(processes, limit):
    """Run the loop until all have ended, at most `limit` seconds; gives whether they have."""
    deadline = core.clock() + limit
    while not all(process.ended for process in processes):
        left = deadline - core.clock()
        if left <= 0:
            return False
        core.loop.pump(left)
    return True
