"""A malicious child cannot affect the context between it and the master."""
from harness import *
from test_parent import Below

SECURITY = """
import posix, time
import mitogen.core as core
heard = []
def listen(respondent):
    # Registers a handler as a wait for a reply of that context does.
    respondent = core.router.context_by_id(respondent)
    return core.router.add_handler(
        lambda msg: heard.append((msg.src_id, msg.is_dead, msg.data)), persist=False, respondent=respondent
    )
def got():
    now, heard[:] = list(heard), []
    return now
def send(dst, src, auth, handle, reply_to, data):
    core.parent.send([core.pack(core.PKL, dst, src, auth, handle, reply_to, len(data)) + data])
def raw(data):
    core.parent.send([data])
def pieces(data):
    core.parent.lock.acquire()
    try:
        for at in range(0, len(data), 3):
            posix.write(core.parent.wfd, data[at:at + 3])
            time.sleep(0.0005)
    finally:
        core.parent.lock.release()
"""


class Plain(TestCase):
    def test_only_the_parent_may_withdraw_routes(self):
        c = self.child(conf=config(5, (3, 0)))
        for handle, auth in (DEL_ROUTE, 9), (DEL_ROUTE, 3), (LOAD, 9), (CALL, 9), (SHUTDOWN, 9), (RUN_PLAN, 9):
            c.send(handle, b"0", 77, src=9, auth=auth)
            self.assertEqual(c.reply(77).data, b"refused by policy")
        self.assertEqual(c.call("posix", "getpid"), c.proc.pid)


class Security(Below):
    def setUp(self):
        Below.setUp(self)
        self.c.push("security", SECURITY)
        for id in 2, 3:
            self.up(id)
            self.c.send(LOAD, module_data("security", SECURITY), 0, PKL, dst=id)

    def got(self):
        return [tuple(item) for item in self.c.call("security", "got")]

    def says(self, id, *args):
        """The child sends a frame. Returns when the parent has processed it."""
        self.on(id, "security", "send", *args)
        self.c.call("posix", "getpid")

    def test_replies_from_other_contexts_are_refused(self):
        handle = self.c.call("security", "listen", 2)
        for src, auth in (3, 3), (2, 2), (0, 0), (2, 3), (3, 2):
            # From the child 3, with any claimed source.
            self.says(3, 1, src, auth, handle, 0, b"forged")
        self.assertEqual(self.got(), [])
        self.on(3, "security", "send", 1, 3, 3, handle, 4242, b"forged")
        # The refusal goes to a handle of the child that does not exist, and is dropped.
        self.says(2, 1, 2, 2, handle, 0, b"true")
        self.assertEqual(self.got(), [(2, False, b"true")])

    def test_siblings_cannot_end_waits_for_a_respondent(self):
        handle = self.c.call("security", "listen", 2)
        for src, auth in (3, 3), (2, 2), (0, 0), (1, 1), (2, 3), (3, 2):
            self.says(3, 1, src, auth, handle, 999, b"gone")
        self.assertEqual(self.got(), [])
        # The context itself and its parents may report it.
        self.says(2, 1, 2, 2, handle, 999, b"gone")
        self.assertEqual(self.got(), [(2, True, b"gone")])
        handle = self.c.call("security", "listen", 2)
        self.c.send(handle, b"gone", 999)
        self.assertEqual(self.got(), [(0, True, b"gone")])

    def test_intermediates_can_end_waits_for_a_respondent(self):
        self.says(2, 1, 2, 2, ADD_ROUTE, 0, b"5:deep")
        handle = self.c.call("security", "listen", 5)
        self.says(3, 1, 3, 3, handle, 999, b"gone")
        self.assertEqual(self.got(), [])
        self.says(2, 1, 2, 2, handle, 999, b"gone")
        self.assertEqual(self.got(), [(2, True, b"gone")])

    def test_routes_of_other_contexts_cannot_be_claimed(self):
        pid = self.on(2, "posix", "getpid")
        for id in b"0:x", b"1:x", b"2:x":
            self.says(3, 1, 3, 3, ADD_ROUTE, 0, id)
        for id in b"0", b"1", b"2":
            self.says(3, 1, 3, 3, DEL_ROUTE, 0, id)
        self.assertEqual(self.on(2, "posix", "getpid"), pid)
        self.assertEqual([f for f in self.c.other if f.handle in (ADD_ROUTE, DEL_ROUTE) and f.data[:1] != b"3"
                          and f.data != b"2:local.2"], [])

    def test_descendants_have_no_authority(self):
        for handle in CALL, SHUTDOWN, LOAD, FORWARD_MODULE, LOAD_RESOURCE, RUN_PLAN, 110:
            for auth in 3, 2, 0:
                self.says(3, 1, 3, auth, handle, 4242, call_data("security", "send", (0, 1, 1, 4001, 0, b"obeyed")))
        self.says(3, 0, 3, 3, 4000, 0, b"fence")
        self.c.until(lambda f: f.handle == 4000)
        self.assertEqual([f for f in self.c.other if f.handle == 4001], [])
        self.assertIs(self.c.proc.poll(), None)

    def test_a_corrupt_link_does_not_affect_others(self):
        for id, data in (2, b"Segmentation fault (core dumped)\n"), (3, HEADER.pack(PKL, 1, 3, 3, 4000, 0, (128 << 20) + 1)):
            self.c.post("security", "raw", data, dst=id)
            self.assertEqual(self.c.until(lambda f: f.handle == DEL_ROUTE).data, str(id).encode())
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)
        self.up(4)

    def test_fragmented_frames_are_reassembled(self):
        frames = b"".join(frame(4000, b"number %d" % number, 0, PKL, 0, 2, 2) for number in range(20))
        self.c.post("security", "pieces", frames, dst=2)
        for number in range(20):
            got = self.c.until(lambda f: f.handle == 4000)
            self.assertEqual((got.src, got.data), (2, b"number %d" % number))


if __name__ == "__main__":
    unittest.main()
