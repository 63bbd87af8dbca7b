"""Imports modules from the parent: the lazy half of the import hook."""

decode_source = str
if PY3:
    # The frozen modules, because importing `importlib` here would call this finder again.
    from _frozen_importlib import ModuleSpec
    from _frozen_importlib_external import PathFinder, decode_source


class Importer(object):
    """Loads modules from the parent (docs/protocol.md#requests-for-modules). Local modules have
    priority, except for those in the overrides list."""

    def __init__(self):
        # By full name: package contents or None, path or None, related names, and the message as it
        # was received: it is passed on to child contexts, and most sources are never needed here.
        self.cache = {}
        self.requested = {}
        self.loaded = {"mitogen"}
        self.on_load = []
        # By name: modules that a handler imported while the import of the same name waited.
        self.imported = {}
        self.guard = None
        router.add_handler(self.on_load_module, LOAD_MODULE, True, has_parent_authority)

    def on_load_module(self, msg):
        if not msg.is_dead:
            name, contents, path, _, related = msg.unpickle()
            self.cache[name] = contents, path, related, msg.data
            for func in list(self.on_load):
                func(name)
            notify()

    def request(self, name):
        """Request a module once, unless it is in the cache."""
        mark = object()
        # Of several threads, only the one that stored its mark sends the request.
        if name not in self.cache and self.requested.setdefault(name, mark) is mark:
            send(parent_ids[0], GET_MODULE, name.encode("utf-8"))

    def fetch(self, name):
        """The module's cache entry. ImportError, with the master's reason if any, if it has no source."""
        error = ModuleNotFoundError if PY3 else ImportError
        reason = self.refusal(name)
        if not reason:
            self.request(name)
            fresh = name not in modules
            wait(lambda: name in self.cache)
            # A handler or another thread may have imported the module meanwhile.
            if fresh and name in modules:
                self.imported[name] = modules[name]
            entry = self.cache[name]
            if entry[1] is not None:
                return entry
            reason = loads(entry[3])[3]
            if reason:
                # The module exists but cannot be sent: `from package import name` must report the
                # reason too, so this is not a ModuleNotFoundError.
                error = ImportError
            reason = "%s [context %s, Python %s on %s %s]" % (
                reason or "The Mitogen master process was unable to serve " + name,
                config["name"], sys.version.split()[0], sys.platform, posix.uname()[4]
            )
        error = error(reason if PY3 else reason.encode("utf-8"))
        error.name = name
        raise error

    def refusal(self, name):
        """Why the module must not be requested (docs/protocol.md#import-policy), or None."""
        if overrides and not matches(name, overrides + ["mitogen"]):
            reason = "not in the overrides list"
        elif matches(name, config["import_blocks"]):
            reason = "in the blocks list"
        elif not (
            matches(name, UNSUITABLE)
            # A missing module of this interpreter's standard library belongs to other platforms.
            or not overrides and matches(name, getattr(sys, "stdlib_module_names", ()))
            # pkg_resources looks for a name in __main__ while it is imported: do not run the
            # master's script for that.
            or name == "__main__" and "pkg_resources" in modules
            and not hasattr(modules["pkg_resources"], "working_set")
        ):
            return
        else:
            reason = "e.g. binary, legacy, part of stdlib"
        return "Mitogen won't serve %s, it's %s" % (name, reason)

    def listed(self, name):
        """Whether the module is top-level, or the master's part of its package lists it."""
        package, _, tail = name.rpartition(".")
        if package and package not in self.loaded:
            # Of a namespace package, one part may be here and another on the master.
            module = modules.get(package)
            if getattr(module, "extend_path", not getattr(module, "__file__", 0)):
                resources().join(package)
        # A module that is no package may have set its own `__path__`: it lists nothing.
        return not package or package in self.loaded and (
            package == "mitogen" or tail in (self.cache[package][0] or ())
        )

    def claims(self, name, first):
        """Whether to import the module from the master. `first`: before the search for local ones."""
        # An empty name, or one that ends in a dot, is never requested.
        return name[-1:] not in "." and (
            not first or name == "__main__" or overrides and matches(name, overrides)
        ) and self.listed(name)

    # Python 3

    def find_spec(self, finder, name, path):
        first = not finder.last
        if first and name == "logging":
            spec = PathFinder.find_spec(name, path)
            if spec:
                loader = spec.loader

                def exec_module(module):
                    del loader.exec_module
                    loader.exec_module(module)
                    install_logging()
                loader.exec_module = exec_module
            return spec
        if not self.claims(name, first):
            return
        try:
            self.fetch(name)
        except ImportError:
            # find_spec() of importlib.util returns None for a missing module; an import raises.
            if sys._getframe(3).f_code.co_name == "_find_and_load_unlocked":
                raise
            return
        file = self.get_filename(name)
        spec = ModuleSpec(name, self, origin=file)
        # A namespace package has no `__file__`.
        spec.has_location = file[-3:] == ".py"
        if self.is_package(name):
            spec.submodule_search_locations = self.get_path(name)
        return spec

    def create_module(self, spec):
        # The import system uses the spec of the other module, and does not know that it was executed.
        return self.imported.get(spec.name)

    def exec_module(self, module):
        name = module.__name__
        if self.imported.pop(name, 0) is module:
            return
        self.loaded.add(name)
        if name == "pbr":
            resources().pbr()
        exec(self.get_code(name), module.__dict__)

    # Python 2

    def find_module(self, name, path):
        if name == self.guard:
            return
        name = str(name)
        if name != "logging":
            if not self.claims(name, self.is_local(name, path)):
                return
            try:
                self.fetch(name)
            except ImportError:
                # An import would ignore the exception here; `load_module` raises it again.
                if sys._getframe(2).f_globals.get("__name__") == "pkgutil":
                    return
        return self

    def is_local(self, name, path):
        if path:
            path = [entry for entry in path if entry[:7] != "master:"]
        try:
            file = imp.find_module(name.rpartition(".")[2], path)[0]
            if file:
                file.close()
            return True
        except ImportError:
            pass
        for entry in sys.path if path is None else path:
            importer = sys.path_importer_cache.get(entry)
            if importer and importer.find_module(name):
                return True

    def load_module(self, name):
        name = str(name)
        if name == "logging":
            self.guard = name
            try:
                __import__(name)
            finally:
                self.guard = None
            install_logging()
            return modules[name]
        file = self.get_filename(name)
        # `reload` reuses the existing module.
        fresh = name not in modules
        module = modules.setdefault(name, type(sys)(name))
        if self.imported.pop(name, 0):
            return module
        module.__file__ = file
        module.__loader__ = self
        if self.is_package(name):
            module.__path__ = self.get_path(name)
        try:
            self.exec_module(module)
        except BaseException:
            if fresh:
                modules.pop(name, None)
            raise
        return modules[name]

    # Both

    def get_code(self, name):
        # In Python 2, modules of the runtime need absolute imports, or `import os` looks for mitogen.os.
        flags = 0 if PY3 or name[:8] != "mitogen." else 0x4000
        return compile(self.read(name), self.get_filename(name), "exec", flags, 1)

    def read(self, name):
        import zlib
        return zlib.decompress(loads(self.fetch(name)[3])[3])

    def get_source(self, name):
        # linecache and others split lines at form feeds, unlike the compiler.
        return decode_source(self.read(name)).replace("\r\n", "\n").replace("\f", " ")

    def is_package(self, name):
        return self.fetch(name)[0] is not None

    def get_filename(self, name):
        path = "master:%s" % self.fetch(name)[1]
        return path if PY3 else path.encode("utf-8")

    def get_path(self, name):
        # The file name of a namespace package is its directory.
        return [self.get_filename(name).replace("/__init__.py", "")]

    def __getattr__(self, name):
        # get_data, get_resource_reader, archive.
        if name[:4] in ("get_", "arch"):
            return getattr(resources().loader, name)
        raise AttributeError(name)


class MasterPath:
    """The path hook for `__path__` entries of packages from the master, such as `master:/srv/app/pkg`."""

    def __init__(self, path):
        if path[:7] != "master:":
            raise ImportError(path)
        self.path = path

    def find_spec(self, name, target=None):
        # `Importer` handles modules in the directories of their packages. Other directories are those
        # that a package has added to its `__path__`, or to `sys.path`.
        package, _, tail = name.rpartition(".")
        if package not in importer.loaded or importer.get_path(package) != [self.path]:
            return resources().find_spec(self.path, name)

    find_module = find_spec

    def iter_modules(self, prefix=""):
        return resources().iter_modules(self.path, prefix)


def resources():
    return __import__("mitogen.resources").resources


def matches(name, names):
    """Whether `name` or one of its parent packages is in `names`."""
    return any((name + ".").startswith(each + ".") for each in names)


# Modules of other platforms and implementations, which the standard library tries to import.
UNSUITABLE = (
    "builtins __builtin__ msvcrt thread org nt winreg _winreg _winapi _wmi".split()
    + ["cStringIO"] * PY3
)

importer = Importer()
sys.path_hooks.insert(0, MasterPath)
# Another thread may still be importing logging: check for its last function.
if hasattr(modules.get("logging"), "captureWarnings"):
    install_logging()
