"""Runs programs for the master, several at a time, with streamed input and output.

The caller calls `start`; everything after that is messages. To the caller: BIN `1` (stdout) or `2`
(stderr) followed by output, ("credit", n) for n bytes of input that were written to the program, and
finally ("exit", code, signal). From the caller: BIN input, ("eof",), ("ack", n) for n bytes of output
that were consumed, and ("signal", number), which is sent to the process group.
"""
import collections
import os
import signal

import mitogen.core as core
from mitogen.process import Process, at, on_fork, spawn, wait_all

running = set()


def start(argv, handle, options=None):
    """Start `argv`. Returns {"pid", "control"}, the latter a handle. Raises OSError on failure."""
    options = options or {}
    command = Command(core.loop.caller, handle, options.get("window") or 1048576)
    command.start(argv, options)
    return {u"pid": command.pid, u"control": command.control}


def preload(names):
    """Import the modules that later commands will need."""
    for name in names:
        __import__(name)


class Command(object):
    """One program. Its descriptors are only read and written on the loop."""

    def __init__(self, caller, handle, window):
        self.caller = caller
        self.handle = handle
        self.window = window
        self.unacked = 0
        self.input = collections.deque()
        self.input_fd = None
        self.input_ended = False
        self.paused = False
        self.status = None
        self.outputs = {}

    def start(self, argv, options):
        fds = []
        try:
            if options.get("stdin"):
                stdin, self.input_fd = os.pipe()
                core.cloexec(self.input_fd)
                core.nonblock(self.input_fd)
            else:
                stdin = os.open(os.devnull, os.O_RDONLY)
            fds.append(stdin)
            for kind in b"1", b"2":
                rfd, wfd = core.pipe()
                self.outputs[rfd] = kind
                fds.append(wfd)
            self.pid = self.launch(argv, fds, options)
        except BaseException:
            self.close()
            raise
        finally:
            for fd in fds:
                os.close(fd)
        self.control = core.router.add_handler(
            self.on_control, policy=lambda msg, stream: msg.src_id == self.caller
        )
        core.loop.defer(self.begin)

    def launch(self, argv, fds, options):
        """Start the program with `fds` as its descriptors 0, 1 and 2. Returns its pid."""
        return spawn(argv, fds, options.get("env"), options.get("cwd"))

    def watch(self):
        return Process(self.pid, self.on_exit)

    def begin(self):
        running.add(self)
        self.process = self.watch()
        for fd in self.outputs:
            core.loop.add(fd, self.on_output)

    # From the program

    def on_output(self, events=None):
        """Forward output as far as the caller's window allows."""
        for fd in list(self.outputs):
            while self.unacked < self.window:
                try:
                    data = os.read(fd, min(65536, self.window - self.unacked))
                except EnvironmentError:
                    if core.temporary():
                        break
                    data = b""
                if not data:
                    core.loop.remove(fd)
                    del self.outputs[fd]
                    os.close(fd)
                    break
                self.unacked += len(data)
                self.send(self.kind(fd) + data, core.BIN)
        full = self.unacked >= self.window
        if full != self.paused:
            self.paused = full
            for fd in self.outputs:
                core.loop.remove(fd) if full else core.loop.add(fd, self.on_output)
        # Other processes may hold the pipes open after the program has exited: its output ends with
        # what the pipes contain at that time.
        if self.status is not None and not full:
            self.finish()

    def kind(self, fd):
        return self.outputs[fd]

    def on_exit(self, code, number):
        self.status = code, number
        self.on_output()

    def finish(self):
        if self in running:
            running.discard(self)
            core.router.del_handler(self.control)
            self.close()
            self.send(core.encode((u"exit",) + self.status, 2))

    def close(self):
        self.close_input()
        for fd in list(self.outputs):
            core.loop.remove(fd)
            os.close(fd)
            del self.outputs[fd]

    def send(self, data, enc=core.PKL):
        core.send(self.caller, self.handle, data, enc)

    # To the program

    def on_control(self, msg):
        if msg.is_dead:
            self.hang_up()
        elif msg.enc == core.BIN:
            self.input.append(msg.data)
            self.on_input()
        else:
            order = msg.unpickle()
            if order[0] == u"eof":
                self.input_ended = True
                self.on_input()
            elif order[0] == u"ack":
                self.unacked -= order[1]
                self.on_output()
            elif order[0] == u"signal":
                self.process.kill(order[1], True)

    def on_input(self, events=None):
        wrote = 0
        waiting = False
        while self.input and self.input_fd is not None:
            data = self.input.popleft()
            try:
                size = os.write(self.input_fd, data)
            except EnvironmentError:
                if core.temporary():
                    self.input.appendleft(data)
                    waiting = True
                    break
                # The program has closed its input. The rest counts as written, so that the sender does not wait.
                self.close_input()
                size = len(data)
            wrote += size
            if size < len(data):
                self.input.appendleft(data[size:])
        if self.input_fd is None:
            wrote += sum(map(len, self.input))
            self.input.clear()
        elif waiting:
            core.loop.add(self.input_fd, self.on_input, 4)
        else:
            core.loop.remove(self.input_fd)
            if self.input_ended:
                self.close_input()
        if wrote:
            self.send(core.encode((u"credit", wrote), 2))

    def close_input(self):
        if self.input_fd is not None:
            core.loop.remove(self.input_fd)
            os.close(self.input_fd)
            self.input_fd = None

    def hang_up(self):
        """The caller is gone: end the process group."""
        self.window = float("inf")
        self.process.kill(signal.SIGHUP, True)
        self.process.kill(signal.SIGCONT, True)
        at(1, lambda: self.process.kill(signal.SIGKILL, True) if self in running else None)


def on_lost(context_id):
    for command in list(running):
        if command.caller == context_id:
            command.hang_up()


def on_stop():
    commands = list(running)
    for command in commands:
        command.hang_up()
    wait_all([command.process for command in commands], 0.5)
    for command in commands:
        # Also other processes of the group, after the first has exited.
        command.process.kill(signal.SIGKILL, True)


core.router.on_lost.append(on_lost)
core.Exit.hooks.append(on_stop)
on_fork.append(running.clear)
