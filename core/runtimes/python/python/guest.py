"""Contexts for one client of a tree: copies of this one, whose modules come from that client.

A tree's modules come from the master that holds it, and are kept by every context on the way. What
a client brings is its own affair: two of them may have different modules of one name. So what needs
them runs in a copy, which forgets what others have brought, asks the client itself, past those
between, and ends with it.
"""
import signal
import sys

import mitogen.core as core
from mitogen.fork import PLAN, Fork, serve
from mitogen.process import at
from mitogen.routes import children


def start(number):
    """Start a context `number` for whoever calls; its name, when it is up."""
    name = u"guest.%d" % number
    config = dict(
        core.config, context_id=number, parent_ids=[core.context_id] + core.parent_ids, name=name,
    )
    guest = Guest(core.Message(), {
        "id": number, "name": name, "config": config,
        "plan": PLAN,
    })
    guest.client = core.loop.caller
    guest.fork(lambda link: serve(link, guest))
    core.loop.defer(guest.start)
    core.wait(lambda: guest.up or guest.failed)
    if guest.failed:
        raise core.Error("%s did not start", name)
    return name


class Guest(Fork):
    """The copy and the link to it."""

    client = None

    def settle(self):
        use_modules_of(self.client)


def use_modules_of(client):
    """Have modules and resources come from `client`, and none that others have brought."""
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
        # As in the importer: of several threads one puts its mark.
        if name not in importer.cache and importer.asked.setdefault(name, mark) is mark:
            core.send(client, core.GET_MODULE, name.encode("utf-8"))

    importer.ask = ask_client


def is_runtime(name):
    """Whether the module is the runtime's own, which everybody has from his parent."""
    return name.split(".")[0] == "mitogen"


def on_lost(context_id):
    for guest in list(children):
        if getattr(guest, "client", None) == context_id:
            core.send(guest.remote_id, core.SHUTDOWN, b"")
            at(1, lambda guest=guest: guest.process.kill(signal.SIGKILL))


core.router.on_lost.append(on_lost)
