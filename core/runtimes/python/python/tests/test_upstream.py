"""Programs that are written for upstream Mitogen, whose functions run in our children."""
from harness import *
from test_parent import PYTHON, plan, start

PROXY_CONNECT = 124

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "upstream_program.py"), "rb") as file:
    PROGRAM = file.read()


class Master(Child):
    """The child's master, which starts contexts for it."""

    def __init__(self):
        Child.__init__(self)
        self.parents = {1: (1, 0)}
        self.connecting = {}
        self.push_ours("mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes", "mitogen.parent")
        self.push_ours("mitogen.fork")

    def recv(self):
        while True:
            got = Child.recv(self)
            if got.handle == PROXY_CONNECT:
                self.connect(got)
            elif got.handle in self.connecting:
                via, id, name, handle = self.connecting.pop(got.handle)
                self.answer(via, handle, id, name)
            elif got.handle == GET_MODULE and as_text(got.data) not in PARTS["modules"]:
                # A part of the standard library that this interpreter was built without.
                self.push(as_text(got.data), None)
            elif got.dst and got.reply_to:
                text = u"no route to %d, my ID is 0" % got.dst
                self.send(got.reply_to, text.encode(), 999, dst=got.src)
            else:
                return got

    def answer(self, dst, handle, id, name, msg=None):
        answer = {u"id": id, u"name": name, u"msg": msg}
        self.send(handle, dumps(answer), 0, PKL, dst=dst)

    def connect(self, got):
        name, method, options = got.obj()
        options = dict((as_text(key), value) for key, value in options.items())
        if u"python_path" in options:
            return self.answer(
                got.src, got.reply_to, None, None, u"EOF on stream; last 100 lines received:\n/none: not found"
            )
        if method not in (u"local", u"fork"):
            return self.answer(got.src, got.reply_to, None, None, u"unknown method `%s`" % as_text(method))
        id = max(self.parents) + 1
        self.parents[id] = (id,) + self.parents[got.src]
        self.handle += 1
        self.connecting[self.handle] = got.src, id, name or u"%s.%d" % (as_text(method), id), got.reply_to
        made = plan(PYTHON, u"fork") if method == u"fork" else plan(PYTHON)
        request = start(id, made, self.parents[got.src])
        # Contexts on the way must know the new one before calls to it arrive.
        for above in self.parents[got.src][1:-1]:
            expected = {u"v": 1, u"kind": u"expect", u"id": id, u"via": got.src}
            self.send(RUN_PLAN, dumps(expected), 0, PKL, dst=above)
        self.send(RUN_PLAN, dumps(request), self.handle, PKL, dst=got.src)


class Programs(TestCase):
    def setUp(self):
        self.c = Master()
        self.addCleanup(self.c.finish)
        self.c.push("probe", PROGRAM)

    def run_there(self, func, *args):
        got = self.c.call("probe", func, *args)
        if isinstance(got, Global):
            self.fail(got.args[0])
        return got

    def test_the_basics(self):
        self.assertEqual(self.run_there("basics"), [
            True, True, u"abab", True, [u"local.2", u"local.2.named"], u"ValueError: on purpose", True, True, True,
        ])

    def test_a_main_program(self):
        self.assertEqual(self.run_there("in_a_main_program"), [True, True, True, u"int" if PY3 else b"int"])

    def test_contexts_that_do_not_start(self):
        text = u"EOF on stream; last 100 lines received:\n"
        errors = self.run_there("refused", u"/none")
        self.assertEqual([list(map(as_text, error)) for error in errors[:2]], [
            [u"EofError", text + u"/none: not found"], [u"StreamError", u"unknown method `nothing`"],
        ])
        self.assertEqual(as_text(errors[2]), text)

    def test_functions_without_a_name(self):
        texts = [u"Mitogen cannot invoke " + what for what in (
            u"closures", u"anonymous functions", u"instance methods",
        )]
        self.assertEqual(self.run_there("unnamed"), texts * 2)

    def test_ping_pong(self):
        self.assertEqual(self.run_there("ping_pong", 50), (50, [], u"done"))

    def test_receivers_and_channels(self):
        closed = u"Sender was explicitly closed"
        self.assertEqual(self.run_there("receivers"), [
            [True, 0, True], u"x", [closed, closed], u"nothing", u"nothing", u"the Receiver has been closed", [],
            2, [True, True],
        ])

    def test_latches(self):
        self.assertEqual(self.run_there("latches"), [True, 0, True, u"nothing", u"nothing"] + [u"closed"] * 4)

    def test_selects(self):
        self.assertEqual(self.run_there("selects"), [
            True, [[(True, True)] * 3, False], [[0, u"before"], [1, u"inner"], [2, u"latch"]], True, u"nothing",
            [u"left", True, None], u"closed", [0, 1, 2],
        ])

    def test_names(self):
        got = self.run_there("names")
        name = u"str" if PY3 else b"unicode"
        self.assertEqual(got, [
            True, True, name, True, [(1, 2)], True, [u"a", u".", u"b.c"], [u"a.b", u".", u"c"], True, True, 1,
            [None, True], u"raised", [True, True, True], [False, False, False], [True, True], [True, True],
            [True, True, True], u"Cannot serialize",
        ])

    def test_names_of_the_context(self):
        self.assertEqual(self.run_there("context_names"), [1, 101, 1, 2, True, True, 0, 0, False])

    def test_lines_and_signals(self):
        self.run_there("io_logger")
        for line in u"one", u"two":
            self.c.log(lambda name, level, text: (name, text) == (u"mine", line))
        self.assertEqual(self.run_there("signals"), u"lost")
        self.run_there("end")
        self.c.log(lambda name, level, text: (name, text) == (u"end", u"shut down"))
        self.c.wait()

    def test_minified_sources(self):
        self.assertEqual(self.run_there("minified"), [
            True, True, True, False, False, True, True, True, True, True,
        ])


if __name__ == "__main__":
    unittest.main()
