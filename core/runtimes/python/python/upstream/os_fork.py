"""`mitogen.os_fork`: upstream stops its threads while a program forks.

The threads of this runtime hold no locks that a program's fork would inherit, except for the import lock,
which `os.fork` takes.
"""
import os

os__fork = os.fork


class Corker(object):
    """Keeps the threads of brokers and pools away from locks between `cork` and `uncork`: nothing to do."""

    def __init__(self, brokers=(), pools=()):
        self.brokers = brokers
        self.pools = pools

    def cork(self):
        pass

    def uncork(self):
        pass


def wrap_os__fork():
    """Replaces `os.fork` in upstream."""
    return os__fork()
