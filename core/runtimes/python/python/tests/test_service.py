"""Calls of services with their exact messages, and upstream's file services."""
from harness import *

SERVICE = 110

SOURCE = u'''
import threading
import mitogen.service
from mitogen.service import expose, arg_spec, no_reply, AllowAny, AllowParents

class Probe(mitogen.service.Service):
    def __init__(self, **kwargs):
        super(Probe, self).__init__(**kwargs)
        self.seen = []

    @expose(policy=AllowAny())
    @arg_spec({"a": int, "b": int})
    def add(self, a, b):
        return a + b

    @expose(AllowParents())
    def secret(self):
        return u"secret"

    def hidden(self):
        return 1

    @expose(AllowAny())
    @no_reply()
    def tell(self, what, msg):
        self.seen.append(what)
        if what == u"answer":
            msg.reply(u"by hand")
        if what == u"fail":
            raise ValueError(u"never sent")

    @expose(AllowAny())
    def told(self):
        return list(self.seen)

    @expose(AllowAny())
    def fail(self):
        raise ValueError(u"on purpose")

    @expose(AllowAny())
    def where(self):
        return threading.current_thread().name

class Plain(object):
    pass

class InTurn(mitogen.service.Service):
    invoker_class = mitogen.service.SerializedInvoker

    @expose(AllowAny())
    def fail(self):
        raise ValueError(u"on purpose")

class Once(mitogen.service.Service):
    invoker_class = mitogen.service.DeduplicatingInvoker
    count = 0

    @expose(AllowAny())
    def number(self, a):
        self.count += 1
        return self.count
'''


class Base(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push("probe", SOURCE)

    def post(self, service, method, src=0, auth=0, payload=None, **kw):
        self.c.handle += 1
        data = payload if payload is not None else dumps((as_text(service), as_text(method), kwargs(**kw)))
        self.c.send(SERVICE, data, self.c.handle, PKL, src=src, auth=auth)
        return self.c.handle

    def ask(self, *args, **kw):
        got = self.c.reply(self.post(*args, **kw))
        return got.data.decode() if got.reply_to == 999 else got.obj()


class Services(Base):
    def test_replies_follow_the_protocol(self):
        self.assertEqual(self.ask("probe.Probe", "add", a=1, b=2), 3)
        self.assertEqual(self.ask("probe.Probe", "secret"), u"secret")
        self.assertEqual(self.ask("probe.Probe", "add", src=7, auth=7, a=1, b=2), 3)
        for text, args, kw in (
            (u"Caller is not authorized to invoke 'secret' of service 'probe.Probe'",
             ("secret",), dict(src=7, auth=7)),
            (u"No such method: 'nothing'", ("nothing",), {}),
            (u"No such method: '_private'", ("_private",), {}),
            (u"Method has no policies set.", ("hidden",), {}),
            (u"Required argument 'a' missing.", ("add",), dict(b=1)),
            (u"Argument 'a' type incorrect, got ", ("add",), dict(a=u"x", b=1)),
            (u"Invalid message format.", ("x",), dict(payload=dumps((1, 2, 3)))),
            (u"Invalid message format.", ("x",), dict(payload=dumps((u"a", u"b")))),
        ):
            self.assertError(self.ask("probe.Probe", *args, **kw), text)
        name = u"exceptions" if not PY3 else u"builtins"
        self.assertError(self.ask("probe.Probe", "fail"), name + u".ValueError: on purpose", u"in fail")

    def test_unprivileged_callers_activate_no_service(self):
        # The pool itself is not started either.
        got = self.ask("probe.Probe", "add", src=7, auth=7, a=1, b=2)
        self.assertEqual(got, u"refused by policy")
        self.assertEqual(self.ask("probe.Once", "number", a=1), 1)
        self.assertError(
            self.ask("probe.Probe", "add", src=7, auth=7, a=1, b=2),
            u"Service 'probe.Probe' is not yet activated in this context",
        )
        self.assertError(self.ask("probe.Plain", "x"), u"'probe.Plain' is not a service")
        self.c.push("nowhere", None)
        self.assertError(self.ask("nowhere.Nothing", "x"), u"", u"nowhere")

    def test_a_call_while_the_module_loads(self):
        # The loop runs during the import, and its handler needs the same module: it must be imported once.
        c = self.child()
        text = (
            u"bytes(__import__('mitogen.service', None, None, ['x']).get_or_create_pool().find("
            u"u'mitogen.service.PushFileService', __import__('mitogen.core', None, None, ['x']).Message(auth_id=0)).get(u'x'))"
        )
        call = c.post("builtins" if PY3 else "__builtin__", "eval", text)
        push = (u"mitogen.service.PushFileService", u"store_and_forward", kwargs(path=u"x", data=b"abc", context=None))
        c.send(SERVICE, dumps(push), 0, PKL)
        self.assertEqual(c.reply(call).obj(), b"abc")

    def test_no_reply(self):
        self.assertEqual(self.ask("probe.Probe", "told"), [])
        self.post("probe.Probe", "tell", what=u"fail")
        self.assertEqual(self.ask("probe.Probe", "tell", what=u"answer"), u"by hand")
        # Two threads run the calls, in any order.
        while len(self.ask("probe.Probe", "told")) < 2:
            pass
        self.assertEqual(sorted(self.ask("probe.Probe", "told")), [u"answer", u"fail"])

    def test_dead_messages_are_ignored(self):
        for _ in range(9):
            self.c.send(SERVICE, b"gone", 999)
        threads = set()
        for _ in range(50):
            threads.add(self.ask("probe.Probe", "where"))
            self.c.send(SERVICE, b"gone", 999)
        self.assertEqual(self.ask("probe.Probe", "add", a=1, b=2), 3)
        self.assertTrue(threads <= set([u"mitogen.service.0", u"mitogen.service.1"]), threads)

    def test_other_invokers(self):
        self.assertEqual([self.ask("probe.Once", "number", a=n) for n in (1, 1, 2)], [1, 1, 2])
        self.assertEqual(self.ask("probe.InTurn", "fail"), u"")

    def test_the_main_thread_may_be_busy(self):
        busy = self.c.post("time", "sleep", 1.5)
        self.assertEqual(self.ask("probe.Probe", "add", a=1, b=2), 3)
        self.assertIsNone(self.c.reply(busy).obj())


LOOK_UP = u'''
import threading
import mitogen.core as core

found = []
threads = []

def look_up():
    try:
        msg = core.Message(data=%r)
        sender, context = msg.unpickle()
        text = u"%%r %%r %%r" %% (sender, context, context == core.router.context_by_id(7))
        found.append((text, core.router.parent.context_id, core.router.myself().context_id))
    except BaseException as exc:
        found.append(repr(exc))

def pause():
    # Another thread must get all of mitogen.api, or wait for it.
    threads.append(threading.Thread(target=look_up))
    threads[-1].start()
    threads[-1].join(0.03)

def results():
    for thread in threads:
        thread.join(30)
    return len(threads), [str(each) for each in found]
''' % (dumps((
    Global("mitogen.core", "_unpickle_sender", (7, 2000)),
    Global("mitogen.core", "_unpickle_context", (7, None)),
)),)

LOADING = u'''
from mitogen.service import Service, expose, AllowAny

def results():
    return 0, []

class Count(Service):
    seen = ()

    @expose(AllowAny())
    def tell(self, number):
        self.seen += (number,)
        return number
'''


class Loading(TestCase):
    """Calls of services while the modules that they need are being loaded."""

    def test_other_threads_wait_for_the_whole_api(self):
        c = self.child()
        c.pauses["mitogen.api"] = "__import__('sys').modules['probe'].pause()"
        c.push("probe", LOOK_UP)
        c.call("probe", "look_up")
        count, found = c.call("probe", "results")
        self.assertTrue(count > 15, count)
        self.assertEqual(len(found), count + 1)
        sender = "Sender(Context(7, None), 2000) Context(7, None) True"
        expected = str(((sender if PY3 else sender.decode()), 0, 1))
        self.assertEqual(set(map(str, found)), set([expected]))

    def test_no_call_is_lost_however_it_coincides_with_the_import(self):
        for main in True, False:
            c = self.child()
            c.pauses["mitogen.service"] = c.pauses["mitogen.api"] = "__import__('time').sleep(0.01)"
            c.push("probe", LOADING)
            calls = []
            if main:
                # A call imports the module, too.
                calls.append((c.post("probe", "results"), [0, []]))
            for number in range(40):
                c.handle += 1
                data = dumps((u"probe.Count", u"tell", kwargs(number=number)))
                c.send(SERVICE, data, c.handle, PKL)
                calls.append((c.handle, number))
                # Modules are served meanwhile.
                c.call("time", "sleep", 0.005) if not main else time.sleep(0.005)
            for handle, expected in calls:
                got = c.reply(handle).obj()
                self.assertEqual(list(got) if type(got) is tuple else got, expected)

    def test_every_call_is_answered_if_the_module_cannot_be_loaded(self):
        c = self.child()
        c.push("mitogen.service", None, u"withheld by the test")
        for number in range(3):
            handles = []
            for _ in range(3):
                c.handle += 1
                handles.append(c.handle)
                c.send(SERVICE, dumps((u"probe.Count", u"tell", kwargs(number=1))), c.handle, PKL)
            for handle in handles:
                self.assertError(c.reply(handle).obj(), u"", u"withheld by the test")

    def test_a_plan_that_arrives_while_a_call_imports_the_module(self):
        c = self.child()
        call = c.post("mitogen.parent", "failure", u"spawn", u"x", u"y")
        first = c.recv()
        while first.handle != GET_MODULE:
            first = c.recv()
        plan = {u"v": 1, u"kind": u"unknown"}
        c.handle += 1
        c.send(RUN_PLAN, dumps(plan), c.handle, PKL)
        # The plan has been received when this reply has.
        c.send(9, b"", 3000)
        self.assertEqual(c.reply(3000).reply_to, 999)
        c.push_ours(as_text(first.data))
        self.assertIsInstance(c.reply(call).obj(), dict)
        self.assertTrue(c.reply(c.handle))


class Files(Base):
    """Upstream's FileService: window, chunks, order."""

    def fetch(self, path, sink=5000, src=0, auth=0, sender=None):
        sender = Global("mitogen.core", "_unpickle_sender", (src if sender is None else sender, sink))
        path = path if isinstance(path, type(u"")) else path.decode()
        return self.ask("mitogen.service.FileService", "fetch", src=src, auth=auth, path=path, sender=sender)

    def acknowledge(self, size):
        self.post("mitogen.service.FileService", "acknowledge", size=size)

    def chunk(self, sink=5000):
        return self.c.reply(sink)

    def test_window_and_end(self):
        path = os.path.join(self.tempdir(), "file")
        data = os.urandom(3000000)
        with open(path, "wb") as fp:
            fp.write(data)
        os.chmod(path, 0o640)
        os.chown(path, 1, 2)
        meta = self.fetch(path)
        self.assertEqual(set(meta), set([u"size", u"mode", u"owner", u"group", u"mtime", u"atime"]))
        self.assertEqual((meta[u"size"], meta[u"mode"]), (3000000, 0o100640))
        self.assertEqual((meta[u"owner"], meta[u"group"]), (u"daemon", u"bin"))
        self.assertTrue(isinstance(meta[u"mtime"], float))
        got = b""
        # The window is full as soon as more than 1 MiB is unacknowledged.
        while len(got) < 1048576:
            chunk = self.chunk()
            self.assertEqual((chunk.enc, chunk.reply_to), (BIN, 0))
            self.assertEqual(len(chunk.data), 131046)
            got += chunk.data
        # No further chunk: the reply to a later call is next.
        self.assertEqual(self.ask("probe.Probe", "add", a=1, b=2), 3)
        self.assertFalse([frame for frame in self.c.other if frame.handle == 5000])
        self.acknowledge(len(got))
        while True:
            chunk = self.chunk()
            if chunk.reply_to == 999:
                break
            got += chunk.data
            self.acknowledge(len(chunk.data))
        self.assertEqual(chunk.data, b"Sender was explicitly closed")
        self.assertTrue(got == data)

    def test_transfers_on_a_link_are_sequential(self):
        folder = self.tempdir()
        for name in "one", "two":
            with open(os.path.join(folder, name), "wb") as fp:
                fp.write(name.encode() * 400000)
        self.fetch(os.path.join(folder, "one"))
        self.fetch(os.path.join(folder, "two"), sink=5001)
        order = []
        while len(order) < 2 or order.count("end") < 2:
            got = self.c.until(lambda frame: frame.handle in (5000, 5001))
            if got.reply_to == 999:
                order.append("end")
            else:
                self.acknowledge(len(got.data))
                if not order or order[-1] != got.handle:
                    order.append(got.handle)
        self.assertEqual(order, [5000, "end", 5001, "end"])

    def test_refusals(self):
        folder = os.path.realpath(self.tempdir())
        path = os.path.join(folder, "file")
        with open(path, "wb") as fp:
            fp.write(b"x")
        self.assertError(self.fetch(folder), u"", u"not a regular file")
        self.assertError(self.fetch("/nowhere/file"), u"", u"No such file")
        self.assertError(
            self.fetch(path, src=7, auth=7),
            u"mitogen.service.Error: Path '%s' is not registered with FileService." % path,
        )
        self.assertError(
            self.fetch(path, sender=7),
            u"mitogen.service.Error: sender= kwarg context must match requestee context",
        )
        self.ask("mitogen.service.FileService", "register_prefix", path=as_text(folder.encode()))
        self.assertEqual(self.fetch(path, src=7, auth=7)[u"size"], 1)
        self.assertError(self.fetch(folder + "/../x", src=7, auth=7), u"", u"is not registered")
        self.assertError(
            self.ask("mitogen.service.FileService", "register", src=7, auth=7, path=u"/etc/shadow"),
            u"Caller is not authorized",
        )
        if PY3:
            self.assertError(
                self.ask("mitogen.service.FileService", "register", path=b"/x"),
                u"Argument 'path' type incorrect, got ",
            )


if __name__ == "__main__":
    unittest.main()
