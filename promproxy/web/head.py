"""The head of a request: taken apart, and refused where that needs no resource. Pure.

Twisted's own reading differs between versions and is lax: it takes folded lines, a missing or
second Host and, before 24.7, white space in many places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from promproxy.errors import PromproxyError

MAX_HEAD = 16384  # bytes, as Twisted has it

#: No resource takes another one.
METHODS = (b"GET", b"HEAD", b"POST")

# RFC 9112, sections 3 and 5: no folded lines, no space before a colon, no bare CR or LF.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) (HTTP/1\.[01])")
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\0\r\n]*\r\n)*")


class RequestRefused(PromproxyError):
    """A request whose head says already that it cannot be served."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@frozen(eq=False)
class Fields:
    """The header fields of a request, by their names in lower case."""

    by_name: Mapping[bytes, tuple[bytes, ...]]

    def joined(self, name: bytes) -> bytes | None:
        """A field that may be spread over several lines, as one list (RFC 9110, section 5.3)."""
        values = self.by_name.get(name)
        return None if values is None else b", ".join(values)

    def last(self, name: bytes) -> bytes | None:
        """A field that should stand there once."""
        values = self.by_name.get(name)
        return None if values is None else values[-1]


@frozen(eq=False)
class RequestHead:
    """A request without a body. ``stays_open`` says that another one may follow."""

    method: bytes
    uri: bytes
    version: bytes
    fields: Fields
    stays_open: bool


def read_fields(lines: bytes) -> Fields:
    """Header fields, each with its line end. Raises RequestRefused.

    The same lines come again with each scrape of a Prometheus, so whoever calls this often should
    keep results.
    """
    if not _FIELDS.fullmatch(lines):
        raise RequestRefused(400, "malformed request head")
    by_name: dict[bytes, tuple[bytes, ...]] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        by_name[name] = (*by_name.get(name, ()), value.strip(b" \t"))
    _check_body(by_name)
    return Fields(by_name)


def _check_body(by_name: Mapping[bytes, tuple[bytes, ...]]) -> None:
    """No resource wants a body, so none is read."""
    lengths = by_name.get(b"content-length", ())
    is_coded = b"transfer-encoding" in by_name
    if len(lengths) + is_coded > 1 or not all(length.isdigit() for length in lengths):
        raise RequestRefused(400, "the length of the body is not clear")
    if is_coded or any(length.strip(b"0") for length in lengths):
        raise RequestRefused(413, "no body is wanted")


def split_head(head: bytes) -> tuple[bytes, bytes]:
    """The request line, and the lines of the header fields, of a head without its blank line."""
    first, _, rest = head.removeprefix(b"\r\n").partition(b"\r\n")  # RFC 9112, section 2.2
    return first, rest + b"\r\n" if rest else b""


def judge(request_line: bytes, fields: Fields) -> RequestHead:
    """What is asked. Raises RequestRefused."""
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise RequestRefused(400, "malformed request head")
    method, uri, version = match.groups()
    if method not in METHODS:
        raise RequestRefused(405, "this method is not for any page here")
    hosts = len(fields.by_name.get(b"host", ()))
    is_modern = version == b"HTTP/1.1"
    if hosts > 1 or (is_modern and not hosts):
        raise RequestRefused(400, "there must be one Host")
    return RequestHead(method, uri, version, fields, is_modern and not _closes(fields))


def _closes(fields: Fields) -> bool:
    options = fields.joined(b"connection")
    if options is None:
        return False
    return b"close" in (option.strip() for option in options.lower().split(b","))
