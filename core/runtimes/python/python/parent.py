"""Starting child contexts from plans, and ending them.

Sent to a child before it starts its first context. A plan (core/src/connect/plan.rs) is executed on the
loop: the program is started, its dialogue is run, and when the remote runtime reports that it is running,
the program's descriptors become a link like any other (mitogen.routes).
"""
import os
import signal
import termios
import _socket

import mitogen.core as core
from mitogen.dialogue import DOING, Engine, failure
from mitogen.plan import problem_of
from mitogen.process import Process, at, cancel, spawn, wait_all
from mitogen.routes import PROBE, children, forget_context, note_reason, queued, resume_sources, is_paused


# Programs without a link that have not exited yet.
terminating = set()

# Messages with parts of what contexts below are started with, by the parts' SHA-256: kept as they
# came, because most are only passed on.
blobs = {}


class Child(core.Stream):
    """A program while its context connects, and then the link to the context."""

    # Whether it runs a script, which mitogen.script ends.
    program = False
    corked = True
    up = False
    failed = False
    process = None
    diag = None
    ended = False
    detached = False
    status = None, None
    partial = b""
    active = True
    probes = backlog = 0

    def __init__(self, msg, request):
        core.Stream.__init__(self, None, None)
        # Modules and blobs that were sent to the context; contexts that it has sent messages to.
        self.sent = set(["mitogen", "mitogen.core"])
        self.egress = set()
        self.relayed = 0
        self.msg = msg
        self.plan = request["plan"]
        # Fields of a refused plan must not be accessed.
        self.problem = problem_of(self.plan)
        if self.problem:
            self.plan = {"start": "fork"}
        # Whether the program connects to another host, rather than is_paused for the context to exit.
        self.remote = bool(self.plan.get("destination"))
        self.argv = self.plan["start"]["spawn"]["argv"] if "spawn" in self.plan["start"] else []
        self.remote_id = request["id"]
        self.name = request["name"]
        self.config = request["config"]
        self.request = request
        # Whether it runs another runtime, which has other modules of the same names.
        self.foreign = request.get("runtime", u"python") != u"python"
        # Upstream releases before 0.3.39 reject frames whose header names an encoding.
        self.legacy = request.get("legacy_encoding_only")
        self.engine = Engine(self.plan.get("dialogue") or {}, self.plan.get("secrets") or {})
        # Header fields of queued frames, whose senders get an error if the context does not start.
        self.queued_headers = []

    def send(self, pieces, flush=True):
        if not self.up:
            self.queued_headers.append(core.unpack(pieces[0])[:6])
        if self.legacy:
            pieces = [b"MI" + bytes(pieces[0][2:])] + pieces[1:]
        core.Stream.send(self, pieces, flush)

    def flush(self):
        if not self.corked:
            core.Stream.flush(self)

    def start(self):
        core.routes[self.remote_id] = self
        children.add(self)
        if self.problem:
            return self.fail(failure("spawn", "invalid_plan", self.problem))
        try:
            self.preamble = b"".join(map(blob, self.request.get("blobs", ()))) + self.request.get("tail", b"")
            self.spawn()
        except (EnvironmentError, core.Error) as exc:
            self.close()
            text = str(exc)
            if isinstance(exc, EnvironmentError):
                text = "%s: %s" % (exc.strerror, (self.argv or ["fork"])[0])
            return self.fail(failure("spawn", "spawn_failed", core.as_text(text)))
        self.timer = at(self.plan["timeout"], self.on_timeout)
        if self.rfd is not None:
            self.on_open()

    def on_open(self):
        """The link is open: begin the dialogue."""
        core.loop.add(self.rfd, self.on_text)
        if self.diag is not None:
            core.loop.add(self.diag, self.on_diag)
        if self.plan.get("preamble", "immediately") == "immediately":
            self.uncork()

    def spawn(self):
        """Start the program with the descriptors that the plan specifies."""
        child_fds = []
        tty = None
        try:
            program = self.plan["start"]["spawn"]
            stdio = program.get("stdio")
            if stdio == "pipes":
                stdin, wfd = os.pipe()
                self.rfd, stdout = core.pipe()
                child_fds = [stdin, stdout]
            elif stdio == "tty":
                self.rfd, tty = open_tty()
                wfd = os.dup(self.rfd)
                child_fds = [tty, tty]
            else:
                self.rfd, end = socketpair()
                wfd = os.dup(self.rfd)
                child_fds = [end, end]
            self.wfd = wfd
            if stdio == "tty":
                child_fds.append(tty)
            elif stdio == "hybrid_tty":
                self.diag, tty = open_tty()
                child_fds.append(tty)
            else:
                self.diag, end = core.pipe()
                child_fds.append(end)
            for fd in self.rfd, self.wfd, self.diag:
                if fd is not None:
                    core.cloexec(fd)
                    core.nonblock(fd)
            pid = spawn(self.argv, child_fds, program.get("env"), None, tty)
        finally:
            for fd in set(child_fds):
                os.close(fd)
        self.process = Process(pid, self.on_exit)

    def uncork(self):
        if self.corked:
            self.out.insert(0, self.preamble)
            self.large = True
            self.corked = False
            self.flush()

    # Before the link is up

    def on_text(self, events=None):
        self.show("link", self.rfd)

    def on_diag(self, events=None):
        if not self.up:
            return self.show("diag", self.diag)
        data = self.read(self.diag)
        if data == b"":
            return self.close_diag()
        lines = (self.partial + (data or b"")).split(b"\n")
        self.partial = lines.pop()[-4096:]
        for line in lines:
            self.log(20, line.rstrip(b"\r"))

    def read(self, fd):
        """Read available data. None if there is none yet, empty at the end."""
        try:
            return os.read(fd, core.CHUNK_SIZE)
        except EnvironmentError:
            return None if core.temporary() else b""

    def show(self, source, fd):
        data = self.read(fd)
        if data is None or self.failed:
            return
        if not data:
            core.loop.remove(fd)
            if source == "diag":
                self.close_diag()
            else:
                self.ended = True
            for step in self.engine.eof(source):
                self.take(step, fd)
            return self.on_end()
        for step in self.engine.feed(source, data):
            if not self.failed:
                self.take(step, fd)

    def take(self, step, fd):
        kind = step[0]
        if kind == "write":
            if self.corked or step[1] != "link":
                os.write(self.diag if step[1] == "diag" else self.wfd, step[2])
            else:
                self.send([step[2]])
        elif kind == "ready":
            self.uncork()
        elif kind == "log":
            self.log(10, step[2])
        elif kind == "fail":
            self.fail(step[1])
        elif kind == "up":
            self.on_up(step[1])

    def log(self, level, line):
        if core.config["log_levels"][1] <= level:
            core.log(level, "mitogen.parent", u"%s: %s" % (
                core.as_text(self.name), core.as_text(line)
            ))

    def on_end(self):
        """Both sources have ended. Wait for the exit status, which is part of the error."""
        if self.ended and self.diag is None and not self.failed:
            if not self.process or self.process.ended:
                return self.fail(self.engine.failure("eof", *self.status))
            at(1, lambda: self.up or self.fail(self.engine.failure("eof", None, None)))

    def on_exit(self, code, number):
        terminating.discard(self.process)
        self.status = code, number
        if not self.up and not self.failed:
            # Its last output may still be in the pipes, or other processes may hold them open.
            at(0.01, self.after_exit)

    def after_exit(self):
        if self.up or self.failed:
            return
        if self.ended:
            self.fail(self.engine.failure("eof", *self.status))
        else:
            at(0.5, lambda: self.ended and not self.failed and self.fail(
                self.engine.failure("eof", *self.status)
            ))

    def on_timeout(self):
        if not self.up:
            self.fail(self.engine.failure("timeout", None, None))

    def fail(self, reason):
        """Fail: report the error to the caller, and to the senders of queued frames."""
        if self.failed or self.up:
            return
        self.failed = self.gone = True
        for number in [number for number, stream in core.routes.items() if stream is self]:
            del core.routes[number]
        del self.out[:]
        text = u"%s: %s: %s" % tuple(map(core.as_text, (self.name, DOING[reason["stage"]], reason["message"])))
        note_reason(self.remote_id, text)
        error = dict(reason)
        error.update({
            u"argv": self.redacted(), u"status": self.status[0], u"signal": self.status[1],
            u"output": self.engine.output(),
        })
        for fields in self.queued_headers:
            core.router.no_route(core.router.message(*fields + (b"",)))
        self.msg.reply({u"ok": False, u"error": error})
        # Intermediates on the route to the caller may have the route already.
        core.send(core.parent_ids[0], core.DEL_ROUTE, (
            u"%d:%s" % (self.remote_id, text)
        ).encode("utf-8"))
        self.close()
        self.end_process()

    def redacted(self):
        secrets = [core.as_text(value) for value in (self.plan.get("secrets") or {}).values() if value]
        argv = []
        for arg in self.argv:
            arg = core.as_text(arg)
            for secret in secrets:
                arg = arg.replace(secret, u"********")
            # As `Plan::printed_argv` does: the text of the bootstrap tells people nothing.
            argv.append(arg if len(arg) <= 120 else u"%s...(%d bytes)" % (arg[:60], len(arg.encode("utf-8"))))
        return argv

    def on_up(self, rest):
        self.up = True
        cancel(self.timer)
        core.send(core.parent_ids[0], core.ADD_ROUTE, (
            u"%d:%s" % (self.remote_id, core.as_text(self.name))
        ).encode("utf-8"))
        self.msg.reply({u"ok": True, u"name": core.as_text(self.name)})
        keepalive = self.plan.get("keepalive")
        # Free the secrets.
        self.msg = self.config = self.request = self.preamble = self.engine = self.plan = None
        self.queued_headers = ()
        core.loop.add(self.rfd, self.on_receive)
        self.flush()
        if keepalive:
            self.check_keepalive(keepalive["interval"], keepalive["count"])
        self.on_data(rest)

    # After

    def on_receive(self, events=None):
        self.active = True
        core.Stream.on_receive(self, events)

    def check_keepalive(self, interval, count):
        """Close a link without traffic for too long; see core/src/router/keepalive.rs."""
        if self.gone:
            return
        backlog = queued(self)
        if self.active or backlog < self.backlog or is_paused(self):
            self.probes = 0
        elif self.probes < count:
            self.probes += 1
            core.router.route(core.Message(self.remote_id, PROBE, b"", PROBE, core.MGC))
        else:
            self.log(30, "link lost: no traffic for %s s, %d keep-alive probes unanswered" % (
                interval * (count + 1), count
            ))
            return self.on_disconnect()
        self.active = False
        self.backlog = backlog
        at(interval, lambda: self.check_keepalive(interval, count))

    def on_disconnect(self):
        if self.failed or self.rfd is None:
            return
        if not self.up:
            self.gone = True
            return
        self.gone = True
        self.close()
        resume_sources(self)
        # Parents before their children: parents have lower ids.
        for lost in sorted(lost for lost, stream in core.routes.items() if stream is self):
            del core.routes[lost]
            forget_context(lost, True)
        self.end_process()

    def close_diag(self):
        if self.diag is not None:
            core.loop.remove(self.diag)
            os.close(self.diag)
            self.diag = None

    def close(self):
        for fd in self.rfd, self.wfd:
            if fd is not None:
                core.loop.remove(fd)
                os.close(fd)
        self.rfd = self.wfd = None
        self.close_diag()

    def end_process(self):
        """The link has ended: signal the program unless it exits by itself."""
        children.discard(self)
        if self.detached and not self.remote:
            return
        if self.process and not self.process.ended and not self.program:
            terminating.add(self.process)
            at(0.05, lambda: self.process.kill(signal.SIGTERM))
            at(1, lambda: self.process.kill(signal.SIGKILL))


def socketpair():
    """Two connected descriptors whose buffers hold several chunks."""
    fds = []
    for end in _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM):
        for option in _socket.SO_SNDBUF, _socket.SO_RCVBUF:
            end.setsockopt(_socket.SOL_SOCKET, option, 4 * core.CHUNK_SIZE)
        fds.append(os.dup(end.fileno()))
        end.close()
    return fds


def open_tty():
    """A pseudo-terminal in raw mode: (the local side, the side of the program)."""
    master, slave = os.openpty()
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(slave)
    iflag &= ~(
        termios.IXOFF | termios.INPCK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
        | termios.INLCR | termios.ICRNL | termios.IXON | termios.IGNPAR | termios.IGNBRK
        | getattr(termios, "IMAXBEL", 0)
    )
    oflag &= ~termios.OPOST
    lflag &= ~(
        termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHONL | termios.ICANON
        | termios.ISIG | termios.IEXTEN | termios.NOFLSH | termios.TOSTOP
    )
    cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8 | termios.CREAD
    termios.tcsetattr(
        slave, termios.TCSAFLUSH, [iflag, oflag, cflag, lflag, ispeed, ospeed, cc]
    )
    return master, slave


# Blobs


def blob(name):
    """A part of a preamble: 0 is the core of this runtime, others were sent before."""
    if name == 0:
        return core.blob
    if name not in blobs:
        raise core.Error("the plan refers to a blob that was not sent: %s", name)
    return blobs[name].unpickle()["data"]


def forward_blob(name, to):
    """Send a blob towards `to`, once over each link."""
    stream = core.routes.get(to)
    if stream not in children or name not in blobs:
        return
    if name not in stream.sent:
        stream.sent.add(name)
        core.send(stream.remote_id, core.RUN_PLAN, blobs[name].data, core.PKL)
    if stream.remote_id != to:
        core.router.route(core.Message.pickled(
            {u"v": 1, u"kind": u"forward_blob", u"sha256": name, u"to": to},
            dst_id=stream.remote_id, handle=core.RUN_PLAN
        ))


# Entry points


def on_run_plan(msg):
    """A request of core/src/connect/run_plan.rs (handle 120)."""
    if msg.is_dead:
        return
    request = msg.unpickle()
    kind = request.get("kind")
    if request.get("v") == 1 and kind in REQUESTS:
        return REQUESTS[kind](msg, request)
    msg.reply({u"ok": False, u"error": failure(
        "spawn", "invalid_plan",
        u"the request %s of version %s is not supported by this runtime" % (kind, request.get("v"))
    )})


def on_start(msg, request):
    """Start a context."""
    kind = Child
    start = request["plan"].get("start")
    # The module for an invalid plan may not have been sent.
    if not problem_of(request["plan"]):
        if start == "fork":
            from mitogen.fork import Fork as kind
        elif "dial" in start:
            from mitogen.dial import Dialled as kind
    kind(msg, request).start()


def on_blob(msg, request):
    """Store a blob for the plans that refer to it."""
    blobs[request["sha256"]] = msg


def on_forward_blob(msg, request):
    """Forward a blob."""
    forward_blob(request["sha256"], request["to"])


def on_expect(msg, request):
    """A descendant is about to start a context: route messages to it before it is announced,
    because the master may send them right after the plan."""
    stream = core.routes.get(request["via"])
    if stream:
        core.routes.setdefault(request["id"], stream)


REQUESTS = {
    "start": on_start, "blob": on_blob, "forward_blob": on_forward_blob, "expect": on_expect,
}


def _proxy_connect(name, method_name, kwargs):
    """Programs of upstream Mitogen call this to start a child of this context. The master sends the
    plan, because it has the transports, and then upstream's reply."""
    return core.router.context_by_id(core.parent_ids[-1]).send_await(
        core.Message.pickled((name, method_name, kwargs), handle=124)
    )


def on_detaching(msg):
    """A child detaches (mitogen.detach): do not signal its program when the link ends."""
    stream = core.routes.get(msg.src_id)
    if stream in children and not msg.is_dead:
        stream.detached = True
        msg.reply(None)


def on_stop():
    """End all children: SHUTDOWN, then SIGTERM, then SIGKILL."""
    ending = [child for child in children if not child.program]
    processes = [child.process for child in ending if child.process] + list(terminating)
    for child in ending:
        if child.up:
            core.send(child.remote_id, core.SHUTDOWN, b"")
        else:
            child.process and child.process.kill(signal.SIGTERM)
    # A child with children of its own needs longer, because it may have to kill them. All of this takes
    # less time than this context's own parent is_paused.
    behind = [list(core.routes.values()).count(child) for child in ending]
    if not wait_all(processes, 2 + 0.6 * min(max(behind + [1]) - 1, 4)):
        for number, limit in (signal.SIGTERM, 0.25), (signal.SIGKILL, 0.25):
            for process in processes:
                process.kill(number)
            if wait_all(processes, limit):
                break


def listen():
    core.router.add_handler(
        on_run_plan, core.RUN_PLAN, True, core.has_parent_authority, overwrite=True
    )


core.router.add_handler(on_detaching, 109, True, core.is_immediate_peer)
core.Exit.hooks.append(on_stop)
# The module is complete. Once more on the loop, which may be replacing the handler (`on_first`).
listen()
core.loop.defer(listen)


class Module(object):
    """This module as an entry of sys.modules, with the names for programs in mitogen.names."""

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        __import__("mitogen.names")
        return core.modules["mitogen.names"].find_parent(name)


me = Module()
# Python 2 clears the globals of a module that is freed.
original = core.modules[__name__]
me.__dict__ = globals()
core.modules[__name__] = me
