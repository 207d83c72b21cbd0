"""A complete answer head, taken apart and judged. Pure.

What Go's client takes (net/textproto, net/http) is taken here, with the same meaning, since
Prometheus would scrape such a target: line ends without CR, values folded over lines, one length
written several times. Refused are lengths that differ, blanks in a name and control bytes.
"""

from __future__ import annotations

import re

from attrs import frozen

from promproxy.errors import BadUpstream
from promproxy.http.grammar import FIELD_VALUE, TOKEN

#: What ``Head.length`` says of a body that is chunked, or that ends with the connection.
CHUNKED = -1
UNTIL_CLOSE = -2

_MAX_LENGTH_DIGITS = 18
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))

# RFC 9112, sections 2.2, 4 and 5, with folded values.
_HEAD = re.compile(
    rb"HTTP/1\.([0-9]) +([1-9][0-9][0-9])(?: (%b))?\r?\n((?:%b:%b(?:\r?\n[\t ]+%b)*\r?\n)*)\r?\n"
    % (FIELD_VALUE, TOKEN, FIELD_VALUE, FIELD_VALUE)
)
_FOLD = re.compile(rb"[\t ]*\r?\n[\t ]+")
_FIELD = re.compile(rb"([^:\r\n]+):([^\r\n]*)")


@frozen
class Head:
    """The head of one answer.

    ``headers`` are as received: order, spelling and repetitions kept, white space around the
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
    minor, code, lines = min(int(match[1]), 1), int(match[2]), match[4]
    if code == 101:
        raise BadUpstream("answer switches protocols")
    if b"\n " in lines or b"\n\t" in lines:
        lines = _FOLD.sub(b" ", lines)
    headers = [(name, value.strip(b" \t")) for name, value in _FIELD.findall(lines)]
    length, keep_alive = _framing_of(minor, headers)
    if head_only or code < 200 or code in (204, 304):
        length = 0
    return Head(minor, code, match[3] or b"", headers, length, keep_alive and length != UNTIL_CLOSE)


def _framing_of(minor: int, headers: list[tuple[bytes, bytes]]) -> tuple[int, bool]:
    """Length of the body, and whether the connection survives it, as far as headers tell."""
    lengths: set[bytes] = set()
    coding = None
    options = b""
    for name, value in headers:
        lower = name.lower()
        if lower not in _FRAMING:
            continue
        if lower == b"content-length":
            lengths.add(value)
        elif lower == b"connection":
            options += b"," + value.lower()
        elif coding is not None:
            raise BadUpstream("conflicting lengths")
        else:
            coding = value.lower()
    if len(lengths) > 1:
        raise BadUpstream("conflicting lengths")
    if coding is not None:
        if coding != b"chunked" or minor == 0:
            raise BadUpstream("unknown transfer encoding")
        # RFC 9112, section 6.3: it counts more than a length, which may be an attempt to smuggle
        # an answer. So the connection serves nobody else.
        return CHUNKED, not lengths and _stays_open(minor, options)
    length = _length(lengths.pop()) if lengths else UNTIL_CLOSE
    return length, _stays_open(minor, options)


def _length(digits: bytes) -> int:
    if not digits:  # to Go the same as none
        return UNTIL_CLOSE
    if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
        raise BadUpstream("malformed length")
    return int(digits)


def _stays_open(minor: int, options: bytes) -> bool:
    if not options:
        return minor == 1
    words = {word.strip() for word in options.split(b",")}
    return b"close" not in words and (minor == 1 or b"keep-alive" in words)
