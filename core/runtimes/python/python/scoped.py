"""Client-scoped contexts: copies of this one whose modules come from a client of the session.

Modules usually come from the master, and are cached by every context on the way. Two clients may have
different modules of one name, so code that needs a client's modules runs in a copy. The copy drops the
modules of others, requests modules from the client directly, and ends with it.
"""
import signal
import sys

import mitogen.core as core
from mitogen.fork import PLAN, Fork, serve
from mitogen.process import at
from mitogen.routes import children


def start(number):
    """Start a context with the id `number` for the caller; returns its name when it is connected."""
    name = u"scoped.%d" % number
    config = dict(
        core.config, context_id=number, parent_ids=[core.context_id] + core.parent_ids, name=name,
    )
    scoped = ScopedContext(core.Message(), {
        "id": number, "name": name, "config": config,
        "plan": PLAN,
    })
    scoped.client = core.loop.caller
    scoped.fork(lambda link: serve(link, scoped))
    core.loop.defer(scoped.start)
    core.wait(lambda: scoped.up or scoped.failed)
    if scoped.failed:
        raise core.Error("%s did not start", name)
    return name


class ScopedContext(Fork):
    """The copy and the link to it."""

    client = None

    def settle(self):
        use_modules_of(self.client)


def use_modules_of(client):
    """Import modules and resources from `client`, and drop those of others."""
    importer = core.importer
    ask = importer.ask
    importer.client = client
    for name in [name for name in importer.cache if not is_runtime(name)]:
        del importer.cache[name]
    for name in [name for name in importer.loaded if not is_runtime(name)]:
        importer.loaded.discard(name)
        sys.modules.pop(name, None)
    if "mitogen.resources" in sys.modules:
        sys.modules["mitogen.resources"].cache.clear()

    def ask_client(name):
        if is_runtime(name):
            return ask(name)
        mark = object()
        # As in the importer: only one of several threads stores its mark.
        if name not in importer.cache and importer.asked.setdefault(name, mark) is mark:
            core.send(client, core.GET_MODULE, name.encode("utf-8"))

    importer.ask = ask_client


def is_runtime(name):
    """Whether the module belongs to the runtime, which every context gets from its parent."""
    return name.split(".")[0] == "mitogen"


def on_lost(context_id):
    for scoped in list(children):
        if getattr(scoped, "client", None) == context_id:
            core.send(scoped.remote_id, core.SHUTDOWN, b"")
            at(1, lambda scoped=scoped: scoped.process.kill(signal.SIGKILL))


core.router.on_lost.append(on_lost)
