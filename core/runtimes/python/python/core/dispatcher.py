"""Runs CALL_FUNCTIONs and answers them, on the main thread. Knows nothing of how they come or go."""


class Dispatcher(object):
    """The calls of this child: the errors of failed chains, by chain id."""

    failed = {}

    @classmethod
    def forget_chain(cls, chain_id, econtext=None):
        cls.failed.pop(chain_id, None)


def body(frame):
    """The payload of a frame; that of a large one is not copied."""
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
                    kwargs.setdefault("router", more().router)
                result = func(*args, **kwargs)
            else:
                result = func(*args)
            if not reply_to:
                return
            pieces = [NONE] if result is None else dumps(result)
    except BaseException:
        pieces = more().call_failed(chain, reply_to)
    # The chain's error is kept even when nobody asked for a reply.
    if reply_to:
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if size > max_size or src == context_id:
            return more().odd_reply(src, reply_to, pieces, size)
        pieces[0] = pack(PKL, src, context_id, context_id, reply_to, 0, size) + pieces[0]
        parent.send(pieces, False)


def resolve(module, cls, func):
    """The function that a call names."""
    found = modules.get(module)
    if found is None or Finder.raw:
        # A module that is part of the interpreter itself needs no site-packages.
        if Finder.raw and module not in sys.builtin_module_names:
            Finder.load_site()
        __import__(module)
        found = modules[module]
    if cls:
        found = getattr(found, cls)
    return getattr(found, func)


Dispatcher.forget_chain.__func__.mitogen_takes_econtext = True


class Finder(object):
    """An import hook. The first one on `sys.meta_path` is for what must go before local modules;
    the last one asks our parent for what nobody has."""

    raw = True
    # The thread that is importing site, whose optional modules are this host's own affair.
    local = None

    def __init__(self, last):
        self.last = last

    @classmethod
    def load_site(cls):
        """Give calls the site-packages, which the start did not wait for."""
        cls.raw = False
        cls.local = get_ident()
        try:
            import site
            if PY3:
                site.main()
        except Exception:
            sys.excepthook(*sys.exc_info())
        cls.local = None

    def find_spec(self, name, path=None, target=None):
        """Python 3 asks this of the first finder and, for what nobody has, of the last."""
        self.first_import()
        if name == "logging" or self.local != get_ident() and (
            self.last or overrides or name == "__main__"
        ):
            return more().importer.find_spec(self, name, path)

    def find_module(self, name, path=None):
        """Python 2 asks this ahead of its own search."""
        self.first_import()
        if name == "logging" or self.local != get_ident():
            return more().importer.find_module(name, path)

    def first_import(self):
        if Finder.raw and loop.busy and get_ident() == loop.main:
            self.load_site()
