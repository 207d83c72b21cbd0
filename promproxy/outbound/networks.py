"""Networks that addresses may be in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import frozen

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: RFC 6052: behind this prefix a NAT64 gateway reaches IPv4 addresses.
_NAT64 = IPv6Network("64:ff9b::/96")


def network(text: str) -> Network:
    """A network, or a single address. Raises ValueError."""
    return ip_network(text, strict=False)


@frozen(cache_hash=True)
class Networks:
    """A set of networks; equal ones hold the same in the same order."""

    networks: tuple[Network, ...] = ()

    def has(self, address: str) -> bool:
        """Whether an address, in any of its spellings, is in one of them."""
        forms = list(_forms(ip_address(address.partition("%")[0])))
        return any(form in network for form in forms for network in self.networks)


def _forms(address: Address) -> Iterator[Address]:
    """All addresses that a connection to this one may end at."""
    yield address
    if address.is_unspecified:  # to connect to it is to connect to this host
        yield IPv4Address("127.0.0.1")
        yield IPv6Address("::1")
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            yield from _forms(embedded)
