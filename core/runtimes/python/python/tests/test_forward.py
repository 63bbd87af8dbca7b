"""Forwarding modules: each is sent once over each link, unchanged."""
import hashlib

from harness import *
from test_modules import TREE, PROBE, texts
from test_parent import PYTHON, plan, start

# Records what a context sends to its neighbours, from its first call on.
WATCH = '''
import mitogen.core as core
sent = []
def on_send(dst, handle, data, enc=core.MGC, send=core.send):
    if handle in (core.LOAD_MODULE, core.GET_MODULE, core.FORWARD_MODULE):
        name = core.loads(data)[0] if handle == core.LOAD_MODULE else data.decode("utf-8")
        sent.append((dst, handle, name))
    send(dst, handle, data, enc)
core.send = on_send
def seen(): return sent
'''

ASK = '''
import mitogen.core as core
def ask(*names):
    for name in names:
        core.send(core.parent_ids[0], core.GET_MODULE, name.encode("utf-8"))
def have():
    return sorted(name for name in core.importer.cache if name[:7] != "mitogen" and name != "ask")
def names(prefix):
    return sorted(name for name in core.importer.cache if name.startswith(prefix))
def digest(name):
    import hashlib
    return hashlib.sha256(core.importer.cache[name][3]).hexdigest()
'''


class Forward(TestCase):
    """Context 1 has the children 2 and 5; 2 has the children 3 and 4."""

    def setUp(self):
        self.c = self.child()
        self.c.push_ours("mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent")
        for id, parents in (2, (1, 0)), (5, (1, 0)), (3, (2, 1, 0)), (4, (2, 1, 0)):
            self.c.handle += 1
            request = start(id, plan(PYTHON), parents)
            self.c.send(RUN_PLAN, dumps(request), self.c.handle, PKL, dst=parents[0])
            got = self.c.reply(self.c.handle).obj()
            self.assertEqual(got[u"ok"], True, got)
        for name, source in (u"watch", WATCH), (u"ask", ASK):
            self.direct(name, source)
        for id in 1, 2:
            self.on(id, "watch", "seen")

    def direct(self, name, source):
        """Put a module into every context, without the caches of intermediates."""
        for id in 1, 2, 3, 4, 5:
            self.c.send(LOAD, module_data(name, source), 0, PKL, dst=id)

    def on(self, id, module, func, *args):
        tree = dict(TREE, probe=(PROBE,))
        return texts(self.c.serve(self.c.post(module, func, *args, dst=id), tree).obj())

    def crossings(self, handle=LOAD):
        """The modules that 1 and 2 have sent: [(from, to, name)]."""
        found = []
        for id in 1, 2:
            found += [(id, dst, name) for dst, what, name in self.on(id, "watch", "seen") if what == handle]
        return found

    def forward(self, target, name):
        self.c.send(FORWARD_MODULE, (u"%d\0%s" % (target, name)).encode("utf-8"))

    def test_each_module_is_sent_once_over_each_link(self):
        # In all contexts concurrently, then again.
        handles = [self.c.post("pkg.a", "f", dst=id) for _ in range(2) for id in (3, 4, 5, 2, 1)]
        for handle in handles:
            self.assertEqual(texts(self.c.serve(handle, TREE).obj()), [u"b", u"bd", u"pkg"])
        names = [u"pkg", u"pkg.a", u"pkg.b", u"pkg.sub", u"pkg.sub.deep"]
        self.assertEqual(sorted(self.c.asked), names)
        links = (1, 2), (1, 5), (2, 3), (2, 4)
        self.assertEqual(sorted(self.crossings()), sorted(link + (name,) for link in links for name in names))
        self.assertEqual(sorted(self.crossings(GET_MODULE)), sorted(
            (id, above, name) for id, above in ((1, 0), (2, 1)) for name in names
        ))

    def test_related_modules_are_sent_first(self):
        call = self.c.post("pkg.a", "f", dst=3)
        self.assertEqual(self.c.until(lambda f: f.handle == GET_MODULE).data, b"pkg")
        related = [u"pkg", u"pkg.b", u"pkg.sub", u"pkg.sub.deep"]
        for name in related[1:]:
            self.c.push(name, *TREE[name])
        self.c.push("pkg", *TREE[u"pkg"] + (related[1:] + [u"not.there"],))
        self.assertEqual(texts(self.c.serve(call, TREE).obj()), [u"b", u"bd", u"pkg"])
        self.assertEqual(self.c.asked, [u"pkg.a"])
        expected = related[1:] + [u"pkg", u"pkg.a"]
        for link in (1, 2), (2, 3):
            self.assertEqual([got[2] for got in self.crossings() if got[:2] == link], expected)

    def test_forward_module_reaches_the_last_context(self):
        self.c.push("pkg", *TREE[u"pkg"])
        # The intermediate gets it first; the context behind it must get it too.
        for target in 2, 3, 3, 4:
            self.forward(target, "pkg")
        for id in 3, 4:
            self.c.push("probe", PROBE)
            self.forward(id, "probe")
        call = self.c.post("probe", "there", u"pkg", dst=3)
        self.assertEqual(self.c.reply(call).obj(), True)
        self.assertEqual(self.on(4, "ask", "have"), [u"pkg", u"probe", u"watch"])
        self.assertEqual(self.c.asked, [])
        self.assertEqual(sorted(self.crossings()), sorted(
            link + (name,) for link in ((1, 2), (2, 3), (2, 4)) for name in (u"pkg", u"probe")
        ))
        self.assertEqual(self.on(5, "ask", "have"), [u"watch"])

    def test_forward_module_before_the_module(self):
        self.forward(3, "pkg.b")
        self.assertEqual(self.c.until(lambda f: f.handle == GET_MODULE).data, b"pkg.b")
        self.c.push("pkg.b", *TREE[u"pkg.b"])
        while u"pkg.b" not in self.on(3, "ask", "have"):
            pass
        self.assertEqual(self.c.asked, [])
        self.assertEqual(self.crossings(), [(1, 2, u"pkg.b"), (2, 3, u"pkg.b")])

    def test_requests_that_cross_the_reply(self):
        self.c.push("pkg", *TREE[u"pkg"])
        self.forward(3, "pkg")
        for names in (u"pkg",) * 3, (u"pkg.b",) * 3, (u"mitogen", u"mitogen.core"):
            self.on(3, "ask", "ask", *names)
        while u"pkg.b" not in self.on(3, "ask", "have"):
            pass
        self.assertEqual(self.c.asked, [u"pkg.b"])
        self.assertEqual(self.crossings(), [(1, 2, u"pkg"), (1, 2, u"pkg.b"), (2, 3, u"pkg"), (2, 3, u"pkg.b")])

    def test_negative_replies_are_cached(self):
        for id in 3, 4, 2, 5:
            got = self.on(id, "probe", "plain", u"pkg._speed")
            self.assertTrue(got[1].startswith(TREE[u"pkg._speed"][1]), got)
            self.assertTrue(self.on(id, "probe", "plain", u"nowhere")[1].startswith(u"The Mitogen master process was"))
        self.assertEqual(sorted(self.c.asked), [u"nowhere", u"pkg", u"pkg._speed", u"pkg.a", u"pkg.b", u"pkg.sub", u"pkg.sub.deep", u"probe"])

    def test_payloads_are_forwarded_unchanged(self):
        # A form that this runtime never writes: memo entries, and a source that is not a Blob.
        data = pickle.dumps((u"odd", None, u"/odd.py", u"%s", []), 2).replace(
            b"X\x02\0\0\0%s", b"T" + struct.pack("<L", 100) + zlib.compress(b"def f(): return 7\n").ljust(100, b"\0"))
        self.c.send(LOAD, data, 0, PKL)
        self.forward(3, "odd")
        self.assertEqual(self.on(3, "odd", "f"), 7)
        for id in 1, 2, 3:
            self.assertEqual(self.on(id, "ask", "digest", u"odd"), as_text(hashlib.sha256(data).hexdigest()))

    def test_requests_of_children_of_another_runtime(self):
        # Modules of upstream Mitogen that this runtime does not have: the master replies.
        names = [u"mitogen.docker", u"mitogen.lxc", u"mitogen.setns"]
        self.c.reply(self.c.post("ask", "ask", *names, dst=3))
        for name in names:
            got = self.c.until(lambda f: f.handle == GET_MODULE)
            self.c.push(got.data, "UPSTREAM = %r" % str(as_text(got.data)))
        while set(names) - set(self.on(3, "ask", "names", "mitogen")):
            pass


if __name__ == "__main__":
    unittest.main()
