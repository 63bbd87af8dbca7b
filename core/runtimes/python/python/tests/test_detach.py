"""Detaching: a child outlives its parent."""
from harness import *

DETACHING = 109
SOURCE = """
import os, signal, time
import mitogen.core

def wait_for(path):
    end = time.time() + %d
    while not os.path.exists(path) and time.time() < end:
        time.sleep(0.002)

def after(path):
    wait_for(path + ".go")
    with open(path, "w") as fp:
        fp.write("%%d %%d" %% (os.getsid(0) == os.getpid(), signal.getsignal(1) == signal.SIG_IGN))

@mitogen.core.takes_econtext
def by_econtext(path, econtext):
    econtext.detach()
    after(path)
    return "for nobody"

def by_module(path):
    import mitogen.detach
    mitogen.detach.detach()
    after(path)

@mitogen.core.takes_econtext
def by_thread(path, econtext):
    import threading
    econtext.detach()
    threading.Thread(target=after, args=(path,)).start()
""" % LIMIT


class Detach(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push("probe", SOURCE)
        self.path = os.path.join(self.tempdir(), "done")

    def asked(self):
        got = self.c.until(lambda f: f.handle == DETACHING)
        self.assertEqual((got.src, got.auth, got.data), (1, 1, b""))
        return got

    def leaves(self):
        """The parent agrees; the child withdraws its route and closes the link."""
        self.c.send(self.asked().reply_to, dumps(None), 0, PKL)
        self.assertEqual(self.c.until(lambda f: f.handle == DEL_ROUTE).data, b"1")
        self.assertRaises(EOFError, self.c.recv)
        self.assertIs(self.c.proc.poll(), None)
        self.assertFalse(os.path.exists(self.path))

    def ends(self):
        """The running call is completed, then the process exits as a program does."""
        open(self.path + ".go", "w").close()
        self.assertEqual(self.c.wait(), 0)
        with open(self.path) as fp:
            self.assertEqual(fp.read(), "1 1")

    def test_a_running_function_detaches_and_continues(self):
        for name in "by_econtext", "by_module", "by_thread":
            self.setUp()
            self.c.post("probe", name, as_text(self.path))
            self.leaves()
            self.ends()

    def test_earlier_calls_are_completed(self):
        self.c.post("probe", "by_econtext", as_text(self.path + "0"))
        self.c.post("probe", "after", as_text(self.path))
        self.leaves()
        open(self.path + "0.go", "w").close()
        self.ends()
        self.assertTrue(os.path.exists(self.path + "0"))

    def test_a_refused_detach_is_an_error(self):
        for answer in (u"invalid handle", u""):
            call = self.c.post("probe", "by_econtext", as_text(self.path))
            self.c.send(self.asked().reply_to, answer.encode(), 999)
            error = self.c.reply(call).obj()
            self.assertError(error, u"mitogen.core.StreamError: the parent refused to detach this context", answer)
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)

    def test_only_the_parent_can_allow_detaching(self):
        call = self.c.post("probe", "by_module", as_text(self.path))
        reply_to = self.asked().reply_to
        self.c.send(reply_to, dumps(None), 77, PKL, src=9, auth=9)
        self.assertEqual(self.c.reply(77).data, b"reply from unexpected context")
        self.c.send(reply_to, dumps(None), 0, PKL)
        self.assertEqual(self.c.until(lambda f: f.handle == DEL_ROUTE).data, b"1")
        self.ends()


if __name__ == "__main__":
    unittest.main()
