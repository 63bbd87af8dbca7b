"""Modules from our parent: the import hook's slow half. Compiled when the first module is missed."""


class Importer(object):
    """Modules that come from our parent (protocol 6.1): local ones win, unless overridden."""

    def __init__(self):
        # By full name: (fullname, package contents or None, path or None, source, related).
        self.cache = {}
        self.asked = set()
        self.loaded = set(["mitogen"])
        self.on_load = []
        self.guard = set()
        router.add_handler(self.on_load_module, LOAD_MODULE, True, has_parent_authority)

    def on_load_module(self, msg):
        if not msg.is_dead:
            found = msg.unpickle()
            self.cache[found[0]] = found
            self.asked.discard(found[0])
            for func in list(self.on_load):
                func(found[0])
            notify()

    def ask(self, name):
        """Ask for a module, once, unless it is known already."""
        if name not in self.cache and name not in self.asked:
            self.asked.add(name)
            send(parent_ids[0], GET_MODULE, name.encode("utf-8"))

    def fetch(self, name):
        """The module's entry, or None when our parent has none."""
        self.ask(name)
        wait(lambda: name in self.cache)
        return self.cache[name] if self.cache[name][2] is not None else None

    def unsuitable(self, name):
        if overrides and not matches(name, overrides):
            return True
        if matches(name, config["import_blocks"]) or matches(name, UNSUITABLE):
            return True
        # What belongs to this interpreter's own library and is not here is for other platforms.
        return not overrides and name.split(".")[0] in getattr(sys, "stdlib_module_names", ())

    def ours(self, name):
        """Whether the module's package, if it has one, came from us and lists it."""
        package, _, tail = name.rpartition(".")
        if not package:
            return True
        if package not in self.loaded:
            return False
        return package == "mitogen" or tail in self.cache[package][1]

    def wanted(self, name, first):
        """Whether to claim the module; `first` is before local ones are looked for."""
        if not name or name[-1:] == "." or not self.ours(name):
            return False
        if first:
            return name == "__main__" or overrides and matches(name, overrides)
        return True

    def entry(self, name):
        if self.unsuitable(name):
            return None
        return self.fetch(name)

    # Python 3

    def find_spec(self, finder, name, path):
        # By their inner names, because importing `importlib` here would come back here.
        from _frozen_importlib import ModuleSpec
        from _frozen_importlib_external import PathFinder
        if not finder.last and name == "logging":
            spec = PathFinder.find_spec(name, path)
            if spec:
                spec.loader = Logging(spec.loader)
            return spec
        if not self.wanted(name, not finder.last):
            return None
        found = self.entry(name)
        if found:
            spec = ModuleSpec(
                name, self, origin="master:%s" % found[2], is_package=found[1] is not None
            )
            spec.has_location = True
            return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        self.run(module)

    # Python 2

    def find_module(self, name, path):
        if name in self.guard:
            return None
        name = str(name)
        if name == "logging":
            return self
        if not self.wanted(name, True) and (not self.ours(name) or self.is_local(name, path)):
            return None
        return self if self.entry(name) else None

    def is_local(self, name, path):
        if name == "__main__":
            return False
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
        module = modules[name] = type(sys)(name)
        module.__file__ = str("master:%s" % self.cache[name][2])
        module.__loader__ = self
        module.__package__ = name
        if self.cache[name][1] is not None:
            module.__path__ = []
        else:
            module.__package__ = name.rpartition(".")[0]
        try:
            self.run(module)
        except BaseException:
            modules.pop(name, None)
            raise
        return modules[name]

    # Both

    def run(self, module):
        name = module.__name__
        self.loaded.add(name)
        exec(self.get_code(name), module.__dict__)

    def get_code(self, name):
        source = self.get_source(name)
        if not PY3:
            source = source.encode("utf-8")
        # In Python 2 our own modules must not look for `mitogen.os` first.
        flags = 0 if PY3 or name[:8] != "mitogen." else 0x4000
        return compile(source, "master:%s" % self.cache[name][2], "exec", flags, 1)

    def get_source(self, name):
        import zlib
        source = zlib.decompress(self.cache[name][3]).decode("utf-8")
        return source.replace(u"\r\n", u"\n")

    def is_package(self, name):
        return self.cache[name][1] is not None

    def get_filename(self, name):
        return "master:%s" % self.cache[name][2]


def matches(name, names):
    """Whether `name`, or a package that it is in, is among `names`."""
    parts = name.split(".")
    return any(".".join(parts[:i]) in names for i in range(1, len(parts) + 1))


UNSUITABLE = ["builtins", "__builtin__", "msvcrt", "thread", "org"] + ["cStringIO"] * PY3


class Logging(object):
    """Loads `logging` as its own loader does, and then installs our handler."""

    def __init__(self, loader):
        self.loader = loader

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        install_logging()


importer = Importer()
# Another thread may be half-way through importing it; its last function tells.
if hasattr(modules.get("logging"), "captureWarnings"):
    install_logging()
