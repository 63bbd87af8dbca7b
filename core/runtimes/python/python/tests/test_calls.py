"""Calls: values, errors, chains, order, the watchdog thread."""
from harness import *

SOURCE = """
import sys, time, os
def echo(*args, **kw): return args, kw
def same(x): return x
def size(x): return len(x), type(x).__name__
def fail(text): raise ValueError(text)
def quit(): raise SystemExit(3)
def lock():
    import threading
    return threading.Lock()
def lam(): return lambda: 1
def deep():
    x = []
    for _ in range(100000): x = [x]
    return x
class Odd(object):
    def __reduce__(self): raise KeyError('odd')
def odd(): return Odd()
class K(object):
    @classmethod
    def method(cls, x): return x + 1
def econtext(econtext, a=0): return econtext.config['context_id'], a
econtext.mitogen_takes_econtext = True
def router(router): return router.myself().context_id
router.mitogen_takes_router = True
def sleep(n): time.sleep(n); return n
def spin():
    while 1: pass
def blob():
    import mitogen.core as c
    return [c.Blob(b'ab\\xff'), c.Secret(u's'), c.Kwargs({u'a': 1}), c.Context(None, 5, u'five')]
def roundtrip(x): return type(x).__name__, repr(x), x
def big(n): return b'x' * n
"""


class Calls(TestCase):
    def setUp(self):
        self.c = self.child()
        self.c.push("probe", SOURCE)

    def test_golden_frame(self):
        self.c.sock.sendall(binascii.unhexlify(
            "4d4a000000010000000000000000" "00000065" "000003e8" "00000043"
            "8002284e5805000000706f73697871004e58060000006765747069647101" "29"
            "636d69746f67656e2e636f72650a4b77617267730a71027d71038571045271057471062e"
        ))
        got = self.c.recv()
        self.assertEqual((got.enc, got.dst, got.src, got.auth, got.handle, got.reply_to),
                         (PKL, 0, 1, 1, 1000, 0))
        self.assertEqual(got.obj(), self.c.proc.pid)

    def test_none_is_four_bytes(self):
        self.assertEqual(self.c.reply(self.c.post("sys", "gettrace")).data, b"\x80\x02N.")

    def test_values(self):
        for value in (
            0, 255, 65535, -1, 2 ** 31, 2 ** 40, -2 ** 70, 1.5, u"t\xe9xt", u"", b"", b"raw\xff", [], (), {},
            [1, [2, {u"k": (None, True, False)}]], {u"a": b"1", 2: u"x"}, [b"a" * 300, b"b" * 70000, b""],
            {u"n": [b"\x00" * 10, {u"m": b"B\x80C"}], u"i": 2 ** 80, u"u": u"BCX" * 100},
        ):
            got = self.c.call("probe", "same", value)
            self.assertEqual(got, value)
            self.assertEqual(type(got), type(value))

    def test_nested_bytes_travel_raw(self):
        data = bytes(bytearray(range(256))) * 256
        got = self.c.reply(self.c.post("probe", "same", {u"d": [data, data]}))
        self.assertEqual(got.obj(), {u"d": [data, data]})
        self.assertLess(len(got.data), 2 * len(data) + 100)

    def test_keywords(self):
        args, kw = self.c.call("probe", "echo", 1, k=2)
        self.assertEqual((args, kw), ((1,), {u"k": 2}))
        data = dumps((None, u"probe", None, u"echo", (), Global("mitogen.core", "Kwargs", ({b"k": 1},))))
        self.c.send(CALL, data, 55, PKL)
        got = self.c.reply(55).obj()
        self.assertEqual(got[1], {u"k": 1})

    def test_classes_and_injection(self):
        self.assertEqual(self.c.call("probe", "method", 1, cls="K"), 2)
        self.assertEqual(self.c.call("probe", "econtext", a=3), (1, 3))
        self.assertEqual(self.c.call("probe", "router"), 1)

    def test_exception(self):
        error = self.c.call("probe", "fail", u"boo")
        self.assertError(error, u"%s.ValueError: boo\n" % (u"builtins" if PY3 else u"exceptions"))
        self.assertIn(u'File "master:/m/probe.py", line 6, in fail', error.args[0])
        self.assertIn(u"def fail(text): raise ValueError(text)", error.args[0])

    def test_long_error_is_cut(self):
        error = self.c.call("probe", "fail", u"\xe9" * 20000)
        self.assertEqual(len(error.args[0]), 9999)

    def test_system_exit_is_an_error(self):
        self.assertError(self.c.call("probe", "quit"), u"", u"SystemExit: 3")
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)

    def test_unpicklable_returns(self):
        for name in "lock", "lam", "deep", "odd":
            self.assertError(self.c.call("probe", name), u"")
        self.assertEqual(self.c.call("posix", "getpid"), self.c.proc.pid)

    def test_no_such_function_or_module(self):
        self.assertError(self.c.call("probe", "nothing"), u"", u"AttributeError")
        handle = self.c.post("no_such_module", "f")
        asked = self.c.until(lambda f: f.handle == GET_MODULE)
        self.assertEqual((asked.data, asked.dst, asked.enc), (b"no_such_module", 0, MGC))
        self.c.push("no_such_module", None)
        self.assertError(self.c.reply(handle).obj(), u"", u"no_such_module")

    def test_refused_globals(self):
        for data in (b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", b"\x80\x02c__builtin__\neval\n(X\x01\0\0\0" b"1tR."):
            self.c.send(CALL, data, 77, PKL)
            self.assertError(self.c.reply(77).obj(), u"mitogen.core.StreamError: cannot unpickle '")
        self.c.send(CALL, b"", 77, PKL)
        self.assertError(self.c.reply(77).obj(), u"")
        self.c.send(CALL, b"raw", 77, BIN)
        self.assertError(self.c.reply(77).obj(), u"", u"ValueError")

    def test_allowed_globals(self):
        for value, kind in (
            (Global("_codecs", "encode", (u"\xff\x00a", u"latin1")), b"bytes"),
            (Global("__builtin__", "bytes", ()), b"bytes"),
            (Global("mitogen.core", "Blob", (b"x",)), b"Blob"),
            (Global("mitogen.core", "Secret", (u"x",)), b"Secret"),
            (Global("mitogen.core", "Kwargs", ({},)), b"Kwargs"),
            (Global("mitogen.core", "CallError", (u"x",)), b"CallError"),
            (Global("mitogen.core", "_unpickle_call_error", (u"x",)), b"CallError"),
            (Global("mitogen.core", "_unpickle_context", (3, u"x")), b"Context"),
            (Global("mitogen.core", "_unpickle_sender", (3, 4)), b"Sender"),
        ):
            name, shown, back = self.c.call("probe", "roundtrip", value)
            if kind == b"bytes" and not PY3:
                kind = b"str"
            self.assertEqual(name if not PY3 else name.encode(), kind)
            if kind == b"Secret":
                self.assertNotIn(u"x", as_text(shown))
        for bad in (("_unpickle_context", (-1, None)), ("_unpickle_context", (1, u"n" * 501)), ("_unpickle_sender", (1, 0)), ("_unpickle_call_error", (b"x",)), ("_unpickle_call_error", (u"x" * 10000,))):
            self.assertError(self.c.call("probe", "same", Global("mitogen.core", *bad)), u"")

    def test_protocol_types_round_trip(self):
        data = bytes(bytearray(range(256))) * 1000
        got = self.c.reply(self.c.post("probe", "same", Global("mitogen.core", "Blob", (data,))))
        self.assertEqual((got.obj().key[1], got.obj().args), ("Blob", (data,)))
        self.assertLess(len(got.data), len(data) + 50)
        blob, secret, kw, context = self.c.call("probe", "blob")
        self.assertEqual((blob.key[1], blob.args), ("Blob", (b"ab\xff",)))
        self.assertEqual((secret.key[1], secret.args), ("Secret", (u"s",)))
        self.assertEqual((kw.key[1], kw.args), ("Kwargs", ({u"a": 1},)))
        self.assertEqual((context.key[1], context.args), ("_unpickle_context", (5, u"five")))

    def test_names_loaded_on_demand(self):
        source = """
import mitogen.core
def f():
    have = [hasattr(mitogen.core, name) for name in ("nothing", "Receiver", "takes_router", "__nothing__", "nothing")]
    try:
        from mitogen.core import nothing
    except ImportError:
        return have
"""
        self.c.push("names", source)
        self.assertEqual(self.c.call("names", "f"), [False, True, True, False, False])

    def test_chains(self):
        first = self.c.post("probe", "fail", u"one", chain=u"c1")
        second = self.c.post("probe", "echo", 1, chain=u"c1")
        other = self.c.post("probe", "echo", 1, chain=u"c2")
        self.assertError(self.c.reply(first).obj(), u"", u"one")
        self.assertError(self.c.reply(second).obj(), u"", u"one")
        self.assertEqual(self.c.reply(other).obj(), ((1,), {}))
        self.c.send(CALL, call_data("mitogen.core", "forget_chain", (u"c1",), cls="Dispatcher"), 0, PKL)
        self.assertEqual(self.c.call("probe", "echo", chain=u"c1"), ((), {}))

    def test_failed_no_reply_call(self):
        self.c.send(CALL, call_data("probe", "fail", (u"lonely",)), 0, PKL)
        record = self.c.log(lambda name, level, text: u"lonely" in text)
        self.assertEqual(record[:2], (u"mitogen", u"40"))
        self.assertTrue(record[2].startswith(u"No-reply function call failed: "))
        # In a chain the error is stored for the next call instead.
        self.c.send(CALL, call_data("probe", "fail", (u"kept",), chain=u"n"), 0, PKL)
        self.assertError(self.c.call("probe", "echo", chain=u"n"), u"", u"kept")

    def test_earlier_replies_are_sent_during_a_slow_call(self):
        self.c.call("probe", "echo")
        data = b"".join(frame(CALL, call_data("probe", "echo", (i,)), 100 + i, PKL) for i in range(5))
        self.c.sock.sendall(data + frame(CALL, call_data("probe", "spin"), 0, PKL))
        for i in range(5):
            self.assertEqual(self.c.recv().obj(), ((i,), {}))
        # The call never returns; the link is served meanwhile.
        self.c.send(999, b"", 4242)
        self.assertEqual(self.c.reply(4242).data, b"invalid handle")
        self.c.send(SHUTDOWN)
        self.assertEqual(self.c.wait(), 0)

    def test_link_is_served_during_a_long_call(self):
        for _ in range(3):
            handle = self.c.post("probe", "sleep", 0.1)
            self.c.send(999, b"", 4242)
            first = self.c.recv()
            self.assertEqual((first.handle, first.data), (4242, b"invalid handle"))
            self.assertEqual(self.c.reply(handle).obj(), 0.1)
            self.assertEqual(self.c.call("probe", "echo"), ((), {}))

    def test_many_calls(self):
        import threading
        count = 5000
        data = b"".join(frame(CALL, call_data("probe", "same", (i,)), 100, PKL) for i in range(count))
        thread = threading.Thread(target=self.c.sock.sendall, args=(data,))
        thread.start()
        self.assertEqual([self.c.recv().obj() for _ in range(count)], list(range(count)))
        thread.join()

    def test_large_frames(self):
        for size in 70000, 131072, 131073, 5 << 20:
            data = os.urandom(1000) * (size // 1000) + b"z" * (size % 1000)
            self.assertEqual(self.c.call("probe", "same", data), data)
            self.assertEqual(self.c.call("probe", "same", [data, 1]), [data, 1])
            many = list(range(size // 10))
            self.assertEqual(self.c.call("probe", "same", many), many)
            text = u"t\xe9" * (size // 3)
            self.assertEqual(self.c.call("probe", "same", text), text)

    def test_large_frames_among_small_ones(self):
        big = b"y" * 300000
        data = b"".join(
            frame(CALL, call_data("probe", "same", (i if i % 3 else big,)), 100, PKL) for i in range(30)
        )
        import threading
        thread = threading.Thread(target=self.c.sock.sendall, args=(data,))
        thread.start()
        self.assertEqual([self.c.recv().obj() for i in range(30)], [i if i % 3 else big for i in range(30)])
        thread.join()

    def test_reply_above_the_size_limit(self):
        c = self.child(conf=config(max_message_size=100000))
        c.push("probe", SOURCE)
        got = c.reply(c.post("probe", "big", 100001))
        self.assertEqual((got.reply_to, got.data), (999, b"message too large (max 100000 bytes)"))
        self.assertEqual(c.call("probe", "big", 10), b"x" * 10)


if __name__ == "__main__":
    unittest.main()
