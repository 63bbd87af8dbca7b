"""Client-scoped contexts: copies of this context that import modules from one client of the session.

A session's modules come from its master, and every context on the route caches them. Two clients may
bring different modules of the same name. A function that needs a client's modules therefore runs in
a copy. The copy drops the modules that were loaded for others, requests modules from the client
directly, without the caches of intermediates, and ends when the client leaves the session.
"""
import signal
import sys

import mitogen.core as core
from mitogen.fork import PLAN, Fork, serve
from mitogen.process import at
from mitogen.routes import children


def start(number):
    """Start the context `number` for the caller. Returns its name when it is connected."""
    name = u"scoped.%d" % number
    config = dict(
        core.config, context_id=number, parent_ids=[core.context_id] + core.parent_ids, name=name,
    )
    child = ScopedContext(core.Message(), {
        "id": number, "name": name, "config": config,
        "plan": PLAN,
    })
    child.client = core.loop.caller
    child.fork(lambda link: serve(link, child))
    core.loop.defer(child.start)
    core.wait(lambda: child.up or child.failed)
    if child.failed:
        raise core.Error("%s did not start", name)
    return name


class ScopedContext(Fork):
    """The copy and the link to it. `client` is the id of the context that it was started for."""

    client = None

    def on_forked(self):
        use_modules_of(self.client)


def use_modules_of(client):
    """Import modules and resources from `client` from now on; drop those from elsewhere."""
    importer = core.importer
    ask = importer.request
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
        # As in the importer: of several threads, only the one that stored its mark sends the request.
        if name not in importer.cache and importer.requested.setdefault(name, mark) is mark:
            core.send(client, core.GET_MODULE, name.encode("utf-8"))

    importer.request = ask_client


def is_runtime(name):
    """Whether the module is part of the runtime, which every context gets from its parent."""
    return name.split(".")[0] == "mitogen"


def on_lost(context_id):
    for child in list(children):
        if getattr(child, "client", None) == context_id:
            core.send(child.remote_id, core.SHUTDOWN, b"")
            at(1, lambda child=child: child.process.kill(signal.SIGKILL))


core.router.on_lost.append(on_lost)
