"""A complete answer head: checked by its grammar, split into fields, and its framing decided. Pure.

What any other reader could understand differently is refused: bare LF and CR, folded lines, control
bytes, spaces in names, more than one length.
"""

from __future__ import annotations

import re

from attrs import frozen

from promproxy.errors import BadUpstream
from promproxy.http.grammar import FIELD_LINE, FIELD_VALUE, TOKEN

#: What ``Head.length`` says of a body that is chunked, or that ends with the connection.
CHUNKED = -1
UNTIL_CLOSE = -2

_MAX_LENGTH_DIGITS = 18
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))

# RFC 9112, sections 4 and 5.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (%b))?\r\n((?:%b)*)\r\n" % (FIELD_VALUE, FIELD_LINE)
)
_FIELD = re.compile(rb"(%b):[ \t]*([^\r]*)\r\n" % TOKEN)


@frozen
class Head:
    """The head of one answer.

    ``headers`` are as received: order, spelling and repetitions kept, white space before the
    values removed. ``length`` is the number of body bytes, :data:`CHUNKED` or
    :data:`UNTIL_CLOSE`. ``keep_alive`` says that the connection may serve another request once
    the body is through.
    """

    minor: int
    code: int
    phrase: bytes
    headers: list[tuple[bytes, bytes]]
    length: int
    keep_alive: bool


def parse_head(raw: bytes, *, head_only: bool) -> Head:
    """Parse an answer head, from ``HTTP/1.`` up to and with its blank line.

    ``head_only`` says that the request was a HEAD (or CONNECT). Raises :class:`BadUpstream`.
    """
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise BadUpstream("malformed answer head")
    minor, code = int(match[1]), int(match[2])
    if code == 101:
        raise BadUpstream("answer switches protocols")
    headers = _FIELD.findall(match[4])
    length, keep_alive = _framing_of(minor, headers)
    if head_only or code < 200 or code in (204, 304):
        length = 0
    return Head(minor, code, match[3] or b"", headers, length, keep_alive and length != UNTIL_CLOSE)


def _framing_of(minor: int, headers: list[tuple[bytes, bytes]]) -> tuple[int, bool]:
    """Length of the body, and whether the connection survives it, as far as headers tell."""
    length = UNTIL_CLOSE
    options = b""
    for name, value in headers:
        lower = name.lower()
        if lower not in _FRAMING:
            continue
        if lower == b"content-length":
            if length != UNTIL_CLOSE:
                raise BadUpstream("conflicting lengths")
            digits = value.rstrip(b" ")
            if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
                raise BadUpstream("malformed length")
            length = int(digits)
        elif lower == b"transfer-encoding":
            if length != UNTIL_CLOSE:
                raise BadUpstream("conflicting lengths")
            if value.lower() != b"chunked" or minor == 0:
                raise BadUpstream("unknown transfer encoding")
            length = CHUNKED
        else:
            options += b"," + value.lower()
    if not options:
        return length, minor == 1
    words = {word.strip() for word in options.split(b",")}
    return length, b"close" not in words and (minor == 1 or b"keep-alive" in words)
