"""Which hosts are reached without the HTTP proxy. Pure.

Source: Prometheus documentation, "Configuration", ``no_proxy``, which is read as Go's
``golang.org/x/net/http/httpproxy`` reads it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from attrs import field, frozen

_NAME = re.compile(r"(\*?\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_PORT = re.compile("[0-9]{1,5}")


@frozen
class _Entry:
    """One of the list: a network, or a name (``""`` for each), perhaps at one port (0: any)."""

    network: IPv4Network | IPv6Network | None
    name: str
    port: int

    def fits(self, host: str, port: int) -> bool:
        if self.port not in (0, port):
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return self.network is None and self._fits_name(host.lower().rstrip("."))
        return not self.name if self.network is None else address in self.network

    def _fits_name(self, host: str) -> bool:
        if self.name.startswith("."):
            return host.endswith(self.name)
        return self.name in ("", host) or host.endswith(f".{self.name}")


@frozen
class NoProxy:
    """A list of hosts; the empty one has none.

    It is written ``10.0.0.0/8,example.org,.example.net,host:8080,[::1]:80``, or ``*`` for all.
    Raises ValueError, which says what is expected.
    """

    text: str = ""
    _entries: tuple[_Entry, ...] = field(init=False, repr=False, eq=False)

    @_entries.default
    def _read(self) -> tuple[_Entry, ...]:
        parts = (part.strip().lower() for part in self.text.split(","))
        return tuple(_entry(part) for part in parts if part)

    def has(self, host: str, port: int) -> bool:
        """Whether this host, an IPv6 address without brackets, is reached without the proxy."""
        return any(entry.fits(host, port) for entry in self._entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __str__(self) -> str:
        return self.text


def _entry(text: str) -> _Entry:
    if text == "*":
        return _Entry(None, "", 0)
    network = _network(text)
    if network is not None:
        return _Entry(network, "", 0)
    name, _, port = text.rpartition(":") if ":" in text else (text, "", "0")
    if not _NAME.fullmatch(name) or not _PORT.fullmatch(port):
        raise ValueError(f"names, addresses and networks with commas in between, not {text!r}")
    # "*.example.org" is another way to write ".example.org".
    return _Entry(_network(name), name.removeprefix("*"), int(port))


def _network(text: str) -> IPv4Network | IPv6Network | None:
    in_brackets = text.startswith("[") and text.endswith("]")
    try:
        return ip_network(text[1:-1] if in_brackets else text, strict=False)
    except ValueError:
        return None
