"""Data files of packages that came from our parent, for code here and for contexts below.

Sent when one is first asked for. Questions go to the parent, once each; answers are kept as they
came (docs/protocol.md#resources). An addition of ours: the name "", or one that ends in a slash, stands
for a directory, and its content for the names in it, one a line; those of directories end in a
slash. Who does not know that answers that there is no such resource.
"""
import io
import posixpath
import sys

import mitogen.core as core

GET_RESOURCE = 112
LOAD_RESOURCE = 113

if core.PY3:
    text = str
else:
    text = unicode  # noqa: F821
    FileNotFoundError = IOError

# By (package, name): the answer as it came, the marks of who asked first, who waits below.
cache = {}
asked = {}
waiting = {}


# Messages


def decode(data, count):
    """The first `count` pickles in `data`, which may hold plain data only."""
    file = core.BytesIO(data)
    found = []
    for _ in range(count):
        if core.PY3:
            unpickler = Plain(file, encoding="bytes")
        else:
            unpickler = core._pickle.Unpickler(file)
            unpickler.find_global = None
        found.append(unpickler.load())
    package, name = found[0]
    if type(package) is not text or type(name) is not text:
        raise core.StreamError("invalid resource name: %r", found[0])
    if count == 2 and not isinstance(found[1], (bytes, type(None))):
        raise core.StreamError("invalid content of resource %r of %s", name, package)
    return found


if core.PY3:
    class Plain(core._pickle.Unpickler):
        def find_class(self, module, name):
            raise core.StreamError("a resource may not hold %s.%s", module, name)


def on_load_resource(msg):
    if msg.is_dead:
        return
    package, name = decode(msg.data, 2)[0]
    cache[package, name] = msg.data
    for stream in waiting.pop((package, name), ()):
        give(stream, (package, name))
    core.notify()


def on_get_resource(msg, stream):
    """A neighbour below asks."""
    key = tuple(decode(msg.data, 1)[0])
    if key in cache:
        give(stream, key)
    else:
        waiting.setdefault(key, set()).add(stream)
        ask(key)


def give(stream, key):
    if not stream.gone:
        core.send(stream.remote_id, LOAD_RESOURCE, cache[key], core.PKL)


def ask(key):
    mark = object()
    # Of threads that come here at the same time one puts its mark.
    if key not in cache and asked.setdefault(key, mark) is mark:
        # In a client's context (mitogen.scoped) that one has them.
        source = getattr(core.importer, "client", core.parent_ids[0])
        core.send(source, GET_RESOURCE, b"".join(core.dumps(key)), core.PKL)


# For code here


def fetch(package, name):
    """The content, or None when there is no such resource."""
    if name[:1] == "/" or ".." in name.split("/") or core.importer.refusal(package):
        return None
    # What is in a package within the package is that one's.
    while "/" in name:
        inner, _, rest = name.partition("/")
        inner = "%s.%s" % (package, inner)
        if core.importer.cache.get(inner, (None,))[0] is None:
            break
        package, name = inner, rest
    key = core.as_text(package), core.as_text(name)
    ask(key)
    core.wait(lambda: key in cache)
    return decode(cache[key], 2)[1]


def read(package, name):
    content = name and fetch(package, name)
    if not isinstance(content, bytes):
        raise FileNotFoundError(2, "No such resource in package %s on the master" % package, name)
    return content


def names(package, directory=""):
    """What is in a directory of the package; those of directories end in a slash."""
    content = fetch(package, directory)
    if content is None:
        raise NotImplementedError(
            "the master does not list the resources of %s: name the one to open" % package
        )
    return [name for name in content.decode("utf-8").split("\n") if name]


class Resource(object):
    """A file or directory of a package, as `importlib.resources.files` gives them."""

    def __init__(self, package, path=""):
        self.package = package
        self.path = path
        self.name = posixpath.basename(path) or package.rpartition(".")[2]

    def __repr__(self):
        return "<resource %r of %s>" % (self.path, self.package)

    __str__ = __repr__

    def __eq__(self, other):
        return isinstance(other, Resource) and (
            (other.package, other.path) == (self.package, self.path)
        )

    def __hash__(self):
        return hash((self.package, self.path))

    def joinpath(self, *parts):
        path = posixpath.normpath(posixpath.join(self.path, *map(str, parts)))
        return Resource(self.package, "" if path == "." else path)

    __truediv__ = joinpath

    def is_file(self):
        return bool(self.path) and fetch(self.package, self.path) is not None

    def is_dir(self):
        return not self.path or fetch(self.package, self.path + "/") is not None

    def iterdir(self):
        for name in names(self.package, self.path and self.path + "/"):
            yield self.joinpath(name)

    def read_bytes(self):
        return read(self.package, self.path)

    def read_text(self, encoding=None, errors=None):
        with self.open("r", encoding=encoding, errors=errors) as file:
            return file.read()

    def open(self, mode="r", *args, **kwargs):
        if mode not in ("r", "rt", "rb"):
            raise ValueError("resources can only be read, not opened with mode %r" % mode)
        file = io.BytesIO(self.read_bytes())
        return file if mode == "rb" else io.TextIOWrapper(file, *args, **kwargs)


class Reader(object):
    """The resources of one package, as `importlib.resources` wants them."""

    def __init__(self, package):
        self.package = package

    def files(self):
        return Resource(self.package)

    def open_resource(self, name):
        return io.BytesIO(read(self.package, name))

    def resource_path(self, name):
        # It has none here; the caller makes a temporary file of the content.
        raise FileNotFoundError(2, "The resource is not a file on this host", name)

    def is_resource(self, name):
        return Resource(self.package, name).is_file()

    def contents(self):
        return [name.rstrip("/") for name in names(self.package)]


def packages():
    """The packages from our parent that have been imported: (directory, name)."""
    importer = core.importer
    return [
        (importer.get_path(name)[0], name) for name in list(importer.loaded)
        if name in importer.cache and importer.is_package(name)
    ]


class Loader(object):
    """What `Importer` leaves to us."""

    get_resource_reader = staticmethod(Reader)

    @staticmethod
    def get_data(path):
        """The content of the file at `path`, which starts with the directory of a package."""
        if not core.PY3 and isinstance(path, text):
            path = path.encode("utf-8")
        # The innermost package first.
        for directory, package in sorted(packages(), reverse=True):
            if path.startswith(directory + "/"):
                return read(package, posixpath.normpath(path[len(directory) + 1:]))
        raise FileNotFoundError(2, "No package of the master has this file", path)

    @property
    def archive(self):
        """Python 3.9 does not ask readers for `files`; but it asks loaders for a zip archive."""
        frame = sys._getframe(1)
        while frame and frame.f_code.co_name != "fallback_resources":
            frame = frame.f_back
        if sys.version_info[:2] != (3, 9) or not frame:
            raise AttributeError("archive")
        return archive_of(frame.f_locals["spec"])


loader = Loader()


def archive_of(spec):
    """The package's resources as a zip archive in memory, which its directory is the root of."""
    import zipfile

    class Archive(zipfile.ZipFile):
        def __fspath__(self):
            return spec.submodule_search_locations[0]

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        pending = [""]
        while pending:
            directory = pending.pop()
            for name in names(spec.name, directory):
                name = directory + name
                if name[-1:] == "/":
                    pending.append(name)
                else:
                    # As `zipfile.Path` asks for what is below ".".
                    out.writestr("./" + name, read(spec.name, name))
    return Archive(file)


def iter_modules(path, prefix=""):
    """The modules directly in the package whose directory is `path`, for `pkgutil`."""
    importer = core.importer
    package = dict(packages()).get(path)
    if not package:
        return
    tails = sorted(importer.cache[package][0])
    full = dict((tail, "%s.%s" % (package, tail)) for tail in tails)
    # In one go: which of them are packages only their own messages tell.
    for tail in tails:
        if not importer.refusal(full[tail]):
            importer.ask(full[tail])
    for tail in tails:
        try:
            is_package = importer.is_package(full[tail])
        except ImportError:
            is_package = False
        yield prefix + str(tail), is_package


core.router.add_handler(
    on_load_resource, LOAD_RESOURCE, True, core.has_parent_authority, overwrite=True
)
