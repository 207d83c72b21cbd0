"""A complete answer head, parsed by httptools and judged here. Pure.

httptools 0.9 (llhttp) and 0.1.1 (http-parser, Debian 12) accept different things: the older one
takes bare LF and CR, folded lines, control bytes, spaces in names and short status codes. So
httptools only takes the head apart; what is acceptable and how the body is framed is decided
here, the same for both.
"""

from __future__ import annotations

import re

from attrs import frozen
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from promproxy.errors import BadUpstream

#: What ``Head.length`` says of a body that is chunked, or that ends with the connection.
CHUNKED = -1
UNTIL_CLOSE = -2

_MAX_LENGTH_DIGITS = 18
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))

# RFC 9112, sections 4 and 5: visible bytes, spaces and tabs; no folded lines.
_GRAMMAR = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n"
)


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


class _Sink:
    """What httptools calls while it takes a head apart."""

    __slots__ = ("headers", "phrase")

    def __init__(self) -> None:
        self.phrase = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_status(self, phrase: bytes) -> None:
        self.phrase = phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


def parse_head(raw: bytes, *, head_only: bool) -> Head:
    """Parse an answer head, from ``HTTP/1.`` up to and with its blank line.

    ``head_only`` says that the request was a HEAD (or CONNECT). Raises :class:`BadUpstream`.
    """
    if not _GRAMMAR.fullmatch(raw):
        raise BadUpstream("malformed answer head")
    minor, code = raw[7] - 48, int(raw[9:12])
    if code == 101:
        raise BadUpstream("answer switches protocols")
    sink = _Sink()
    parser = HttpResponseParser(sink)
    try:
        parser.feed_data(raw)
    except (HttpParserError, HttpParserUpgrade) as error:
        raise BadUpstream(_complaint(raw)) from error
    headers = sink.headers
    length, keep_alive = _framing_of(minor, headers)
    if head_only or code < 200 or code in (204, 304):
        length = 0
    return Head(minor, code, sink.phrase, headers, length, keep_alive and length != UNTIL_CLOSE)


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


def _complaint(raw: bytes) -> str:
    """Why httptools refused this head, as far as an operator wants to know."""
    lower = raw.lower()
    lengths = lower.count(b"\r\ncontent-length:") + lower.count(b"\r\ntransfer-encoding:")
    return "conflicting lengths" if lengths > 1 else "malformed answer head"
