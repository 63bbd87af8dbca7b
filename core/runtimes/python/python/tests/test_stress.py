"""The transfer of the loop between the main thread and the watchdog thread, under load.

No test asserts a duration: a lost message makes its reader wait until the harness times out.
`MITOGEN_TEST_SEED` repeats a run, `MITOGEN_TEST_ROUNDS` makes it longer.
"""
import multiprocessing
import random
import threading
from harness import *
from test_parent import PYTHON, plan, start

CHILDREN = 4
ROUNDS = int(os.environ.get("MITOGEN_TEST_ROUNDS", "50"))
SEED = int(os.environ.get("MITOGEN_TEST_SEED", random.randrange(10 ** 6)))

SOURCE = """
import os, sys, threading, time
import mitogen.core as core
def same(x): return x
def sleep(n, x): time.sleep(n / 1000.0); return x
def spin(n, x):
    end = time.time() + n / 1000.0
    while time.time() < end: pass
    return x
def until(path):
    # Runs until the test has received what must not wait for this call.
    while not os.path.exists(path): time.sleep(0.0005)
    return path
def spin_until(path):
    while not os.path.exists(path): pass
    return path
def say(n, x): sys.stdout.write('p' * n + ' %d\\n' % x); sys.stdout.flush(); return x
def load(name):
    time.sleep(0.012)
    return __import__(name).value
def defers(count):
    ran = []
    def run():
        for _ in range(count):
            core.loop.defer(lambda: ran.append(1))
            if not len(ran) % 7: time.sleep(0.0002)
    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    while len(ran) < 6 * count: time.sleep(0.0005)
    return len(ran)
def handlers():
    def boom(msg): raise (SystemExit if msg.data else ValueError)('boom')
    core.router.add_handler(boom, 4000)
    core.router.add_handler(lambda msg: msg.reply(__import__(msg.data.decode()).value), 4001)
    core.router.add_handler(lambda msg: core.Context(core.router, core.context_id).send(
        core.Message(handle=4003, data=msg.data)), 4002)
    core.router.add_handler(lambda msg: core.send(0, 4003, msg.data), 4003)
    core.router.add_handler(lambda msg: flag.append(1), 4005)
    core.router.add_handler(lambda msg: core.router.myself().call_async(tell, u'told'), 4004)
def tell(text): core.send(0, 4003, text.encode('utf-8'))
def nervous():
    # A short switch interval makes race conditions likely.
    getattr(sys, 'setswitchinterval', lambda _: sys.setcheckinterval(1))(0.000005)
flag = []
def seen():
    known = bool(flag)
    spin(0.5, 0)
    return known
def closed():
    receiver = core.Receiver()
    def close():
        time.sleep(0.02)
        receiver.close()
    threading.Thread(target=close).start()
    try: receiver.get()
    except core.ChannelError: return u'closed'
"""


def burn():
    while True:
        pass


class Driver(object):
    """Exchanges random messages with one child."""

    def __init__(self, test, number):
        self.random = random.Random(SEED * 100 + number)
        self.c = test.child()
        self.dir = test.tempdir()
        self.c.push_ours("mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent")
        self.c.push("probe", SOURCE)
        self.c.call("probe", "handlers")
        if number % 2:
            self.c.call("probe", "nervous")
        self.count = 0
        self.error = None

    def run(self):
        kinds = (self.single, self.burst, self.before_a_long_one, self.load, self.plans, self.say, self.mixed)
        try:
            for _ in range(ROUNDS):
                self.random.choice(kinds)()
        except BaseException as e:
            self.error = "%s: %r" % (self.doing, e)

    def frame(self, func, *args):
        self.c.handle += 1
        return self.c.handle, frame(CALL, call_data("probe", func, args), self.c.handle, PKL)

    def check(self, handles, values):
        for handle, value in zip(handles, values):
            got = self.c.reply(handle).obj()
            if got != value:
                raise AssertionError("%r is not %r" % (got, value))

    def flight(self, calls):
        frames = [self.frame(*call) for call in calls]
        self.c.sock.sendall(b"".join(data for _, data in frames))
        return [handle for handle, _ in frames]

    def short(self):
        return self.random.choice(("sleep", "spin")), self.random.random() * 8, self.random.randrange(99)

    def single(self):
        self.doing = "single"
        for _ in range(5):
            call = self.short()
            self.check(self.flight([call]), [call[2]])

    def burst(self):
        self.doing = "burst"
        calls = [("same", i) if self.random.random() < 0.95 else self.short()
                 for i in range(self.random.randrange(60))]
        self.check(self.flight(calls), [call[-1] for call in calls])

    def before_a_long_one(self):
        """Replies before a call that returns only after they have arrived, and traffic during it."""
        self.doing = "long"
        self.count += 1
        path = os.path.join(self.dir, str(self.count))
        # The watchdog may own the loop already, or be about to take it.
        calls = [("sleep", self.random.random() * 15, 9)] * self.random.randrange(2)
        calls += [("same", i) for i in range(self.random.randrange(6))] + [self.short()][:self.random.randrange(2)]
        long = self.random.choice(("until", "spin_until")), as_text(path)
        handles = self.flight(calls + [long, ("same", 7)])
        self.check(handles, [call[-1] for call in calls])
        for _ in range(self.random.randrange(3)):
            self.ping()
        open(path, "w").close()
        self.check(handles[-2:], [as_text(path), 7])

    def ping(self):
        self.c.handle += 1
        self.c.send(999, b"", self.c.handle)
        assert self.c.reply(self.c.handle).data == b"invalid handle"

    def load(self):
        """An import from the master while the loop starts programs (Python 2 has one import lock)."""
        self.doing = "load"
        self.count += 1
        outer, inner = "outer%d" % self.count, "inner%d" % self.count
        self.c.push(outer, "import time; time.sleep(0.02)\nfrom %s import value" % inner)
        handles = self.flight([("load", as_text(outer))])
        plans = [self.plan() for _ in range(3)]
        self.c.until(lambda f: f.handle == GET_MODULE and f.data == inner.encode())
        plans += [self.plan() for _ in range(2)]
        self.c.push(inner, "value = 5")
        self.check(handles, [5])
        self.failed(plans)

    def plan(self):
        self.c.handle += 1
        request = start(50, plan(["/bin/false"]))
        self.c.send(RUN_PLAN, dumps(request), self.c.handle, PKL)
        return self.c.handle

    def failed(self, plans):
        for handle in plans:
            assert self.c.reply(handle).obj()[u"ok"] is False

    def plans(self):
        self.doing = "plans"
        call = self.short()
        handles = self.flight([call])
        plans = [self.plan()]
        self.check(handles, [call[2]])
        self.failed(plans)

    def say(self):
        self.doing = "say"
        self.count += 1
        size = self.random.choice((1, 1000, 150000))
        self.check(self.flight([("say", size, self.count)]), [self.count])
        end = u" %d" % self.count
        self.c.log(lambda name, level, line: name == u"stdout" and line.endswith(end))

    def mixed(self):
        """Frames of several callers in one write, some of which fail."""
        self.doing = "mixed"
        one, first = self.frame("same", 1)
        two, second = self.frame("sleep", 6, 2)
        three, third = self.frame("same", 3)
        odd = self.random.random() < 0.5
        self.c.sock.sendall(
            frame(4000, b"x" * odd) + first + frame(4002, b"self") + second + frame(4000) + third
            + frame(999, b"", 4242)
        )
        self.check([one, two, three], [1, 2, 3])
        assert self.c.reply(4242).data == b"invalid handle"
        assert self.c.reply(4003).data == b"self"


class Stress(TestCase):
    def test_nothing_is_lost_under_load(self):
        load = [multiprocessing.Process(target=burn) for _ in range(3)]
        drivers = [Driver(self, number) for number in range(CHILDREN)]
        threads = [threading.Thread(target=driver.run) for driver in drivers]
        for each in load + threads:
            each.daemon = True
            each.start()
        for thread in threads:
            thread.join()
        for each in load:
            each.terminate()
            each.join()
        self.assertEqual([d.error for d in drivers if d.error], [], "seed %d" % SEED)
        for driver in drivers:
            self.assertEqual(driver.c.call("probe", "same", 1), 1)


class Loop(TestCase):
    """Single aspects of the same."""

    def setUp(self):
        self.c = self.child()
        self.c.push("probe", SOURCE)
        self.c.call("probe", "handlers")

    def test_no_wake_up_is_lost(self):
        for _ in range(3):
            self.assertEqual(self.c.call("probe", "defers", 1500), 9000)

    def test_another_thread_ends_a_wait(self):
        self.assertEqual(self.c.call("probe", "closed"), u"closed")

    def test_a_call_to_the_own_context_from_the_loop(self):
        # The loop must not block after it has added to its own queue.
        self.c.send(4004)
        self.assertEqual(self.c.reply(4003).data, b"told")
        self.c.send(4002, b"x")
        self.assertEqual(self.c.reply(4003).data, b"x")

    def test_frames_after_a_handler_that_fails(self):
        for data in b"", b"exit":
            call = frame(CALL, call_data("probe", "same", (5,)), 70, PKL)
            self.c.sock.sendall(frame(4000, data) + call + frame(999, b"", 71))
            self.assertEqual(self.c.reply(70).obj(), 5)
            self.assertEqual(self.c.reply(71).data, b"invalid handle")
            self.c.log(lambda name, level, line: u"boom" in line)

    def test_frames_after_a_handler_that_waits(self):
        # The loop reads on meanwhile: complete frames, partial frames and one of its own context.
        big = b"z" * 400000
        last = frame(CALL, call_data("probe", "same", (big,)), 72, PKL)
        self.c.sock.sendall(
            frame(4001, b"later", 70) + frame(CALL, call_data("probe", "same", (5,)), 71, PKL) + last[:1000]
        )
        self.c.until(lambda f: f.handle == GET_MODULE and f.data == b"later")
        self.c.sock.sendall(last[1000:] + frame(999, b"", 73))
        self.c.push("later", "value = 6")
        self.assertEqual(self.c.reply(70).obj(), 6)
        self.assertEqual(self.c.reply(71).obj(), 5)
        self.assertEqual(self.c.reply(72).obj(), big)
        self.assertEqual(self.c.reply(73).data, b"invalid handle")

    def test_the_link_is_read_during_short_calls(self):
        # Each returns before the watchdog's second check; the frames after them do not fit into the
        # first read (of some 200), and must be handled long before all calls have run.
        calls = [frame(CALL, call_data("probe", "seen"), 5000, PKL) for i in range(300)]
        self.assertGreater(len(b"".join(calls)), 16384)
        self.c.sock.sendall(b"".join(calls) + frame(4005))
        self.assertEqual([self.c.reply(5000).obj() for _ in calls][150:], [True] * 150)


if __name__ == "__main__":
    unittest.main()
