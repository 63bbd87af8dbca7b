"""Validates plans (core/src/connect/plan.rs) before anything is started.

A plan may come from a master that is newer than this runtime. An unknown field is refused by its name.
"""
import mitogen.core as core

VERSION = 1

# The fields of each table: required ones, a bar, optional ones.
FIELDS = {
    "plan": "version name method start timeout | preamble dialogue secrets destination keepalive",
    "start.spawn": "argv | env stdio",
    "start.dial.tcp": "host port",
    "start.dial.unix": "path",
}
STDIO = "socketpair", "pipes", "tty", "hybrid_tty"
YEAR = 31536000


def problem_of(plan):
    """Why `plan` cannot be executed, or None."""
    try:
        return check(plan)
    except (AttributeError, KeyError, LookupError, TypeError, ValueError) as exc:
        return u"the plan is malformed: %s" % core.as_text(str(exc))


def check(plan):
    version = plan.get("version")
    if version != VERSION:
        return u"the plan has version %s, and only versions up to %d are supported" % (version, VERSION)
    problem = fields("plan", plan)
    if problem:
        return problem
    timeout = plan["timeout"]
    if not isinstance(timeout, (int, float)) or not 0 < timeout <= YEAR:
        return u"timeout: %s is not a valid number of seconds" % timeout
    return check_start(plan["start"])


def check_start(start):
    if start == "fork":
        return None
    if not isinstance(start, dict) or len(start) != 1:
        return u"start: %s is not supported by Python contexts" % (start,)
    ((kind, value),) = start.items()
    if kind == "dial" and isinstance(value, dict) and len(value) == 1:
        ((kind, value),) = value.items()
        return check_dial("start.dial." + kind, value)
    if "start." + kind not in FIELDS:
        return u"start: %s is not supported by Python contexts" % kind
    problem = fields("start." + kind, value)
    if problem:
        return problem
    if not value["argv"] or not value["argv"][0]:
        return u"start.spawn.argv: the program is missing"
    for text in list(value["argv"]) + [text for item in (value.get("env") or {}).items() for text in item]:
        if text is not None and u"\0" in core.as_text(text):
            return u"start.spawn: arguments and environment cannot contain NULs"
    if value.get("stdio", STDIO[0]) not in STDIO:
        return u"start.spawn.stdio: %s is unknown" % value["stdio"]


def check_dial(name, value):
    if name not in FIELDS:
        return u"start: a Python context cannot start a context by %s" % name
    problem = fields(name, value)
    if problem:
        return problem
    for key in sorted(value):
        text = core.as_text(value[key])
        if not value[key] or u"\0" in text:
            return u"%s.%s: %s is not usable" % (name, key, text)


def fields(name, table):
    required, _, optional = FIELDS[name].partition("|")
    known = required.split() + optional.split()
    for key in sorted(table):
        if key not in known:
            return u"%s: unknown field %s" % (name, key)
    for key in required.split():
        if key not in table:
            return u"%s: missing field %s" % (name, key)
