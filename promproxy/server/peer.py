"""The caller at the other end of a connection."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress

from promproxy.server.tls import verified_sans


@frozen
class Peer:
    """The other end of a connection.

    ``sans`` are the names in its certificate; None where it has shown none, or one that was not
    verified.
    """

    is_local: bool
    sans: frozenset[str] | None = None


def peer_of(transport: Any) -> Peer:
    """The other end of a connection that is made; for TLS, after the handshake."""
    return Peer(is_local(transport.getPeer()), verified_sans(transport))


def is_local(address: IAddress | None) -> bool:
    """Whether an address is of this host; a socket in the file system is."""
    host = getattr(address, "host", None)
    if host is None:
        return True
    ip = ip_address(host.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
