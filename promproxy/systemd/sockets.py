"""Sockets that systemd listens on for us (socket activation): sd_listen_fds(3).

They stay open while the daemon restarts, so no caller is refused meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python.systemd import ListenFDs

from promproxy.errors import ConfigError

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def inherited_descriptors() -> Iterable[int]:
    """The file descriptors of the sockets that systemd has passed to this process."""
    # Not os.environ: Twisted takes the variables out of it, when its endpoints are imported.
    try:
        environ = Path("/proc/self/environ").read_text(errors="surrogateescape")
    except OSError:  # not Linux, so no systemd
        return ()
    pairs = (pair.partition("=") for pair in environ.split("\0"))
    return ListenFDs.fromEnvironment(
        {name: value for name, _, value in pairs}
    ).inheritedDescriptors()


def inherited_endpoint(reactor: Any, descriptor: int) -> tuple[str, IStreamServerEndpoint]:
    """What to call the socket of a file descriptor, and the endpoint that takes it over.

    Raises ConfigError where it is not one that TCP connections arrive at. (Twisted would delete the
    file of a Unix socket when it stops, which is systemd's.)
    """
    named = f"the socket from systemd with file descriptor {descriptor}"
    try:
        inherited = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(f"{named} is none: {error.strerror}") from error
    family = inherited.family
    listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
    inherited.detach()
    if family not in _FAMILIES or not listens:
        raise ConfigError(f"{named} does not listen for TCP connections: see ListenStream=")
    return named, AdoptedStreamServerEndpoint(reactor, descriptor, family)
