"""`mitogen.master` in a child, whose session is its master's.

A program that makes a router here gets the router of this context, so its contexts become children of this
one. A broker that it makes ends what was started since.
"""
import os

import mitogen.core as core
from mitogen.names import started



class Broker(core.Broker):
    """A broker of a part of the program. Its shutdown ends the contexts that were started since it was made."""

    def __init__(self, install_watcher=True):
        self.first = len(started)
        self.ended = []

    def shutdown(self):
        while len(started) > self.first:
            context = started.pop()
            if context.context_id in core.routes:
                self.ended.append(context.shutdown())

    def join(self, timeout=None):
        while self.ended:
            self.ended.pop().get(timeout)


class Router(core.Router):
    """`Router()` is the router of this context."""

    def __new__(cls, *args, **kwargs):
        return core.router


def get_child_modules(path, fullname=None):
    """The names of the modules directly inside of the package whose file is `path`."""
    import pkgutil
    return [
        name if isinstance(name, core.text) else name.decode("utf-8")
        for _, name, _ in pkgutil.iter_modules([os.path.dirname(path)])
    ]
