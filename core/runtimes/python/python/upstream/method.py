"""The errors of `mitogen.ssh`, `mitogen.sudo`, `mitogen.su` and `mitogen.doas`.

Contexts are started by the master's transports, whose errors arrive as a StreamError with their text.
"""
import mitogen.core as core


class PasswordError(core.StreamError):
    """The password was missing or refused."""


class HostKeyError(core.StreamError):
    """The key of the host is not the expected one."""
