"""Sends at once, where Twisted would wait for the next turn of the reactor.

``transport.write`` keeps the bytes, asks epoll for a word when the socket can be written to, sends
in the next turn and takes the wish back: two system calls and one turn for nothing, since the
socket of an answered scrape can nearly always be written to.

There is no public API for it, so this reads private fields of Twisted's TCP transports (the same
from 22.4 to 26.10). Everything else is left to ``write``: TLS above all, whose transport would send
the bytes in clear text, and transports without these fields, or with bytes still to send.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.tcp import Client, Server

_PLAIN_TCP = (Server, Client)

#: Bytes from which sending the pieces is cheaper than joining them first, and how many pieces the
#: system takes at a time (POSIX, IOV_MAX).
_LARGE = 16384
_MAX_PIECES = 1024


def write_now(transport: Any, data: bytes) -> None:
    """Write to a transport: at once if that is possible, else as ``write`` does it."""
    if _is_ready(transport):
        sent = transport.writeSomeData(data)
        if sent == len(data):
            return
        if not isinstance(sent, Exception):  # which the reactor will meet again, and end it
            data = data[sent:]
    transport.write(data)


def writev_now(transport: Any, pieces: Sequence[bytes | memoryview]) -> None:
    """Write these one after the other, as `write_now` does."""
    size = sum(map(len, pieces))
    if size < _LARGE or len(pieces) > _MAX_PIECES or not _is_ready(transport):
        write_now(transport, b"".join(pieces))
        return
    try:
        sent = transport.socket.sendmsg(pieces)
    except OSError:  # it takes nothing now, or the reactor will meet this again, and end it
        sent = 0
    if sent < size:
        transport.write(b"".join(pieces)[sent:])


def _is_ready(transport: Any) -> bool:
    try:
        return bool(
            type(transport) in _PLAIN_TCP
            and transport.connected
            and not transport.TLS
            and not transport.disconnecting
            and not transport._writeDisconnecting
            and not transport.dataBuffer
            and not transport._tempDataBuffer
        )
    except AttributeError:
        return False
