"""Data files of packages from the master, for local code and for child contexts.

Sent when the first resource is requested. Each is requested from the parent once, and replies are cached
as received (docs/protocol.md#resources). An extension of the protocol: the name "", or one that ends in a
slash, is a directory. Its content is the list of its names, one a line; those of directories end in a
slash. A peer that does not support this replies that the resource does not exist.
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

# By (package, name): replies as received, marks of the first requests, links that wait for a reply.
cache = {}
requested = {}
waiting = {}


# Messages


def decode(data, count):
    """Decode the first `count` pickles in `data`, which may contain plain data only."""
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
            raise core.StreamError("global %s.%s is not allowed in a resource message", module, name)


def on_load_resource(msg):
    if msg.is_dead:
        return
    package, name = decode(msg.data, 2)[0]
    cache[package, name] = msg.data
    for stream in waiting.pop((package, name), ()):
        send_resource(stream, (package, name))
    core.notify()


def on_get_resource(msg, stream):
    """A request of a child."""
    key = tuple(decode(msg.data, 1)[0])
    if key in cache:
        send_resource(stream, key)
    else:
        waiting.setdefault(key, set()).add(stream)
        request(key)


def send_resource(stream, key):
    if not stream.gone:
        core.send(stream.remote_id, LOAD_RESOURCE, cache[key], core.PKL)


def request(key):
    mark = object()
    # Of several threads, only the one that stored its mark sends the request.
    if key not in cache and requested.setdefault(key, mark) is mark:
        # A client-scoped context (mitogen.scoped) requests them from its client.
        source = getattr(core.importer, "client", core.parent_ids[0])
        core.send(source, GET_RESOURCE, b"".join(core.dumps(key)), core.PKL)


# For local code


def fetch(package, name):
    """The content, or None if the resource does not exist."""
    if name[:1] == "/" or ".." in name.split("/") or core.importer.refusal(package):
        return None
    # A resource in a subpackage belongs to the subpackage.
    while "/" in name:
        inner, _, rest = name.partition("/")
        inner = "%s.%s" % (package, inner)
        if core.importer.cache.get(inner, (None,))[0] is None:
            break
        package, name = inner, rest
    key = core.as_text(package), core.as_text(name)
    request(key)
    core.wait(lambda: key in cache)
    return decode(cache[key], 2)[1]


def read(package, name):
    content = name and fetch(package, name)
    if not isinstance(content, bytes):
        raise FileNotFoundError(2, "No such resource in package %s on the master" % package, name)
    return content


def names(package, directory=""):
    """The names in a directory of the package. Those of directories end in a slash."""
    content = fetch(package, directory)
    if content is None:
        raise NotImplementedError(
            "the master cannot list the resources of %s; open them by name" % package
        )
    return [name for name in content.decode("utf-8").split("\n") if name]


class Resource(object):
    """A file or directory of a package, as `importlib.resources.files` returns them."""

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
    """The resource reader of one package, for `importlib.resources`."""

    def __init__(self, package):
        self.package = package

    def files(self):
        return Resource(self.package)

    def open_resource(self, name):
        return io.BytesIO(read(self.package, name))

    def resource_path(self, name):
        # There is no local file. The caller writes the content to a temporary file.
        raise FileNotFoundError(2, "The resource is not a file on this host", name)

    def is_resource(self, name):
        return Resource(self.package, name).is_file()

    def contents(self):
        return [name.rstrip("/") for name in names(self.package)]


def packages():
    """(directory, name) of each imported package from the master."""
    importer = core.importer
    return [
        (importer.get_path(name)[0], name) for name in list(importer.loaded)
        if name in importer.cache and importer.is_package(name)
    ]


class Loader(object):
    """Methods of loaders that `Importer` delegates to this module."""

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
        raise FileNotFoundError(2, "No package from the master contains this file", path)

    @property
    def archive(self):
        """Python 3.9 does not use the `files` of a reader, but the `archive` of a loader."""
        frame = sys._getframe(1)
        while frame and frame.f_code.co_name != "fallback_resources":
            frame = frame.f_back
        if sys.version_info[:2] != (3, 9) or not frame:
            raise AttributeError("archive")
        return archive_of(frame.f_locals["spec"])


loader = Loader()


def archive_of(spec):
    """The package's resources as a zip archive in memory. Its root is the package's directory."""
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
                    # `zipfile.Path` looks names up below ".".
                    out.writestr("./" + name, read(spec.name, name))
    return Archive(file)


def pbr():
    """pbr looks for the metadata of an installed distribution, which does not exist here."""
    __import__("os").environ["PBR_VERSION"] = "0.0.0"


def join(package):
    """Add the master's part of the namespace package `package` to the part of this host."""
    importer = core.importer
    module = sys.modules.get(package)
    if hasattr(module, "__path__") and importer.listed(package):
        try:
            if importer.is_package(package):
                module.__path__ = list(module.__path__) + importer.get_path(package)
                importer.loaded.add(package)
        except ImportError:
            pass


class PathLoader(object):
    """The loader of one module from a directory that a package has added to a search path."""

    def __init__(self, name, file, source):
        self.name = name
        self.file = file
        self.source = source

    def is_package(self, name=None):
        return posixpath.basename(self.file) == "__init__.py"

    def get_filename(self, name=None):
        return self.file

    def get_data(self, path):
        return self.source if path == self.file else Loader.get_data(path)

    def get_code(self, name=None):
        return compile(self.source, self.file, "exec", 0, 1)

    def get_source(self, name=None):
        if core.PY3:
            from _frozen_importlib_external import decode_source
            return decode_source(self.source)
        return self.source.replace("\r\n", "\n")

    def create_module(self, spec):
        pass

    def exec_module(self, module):
        exec(self.get_code(), module.__dict__)

    def load_module(self, name):
        fresh = name not in sys.modules
        module = sys.modules.setdefault(name, type(sys)(name))
        module.__file__ = self.file
        module.__loader__ = self
        module.__package__ = name if self.is_package() else name.rpartition(".")[0]
        if self.is_package():
            module.__path__ = [posixpath.dirname(self.file)]
        try:
            self.exec_module(module)
        except BaseException:
            if fresh:
                sys.modules.pop(name, None)
            raise
        return sys.modules[name]


def find_spec(path, name):
    """A module in the directory `path` of a search path: its spec, or in Python 2 its loader, or None."""
    importer = core.importer
    parent, _, tail = name.rpartition(".")
    if parent in importer.loaded:
        # The package's own directory has priority, unless the other one stands before it.
        places = list(getattr(sys.modules[parent], "__path__", ()))
        own = importer.get_path(parent)[0]
        if importer.listed(name) and not (own in places and places.index(own) > places.index(path)):
            return None
    elif not parent and sys.path[:1] != [path]:
        # A directory that a package has appended to sys.path comes after the master's own.
        try:
            importer.fetch(name)
            return None
        except ImportError:
            pass
    for directory, package in sorted(packages(), reverse=True):
        if path == directory or path.startswith(directory + "/"):
            break
    else:
        return None
    inside = path[len(directory) + 1:]
    inside += "/" if inside and inside[-1] != "/" else ""
    listing = (fetch(package, inside) or b"").decode("utf-8").split("\n")
    found = None
    if tail + "/" in listing:
        for_package = (fetch(package, inside + tail + "/") or b"").decode("utf-8").split("\n")
        if "__init__.py" in for_package:
            found = tail + "/__init__.py"
    if found is None and tail + ".py" in listing:
        found = tail + ".py"
    if found is None and tail + "/" not in listing:
        return None
    place = path.rstrip("/") + "/" + (found or tail)
    if not core.PY3:
        return found and PathLoader(name, place, read(package, inside + found))
    from _frozen_importlib import ModuleSpec
    if found is None:
        # A portion of a namespace package.
        spec = ModuleSpec(name, None)
        spec.submodule_search_locations = [place]
        return spec
    spec = ModuleSpec(name, PathLoader(name, place, read(package, inside + found)), origin=place)
    spec.has_location = True
    if spec.loader.is_package():
        spec.submodule_search_locations = [posixpath.dirname(place)]
    return spec


def iter_modules(path, prefix=""):
    """The modules directly in the package whose directory is `path`, for `pkgutil`."""
    importer = core.importer
    package = dict(packages()).get(path)
    if not package:
        return
    tails = sorted(importer.cache[package][0])
    full = dict((tail, "%s.%s" % (package, tail)) for tail in tails)
    # All in one round trip: whether a module is a package is only known from its message.
    for tail in tails:
        if not importer.refusal(full[tail]):
            importer.request(full[tail])
    for tail in tails:
        try:
            is_package = importer.is_package(full[tail])
        except ImportError:
            is_package = False
        yield prefix + str(tail), is_package


core.router.add_handler(
    on_load_resource, LOAD_RESOURCE, True, core.has_parent_authority, overwrite=True
)
