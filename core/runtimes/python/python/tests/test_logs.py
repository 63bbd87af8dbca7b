"""Log records and printed lines."""
from harness import *


class Logs(TestCase):
    def test_logging(self):
        c = self.child(conf=config(log_levels=[20, 30, 30]))
        c.push("probe", """
import logging
def f():
    logging.getLogger('a.b').info('in %s', 'fo')
    logging.getLogger('a.b').debug('no')
    logging.getLogger('mitogen.io').error('never')
    logging.warning(u'w\\xe9')
    try: 1/0
    except Exception: logging.exception('with')
""")
        c.call("probe", "f")
        last = c.log(lambda name, level, text: text.startswith(u"with"))
        self.assertIn(u"ZeroDivisionError", last[2])
        self.assertEqual(c.logs[:2], [(u"a.b", u"20", u"in fo"), (u"root", u"30", u"w\xe9")])
        self.assertEqual(len(c.logs), 3)

    def test_start_imports_no_unneeded_modules(self):
        c = self.child()
        c.push("probe", "import sys\nhave = set(sys.modules)\ndef f(): return sorted(have)")
        have = c.call("probe", "f")
        code = "import sys; print(' '.join(sys.modules))"
        bare = subprocess.check_output([sys.executable, "-c", code]).decode().split()
        for name in "logging", "threading", "subprocess", "socket", "pickle", "traceback", "functools":
            if name not in bare:
                self.assertNotIn(name if PY3 else name.encode(), have)

    def test_printed_lines(self):
        c = self.child(conf=config(log_levels=[50, 50, 50]))
        c.push("probe", """
import sys, os
def f():
    print('one')
    sys.stderr.write('two\\n')
    os.write(1, b'three\\r\\nfo')
    os.write(1, b'ur\\n\\xff\\n')
    sys.stdout.write('last')
""")
        c.call("probe", "f")
        c.log(lambda name, level, text: text == u"\ufffd")
        c.send(SHUTDOWN)
        self.assertEqual(c.log(lambda name, level, text: text == u"last"), (u"stdout", u"20", u"last"))
        self.assertEqual([r[2] for r in c.logs if r[0] == u"stdout"], [u"one", u"three", u"four", u"\ufffd", u"last"])
        self.assertIn((u"stderr", u"20", u"two"), c.logs)
        self.assertEqual(c.wait(), 0)

    def test_printing_more_than_a_pipe_holds(self):
        c = self.child()
        c.push("probe", "def f(n):\n for i in range(n): print('x' * 99)\n return n")
        handle = c.post("probe", "f", 20000)
        self.assertEqual(c.reply(handle).obj(), 20000)
        while len(c.logs) < 20000:
            c.until(lambda f: f.handle == LOG)
        self.assertEqual(set(c.logs), set([(u"stdout", u"20", u"x" * 99)]))

    def test_program_output(self):
        c = self.child()
        c.push("probe", "import os\ndef f(): return os.system('echo from a program; echo bad >&2')")
        self.assertEqual(c.call("probe", "f"), 0)
        c.log(lambda *r: r == (u"stdout", u"20", u"from a program"))
        c.log(lambda *r: r == (u"stderr", u"20", u"bad"))


if __name__ == "__main__":
    unittest.main()
