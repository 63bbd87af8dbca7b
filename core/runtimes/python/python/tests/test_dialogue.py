"""Tests the Python engine with the shared transcripts, and what those cannot express.

Runs under any supported interpreter: python -m unittest discover -s core/runtimes/python/python/tests
"""

import glob
import io
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TRANSCRIPTS = os.path.join(HERE, "..", "..", "..", "..", "transcripts")
sys.path.insert(0, os.path.dirname(HERE))

import dialogue  # noqa: E402


def read(path):
    with io.open(path, encoding="utf-8") as stream:
        return stream.read()


def in_words(step):
    if step[0] == "write":
        return u"write %s %s" % (step[1], json.dumps(step[2].decode("utf-8")))
    if step[0] == "fail":
        return u"fail %(stage)s %(kind)s" % step[1]
    return step[0]


class Replay(object):
    """See `core/src/dialogue/transcript.rs` for the format."""

    def __init__(self, plans, piece):
        self.plans = plans
        self.piece = piece
        self.pending = []
        self.engine = None
        self.message = u""

    def run(self, text):
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                word, _, rest = line.partition(" ")
                self.event(word, rest, line)
        assert not self.pending, self.pending

    def event(self, word, rest, line):
        if word in ("write", "ready", "up", "fail"):
            wanted = line
            if word in ("write", "up"):
                # JSON can write the same text in several ways.
                head, _, text = line.partition('"')
                wanted = head + json.dumps(json.loads('"' + text))
            assert self.pending and self.pending[0] == wanted, (wanted, self.pending)
            del self.pending[0]
            return
        if word == "shows":
            assert any(json.loads(rest) in text for text in self.engine.output()), self.engine.output()
            return
        if word == "says":
            assert json.loads(rest) in self.message, self.message
            return
        if word == "silent":
            assert u'"' not in self.message, self.message
            return
        assert not self.pending, self.pending
        if word == "plan":
            plan = self.plans[rest]["plan"]
            self.engine = dialogue.Engine(plan["dialogue"], plan["secrets"])
        elif word in ("link", "diag"):
            self.feed(word, json.loads(rest).encode("utf-8"))
        elif word == "timeout":
            self.take(("fail", self.engine.failure("timeout")))
        else:
            steps = self.engine.eof("link") + self.engine.eof("diag")
            for step in steps:
                self.take(step)
            if not self.pending:
                status = int(rest) if word == "exit" else None
                signal = int(rest) if word == "signal" else None
                self.take(("fail", self.engine.failure("eof", status, signal)))

    def take(self, step):
        if step[0] == "fail":
            self.message = u"%s (%s)" % (step[1]["message"], step[1].get("hint"))
        if step[0] != "log":
            self.pending.append(in_words(step))

    def feed(self, source, data):
        piece = self.piece or len(data) or 1
        for start in range(0, len(data), piece):
            for step in self.engine.feed(source, data[start : start + piece]):
                if step[0] == "up":
                    # Fed in pieces, the rest comes after the `up` step. The driver gets it in both cases.
                    rest = data[start + piece - len(step[1]) :].decode("utf-8")
                    self.pending.append(u"up " + json.dumps(rest))
                else:
                    self.take(step)


class TranscriptTest(unittest.TestCase):
    def check(self, directory):
        plans = json.loads(read(os.path.join(directory, "plans.json")))
        paths = glob.glob(os.path.join(directory, "*.txt"))
        self.assertTrue(paths, directory)
        for path in paths:
            for piece in (0, 1):
                try:
                    Replay(plans, piece).run(read(path))
                except Exception as error:
                    self.fail("%s, pieces of %d: %r" % (path, piece, error))
        for name in plans:
            described = plans[name]["plan"]["dialogue"]
            for rule in described.get("rules", []) + described.get("exits", []):
                if rule.get("pattern") is not None:
                    dialogue.compiled(rule)

    def test_engine(self):
        self.check(os.path.join(TRANSCRIPTS, "engine"))

    def test_ssh(self):
        self.check(os.path.join(TRANSCRIPTS, "ssh"))

    def test_sudo(self):
        self.check(os.path.join(TRANSCRIPTS, "sudo"))

    def test_su(self):
        self.check(os.path.join(TRANSCRIPTS, "su"))

    def test_doas(self):
        self.check(os.path.join(TRANSCRIPTS, "doas"))

    def test_local(self):
        self.check(os.path.join(TRANSCRIPTS, "local"))


class EngineTest(unittest.TestCase):
    def engine(self, *rules, **secrets):
        return dialogue.Engine({"rules": rules}, secrets)

    def test_memory_is_bounded(self):
        engine = self.engine()
        for _ in range(300):
            engine.feed("diag", b"x" * 5000)
            engine.feed("link", b"y" * 3000 + b"\n")
        self.assertLessEqual(len(engine.raw["diag"]), dialogue.LINE_LIMIT)
        self.assertLessEqual(len(engine.output()), 2 * dialogue.LINES_KEPT + 2)
        kept = sum(len(line) for _, line in engine.history)
        self.assertLessEqual(kept, 2 * dialogue.BYTES_KEPT)

    def test_history_keeps_the_last_lines_in_order(self):
        engine = self.engine()
        for number in range(150):
            engine.feed("link", b"same\n")
            engine.feed("diag", ("%d\n" % number).encode())
        output = engine.output()
        self.assertEqual(len(output), 200)
        self.assertEqual(output[-2:], [u"same", u"149"])
        self.assertEqual(output[1], u"50")

    def test_an_echoed_secret_is_masked(self):
        ask = {"source": "any", "shown": "partial", "pattern": "word: $", "action": {"send_secret": "password"}}
        text = u"hunt\xe9r2"
        for secret in (text, text.encode("utf-8")):
            engine = self.engine(ask, password=secret)
            self.assertIn(("write", "diag", (text + u"\n").encode("utf-8")), engine.feed("diag", b"word: "))
            steps = engine.feed("diag", u"you typed hunt\xe9r2\n".encode("utf-8"))
            self.assertEqual(steps, [("log", "diag", u"you typed ********")])
            self.assertEqual(engine.output(), [u"word: ", u"you typed ********"])

    def test_an_invalid_pattern_is_a_failure(self):
        rule = {"source": "any", "shown": "line", "pattern": "(", "action": "pass"}
        steps = self.engine(rule).feed("link", b"x\n")
        self.assertEqual(steps[-1][1]["kind"], "bad_option")
        engine = dialogue.Engine({"exits": [{"pattern": "(", "failure": {}}]}, {})
        self.assertEqual(engine.failure("eof", 1)["kind"], "bad_option")

    def test_messages_of_unexplained_exits(self):
        engine = dialogue.Engine({"stages": [["start", "privilege"]]}, {})
        for arguments, message in (
            (("eof", 3), "the program exited with status 3 while becoming the user"),
            (("eof", None, 9), "the program was killed by signal 9 while becoming the user"),
            (("eof",), "the link was closed while becoming the user"),
            (("timeout",), "timed out while becoming the user"),
        ):
            self.assertEqual(engine.failure(*arguments)["message"], message)
        engine.feed("link", b"MITO000\n")
        self.assertEqual(engine.failure("timeout")["stage"], "bootstrap")


if __name__ == "__main__":
    unittest.main()
