"""Runs calls (CALL_FUNCTION messages) on the main thread and queues their replies. Does no I/O."""


class Dispatcher(object):
    """`failed` has the errors of failed chains by chain id: later calls of the chain return them."""

    failed = {}

    @classmethod
    def forget_chain(cls, chain_id, econtext=None):
        cls.failed.pop(chain_id, None)


def body(frame):
    """The payload of a frame. That of a large frame is not copied."""
    if type(frame) is bytes:
        return frame[26:]
    return memoryview(frame)[26:] if PY3 else bytes(frame[26:])


def call(src, reply_to, frame):
    """Run one CALL_FUNCTION and queue its reply."""
    chain = None
    loop.caller = src
    try:
        enc = unpack(frame)[0]
        if enc == BIN:
            raise ValueError("cannot unpickle a raw message")
        chain_id, module, cls, func, args, kwargs = loads(body(frame))
        if chain_id in Dispatcher.failed and chain_id is not None:
            pieces = dumps(Dispatcher.failed[chain_id])
        else:
            func = resolve(module, cls, func)
            chain = chain_id
            if kwargs or hasattr(func, "__dict__"):
                if getattr(func, "mitogen_takes_econtext", 0):
                    kwargs.setdefault("econtext", econtext)
                if getattr(func, "mitogen_takes_router", 0):
                    kwargs.setdefault("router", lazy().router)
                result = func(*args, **kwargs)
            else:
                result = func(*args)
            if not reply_to:
                return
            pieces = [NONE] if result is None else dumps(result)
    except BaseException:
        pieces = lazy().call_failed(chain, reply_to)
    # The chain's error was stored even if no reply was requested.
    if reply_to:
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if size > max_size or src == context_id:
            return lazy().slow_reply(src, reply_to, pieces, size)
        pieces[0] = pack(PKL, src, context_id, context_id, reply_to, 0, size) + pieces[0]
        parent.send(pieces, False)


def resolve(module, cls, func):
    """The function that a call names."""
    found = modules.get(module)
    if found is None or Finder.no_site:
        # A built-in module does not need site-packages.
        if Finder.no_site and module not in sys.builtin_module_names:
            Finder.load_site()
        __import__(module)
        found = modules[module]
    if cls:
        found = getattr(found, cls)
    return getattr(found, func)


Dispatcher.forget_chain.__func__.mitogen_takes_econtext = True


class Finder(object):
    """An import hook, installed twice. The first on `sys.meta_path` handles modules that override
    local ones; the last (`last` is true) requests modules that no other finder has found."""

    no_site = True
    # The thread that is importing site. Its optional modules are never requested from the master.
    site_thread = None

    def __init__(self, last):
        self.last = last

    @classmethod
    def load_site(cls):
        """Load `site`, which was not loaded at the start because that takes too long."""
        cls.no_site = False
        cls.site_thread = get_ident()
        try:
            import site
            if PY3:
                site.main()
        except Exception:
            sys.excepthook(*sys.exc_info())
        cls.site_thread = None

    def find_spec(self, name, path=None, target=None):
        """The hook of Python 3."""
        self.first_import()
        if name == "logging" or self.site_thread != get_ident() and (
            self.last or overrides or name == "__main__"
        ):
            return lazy().importer.find_spec(self, name, path)

    def find_module(self, name, path=None):
        """The hook of Python 2, which is called before its own search."""
        self.first_import()
        if name == "logging" or self.site_thread != get_ident():
            return lazy().importer.find_module(name, path)

    def first_import(self):
        if Finder.no_site and loop.busy and get_ident() == loop.main:
            self.load_site()
