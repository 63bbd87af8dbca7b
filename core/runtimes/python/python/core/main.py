"""Start-up: configuration, descriptors, the marker, then the loop. The last file of the eager part."""


def read_exactly(size):
    """Read `size` bytes from standard input, which may be non-blocking."""
    data = b""
    while len(data) < size:
        select.select([0], [], [])
        got = posix.read(0, size - len(data))
        if not got:
            posix._exit(1)
        data += got
    return data


def take_link():
    """Move the link away from fds 0 and 1. Replace fds 1 and 2 by pipes that the loop reads."""
    ends = posix.dup(0), posix.dup(1)
    for fd in ends:
        cloexec(fd)
        nonblock(fd)
    null = posix.open("/dev/null", posix.O_RDWR)
    posix.dup2(null, 0)
    posix.close(null)
    if posix.isatty(2):
        # If the last descriptor of a terminal is closed, its session gets a SIGHUP.
        cloexec(posix.dup(2))
    sys.stdout.flush()
    for fd in 1, 2:
        rfd, wfd = pipe()
        posix.dup2(wfd, fd)
        posix.close(wfd)
        printed[rfd] = fd
        loop.add(rfd, lambda events, rfd=rfd: lazy().on_printed(rfd))
    if PY3:
        sys.stdout = open(1, "w", 1, "utf-8", "backslashreplace", closefd=False)
        sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    else:
        sys.stdout = posix.fdopen(1, "w", 1)
    return Stream(*ends)


class ExternalContext(object):
    """The argument `econtext` of functions marked with `takes_econtext`."""

    def __init__(self, config):
        self.config = config
        self.dispatcher = Dispatcher

    def __getattr__(self, name):
        return getattr(lazy().router, name)


class Module(object):
    """This module as an entry of sys.modules. Names of the lazy part and of mitogen.api are loaded on demand."""

    def __getattr__(self, name):
        # The last statements of mitogen.api replace this method and `lazy`: it is executed once.
        if name[:2] == "__":
            raise AttributeError(name)
        if name not in (lazy() and globals()):
            rest.append(importer.read("mitogen.api"))
            lazy()
        return getattr(self, name)


me = Module()
me.__dict__ = globals()
modules["mitogen.core"] = me
sys.argv[:] = [""]
# `import __main__` then imports the master's script. The old module must not be freed: this code
# runs in its frame.
_main = modules.pop("__main__")

# The defaults. core/runtimes/python/src/config.rs does not send values that are equal to them.
config = dict(
    debug=False, unidirectional=False, max_message_size=1 << 27, log_levels=[30] * 3,
    version=(0, 3, 54), import_overrides=[], import_blocks=[]
)
config.update(loads(read_exactly(_struct.unpack(">L", read_exactly(4))[0])))
context_id = config["context_id"]
parent_ids = list(config["parent_ids"])
authority = set(parent_ids + [context_id])
max_size = config["max_message_size"]
overrides = config["import_overrides"]
routes = {}
calls = deque()
printed = {}
loop = Loop()
parent = take_link()
parent.remote_id = parent_ids[0]
econtext = ExternalContext(config)

package = modules["mitogen"] = type(sys)("mitogen")
package.__path__ = []
package.__version__ = ".".join(map(str, config["version"]))
package.core = me
package.is_master = False
package.context_id = context_id
package.parent_ids = parent_ids
package.parent_id = parent_ids[0]
package.main = lambda **_: lambda func: func

sys.meta_path.insert(0, Finder(False))
if PY3:
    sys.meta_path.append(Finder(True))
# A terminal sends SIGINT to the whole process group; the master decides what to do.
_signal.signal(2, lambda *_: None)

loop.add(parent.rfd, parent.on_receive)
posix.write(parent.wfd, b"MITO002\n")
try:
    loop.run()
finally:
    posix._exit(1)
