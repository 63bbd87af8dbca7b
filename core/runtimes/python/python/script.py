"""Programs in Python that the master sends, each run in a copy of this process made for it.

To those who start one it is a command like any other (mitogen.command): the same messages, windows
and ends. To the program it is as if an interpreter had been started with it here: it is `__main__`,
its lines show in tracebacks, and its descriptors are its own. Only what it imports may come from
the master, over the link that the copy has to us.

The copy has no thread of ours: the link is read while some thread of the program waits for a module.
"""
import _io
import errno
import gc
import io
import linecache
import os
import signal
import struct
import sys
import traceback

import mitogen.core as core
from mitogen.command import Command
from mitogen.fork import PLAN, Fork, begin, kept, renew
from mitogen.process import merged, native

OURS = "mitogen.core", core.importer.get_filename(__name__).rpartition("script")[0]


def start(argv, handle, options):
    """Start a program whose argv is `argv`; its source, and a context id for it, are in `options`."""
    command = Script(core.loop.caller, handle, options.get("window") or 1048576)
    command.source = options["source"]
    if options.get("client"):
        __import__("mitogen.scoped")
    command.start(argv, options)
    return {u"pid": command.pid, u"control": command.control}


class Script(Command):
    """One program. The copy is started by the thread that was asked to, and told of its place."""

    def launch(self, argv, fds, options):
        name = u"script.%d" % options["id"]
        config = dict(
            core.config, context_id=options["id"], parent_ids=[core.context_id] + core.parent_ids,
            name=name,
        )
        self.child = child = Fork(core.Message(), {
            "id": options["id"], "name": name, "config": config,
            "plan": PLAN,
        })
        child.program = True
        report, told = pair = os.pipe()
        for fd in pair:
            core.cloexec(fd)
        try:
            child.fork(lambda link: self.enter(link, pair, argv, fds, options))
        finally:
            os.close(told)
            try:
                number = child.pid and os.read(report, 4)
            finally:
                os.close(report)
        if number:
            os.waitpid(child.pid, 0)
            child.close()
            number, = struct.unpack("=i", number)
            raise OSError(number, os.strerror(number), argv[0])
        return child.pid

    def watch(self):
        child = self.child
        child.on_end = self.on_exit
        child.start()
        return child.process

    def enter(self, link, pair, argv, fds, options):
        """The copy, before it is the program."""
        try:
            os.setsid()
            if options.get("cwd") is not None:
                os.chdir(native(options["cwd"]))
        except EnvironmentError:
            os.write(pair[1], struct.pack("=i", sys.exc_info()[1].errno or errno.EINVAL))
            os._exit(127)
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        env = merged(options.get("env"))
        os.environ.clear()
        os.environ.update(env)
        renew(self.child, [self.input_fd] + fds + list(self.outputs) + list(pair), [link])
        end = os.dup(link)
        core.cloexec(end)
        core.loop.__class__ = Anywhere
        begin(core.Stream(link, end))
        if options.get("client"):
            # Its modules come from whoever has sent it.
            sys.modules["mitogen.scoped"].use_modules_of(self.caller)
        core.importer.fetch = Fetch(core.importer.fetch)
        quiet()
        argv = [str(native(arg)) for arg in argv]
        finish(run(self.source, argv))


class Anywhere(core.Loop):
    """A loop that is run by whatever thread has to wait for it."""

    main = property(lambda self: core.get_ident(), lambda self, value: None)


class Fetch(object):
    """The importer's `fetch` without word of us where there is no more to say than Python says."""

    def __init__(self, fetch):
        self.fetch = fetch
        self.pid = os.getpid()

    def __call__(self, name):
        try:
            if os.getpid() != self.pid and name not in core.importer.cache:
                # It has the same link as the program, which alone may read it.
                raise ImportError("%s has to be imported before the program forks" % name)
            return self.fetch(name)
        except ImportError:
            error = sys.exc_info()[1]
            if str(error).startswith(("The Mitogen master ", "Mitogen won't ")):
                error.args = "No module named " + (
                    repr(name) if core.PY3 else name.rpartition(".")[2]
                ),
                error.msg = error.args[0]
            raise


def quiet():
    """Undo what a context does for its master's sake: the program is alone in its process."""
    core.install_logging = int
    logging = sys.modules.get("logging")
    if logging:
        logging.root.handlers[:] = []
        logging.root.setLevel(logging.WARNING)
    for number in range(1, 65):
        try:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        except (ValueError, OSError, RuntimeError):
            pass
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    kept.append((sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__))
    for fd, name, mode in (0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"):
        was = getattr(sys, "__%s__" % name)
        if core.PY3:
            file = io.open(fd, mode, 1 if fd else -1, was.encoding, was.errors, closefd=False)
            file.mode = mode
        else:
            file = os.fdopen(fd, mode, (-1, 1, 0)[fd])
        setattr(sys, name, file)
        setattr(sys, "__%s__" % name, file)


class Source(object):
    """The loader of the program: where its text is found."""

    def __init__(self, path, text):
        self.path = path
        self.text = text

    def get_source(self, name):
        return self.text

    def get_filename(self, name):
        return self.path

    def is_package(self, name):
        return False


def decoded(source):
    """The program as text, as the interpreter reads it; what it cannot read it will refuse."""
    if not core.PY3:
        return source.replace(b"\r\n", b"\n")
    import tokenize
    lines = io.BytesIO(source)
    try:
        encoding = tokenize.detect_encoding(lines.readline)[0]
    except SyntaxError:
        encoding = "utf-8"
    return io.IncrementalNewlineDecoder(None, True).decode(source.decode(encoding, "replace"))


def run(source, argv):
    """Run the program as __main__; gives its exit status."""
    path = argv[0]
    sys.argv = argv
    main = sys.modules["__main__"] = type(sys)("__main__")
    main.__builtins__ = sys.modules["builtins" if core.PY3 else "__builtin__"]
    main.__package__ = None
    text = decoded(source)
    if path == "-":
        path = "<stdin>"
    else:
        main.__file__ = path
        main.__cached__ = None
    main.__spec__ = None
    main.__loader__ = Source(path, text)
    # Ahead of what this host may have under the same name.
    lines = [line + "\n" for line in text.split("\n")]
    if lines[-1] == "\n":
        lines.pop()
    linecache.cache[path] = len(text), None, lines, path
    try:
        exec(compile(source, path, "exec", 0, 1), main.__dict__)
        return 0
    except SystemExit:
        return status_of(sys.exc_info()[1].code)
    except BaseException:
        kind, value, tb = sys.exc_info()
    if isinstance(value, SyntaxError) and value.filename == path and value.lineno:
        # The compiler looks for the line in the file of this name, too.
        value.text = "".join(lines[value.lineno - 1:value.lineno]) or None
    # Outside of its handling, which is none of the program's.
    return show(kind, value, tb.tb_next)


def status_of(code):
    """The status that a SystemExit means; text is for standard error."""
    if code is None:
        return 0
    if isinstance(code, int) or type(code).__name__ == "long":
        return code & 0xFF
    flush(sys.stdout)
    try:
        sys.stderr.write("%s\n" % (code,))
    except Exception:
        pass
    return 1


def show(kind, value, tb):
    """An exception that nobody has caught, as the interpreter prints it; gives the status."""
    flush(sys.stdout)
    try:
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(kind, value, tb)
        else:
            print_exception(kind, value, tb)
    except SystemExit:
        return status_of(sys.exc_info()[1].code)
    except BaseException:
        sys.stderr.write("Error in sys.excepthook:\n")
        error = sys.exc_info()
        print_exception(error[0], error[1], error[2].tb_next)
        sys.stderr.write("\nOriginal exception was:\n")
        print_exception(kind, value, tb)
    flush(sys.stderr)
    if kind is KeyboardInterrupt and sys.version_info >= (3, 8):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 1


def print_exception(kind, value, tb):
    if tb is None:
        # No line is looked up for it, so the interpreter's own way is right.
        if core.PY3:
            value.__traceback__ = None
        return sys.__excepthook__(kind, value, tb)
    if core.PY3:
        shown = traceback.TracebackException(kind, value, tb)
        strip(shown, set())
        lines = shown.format()
    else:
        lines = ["Traceback (most recent call last):\n"]
        lines += traceback.format_list(without_ours(traceback.extract_tb(tb)))
        lines += traceback.format_exception_only(kind, value)
    for line in lines:
        sys.stderr.write(line)


def strip(shown, seen):
    """Take our frames out of an exception, those that it came of, and those in it."""
    if shown is None or id(shown) in seen:
        return
    seen.add(id(shown))
    if shown.stack:
        shown.stack[:] = without_ours(shown.stack)
    for other in [shown.__cause__, shown.__context__] + list(getattr(shown, "exceptions", None) or ()):
        strip(other, seen)


def without_ours(stack):
    """The frames without ours, and without those of the import that led to one of ours."""
    frames = []
    for frame in stack:
        if frame[0].startswith(OURS):
            while frames and frames[-1][0].startswith("<frozen importlib"):
                frames.pop()
        else:
            frames.append(frame)
    return frames


def flush(file):
    try:
        file.flush()
    except Exception:
        return False
    return True


def finish(status):
    """End as an interpreter does: threads, exit functions, the program's objects, buffers."""
    threading = sys.modules.get("threading")
    for func in threading and threading._shutdown, exit_functions, last_objects:
        try:
            func and func()
        except SystemExit:
            status = status_of(sys.exc_info()[1].code)
        except BaseException:
            print_exception(*sys.exc_info())
    if not flush(sys.stdout) and core.PY3:
        status = 120
    flush(sys.stderr)
    os._exit(status)


def exit_functions():
    if not core.PY3:
        return getattr(sys, "exitfunc", int)()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()


def last_objects():
    """Destructors of what the program holds, and the buffers of files that nobody has closed."""
    names = sys.modules["__main__"].__dict__
    for name in list(names):
        if name != "__builtins__":
            names[name] = None
    gc.collect()
    # Not `io.IOBase`, which has to be asked at length.
    kinds = (_io._IOBase,) if core.PY3 else (_io._IOBase, file)
    found = gc.get_objects()
    if not core.PY3:
        # Files, and dicts with nothing but files, are unknown to the collector: it knows who holds them.
        found = gc.get_referents(*found)
        dicts = dict((id(each), each) for each in found if type(each) is dict)
        found += gc.get_referents(*dicts.values())
    for each in found:
        if isinstance(each, kinds) and each is not sys.stdout:
            flush(each)
