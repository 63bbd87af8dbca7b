"""What a plan must look like before anything is started, in the words of core/src/connect/plan.rs.

A plan comes from a master that may be newer than this runtime: it is refused by name of the field,
not misunderstood.
"""
import mitogen.core as core

VERSION = 1

# The fields of each table; those before the bar are required.
FIELDS = {
    "plan": "version name method start timeout | preamble dialogue secrets destination keepalive",
    "start.spawn": "argv | env stdio",
}
STDIO = "socketpair", "pipes", "tty", "hybrid_tty"
YEAR = 31536000


def problem_of(plan):
    """Why `plan` cannot be carried out, or None."""
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
        return u"timeout: %s is not a usable number of seconds" % timeout
    return check_start(plan["start"])


def check_start(start):
    if start == "fork":
        return None
    if not isinstance(start, dict) or len(start) != 1:
        return u"start: a Python context cannot start a context by %s" % (start,)
    ((kind, value),) = start.items()
    if "start." + kind not in FIELDS:
        return u"start: a Python context cannot start a context by %s" % kind
    problem = fields("start." + kind, value)
    if problem:
        return problem
    if not value["argv"] or not value["argv"][0]:
        return u"start.spawn.argv: there is no program"
    for text in list(value["argv"]) + [text for item in (value.get("env") or {}).items() for text in item]:
        if text is not None and u"\0" in core.as_text(text):
            return u"start.spawn: a NUL cannot be passed to a program"
    if value.get("stdio", STDIO[0]) not in STDIO:
        return u"start.spawn.stdio: %s is not known" % value["stdio"]


def fields(name, table):
    required, _, optional = FIELDS[name].partition("|")
    known = required.split() + optional.split()
    for key in sorted(table):
        if key not in known:
            return u"%s: the field %s is not known to this runtime" % (name, key)
    for key in required.split():
        if key not in table:
            return u"%s: the field %s is missing" % (name, key)
