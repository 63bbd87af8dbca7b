"""Contexts with children: plans, routes, forwarding, source verification."""
import hashlib

from harness import *

PROBE = """
import time, os
def spin():
    while 1: pass
def sleep(n): time.sleep(n); return n
def same(x): return x
def children():
    # All descendant processes.
    mine = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                stat = open('/proc/%s/stat' % name).read().rpartition(')')[2].split()
            except (IOError, OSError): continue
            if int(stat[1]) == os.getpid(): mine.append((int(name), stat[0]))
    return mine
def fds(): return len(os.listdir('/proc/self/fd'))
def call(context_id, func, *args):
    import mitogen.core as core
    context = core.router.context_by_id(context_id)
    return context.call(func, *args)
def pid_of(context_id, router):
    import os
    return router.context_by_id(context_id).call(os.getpid)
pid_of.mitogen_takes_router = True
"""


def plan(argv, stdio=u"socketpair", **more):
    return dict({
        u"version": 1, u"name": u"local.2", u"method": u"local", u"start": stdio if stdio == u"fork" else {
            u"spawn": {u"argv": [as_text(arg) for arg in argv], u"env": {}, u"stdio": stdio}
        }, u"preamble": u"immediately", u"timeout": 20.0,
        u"dialogue": {u"rules": [], u"exits": [], u"stages": []}, u"secrets": {},
    }, **more)


def start(id, plan, parents=(1, 0), **more):
    conf = config(id, parents)
    return dict({
        u"v": 1, u"kind": u"start", u"id": id, u"name": u"local.%d" % id, u"plan": plan,
        u"runtime": u"python", u"config": conf, u"blobs": [0], u"tail": preamble(conf)[len(RUNTIME):],
        u"legacy_encoding_only": False,
    }, **more)


PYTHON = [sys.executable] + ARGV
MULTICAST = 125


class Below(TestCase):
    """A context that has children."""

    def setUp(self):
        self.c = self.child()
        self.c.push_ours("mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent")
        self.c.push("probe", PROBE)

    def plan(self, id, plan, via=None, parents=(1, 0)):
        self.c.handle += 1
        request = start(id, plan, parents)
        self.c.send(RUN_PLAN, dumps(request), self.c.handle, PKL, dst=via)
        return self.c.handle

    def up(self, id, *args, **kw):
        got = self.c.reply(self.plan(id, plan(PYTHON, *args), **kw)).obj()
        self.assertEqual(got, {u"ok": True, u"name": u"local.%d" % id})

    def on(self, id, module, func, *args):
        return self.c.call(module, func, *args, dst=id)


class Blobs(Below):
    """Shared parts of preambles are sent once over each link."""

    def setUp(self):
        Below.setUp(self)
        self.data = RUNTIME[:5000], RUNTIME[5000:]
        self.names = [as_text(hashlib.sha256(part).hexdigest()) for part in self.data]

    def request(self, kind, **fields):
        request = dict(fields, v=1, kind=kind)
        self.c.send(RUN_PLAN, dumps(dict((as_text(name), value) for name, value in request.items())), 0, PKL)

    def send_blobs(self):
        for name, data in zip(self.names, self.data):
            self.request(u"blob", sha256=name, data=data)

    def start(self, id, via=None, parents=(1, 0)):
        self.c.handle += 1
        request = start(id, plan(PYTHON), parents, blobs=self.names)
        self.c.send(RUN_PLAN, dumps(request), self.c.handle, PKL, dst=via)
        return self.c.reply(self.c.handle).obj()

    def test_a_context_is_started_with_blobs_that_were_sent_before(self):
        self.send_blobs()
        for id in 2, 3:
            self.assertEqual(self.start(id)[u"ok"], True)
            self.assertEqual(self.on(id, "posix", "getppid"), self.c.call("posix", "getpid"))

    def test_a_plan_with_an_unknown_blob_is_refused(self):
        fds = self.c.call("probe", "fds")
        got = self.start(2)
        self.assertEqual((got[u"ok"], got[u"error"][u"kind"]), (False, u"spawn_failed"))
        self.assertIn(self.names[0], as_text(got[u"error"][u"message"]))
        self.assertEqual(self.c.call("probe", "fds"), fds)
        self.assertEqual(self.c.call("probe", "children"), [])

    def test_an_intermediate_forwards_blobs_once(self):
        self.up(2)
        for name in "mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent":
            source = zlib.decompress(binascii.unhexlify(PARTS["modules"][name]["source"]))
            self.c.send(LOAD, module_data(name, source), 0, PKL, dst=2)
        self.send_blobs()
        self.c.push("counted", """
import mitogen.parent as parent
def f(names, to):
    keep, sent = parent.core.send, []
    parent.core.send = lambda *args: sent.append(args[:2]) or keep(*args)
    try:
        for name in names * 2:
            parent.forward_blob(name, to)
    finally:
        parent.core.send = keep
    return sent
""")
        self.assertEqual(self.c.call("counted", "f", self.names, 2), [(2, RUN_PLAN)] * 2)
        self.assertEqual(self.c.call("counted", "f", self.names, 2), [])
        for id in 4, 5:
            self.assertEqual(self.start(id, via=2, parents=(2, 1, 0))[u"ok"], True)
            self.assertEqual(self.on(id, "posix", "getppid"), self.on(2, "posix", "getpid"))

    def test_a_blob_for_a_context_that_is_gone_is_dropped(self):
        self.request(u"forward_blob", sha256=self.names[0], to=77)
        self.assertEqual(self.c.call("probe", "same", 5), 5)


class Multicast(Below):
    HEARD = """
import mitogen.core as core
heard = []
def listen():
    return core.router.add_handler(lambda msg: heard.append((msg.src_id, msg.auth_id, msg.enc, msg.data)))
def got():
    now, heard[:] = list(heard), []
    return now
def say(reply_to, data):
    core.parent.send([core.pack(core.BIN, 1, core.context_id, core.context_id, 125, reply_to, len(data)) + data])
"""
    CONTENTS = os.urandom(70000)

    def setUp(self):
        Below.setUp(self)
        self.c.push("heard", self.HEARD)
        self.handles = {1: self.c.call("heard", "listen")}
        for id in 2, 3:
            self.up(id)
            self.c.send(LOAD, module_data("heard", self.HEARD), 0, PKL, dst=id)
            self.handles[id] = self.on(id, "heard", "listen")

    def payload(self, *ids):
        to = [struct.pack(">LL", id, self.handles.get(id, 5)) for id in ids]
        return struct.pack(">L", len(to)) + b"".join(to) + self.CONTENTS

    def heard(self, id):
        return [tuple(item) for item in self.on(id, "heard", "got")]

    def test_multicast_keeps_source_and_authority(self):
        for ids in (2, 3), (1, 2, 3), (3,), (1,), (), (2, 99, 0, 3):
            self.c.send(MULTICAST, self.payload(*ids), 0, BIN)
            for id in 1, 2, 3:
                self.assertEqual(self.heard(id), [(0, 0, BIN, self.CONTENTS)] * (id in ids), (id, ids))

    def test_multicast_is_sent_once_over_each_link(self):
        for name in "mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent":
            source = zlib.decompress(binascii.unhexlify(PARTS["modules"][name]["source"]))
            self.c.send(LOAD, module_data(name, source), 0, PKL, dst=3)
        for id in 4, 5:
            self.up(id, via=3, parents=(3, 1, 0))
            self.c.send(LOAD, module_data("heard", self.HEARD), 0, PKL, dst=id)
            self.handles[id] = self.on(id, "heard", "listen")
        self.c.push("counted", """
import mitogen.core as core, mitogen.routes as routes
def f(data):
    keep, sent = routes.relay, []
    routes.relay = lambda source, out, frame: sent.append((out.remote_id, len(frame))) or keep(source, out, frame)
    try:
        core.router.deliver(core.Message(1, 125, data, 0, core.BIN, 0, 0), core.parent)
    finally:
        routes.relay = keep
    return sorted(sent)
""")
        sent = [tuple(item) for item in self.c.call("counted", "f", self.payload(3, 4, 5, 2))]
        self.assertEqual(sent, [(2, 26 + len(self.CONTENTS)), (3, 26 + 4 + 3 * 8 + len(self.CONTENTS))])
        for id in 2, 3, 4, 5:
            self.assertEqual(self.heard(id), [(0, 0, BIN, self.CONTENTS)])

    def test_multicasts_of_children_and_malformed_ones_are_refused(self):
        self.on(2, "heard", "say", 0, self.payload(1, 3))
        self.c.send(MULTICAST, self.payload(2), 77, BIN, src=9, auth=9)
        self.assertEqual(self.c.reply(77).data, b"refused by policy")
        for nonsense in b"", b"\0\0", struct.pack(">L", 2), b"\xff" * 12:
            self.c.send(MULTICAST, nonsense, 0, BIN)
        for id in 1, 2, 3:
            self.assertEqual(self.heard(id), [])


class Parent(Below):
    def test_every_stdio(self):
        for id, stdio in enumerate((u"socketpair", u"pipes", u"hybrid_tty", u"tty"), 2):
            handle = self.plan(id, plan(PYTHON, stdio))
            # The call is sent right after the plan, and queued behind the preamble.
            call = self.c.post("posix", "getpid", dst=id)
            self.assertEqual(self.c.reply(handle).obj()[u"ok"], True)
            pid = self.c.reply(call)
            self.assertEqual((pid.src, pid.auth), (id, id))
            route = self.c.until(lambda f: f.handle == ADD_ROUTE)
            self.assertEqual((route.data, route.src, route.dst), (b"%d:local.%d" % (id, id) if PY3 else "%d:local.%d" % (id, id), 1, 0))
            big = os.urandom(3000) * 300
            self.assertEqual(self.on(id, "posix", "getppid"), self.c.proc.pid)
            self.c.send(LOAD, module_data("probe", PROBE), 0, PKL, dst=id)
            self.assertEqual(self.on(id, "probe", "same", big), big)
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)

    def test_two_levels_with_a_busy_intermediate(self):
        self.up(2)
        busy = self.c.post("probe", "spin")
        for name in "mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent":
            source = zlib.decompress(binascii.unhexlify(PARTS["modules"][name]["source"]))
            self.c.send(LOAD, module_data(name, source), 0, PKL, dst=2)
        self.up(3, via=2, parents=(2, 1, 0))
        self.assertEqual(self.on(3, "posix", "getppid"), self.on(2, "posix", "getpid"))
        routes = [self.c.until(lambda f: f.handle == ADD_ROUTE).data for _ in range(2)]
        self.assertEqual(routes, [b"2:local.2", b"3:local.3"])
        # Modules for the grandchild pass through both.
        call = self.c.post("deep", "f", dst=3)
        self.assertEqual(self.c.until(lambda f: f.handle == GET_MODULE).data, b"deep")
        self.c.push("deep", "def f(): return u'deep'")
        self.assertEqual(self.c.reply(call).obj(), u"deep")
        self.c.close()
        self.assertEqual(self.c.wait(), 0)

    def test_a_lost_child_is_announced_and_reaped(self):
        before = self.c.call("probe", "fds")
        self.up(2)
        self.assertGreater(self.c.call("probe", "fds"), before)
        pid = self.on(2, "posix", "getpid")
        os.kill(pid, signal.SIGKILL)
        gone = self.c.until(lambda f: f.handle == DEL_ROUTE)
        self.assertEqual((gone.data, gone.src), (b"2", 1))
        got = self.c.reply(self.c.post("posix", "getpid", dst=2))
        self.assertEqual((got.reply_to, got.data), (999, b"no route to 2, my ID is 1"))
        end = time.time() + LIMIT
        while self.c.call("probe", "children") or self.c.call("probe", "fds") != before:
            self.assertLess(time.time(), end)

    def test_failures(self):
        for argv, stage, kind, status, part in (
            (["/nowhere/at/all"], u"spawn", u"spawn_failed", None, u"/nowhere/at/all"),
            (["/bin/sh", "-c", "echo sorry >&2; exit 5"], u"shell", u"eof", 5, u""),
        ):
            handle = self.plan(2, plan(argv))
            queued = self.c.post("posix", "getpid", dst=2)
            got = self.c.reply(handle).obj()
            error = got[u"error"]
            self.assertEqual((got[u"ok"], as_text(error[u"stage"]), as_text(error[u"kind"]), error[u"status"]),
                             (False, stage, kind, status), error)
            self.assertIn(part, as_text(error[u"message"]))
            self.assertEqual(error[u"argv"], [as_text(a) for a in argv])
            dead = self.c.reply(queued)
            doing = {u"spawn": u"starting the program", u"shell": u"waiting for the shell to start the interpreter"}
            text = u"local.2: %s: %s" % (doing[stage], as_text(error[u"message"]))
            self.assertEqual((dead.reply_to, as_text(dead.data.decode())), (999, text))
            # A message that arrives after the failure.
            self.assertEqual(as_text(self.c.reply(self.c.post("posix", "getpid", dst=2)).data.decode()), text)
        self.assertEqual(error[u"output"], [u"sorry"])
        end = time.time() + LIMIT
        while self.c.call("probe", "children"):
            self.assertLess(time.time(), end)

    def test_refused_plans(self):
        program = {u"argv": [u"/bin/true"]}
        for change, part in (
            ({u"version": 2}, u"the plan has version 2, and only versions up to 1 are supported"),
            ({u"colour": u"red"}, u"plan: unknown field colour"),
            ({u"start": {u"spawn": dict(program, image=u"own")}}, u"start.spawn: unknown field image"),
            ({u"start": {u"spawn": {u"argv": []}}}, u"start.spawn.argv: the program is missing"),
            ({u"start": {u"spawn": {u"argv": [u"a\0b"]}}}, u"cannot contain NULs"),
            ({u"start": {u"spawn": dict(program, stdio=u"fork")}}, u"start.spawn.stdio: fork is unknown"),
            ({u"start": {u"tunnel": {}}}, u"start: tunnel is not supported by Python contexts"),
            ({u"start": u"opened"}, u"start: opened is not supported"),
            ({u"start": {u"dial": {u"vsock": {u"cid": 3}}}}, u"cannot start a context by start.dial.vsock"),
            ({u"start": {u"dial": {u"unix": {u"path": u""}}}}, u"start.dial.unix.path:  is not usable"),
            ({u"start": {u"dial": {u"unix": {u"path": u"\xfc\0"}}}}, u"start.dial.unix.path: \xfc\0 is not usable"),
            ({u"start": {u"dial": {u"tcp": {u"host": u"a"}}}}, u"start.dial.tcp: missing field port"),
            ({u"start": {u"dial": {u"tcp": {u"host": u"a", u"port": 0}}}}, u"start.dial.tcp.port: 0 is not usable"),
            ({u"start": {u"spawn": {}}}, u"start.spawn: missing field argv"),
            ({u"timeout": -1.0}, u"timeout: -1.0 is not a valid number of seconds"),
            ({u"timeout": u"soon"}, u"timeout: "),
        ):
            got = self.c.reply(self.plan(2, plan(["/bin/true"], **change))).obj()
            error = got[u"error"]
            self.assertEqual((got[u"ok"], as_text(error[u"kind"])), (False, u"invalid_plan"), (change, error))
            self.assertIn(part, as_text(error[u"message"]))
        for change in {u"v": 2}, {u"kind": u"core"}, {u"kind": None}:
            self.c.handle += 1
            self.c.send(RUN_PLAN, dumps(start(2, plan(["/bin/true"]), **change)), self.c.handle, PKL)
            error = self.c.reply(self.c.handle).obj()[u"error"]
            self.assertIn(u"is not supported by this runtime", as_text(error[u"message"]))
        self.up(2)

    def test_timeout(self):
        handle = self.plan(2, plan(["/bin/sleep", "1000"], timeout=0.2))
        error = self.c.reply(handle).obj()[u"error"]
        self.assertEqual(as_text(error[u"kind"]), u"timeout")
        end = time.time() + LIMIT
        while self.c.call("probe", "children"):
            self.assertLess(time.time(), end)

    def test_password_and_late_preamble(self):
        dialogue = {u"rules": [{u"state": None, u"source": u"diag", u"shown": u"partial", u"pattern": u"secret please: $",
                                u"ignore_case": False, u"action": {u"send_secret": u"password"}, u"next": u"sent"}],
                    u"exits": [], u"stages": []}
        script = 'printf "secret please: " >/dev/tty; read x </dev/tty; test "$x" = "open sesame" || exit 9; exec "$@"'
        handle = self.plan(2, plan(["/bin/sh", "-c", script, "sh"] + PYTHON, u"hybrid_tty", dialogue=dialogue,
                                   secrets={u"password": u"open sesame"}, preamble=u"after_marker"))
        self.assertEqual(self.c.reply(handle).obj()[u"ok"], True)
        self.assertEqual(self.on(2, "posix", "getppid"), self.c.proc.pid)
        handle = self.plan(3, plan(["/bin/sh", "-c", script, "sh", "open sesam"], u"hybrid_tty", dialogue=dialogue,
                                   secrets={u"password": u"open sesam"}))
        error = self.c.reply(handle).obj()[u"error"]
        self.assertEqual((error[u"status"], error[u"argv"][-1]), (9, u"********"))

    def test_siblings_and_forgery(self):
        self.up(2)
        self.up(3)
        for id in 2, 3:
            self.c.send(LOAD, module_data("probe", PROBE), 0, PKL, dst=id)
        # Siblings can send to each other, but without the master's authority.
        self.assertError(self.on(2, "probe", "pid_of", 3), u"", u"refused by policy")
        # A child claims to be its sibling, or to have the master's authority: dropped and logged.
        forge = """
def f():
    import mitogen.core as core
    for src, auth in ((3, 3), (2, 0), (3, 2)):
        core.parent.send([core.pack(core.PKL, 1, src, auth, 101, 0, 0)])
        core.parent.send([core.pack(core.PKL, 0, src, auth, 4000, 0, 0)])
    core.parent.send([core.pack(core.PKL, 0, 2, 2, 4001, 0, 0)])
"""
        self.c.send(LOAD, module_data("forge", forge), 0, PKL, dst=2)
        self.on(2, "forge", "f")
        self.c.until(lambda f: f.handle == 4001)
        while len([r for r in self.c.logs if u"forged" in r[2]]) < 6:
            self.c.until(lambda f: f.handle == LOG)
        self.assertEqual([f for f in self.c.other if f.handle == 4000], [])

    def test_state_of_lost_contexts_is_dropped(self):
        kept = """
def f():
    import mitogen.core as core, mitogen.routes as routes
    return [sorted(core.routes), sorted(core.router.contexts), sorted(sum([list(s.egress) for s in routes.children], []))]
"""
        self.c.push("kept", kept)
        self.up(2)
        for id in 3, 4, 5:
            self.up(id)
            pid = self.on(id, "posix", "getpid")
            self.c.send(LOAD, module_data("probe", PROBE), 0, PKL, dst=2)
            # The parent and the sibling have state of it.
            self.assertError(self.on(2, "probe", "pid_of", id), u"", u"refused by policy")
            self.assertEqual(self.c.call("probe", "pid_of", id), pid)
            self.assertEqual([id in found for found in self.c.call("kept", "f")], [True] * 3)
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(self.c.until(lambda f: f.handle == DEL_ROUTE).data, str(id).encode())
        routes, contexts, egress = self.c.call("kept", "f")
        self.assertEqual([id for id in routes + contexts + egress if id in (3, 4, 5)], [])

    def test_descriptors_beyond_a_thousand(self):
        source = """
def f():
    import os, resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, max(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    global held
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    return held[-1]
"""
        self.c.push("many", source)
        self.assertGreater(self.c.call("many", "f"), 1023)
        # All descriptors of the children are above 1000, and are polled.
        self.up(2)
        self.assertEqual(self.on(2, "posix", "getppid"), self.c.proc.pid)

    def test_calls_to_children(self):
        self.up(2)
        self.assertEqual(self.c.call("probe", "pid_of", 2), self.on(2, "posix", "getpid"))
        self.c.send(LOAD, module_data("probe", PROBE), 0, PKL, dst=2)
        # The child exits while the parent's call waits for it.
        source = "def f(router):\n try:\n  router.context_by_id(2).call(__import__('probe').spin)\n except Exception as e: return str(e)\nf.mitogen_takes_router = True"
        self.c.push("waits", source)
        pid = self.on(2, "posix", "getpid")
        call = self.c.post("waits", "f")
        end = time.time() + LIMIT
        while True:
            with open("/proc/%d/stat" % pid) as fp:
                if int(fp.read().rpartition(")")[2].split()[11]) > 5:
                    break
            self.assertLess(time.time(), end)
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(as_text(self.c.reply(call).obj()), u"the respondent Context has disconnected")

    def test_back_pressure(self):
        # The grandchild is stopped, so that messages to it are queued in the sender, not in the intermediate.
        self.up(2)
        self.c.send(LOAD, module_data("probe", PROBE), 0, PKL, dst=2)
        pid = self.on(2, "posix", "getpid")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: self.resume(pid))
        data = b"".join(frame(CALL, call_data("probe", "same", (b"d" * 20000,)), 9000, PKL, dst=2)
                        for _ in range(1000))
        sent = 0
        try:
            while sent < len(data):
                self.c.sock.settimeout(LIMIT if sent <= 4 << 20 else 1)
                sent += self.c.sock.send(data[sent:sent + 65536])
        except socket.timeout:
            pass
        self.c.sock.settimeout(LIMIT)
        self.assertGreater(sent, 4 << 20)
        self.assertLess(sent, 10 << 20)
        self.resume(pid)
        import threading
        thread = threading.Thread(target=self.c.sock.sendall, args=(data[sent:],))
        thread.start()
        for _ in range(1000):
            self.assertEqual(self.c.reply(9000).obj(), b"d" * 20000)
        thread.join()
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)

    def test_back_pressure_ends_when_the_destination_is_lost(self):
        self.up(2)
        pid = self.on(2, "posix", "getpid")
        os.kill(pid, signal.SIGSTOP)
        big = frame(999, b"d" * (5 << 20), dst=2)
        self.c.sock.sendall(big + big)
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.c.until(lambda f: f.handle == DEL_ROUTE).data, b"2")
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)

    def test_a_link_that_is_not_read_can_end(self):
        self.up(2)
        pid = self.on(2, "posix", "getpid")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: self.resume(pid))
        big = frame(999, b"d" * (5 << 20), dst=2)
        self.c.sock.sendall(big)
        self.c.close()
        self.assertEqual(self.c.wait(), 0)

    def resume(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass

    def test_unidirectional(self):
        c = self.c = self.child(conf=config(unidirectional=True))
        c.push_ours("mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent")
        self.up(2)
        self.up(3)
        c.send(LOAD, module_data("probe", PROBE), 0, PKL, dst=2)
        self.assertError(self.on(2, "probe", "pid_of", 3), u"", u"routing mode prevents forward")

    def test_a_missing_parent_module_is_an_error(self):
        c = self.c = self.child()
        c.push("mitogen.parent", None)
        self.assertError(c.reply(self.plan(2, plan(PYTHON))).obj(), u"", u"unable to serve mitogen.parent [context test, ")

    def test_child_processes_end_with_the_context(self):
        self.up(2)
        pids = [self.on(2, "posix", "getpid")]
        self.plan(4, plan(["/bin/sleep", "1000"]))
        end = time.time() + LIMIT
        while len(pids) < 2:
            pids = [pid for pid, _ in self.c.call("probe", "children")]
            self.assertLess(time.time(), end)
        self.c.post("probe", "spin")
        self.c.close()
        self.assertEqual(self.c.wait(), 0)
        for pid in pids:
            while True:
                try:
                    with open("/proc/%d/stat" % pid) as fp:
                        if fp.read().rpartition(")")[2].split()[0] == "Z":
                            break
                except (IOError, OSError):
                    break
                self.assertLess(time.time(), end)
                time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
