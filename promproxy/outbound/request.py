"""A request head as bytes. Pure.

For scrapes the constant part is rendered once per target (:func:`start_request`), and each
scrape appends what varies (:func:`render_headers`) and the blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from promproxy.http.grammar import FIELD_VALUE, TOKEN
from promproxy.outbound.origin import Origin

_TOKEN = re.compile(TOKEN)
_VALUE = re.compile(FIELD_VALUE)
_TARGET = re.compile(rb"[!-~]+")


def start_request(origin: Origin, method: bytes, path: bytes) -> bytes:
    """Request line, Host and, toward a plain proxy, Proxy-Authorization; no blank line yet.

    Raises :class:`ValueError` for a method or path that does not fit into a request line.
    """
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(path):
        raise ValueError("not a method, or not a path")
    target = origin.request_target(path)
    start = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, origin.authority)
    if origin.proxy is not None and not origin.tunnel and origin.proxy.authorization:
        start += render_headers([(b"Proxy-Authorization", origin.proxy.authorization)])
    return start


def render_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header lines. Raises :class:`ValueError` for bytes that would break out of their line."""
    lines = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("not a header")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)
