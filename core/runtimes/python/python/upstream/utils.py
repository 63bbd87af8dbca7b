"""`mitogen.utils`: helpers of programs, as far as they make sense in a child."""
import functools
import logging
import sys

import mitogen.core as core

PASSTHROUGH = (int, float, bool, type(None), core.Blob, core.Secret, core.Context, core.CallError, core.Sender)
if not core.PY3:
    PASSTHROUGH += (long,)


def cast(obj):
    """A copy of `obj` in which instances of subclasses of the built-in types are instances of these."""
    if isinstance(obj, dict):
        return dict((cast(key), cast(value)) for key, value in obj.items())
    if isinstance(obj, (list, tuple)):
        return [cast(item) for item in obj]
    if isinstance(obj, PASSTHROUGH):
        return obj
    for kind in core.text, bytes:
        if isinstance(obj, kind):
            made = kind(obj)
            if type(made) is not kind:
                raise TypeError("Cast of %r to %r failed, got %r" % (type(obj), kind, type(made)))
            return made
    raise TypeError("Cannot serialize: %r: %r" % (type(obj), obj))


def log_get_formatter():
    """The format of lines in log files: time, level initial, name and text."""
    return logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S")


def log_to_file(path=None, level="INFO"):
    """Also write log records to a file, or to the original standard error."""
    handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(log_get_formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(min(root.level, getattr(logging, str(level).upper(), logging.INFO)))


def run_with_router(func, *args, **kwargs):
    """Call `func` with the router of this context, and shut down the contexts that it has started."""
    import mitogen.master
    broker = mitogen.master.Broker()
    try:
        return func(core.router, *args, **kwargs)
    finally:
        broker.shutdown()
        broker.join()


def with_router(func):
    """Decorate `func` to be called with the router of this context."""
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return run_with_router(func, *args, **kwargs)
    return wrapper


def setup_gil():
    """Upstream tunes the interpreter's thread switching for its master. Nothing to do in a child."""


def disable_site_packages():
    """Search no further directories of site packages."""
    sys.path[:] = [path for path in sys.path if "site-packages" not in path and "Extras" not in path]
