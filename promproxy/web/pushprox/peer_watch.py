"""Finds out that the other end of a connection is gone, where nothing tells of it.

A host that lost its power, or a router that forgot the connection, sends no word. Without these
options a poll could wait on a dead connection for hours.
"""

from __future__ import annotations

import socket
from typing import Any

#: With nothing to say, the other end is asked for a sign of life after so many seconds, ...
KEEPALIVE_AFTER_SECONDS = 15
#: ... again each so many seconds, ...
KEEPALIVE_EVERY_SECONDS = 5
#: ... and is gone when so many had no answer.
KEEPALIVE_PROBES = 3
#: What it is sent must be acknowledged within so many seconds: four lost packets in a row.
HEARD_WITHIN_SECONDS = 4.0

_OPTIONS = {
    "TCP_KEEPIDLE": KEEPALIVE_AFTER_SECONDS,
    "TCP_KEEPINTVL": KEEPALIVE_EVERY_SECONDS,
    "TCP_KEEPCNT": KEEPALIVE_PROBES,
}


def watch_peer(transport: Any) -> None:
    """Send keepalive probes on an idle connection. Does nothing if it is not a socket."""
    tcp = _socket(transport)
    if tcp is not None:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS.items():
            _set(tcp, name, value)
        _set(tcp, "TCP_USER_TIMEOUT", 0)  # it would override the number of probes


def expect_to_be_heard(transport: Any) -> None:
    """End the connection unless the peer soon acknowledges what is sent now."""
    tcp = _socket(transport)
    if tcp is not None:
        _set(tcp, "TCP_USER_TIMEOUT", int(HEARD_WITHIN_SECONDS * 1000))


def _socket(transport: Any) -> socket.socket | None:
    """The TCP socket of a transport, which may be TLS over it; None for one in memory or a file."""
    found = getattr(getattr(transport, "transport", transport), "socket", None)
    is_tcp = isinstance(found, socket.socket) and found.family != socket.AF_UNIX
    return found if is_tcp else None


def _set(tcp: socket.socket, name: str, value: int) -> None:
    option = getattr(socket, name, None)  # Linux has all of them
    if option is not None:
        tcp.setsockopt(socket.IPPROTO_TCP, option, value)
