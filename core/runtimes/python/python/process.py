"""Starting programs, watching for their exit, and timers, for `mitogen.parent` and `mitogen.command`.

Does not use the subprocess module, which is slow to import and cannot set a controlling terminal.
Everything runs on the loop, except for `spawn`.
"""
import errno
import fcntl
import os
import signal
import struct
import sys
import termios

import mitogen.core as core


# signal.valid_signals() is a wrapper that takes as long as starting a program.
SIGNALS = getattr(core._signal, "valid_signals", tuple)()

# Functions that a forked copy calls to drop the state of the original process.
on_fork = []


def native(value):
    """Convert an argument to the type that exec takes."""
    if core.PY3 or isinstance(value, bytes):
        return value
    return value.encode("utf-8")


def merged(changes):
    """The environment with `changes` applied; None removes a variable."""
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
    and `tty`, if given, as its controlling terminal. Returns its pid; raises OSError if it could not
    be started."""
    argv = [native(arg) for arg in argv]
    env = merged(env)
    if cwd is None and tty is None and hasattr(os, "posix_spawn") and sys.platform == "linux":
        try:
            return posix_spawn(argv, files, env)
        except NotImplementedError:
            # The C library does not support `setsid`.
            pass
    status_r, status_w = os.pipe()
    core.cloexec(status_r)
    core.cloexec(status_w)
    pid = os.fork()
    if not pid:
        try:
            exec_program(argv, files, env, cwd, tty, status_w)
        except BaseException:
            number = getattr(sys.exc_info()[1], "errno", None)
            os.write(status_w, struct.pack("=i", number or errno.EINVAL))
        finally:
            os._exit(127)
    os.close(status_w)
    try:
        number = os.read(status_r, 4)
    finally:
        os.close(status_r)
    if number:
        os.waitpid(pid, 0)
        number = struct.unpack("=i", number)[0]
        raise OSError(number, os.strerror(number), argv[0])
    return pid


def posix_spawn(argv, files, env):
    """`spawn` by posix_spawn, which does not copy the page tables: for a large process that takes
    longer than everything else. It cannot set the directory or the terminal."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(files)]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in open_fds() if fd > 2]
    number = errno.ENOENT
    for path in [argv[0]] if os.path.dirname(argv[0]) else executables(argv[0], env):
        try:
            return os.posix_spawn(
                path, argv, env, file_actions=actions, setsid=True, setsigmask=(),
                setsigdef=SIGNALS
            )
        except (OSError, ValueError):
            # As execvpe does: status_r the error of the first existing file.
            if number in (errno.ENOENT, errno.ENOTDIR):
                number = getattr(sys.exc_info()[1], "errno", errno.EINVAL)
    raise OSError(number, os.strerror(number), argv[0])


def executables(name, env):
    paths = [os.path.join(place, name) for place in os.get_exec_path(env)]
    return [path for path in paths if os.path.lexists(path)]


def exec_program(argv, files, env, cwd, tty, status_w):
    """The child side of `spawn`. Does not return."""
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
    # None of `files` is below 3, because descriptors 0 to 2 are always open.
    for number, fd in enumerate(files):
        os.dup2(fd, number)
    for fd in open_fds():
        if fd > 2 and fd != status_w:
            try:
                os.close(fd)
            except OSError:
                pass
    if cwd is not None:
        os.chdir(native(cwd))
    os.execvpe(argv[0], argv, env)


def open_fds():
    """The open descriptors, and possibly some that are closed."""
    for path in "/proc/self/fd", "/dev/fd":
        try:
            return [int(name) for name in os.listdir(path)]
        except (OSError, ValueError):
            pass
    return range(3, 1024)


class Process(object):
    """A started program. `on_exit(code, signal)` is called on the loop when it exits."""

    def __init__(self, pid, on_exit):
        self.pid = pid
        self.on_exit = on_exit
        self.ended = False
        self.delay = 0.001
        self.pidfd = None
        try:
            self.pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            # pidfd_open is not available: poll.
            return self.poll()
        core.loop.add(self.pidfd, self.poll)

    def poll(self, events=None):
        if self.ended:
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except OSError:
            # The process was reaped elsewhere; its status is unknown.
            pid, status = self.pid, None
        if not pid:
            if self.pidfd is None:
                self.delay = min(self.delay * 1.5, 0.05)
                at(self.delay, self.poll)
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
        """Send a signal to the process, or to its group. Errors are ignored."""
        try:
            if group:
                os.killpg(self.pid, number)
            elif not self.ended:
                os.kill(self.pid, number)
        except OSError:
            pass


# Timers. The core has none


def at(delay, func):
    """Run `func()` on the loop in `delay` seconds. Returns the timer, for `cancel`."""
    timer = [core.clock() + delay, func]
    core.loop.timers.append(timer)
    core.loop.defer(int)
    return timer


def cancel(timer):
    if timer in core.loop.timers:
        core.loop.timers.remove(timer)


def run_timers(limit):
    """Run due timers. Returns how long the loop may wait."""
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
    """Run the loop until all have exited, at most `limit` seconds. Returns whether they have."""
    deadline = core.clock() + limit
    while not all(process.ended for process in processes):
        left = deadline - core.clock()
        if left <= 0:
            return False
        core.loop.pump(left)
    return True
