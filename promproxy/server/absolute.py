"""Requests in absolute form: ``GET http://host:port/path``, as a proxy gets them. Pure.

Source: RFC 9112, section 3.2.2.
"""

from __future__ import annotations

import re

from attrs import frozen

from promproxy.targets.netloc import DEFAULT_PORTS, bracketed, netloc

_URI = re.compile(rb"(https?)://([^/?#@]*)(/[^?#]*)?(?:\?([^#]*))?", re.IGNORECASE)
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")


@frozen
class AbsoluteUri:
    """``path`` begins with a slash, ``query`` is without its question mark."""

    scheme: str
    host: str
    port: int
    path: str
    query: str


def read_absolute(uri: bytes) -> AbsoluteUri | None:
    """What a URI names, an IPv6 address without its brackets; None where it names no host."""
    match = _URI.fullmatch(uri)
    authority = _AUTHORITY.fullmatch(match[2].decode("latin-1")) if match is not None else None
    if match is None or authority is None:
        return None
    scheme = match[1].decode().lower()
    port = int(authority[2] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        return None
    path, query = match[3] or b"/", match[4] or b""
    return AbsoluteUri(
        scheme, authority[1].strip("[]"), port, path.decode("ascii"), query.decode("ascii")
    )


def split_absolute(uri: bytes) -> tuple[bytes, bytes]:
    """The authority of a URI, and what follows it as it would be asked of that host itself."""
    _scheme, _, rest = uri.partition(b"://")
    authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return authority, path if path.startswith(b"/") else b"/" + path


def is_own(authority: bytes, address: str, host: str, port: int) -> bool:
    """Whether it is ours: the announced ``address``, or where the connection was made to."""
    ours = {address, netloc(host, port), netloc("localhost", port)}
    if port == 80:
        ours |= {bracketed(host), "localhost"}
    return authority.decode("latin-1").lower() in {name.lower() for name in ours if name}
