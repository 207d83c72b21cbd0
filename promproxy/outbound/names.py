"""Which names a certificate is for, judged as Go judges it (crypto/x509, verify.go). Pure.

One odd name in a certificate, which Go passes over, says nothing about the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

# A label may have underscores, and end with a hyphen.
_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PATTERN = re.compile(rf"(?:\*|{_LABEL})(?:\.{_LABEL})*")


def is_named(
    host: str, dns_names: Iterable[str], addresses: Iterable[IPv4Address | IPv6Address]
) -> bool:
    """Whether a certificate with these subject alternative names is this host's.

    An address must be among the addresses. A wildcard stands for one whole label, the first.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return any(_matches(host, name) for name in dns_names)
    return address in addresses


def _matches(host: str, name: str) -> bool:
    name = name.lower()
    host = host.lower().removesuffix(".")
    if not (_HOST.fullmatch(host) and _PATTERN.fullmatch(name)):
        return host == name
    if name.startswith("*"):
        return host.partition(".")[1:] == name.partition(".")[1:]
    return host == name
