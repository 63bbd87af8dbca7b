"""Runs a dialogue: bytes in, steps out. No I/O, no clock, no threads.

The same state machine as `core/src/dialogue/engine.rs`, for contexts that start other contexts. The
transcripts in `core/transcripts` test that both engines produce the same steps.

A dialogue is a dict, as the Rust types serialize it. Sources are "link", "diag" (the stderr channel)
and "any".
"""

import re

START = "start"
RUNNING = "running"
LINE_LIMIT = 4096
LINES_KEPT = 100
BYTES_KEPT = 65536
MASK = u"********"
CHARACTERS_QUOTED = 160
UNSAFE = re.compile(u"[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
MARKER_READY = b"MITO000"
MARKER_UP = b"MITO002"

# Terminal escapes: control sequences, operating system commands, intermediate bytes with a final byte,
# two-byte escapes; each also if it is incomplete at the end of the text.
ESCAPE = re.compile(
    b"\0|\x1b(?:\\[[^@-~]*(?:[@-~]|\\Z)|\\][^\x07\x1b]*(?:\x07|\x1b[\\s\\S]|\x1b?\\Z)"
    b"|[ -/]+(?:[^ -/]|\\Z)|[^\\[\\] -/]|\\Z)"
)
BEGUN = re.compile(b"\x1b(?:\\[[^@-~]*|\\][^\x07\x1b]*\x1b?|[ -/]*)\\Z")

DOING = {
    "spawn": "starting the program",
    "resolve": "resolving the host's name",
    "connect": "connecting to the host",
    "host_key": "checking the host's key",
    "authenticate": "authenticating",
    "privilege": "becoming the user",
    "shell": "waiting for the shell to start the interpreter",
    "interpreter": "starting the interpreter",
    "bootstrap": "sending the runtime",
    "handshake": "waiting for the runtime to announce itself",
}


def failure(stage, kind, message, hint=None):
    return {"stage": stage, "kind": kind, "message": message, "hint": hint}


def clean(raw):
    # Programs put carriage returns before a prompt. They are not part of it.
    return ESCAPE.sub(b"", raw).lstrip(b"\r")


def quoted(line):
    line = line.strip(u" \t\r")
    text = UNSAFE.sub(escaped, line[:CHARACTERS_QUOTED])
    return text + u"..." if len(line) > CHARACTERS_QUOTED else text


def escaped(match):
    code = ord(match.group())
    return (u"\\x%02x" if code < 256 else u"\\u%04x") % code


def compiled(rule):
    pattern = rule["pattern"]
    if not isinstance(pattern, bytes):
        pattern = pattern.encode("utf-8")
    return re.compile(pattern, re.I if rule.get("ignore_case") else 0)


class Engine(object):
    """One dialogue that runs. `phase` is one of "tool", "interpreter", "up" and "failed"."""

    def __init__(self, dialogue, secrets):
        self.dialogue = dialogue
        self.secrets = secrets
        self.state = START
        self.phase = "tool"
        self.patterns = {}
        self.raw = {"link": b"", "diag": b""}
        self.history = []
        # Lines on which a rule has acted. They are compared by identity.
        self.explained = set()
        self.sent = []

    def feed(self, source, data):
        """Takes bytes from a source. Returns steps, tuples of the forms ("write", source, bytes),
        ("fail", failure), ("ready",), ("up", rest) and ("log", source, line)."""
        steps = []
        while data and not (source == "link" and self.phase == "up"):
            head, newline, rest = data.partition(b"\n")
            self.raw[source] = (self.raw[source] + head[-LINE_LIMIT:])[-LINE_LIMIT:]
            if not newline:
                self._on_partials(source, steps)
                break
            data = rest
            self._on_line(source, self._take_rest(source), rest, steps)
        return steps

    def eof(self, source):
        """Takes the end of a source. An incomplete line counts as a line, but not as a marker."""
        steps = []
        self._on_text_line(source, self._take_rest(source), steps)
        return steps

    def failure(self, reason, status=None, signal=None):
        """The failure for the end of the program ("eof") or a timeout ("timeout")."""
        stage = self.stage()
        if reason == "timeout":
            return self._quoting(failure(stage, "timeout", "timed out while " + DOING[stage]))
        for rule in self.dialogue.get("exits", ()):
            if rule.get("state") not in (None, self.state) or rule.get("status") not in (None, status):
                continue
            if rule.get("pattern") is None:
                return self._quoting(rule["failure"])
            try:
                pattern = compiled(rule)
            except re.error as error:
                return self._bad_pattern(rule, error)
            if any(pattern.search(line) for line in self._lines(rule.get("source", "any"), rule.get("unexplained"))):
                return self._quoting(rule["failure"]) if rule.get("quotes") else rule["failure"]
        ending = "the link was closed"
        if signal is not None:
            ending = "the program was killed by signal %d" % signal
        elif status is not None:
            ending = "the program exited with status %d" % status
        own = self.dialogue.get("own_status")
        if own is not None and status not in (None, own) and self.phase in ("tool", "failed"):
            if stage not in ("shell", "interpreter"):
                stage = "shell"
        return self._quoting(failure(stage, "eof", "%s while %s" % (ending, DOING[stage])))

    def stage(self):
        """The presumed stage of the connection."""
        if self.phase in ("interpreter", "up"):
            return "bootstrap"
        return dict(reversed(self.dialogue.get("stages", ()))).get(self.state, "shell")

    def output(self):
        """The last lines of both sources in order of arrival, as text, with secrets masked."""
        return [self._presentable(line) for line in self._lines("any")]

    def _quoting(self, failure):
        lines = self._lines("any", True)
        lines = [line for line in map(quoted, map(self._presentable, lines)) if line][-3:]
        if lines:
            text = failure["message"]
            text = text if isinstance(text, type(u"")) else text.decode("utf-8")
            failure = dict(failure, message=u'%s: "%s"' % (text, u'", "'.join(lines)))
        return failure

    def _lines(self, source, unexplained=False):
        lines = [
            item[1]
            for item in self.history
            if source in ("any", item[0]) and not (unexplained and id(item) in self.explained)
        ]
        for origin in ("link", "diag"):
            partial = clean(self.raw[origin])
            if source in ("any", origin) and partial:
                lines.append(partial)
        return lines

    def _take_rest(self, source):
        line = clean(self.raw[source]).rstrip(b"\r")
        self.raw[source] = b""
        return line

    def _on_line(self, source, line, rest, steps):
        if source == "link" and self.phase != "failed":
            if line.endswith(MARKER_UP):
                self.phase = "up"
                steps.append(("up", rest))
                return
            if line.endswith(MARKER_READY) and self.phase == "tool":
                self.phase = "interpreter"
                self.state = RUNNING
                steps.append(("ready",))
                return
        self._on_text_line(source, line, steps)

    def _on_text_line(self, source, line, steps):
        if line:
            self._note(source, line, steps)
            if self._apply(source, "line", line, steps):
                self.explained.add(id(self.history[-1]))
                # The state may have changed: a prompt that matched no rule may match now.
                self._on_partials(source, steps)

    def _on_partials(self, first, steps):
        # Each match consumes its text, so the loop ends.
        applied = True
        while applied:
            applied = False
            for source in (first, "diag" if first == "link" else "link"):
                partial = clean(self.raw[source])
                if not partial or self.phase != "tool":
                    continue
                acted = []
                if self._apply(source, "partial", partial, acted):
                    self._note(source, partial, steps)
                    self.explained.add(id(self.history[-1]))
                    steps.extend(acted)
                    # An incomplete escape sequence stays, or its end would look like text.
                    begun = BEGUN.search(self.raw[source])
                    self.raw[source] = begun.group() if begun else b""
                    applied = True

    def _apply(self, source, shown, text, steps):
        if self.phase != "tool":
            return False
        for number, rule in enumerate(self.dialogue.get("rules", ())):
            if (
                rule["shown"] != shown
                or rule["source"] not in ("any", source)
                or rule.get("state") not in (None, self.state)
            ):
                continue
            if number not in self.patterns:
                try:
                    self.patterns[number] = compiled(rule)
                except re.error as error:
                    self._fail(self._bad_pattern(rule, error), steps)
                    return True
            if self.patterns[number].search(text):
                self._act(rule, source, steps)
                return True
        return False

    def _act(self, rule, source, steps):
        action = rule["action"]
        if action != "pass":
            ((name, value),) = action.items()
            if name == "fail":
                return self._fail(value, steps)
            if name == "send_secret":
                refusal = self._refusal(value)
                if refusal:
                    return self._fail(refusal, steps)
                self.sent.append(value)
                value = self._secret(value) + u"\n"
            steps.append(("write", source, value if isinstance(value, bytes) else value.encode("utf-8")))
        self.state = rule.get("next") or self.state

    def _refusal(self, name):
        # Repeated wrong passwords lock accounts: no secret is sent twice, whatever the rules are.
        if name not in self.secrets:
            message = "the %s was asked for and none is given" % name
            return failure(self.stage(), "password_required", message)
        if name in self.sent:
            return failure(self.stage(), "password_incorrect", "the %s was refused" % name)

    def _fail(self, failure, steps):
        self.phase = "failed"
        steps.append(("fail", failure))

    def _bad_pattern(self, rule, error):
        message = "dialogue: pattern %r is not valid: %s" % (rule["pattern"], error)
        return failure(self.stage(), "bad_option", message)

    def _note(self, source, line, steps):
        self.history.append((source, line))
        kept = [item for item in self.history if item[0] == source]
        while len(kept) > LINES_KEPT or sum(len(item[1]) for item in kept) > BYTES_KEPT:
            oldest = kept.pop(0)
            self.explained.discard(id(oldest))
            self.history = [item for item in self.history if item is not oldest]
        steps.append(("log", source, self._presentable(line)))

    def _presentable(self, line):
        text = line.decode("utf-8", "replace")
        for name in self.sent:
            if self._secret(name):
                text = text.replace(self._secret(name), MASK)
        return text

    def _secret(self, name):
        secret = self.secrets[name]
        return secret.decode("utf-8") if isinstance(secret, bytes) else secret
