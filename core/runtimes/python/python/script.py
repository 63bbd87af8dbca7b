"""Python scripts that the master sends. Each runs in a copy of this process.

For its caller, a script is a command (mitogen.command) with the same messages, windows and exit. The
script runs as if it had been started by an interpreter: it is `__main__`, its lines appear in
tracebacks, and it has its own descriptors. Only its imports may come from the master, over the link
between the copy and this process.

The copy has no thread of the runtime: the link is read while a thread of the script waits for a module.
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
from mitogen.fork import PLAN, Fork, attach_parent, retained, reset_process_state
from mitogen.process import merged, native

RUNTIME_FILES = "mitogen.core", core.importer.get_filename(__name__).rpartition("script")[0]


def start(argv, handle, options):
    """Start a script with the arguments `argv`. `options` has its source and a context id for it."""
    command = Script(core.loop.caller, handle, options.get("window") or 1048576)
    command.source = options["source"]
    if options.get("client"):
        __import__("mitogen.scoped")
    command.start(argv, options)
    return {u"pid": command.pid, u"control": command.control}


class Script(Command):
    """One script. The calling thread makes the copy."""

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
        status_r, status_w = pair = os.pipe()
        for fd in pair:
            core.cloexec(fd)
        try:
            child.fork(lambda link: self.run_in_copy(link, pair, argv, fds, options))
        finally:
            os.close(status_w)
            try:
                number = child.pid and os.read(status_r, 4)
            finally:
                os.close(status_r)
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

    def run_in_copy(self, link, pair, argv, fds, options):
        """The main function of the copy: set up the process, then run the script."""
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
        reset_process_state(self.child, [self.input_fd] + fds + list(self.outputs) + list(pair), [link])
        end = os.dup(link)
        core.cloexec(end)
        core.loop.__class__ = AnyThreadLoop
        attach_parent(core.Stream(link, end))
        if options.get("client"):
            # The script's modules come from its sender.
            sys.modules["mitogen.scoped"].use_modules_of(self.caller)
        core.importer.fetch = Fetch(core.importer.fetch)
        restore_defaults()
        argv = [str(native(arg)) for arg in argv]
        finish(run(self.source, argv))


class AnyThreadLoop(core.Loop):
    """A loop that any thread runs while it waits."""

    main = property(lambda self: core.get_ident(), lambda self, value: None)


class Fetch(object):
    """The importer's `fetch` with Python's own message for a missing module."""

    def __init__(self, fetch):
        self.fetch = fetch
        self.pid = os.getpid()

    def __call__(self, name):
        try:
            if os.getpid() != self.pid and name not in core.importer.cache:
                # A fork of the script shares the link, which only the script may read.
                raise ImportError("%s must be imported before the script forks" % name)
            return self.fetch(name)
        except ImportError:
            error = sys.exc_info()[1]
            if str(error).startswith(("The Mitogen master ", "Mitogen won't ")):
                error.args = "No module named " + (
                    repr(name) if core.PY3 else name.rpartition(".")[2]
                ),
                error.msg = error.args[0]
            raise


def restore_defaults():
    """Undo what the runtime has changed: logging, signal handlers, standard files."""
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
    retained.append((sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__))
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
    """The loader of the script, from which the inspect and linecache modules get its text."""

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
    """Decode the source as the interpreter does. Errors are left for the compiler to status_r."""
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
    """Run the script as __main__. Returns its exit status."""
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
    # Otherwise linecache would read a local file of the same name.
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
        # The compiler reads the line from a local file of this name.
        value.text = "".join(lines[value.lineno - 1:value.lineno]) or None
    # Not in the `except` block, so that an exception hook does not see a second exception.
    return show(kind, value, tb.tb_next)


def status_of(code):
    """The exit status of a SystemExit. Text is printed to standard error."""
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
    """Print an uncaught exception as the interpreter does. Returns the exit status."""
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
        # Without a traceback, no source line is needed.
        if core.PY3:
            value.__traceback__ = None
        return sys.__excepthook__(kind, value, tb)
    if core.PY3:
        shown = traceback.TracebackException(kind, value, tb)
        remove_runtime_frames(shown, set())
        lines = shown.format()
    else:
        lines = ["Traceback (most recent call last):\n"]
        lines += traceback.format_list(without_runtime(traceback.extract_tb(tb)))
        lines += traceback.format_exception_only(kind, value)
    for line in lines:
        sys.stderr.write(line)


def remove_runtime_frames(shown, seen):
    """Remove frames of the runtime from an exception, its causes and its group members."""
    if shown is None or id(shown) in seen:
        return
    seen.add(id(shown))
    if shown.stack:
        shown.stack[:] = without_runtime(shown.stack)
    for other in [shown.__cause__, shown.__context__] + list(getattr(shown, "exceptions", None) or ()):
        remove_runtime_frames(other, seen)


def without_runtime(stack):
    """The frames without those of the runtime, and of the import machinery that called it."""
    frames = []
    for frame in stack:
        if frame[0].startswith(RUNTIME_FILES):
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
    """Exit as an interpreter does: join threads, run exit functions, free objects, flush buffers."""
    threading = sys.modules.get("threading")
    for func in threading and threading._shutdown, exit_functions, free_objects:
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


def free_objects():
    """Run the destructors of the script's globals, and flush files that are still open."""
    names = sys.modules["__main__"].__dict__
    for name in list(names):
        if name != "__builtins__":
            names[name] = None
    gc.collect()
    # Not `io.IOBase`, whose instance check is slow.
    kinds = (_io._IOBase,) if core.PY3 else (_io._IOBase, file)
    found = gc.get_objects()
    if not core.PY3:
        # The collector does not track files, nor dicts that contain only files: look at the referents.
        found = gc.get_referents(*found)
        dicts = dict((id(each), each) for each in found if type(each) is dict)
        found += gc.get_referents(*dicts.values())
    for each in found:
        if isinstance(each, kinds) and each is not sys.stdout:
            flush(each)
