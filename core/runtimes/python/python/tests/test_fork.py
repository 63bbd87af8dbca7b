"""Contexts that are copies of a context."""
from test_parent import *
from test_parent import Parent as _Parent

FORK = u"fork"
MORE = PROBE + """
import sys
value = [1]
def change(): value.append(2); return value
def get(): return value
def openfds():
    return sorted(os.listdir('/proc/self/fd'))
def hold():
    value.append(open(os.devnull)); return value[-1].fileno()
def drop():
    del value[-1]
def threads():
    import threading
    return [threading.current_thread() is getattr(threading, 'main_thread', threading.current_thread)(),
            threading.active_count()]
def draw():
    import random
    return random.random()
def seeded():
    import random
    random.seed(5)
def handle():
    import signal
    signal.signal(signal.SIGUSR1, lambda *_: value.append(3))
    os.kill(os.getpid(), signal.SIGUSR1)
    return value
def limit(): return sys.getrecursionlimit()
def forked():
    pid = os.fork()
    if not pid:
        time.sleep(1000)
    return pid
"""


SERVICES = u"""
import threading
import mitogen.service
from mitogen.service import Service, expose, AllowParents

blocked = []
go_on = threading.Event()

class Shared(Service):
    calls = 0

    @expose(AllowParents())
    def count(self):
        self.calls += 1
        return self.calls

    @expose(AllowParents())
    def where(self):
        return os.getpid()

    @expose(AllowParents())
    def block(self, first):
        with self.pool.lock if first else mitogen.service._lock:
            blocked.append(1)
            go_on.wait(60)

def wait_until_blocked():
    for _ in range(6000):
        if len(blocked) == 2: break
        time.sleep(0.01)
    return len(blocked)

def unblock():
    go_on.set()

def started():
    pool = mitogen.service.get_or_create_pool()
    service = pool.get_service("probe.Shared")
    assert service is pool.get_service(u"probe.Shared") and service.pool is pool
    return sorted(u"" + thread.name for thread in pool.threads)
"""


class Fork(_Parent):
    def setUp(self):
        super(Fork, self).setUp()
        self.c.push_ours("mitogen.fork")
        self.c.push("probe", MORE)

    def deny(self, handle):
        """The reply to a call. Requested modules do not exist."""
        while True:
            got = self.c.until(lambda f: f.handle in (handle, GET_MODULE))
            if got.handle == handle:
                return got.obj()
            self.c.push(as_text(got.data), None)

    def fork(self, id, **kw):
        handle = self.plan(id, plan([], FORK, name=as_text("fork.%d" % id)), **kw)
        # Together, unless intermediates must be notified first.
        call = None if kw else self.c.post("os", "getpid", dst=id)
        self.assertEqual(self.c.reply(handle).obj(), {u"ok": True, u"name": u"local.%d" % id})
        return self.c.reply(call or self.c.post("os", "getpid", dst=id)).obj()

    def serve(self, id, method, **kw):
        """The reply of a service in context `id`."""
        self.c.handle += 1
        self.c.send(110, dumps((u"probe.Shared", as_text(method), kwargs(**kw))), self.c.handle, PKL, dst=id)
        return self.c.reply(self.c.handle).obj()

    def test_services_answer_in_copies(self):
        self.c.push("probe", MORE + SERVICES)
        self.assertEqual([self.serve(1, "count"), self.serve(1, "count")], [1, 2])
        self.fork(2)
        # A copy of the copy, made before the copy has used services.
        self.fork(3, via=2, parents=(2, 1, 0))
        self.assertEqual(self.c.call("probe", "started", dst=2), [u"mitogen.service.0", u"mitogen.service.1"])
        for id in 2, 3, 1:
            self.assertEqual(self.serve(id, "where"), self.c.call("os", "getpid", dst=id))
        # The copies have services of their own.
        self.assertEqual([self.serve(id, "count") for id in (1, 2, 3)], [3, 1, 1])
        self.fork(4, via=3, parents=(3, 2, 1, 0))
        self.assertEqual(self.serve(4, "count"), 1)

    def test_copies_made_while_services_are_busy(self):
        self.c.push("probe", MORE + SERVICES)
        self.serve(1, "count")
        # Both threads of the original hold locks at the fork.
        for first in True, False:
            self.c.send(110, dumps((u"probe.Shared", u"block", kwargs(first=first))), 9, PKL)
        self.assertEqual(self.c.call("probe", "wait_until_blocked"), 2)
        self.fork(2)
        self.assertEqual(self.serve(2, "count"), 1)
        self.c.call("probe", "unblock")
        self.assertEqual(self.serve(1, "count"), 2)


    def test_isolation(self):
        self.c.call("probe", "change")
        self.deny(self.c.post("probe", "seeded"))
        pid = self.fork(2)
        self.assertEqual(self.on(2, "os", "getppid"), self.c.proc.pid)
        self.assertEqual(self.on(2, "probe", "change"), [1, 2, 2])
        self.assertEqual(self.c.call("probe", "get"), [1, 2])
        self.assertEqual(self.on(2, "probe", "threads"), [True, 1])
        self.assertEqual(self.on(2, "probe", "handle"), [1, 2, 2, 3])
        self.assertNotEqual(self.c.call("probe", "draw"), self.on(2, "probe", "draw"))

    def test_while_the_parent_is_busy(self):
        busy = self.c.post("probe", "spin")
        time.sleep(0.1)
        self.fork(2)
        self.assertEqual(self.on(2, "probe", "threads"), [True, 1])
        self.assertEqual(self.on(2, "probe", "handle"), [1, 3])
        # The copy can be busy, and serves its link meanwhile.
        self.c.post("probe", "spin", dst=2)
        self.c.send(LOAD, module_data("mitogen.fork", zlib.decompress(binascii.unhexlify(PARTS["modules"]["mitogen.fork"]["source"]))), 0, PKL, dst=2)
        self.fork(3, via=2, parents=(2, 1, 0))
        self.assertEqual(self.on(3, "probe", "get"), [1, 3])
        self.c.close()
        self.assertEqual(self.c.wait(), 0)

    def test_while_the_parent_loads_site(self):
        for delay in 0.0, 0.012, 0.016, 0.02, 0.024, 0.03, 0.04:
            self.setUp()
            self.c.post("probe", "spin")
            time.sleep(delay)
            self.fork(2)

    if PY3:
        # Python 2 has a global import lock, which fork acquires.
        def test_while_the_parent_imports(self):
            self.c.push("slow", "import time, sys\nx = 1\nif sys.argv != ['again']: time.sleep(1000)\ndef f(): return x")
            self.c.post("slow", "f")
            time.sleep(0.1)
            self.fork(2)
            self.c.send(LOAD, module_data("again", "import sys\ndef f(): sys.argv = ['again']"), 0, PKL, dst=2)
            self.on(2, "again", "f")
            self.assertEqual(self.on(2, "slow", "f"), 1)

    def test_no_process_is_left(self):
        self.c.call("probe", "fds")
        self.fork(2)
        before = self.c.call("probe", "fds")
        inside = self.on(2, "probe", "fds")
        for id in range(3, 23):
            self.fork(id)
            self.assertEqual(self.on(id, "probe", "fds"), inside)
            self.c.send(SHUTDOWN, dst=id)
            self.c.until(lambda f: f.handle == DEL_ROUTE)
        end = time.time() + LIMIT
        while self.c.call("probe", "fds") != before or len(self.c.call("probe", "children")) != 1:
            self.assertLess(time.time(), end)

    def test_files_of_the_parent(self):
        fd = self.c.call("probe", "hold")
        self.fork(2)
        inside = self.on(2, "probe", "fds")
        self.on(2, "probe", "drop")
        self.assertEqual(self.on(2, "probe", "fds"), inside - 1)
        self.assertEqual(self.on(2, "probe", "get"), [1])

    def test_modules_come_through_the_parent_once(self):
        self.c.push("known", "x = 7\ndef f(): return x")
        self.c.call("probe", "get")
        self.fork(2)
        self.assertEqual(self.on(2, "known", "f"), 7)
        call = self.c.post("deep", "f", dst=2)
        asked = self.c.until(lambda f: f.handle == GET_MODULE)
        self.assertEqual((asked.data, asked.src), (b"deep", 1))
        self.c.push("deep", "def f(): return u'deep'")
        self.assertEqual(self.c.reply(call).obj(), u"deep")
        self.fork(3)
        self.assertEqual(self.on(3, "deep", "f"), u"deep")
        self.assertFalse([f for f in self.c.other if f.handle == GET_MODULE])

    def test_many_generations(self):
        parents = (1, 0)
        limit = self.c.call("probe", "limit")
        self.fork(2)
        for id in range(3, 12):
            parents = (id - 1,) + parents
            self.fork(id, via=id - 1, parents=parents)
        self.assertGreater(self.on(11, "probe", "limit"), limit)
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)

    def test_exit_is_noticed_while_a_process_holds_the_link_open(self):
        self.c.call("probe", "fds")
        pid = self.fork(2)
        left = self.on(2, "probe", "forked")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.c.until(lambda f: f.handle == DEL_ROUTE).data, b"2")
        os.kill(left, signal.SIGKILL)

    def test_prints_and_logs(self):
        self.fork(2)
        self.c.send(LOAD, module_data("p", "def f():\n print('hello')\n import logging; logging.warning('told')"), 0, PKL, dst=2)
        self.on(2, "p", "f")
        self.c.log(lambda name, level, text: text == u"hello")
        self.c.log(lambda name, level, text: text == u"told")


# The tests of the base class run in its own module.
for _name in dir(_Parent):
    if _name.startswith("test_"):
        setattr(Fork, _name, None)
del Parent, _Parent

if __name__ == "__main__":
    unittest.main()
