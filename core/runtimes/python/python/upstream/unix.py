"""`mitogen.unix` in a child: names for programs that open sockets in their master part."""
import errno
import socket
import tempfile

import mitogen.core as core


class Error(core.Error):
    """A socket cannot be used."""

    errno = None


class ConnectError(Error):
    """No listener can be reached."""


def is_path_dead(path):
    """Whether nothing listens at `path`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
        return False
    except socket.error as exc:
        return exc.errno in (errno.ECONNREFUSED, errno.ENOENT)
    finally:
        sock.close()


def make_socket_path():
    """A path for a socket, which does not exist."""
    return tempfile.mktemp(prefix="mitogen_unix_", suffix=".sock")


class Listener(object):
    @classmethod
    def build_stream(cls, router, path=None, backlog=100):
        raise Error("a child context cannot listen; use `mitogen serve` on the master")


def connect(path, broker=None):
    raise ConnectError("a child context cannot join another session")
