"""Starts contexts by connecting a socket, which becomes the link.

A short-lived thread resolves the name and connects, because both may block. It hands the connection to
the loop. core/src/connect/driver/dial.rs does the same in Rust.
"""
import errno
import os
import time
import _socket

import mitogen.core as core
from mitogen.dialogue import DOING, failure
from mitogen.parent import Child
from mitogen.process import native

KINDS = {
    errno.ECONNREFUSED: ("connection_refused", "check that a program listens on the address"),
    errno.ECONNRESET: ("connection_closed", "the program closed the connection at once"),
    errno.EACCES: ("not_permitted", "check the permissions and firewalls"),
    errno.EPERM: ("not_permitted", "check the permissions and firewalls"),
}
NO_SOCKET = "connection_refused", "no such socket: check the path, and that the program listens"
UNREACHABLE = "host_unreachable", "check the address, and the route to the host"


class Dialled(Child):
    """A socket that is being connected, and then the link to a context."""

    stage = "connect"

    def spawn(self):
        """Start the thread that connects."""
        ((kind, place),) = self.plan["start"]["dial"].items()
        self.deadline = core.clock() + self.plan["timeout"]
        if kind == "tcp":
            self.stage = "resolve"
        try:
            core._thread.start_new_thread(self.connect, (kind, place))
        except Exception:
            raise core.Error("cannot start a thread to connect a socket")

    def connect(self, kind, place):
        """The thread: try all addresses in their order."""
        fd = None
        try:
            if kind == "unix":
                addresses = [(_socket.AF_UNIX, 0, native(place["path"]))]
            else:
                addresses = self.resolve(place["host"], place["port"])
            reason = failure("connect", UNREACHABLE[0], "there is no address")
            while addresses and fd is None and not self.failed:
                # Each address gets an equal share of the time that is left.
                limit = (self.deadline - core.clock()) / len(addresses)
                if limit <= 0:
                    break
                fd, reason = try_address(limit, *addresses.pop(0))
        except _socket.gaierror as exc:
            reason = failure("resolve", "name_not_resolved", "cannot resolve the host name %s: %s" % (
                place["host"], exc.args[-1]
            ), "check the name, and the name service of the host that connects")
        except Exception as exc:
            reason = failure("connect", UNREACHABLE[0], "cannot connect: %s" % exc)
        core.loop.defer(lambda: self.on_connected(fd, reason))

    def resolve(self, host, port):
        found = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
        self.stage = "connect"
        return [(family, protocol, address) for family, _, protocol, _, address in found]

    def on_connected(self, fd, reason):
        if fd is None:
            self.fail(reason)
        elif self.failed:
            os.close(fd)
        else:
            self.rfd = fd
            self.wfd = os.dup(fd)
            for fd in self.rfd, self.wfd:
                core.cloexec(fd)
                core.nonblock(fd)
            self.on_open()

    def on_timeout(self):
        if self.rfd is None:
            return self.fail(failure(self.stage, "timeout", "timed out while " + DOING[self.stage]))
        Child.on_timeout(self)


def try_address(limit, family, protocol, address):
    """Connect to one address: (descriptor, None) or (None, failure)."""
    if family == _socket.AF_UNIX:
        shown = "the unix socket %s" % address
    else:
        shown = "%s port %d" % address[:2]
    end = core.clock() + limit
    sock = _socket.socket(family, _socket.SOCK_STREAM, protocol)
    try:
        core.cloexec(sock.fileno())
        if family != _socket.AF_UNIX:
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        number = errno.EAGAIN
        # EAGAIN: the queue of a unix listener is full.
        while number == errno.EAGAIN and core.clock() < end:
            sock.settimeout(max(end - core.clock(), 0.001))
            try:
                sock.connect(address)
                return os.dup(sock.fileno()), None
            except _socket.error as exc:
                number = exc.errno
            if number == errno.EAGAIN:
                time.sleep(0.02)
    finally:
        sock.close()
    kind, hint = KINDS.get(number, UNREACHABLE)
    if number == errno.ENOENT:
        kind, hint = NO_SOCKET
    if not number:
        return None, failure("connect", "timeout", "timed out while connecting to %s" % shown)
    text = os.strerror(number).lower()
    return None, failure("connect", kind, "cannot connect to %s: %s" % (shown, text), hint)
