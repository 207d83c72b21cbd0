"""Hosts and ports as URLs write them (RFC 3986, section 3.2)."""

from __future__ import annotations

DEFAULT_PORTS = {"http": 80, "https": 443}


def bracketed(host: str) -> str:
    """A host as a URL has it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def netloc(host: str, port: int, scheme: str = "") -> str:
    """``host:port``, without the port where it is the scheme's default."""
    written = bracketed(host)
    return written if DEFAULT_PORTS.get(scheme) == port else f"{written}:{port}"
