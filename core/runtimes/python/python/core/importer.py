"""Modules from our parent: the import hook's slow half. Compiled when the first module is missed."""


class Importer(object):
    """Loads modules from the parent (docs/protocol.md#requests-for-modules); local ones come first,
    unless they are overridden."""

    def __init__(self):
        # By full name: package contents or None, path or None, related names, and the message as
        # it came. Contexts below get it as it is, and most sources are needed once or never.
        self.cache = {}
        self.asked = {}
        self.loaded = set(["mitogen"])
        self.on_load = []
        self.done = False
        self.guard = set()
        router.add_handler(self.on_load_module, LOAD_MODULE, True, has_parent_authority)

    def on_load_module(self, msg):
        if not msg.is_dead:
            name, contents, path, _, related = msg.unpickle()
            self.cache[name] = contents, path, related, msg.data
            for func in list(self.on_load):
                func(name)
            notify()

    def ask(self, name):
        """Ask for a module, once, unless it is known already."""
        mark = object()
        # Of threads that come here at the same time one puts its mark.
        if name not in self.cache and self.asked.setdefault(name, mark) is mark:
            send(parent_ids[0], GET_MODULE, name.encode("utf-8"))

    def fetch(self, name):
        """The module's entry; ImportError, with the reason if there is one, when it has no source."""
        error = ModuleNotFoundError if PY3 else ImportError
        why = self.refusal(name)
        if not why:
            self.ask(name)
            wait(lambda: name in self.cache)
            entry = self.cache[name]
            if entry[1] is not None:
                return entry
            why = loads(entry[3])[3]
            if why:
                # There is one, though of no use here: `from package import it` must say so too.
                error = ImportError
            why = "%s [context %s, Python %s on %s %s]" % (
                why or "The Mitogen master process was unable to serve " + name,
                config["name"], sys.version.split()[0], sys.platform, posix.uname()[4]
            )
        error = error(why if PY3 else why.encode("utf-8"))
        error.name = name
        raise error

    def refusal(self, name):
        """Why the module must not be requested (docs/protocol.md#import-policy); None if it may."""
        if overrides and not matches(name, overrides + ["mitogen"]):
            why = "not in the overrides list"
        elif matches(name, config["import_blocks"]):
            why = "in the blocks list"
        elif not (
            matches(name, UNSUITABLE)
            # What belongs to this interpreter's library and is not here is for other platforms.
            or not overrides and matches(name, getattr(sys, "stdlib_module_names", ()))
            # While it is imported it looks for a name in the program, which must not run for that.
            or name == "__main__" and "pkg_resources" in modules
            and not hasattr(modules["pkg_resources"], "working_set")
        ):
            return None
        else:
            why = "e.g. binary, legacy, part of stdlib"
        return "Mitogen won't serve %s, it's %s" % (name, why)

    def ours(self, name):
        """Whether the module's package, if it has one, came from us and lists it."""
        package, _, tail = name.rpartition(".")
        return not package or package in self.loaded and (
            package == "mitogen" or tail in self.cache[package][0]
        )

    def wanted(self, name, first):
        """Whether to claim the module; `first` is before local ones are looked for."""
        # No name at all, and one that ends in a dot, are nobody's.
        return name[-1:] not in "." and self.ours(name) and (
            not first or name == "__main__" or overrides and matches(name, overrides)
        )

    # Python 3

    def find_spec(self, finder, name, path):
        # By their inner names, because importing `importlib` here would come back here.
        from _frozen_importlib import ModuleSpec
        from _frozen_importlib_external import PathFinder
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
        if not self.wanted(name, first):
            return None
        try:
            contents = self.fetch(name)[0]
        except ImportError:
            # Who asks whether there is such a module gets no exception; who imports it does.
            if sys._getframe(2).f_back.f_code.co_name == "_find_and_load_unlocked":
                raise
            return None
        spec = ModuleSpec(name, self, origin=self.get_filename(name))
        spec.has_location = True
        if contents is not None:
            spec.submodule_search_locations = self.get_path(name)
        return spec

    def create_module(self, spec):
        # A handler may have loaded it while this thread waited for it. Then the import machinery takes
        # that one's spec, and does not see that all is done.
        return spec.loader_state

    def exec_module(self, module):
        name = module.__name__
        if PY3:
            if module.__spec__.loader_state:
                return
            module.__spec__.loader_state = module
        self.loaded.add(name)
        if name == "pbr":
            # It wants to know of an installation what there is none of here.
            __import__("os").environ["PBR_VERSION"] = "0.0.0"
        exec(self.get_code(name), module.__dict__)

    # Python 2

    def find_module(self, name, path):
        if name in self.guard:
            return None
        name = str(name)
        if name != "logging":
            if not self.ours(name) or not self.wanted(name, self.is_local(name, path)):
                return None
            fresh = name not in modules
            try:
                self.fetch(name)
            except ImportError:
                # Imports would drop it here, and get it from `load_module`.
                if sys._getframe(2).f_globals.get("__name__") == "pkgutil":
                    return None
            # Another thread may have loaded it while this one waited for it.
            self.done = fresh and name in modules
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
            self.guard.add(name)
            try:
                __import__(name)
            finally:
                self.guard.discard(name)
            install_logging()
            return modules[name]
        file = self.get_filename(name)
        # That of before is used again by `reload`.
        fresh = name not in modules
        module = modules.setdefault(name, type(sys)(name))
        if self.done:
            return module
        module.__file__ = file
        module.__loader__ = self
        module.__package__ = name
        if self.is_package(name):
            module.__path__ = self.get_path(name)
        else:
            module.__package__ = name.rpartition(".")[0]
        try:
            self.exec_module(module)
        except BaseException:
            if fresh:
                modules.pop(name, None)
            raise
        return modules[name]

    # Both

    def get_code(self, name):
        # In Python 2 our own modules must not look for `mitogen.os` first.
        flags = 0 if PY3 or name[:8] != "mitogen." else 0x4000
        return compile(self.read(name), self.get_filename(name), "exec", flags, 1)

    def read(self, name):
        import zlib
        source = zlib.decompress(loads(self.fetch(name)[3])[3])
        return source.decode("utf-8") if PY3 else source

    def get_source(self, name):
        # Those who print lines would take a form feed for the end of one.
        return self.read(name).replace("\r\n", "\n").replace("\f", " ")

    def is_package(self, name):
        return self.fetch(name)[0] is not None

    def get_filename(self, name):
        path = "master:%s" % self.fetch(name)[1]
        return path if PY3 else path.encode("utf-8")

    def get_path(self, name):
        return [self.get_filename(name).rpartition("/")[0]]

    def __getattr__(self, name):
        # get_data, get_resource_reader, archive.
        if name[:4] in ("get_", "arch"):
            return getattr(__import__("mitogen.resources").resources.loader, name)
        raise AttributeError(name)


class Portion(object):
    """The directory of a package of ours, as an entry of its `__path__`."""

    def __init__(self, path):
        if path[:7] != "master:":
            raise ImportError(path)
        self.path = path

    def find_spec(self, name, target=None):
        # The importer stands behind all that is local.
        pass

    find_module = find_spec

    def iter_modules(self, prefix=""):
        return __import__("mitogen.resources").resources.iter_modules(self.path, prefix)


def matches(name, names):
    """Whether `name`, or a package that it is in, is among `names`."""
    parts = name.split(".")
    return any(".".join(parts[:i]) in names for i in range(1, len(parts) + 1))


# Other implementations' and other platforms' modules, which the library tries to import everywhere.
UNSUITABLE = (
    "builtins __builtin__ msvcrt thread org nt winreg _winreg _winapi _wmi".split()
    + ["cStringIO"] * PY3
)

importer = Importer()
sys.path_hooks.insert(0, Portion)
# Another thread may be half-way through importing it; its last function tells.
if hasattr(modules.get("logging"), "captureWarnings"):
    install_logging()
