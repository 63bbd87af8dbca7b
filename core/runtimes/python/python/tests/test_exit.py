"""How a child exits."""
from harness import *

SOURCE = """
import time, os, atexit
def spin():
    while 1: pass
def sleep(): time.sleep(1000)
def hang():
    import threading
    lock = threading.Lock(); lock.acquire(); lock.acquire()
def at(path): atexit.register(lambda: open(path, 'w').close())
def thread():
    import threading
    threading.Thread(target=time.sleep, args=(1000,)).start()
"""


class Exit(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push("probe", SOURCE)

    def test_shutdown(self):
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)

    def test_parent_closes_the_link(self):
        self.c.close()
        self.assertEqual(self.c.wait(), 0)

    def test_parent_closes_the_link_while_busy(self):
        for name in "spin", "sleep", "hang":
            c = self.child()
            c.push("probe", SOURCE)
            c.post("probe", name)
            c.call  # The call runs when the next message has been answered.
            c.send(998, b"", 4242)
            self.assertEqual(c.reply(4242).data, b"invalid handle")
            c.close()
            self.assertEqual(c.wait(), 0)

    def test_shutdown_while_busy(self):
        self.c.post("probe", "sleep")
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)

    def test_shutdown_needs_authority(self):
        c = self.child(conf=config(5, (3, 0)))
        c.send(SHUTDOWN, reply_to=99, src=9, auth=9)
        self.assertEqual(c.reply(99).data, b"refused by policy")
        self.assertEqual(c.call("posix", "getpid"), c.proc.pid)

    def test_atexit_and_threads(self):
        path = os.path.join(self.tempdir(), "done")
        self.c.call("probe", "at", as_text(path))
        self.c.call("probe", "thread")
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)
        self.assertTrue(os.path.exists(path))

    def test_corruption_and_oversize_end_the_link(self):
        self.c.sock.sendall(b"garbage" * 10)
        self.assertEqual(self.c.wait(), 0)
        c = self.child(conf=config(max_message_size=1000))
        c.sock.sendall(frame(CALL, b"x" * 1001))
        self.assertEqual(c.wait(), 0)
        c.log(lambda name, level, text: u"1001" in text)

    def test_largest_frame_is_accepted(self):
        c = self.child(conf=config(max_message_size=1000))
        c.send(998, b"x" * 1000, 77)
        self.assertEqual(c.reply(77).data, b"invalid handle")

    def test_interrupt_is_ignored(self):
        self.c.call("posix", "getpid")
        os.kill(self.c.proc.pid, signal.SIGINT)
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)

    def test_shutdown_while_the_parent_does_not_read(self):
        # The replies cannot be sent; SHUTDOWN works nevertheless.
        self.c.push("probe3", "def f(): return b'x' * 1000000")
        for _ in range(20):
            self.c.post("probe3", "f")
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)


if __name__ == "__main__":
    unittest.main()
