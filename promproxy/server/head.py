"""The head of a request: taken apart, and refused where that needs no resource. Pure.

Twisted's own reading differs between versions and is lax: it takes folded lines, a missing or
second Host and, before 24.7, white space in many places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import frozen

from promproxy.errors import PromproxyError
from promproxy.http.grammar import TOKEN
from promproxy.http.head import CHUNKED

MAX_HEAD = 16384  # bytes, as Twisted has it
_MAX_LENGTH_DIGITS = 18

CONNECT_HINT = (
    "CONNECT is not for us; to scrape a client by https, write http and the parameter _scheme=https"
)

#: No resource takes another one.
METHODS = (b"GET", b"HEAD", b"POST")

# RFC 9112, sections 3 and 5: no folded lines, no space before a colon, no bare CR or LF.
_REQUEST_LINE = re.compile(rb"(%b) ([!-~]+) HTTP/([0-9])\.([0-9])" % TOKEN)
_FIELDS = re.compile(rb"(?:%b:[^\0\r\n]*\r\n)*" % TOKEN)

_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
#: RFC 9112, section 7; "identity" was one once.
_CODINGS = frozenset(
    (b"chunked", b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip", b"identity")
)

#: Which field has a caller's credentials for us: the second one where we are a proxy to them.
AUTHORIZATION, PROXY_AUTHORIZATION = b"authorization", b"proxy-authorization"
_NO_CREDENTIALS: Mapping[bytes, bytes] = MappingProxyType({})
_CREDENTIAL_MARK = b"uthorization:"
_NO_VALUE = re.compile(rb"[\0\r\n]")


class RequestRefused(PromproxyError):
    """A request whose head says already that it cannot be served.

    The answer to a ``head_only`` one has no body (RFC 9110, section 9.3.2).
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.head_only = False
        self.status = status
        self.text = text


@frozen(eq=False)
class Fields:
    """The header fields of a request, by their names in lower case.

    ``body_length`` is the number of bytes that follow them, or :data:`CHUNKED`.
    """

    by_name: Mapping[bytes, tuple[bytes, ...]]
    body_length: int = 0

    def joined(self, name: bytes) -> bytes | None:
        """A field that may be spread over several lines, as one list (RFC 9110, section 5.3)."""
        values = self.by_name.get(name)
        return None if values is None else b", ".join(values)

    def last(self, name: bytes) -> bytes | None:
        """A field that should appear once: its last value."""
        values = self.by_name.get(name)
        return None if values is None else values[-1]


@frozen(eq=False)
class RequestHead:
    """A request up to its body.

    ``keep_alive`` says that another one may follow. ``credentials`` is the field that
    `take_credentials` has taken out.
    """

    method: bytes
    uri: bytes
    version: bytes
    fields: Fields
    keep_alive: bool
    credentials: Mapping[bytes, bytes]


def read_fields(lines: bytes) -> Fields:
    """Header fields, each with its line end. Raises RequestRefused.

    A Prometheus sends the same lines with each scrape, so it pays to cache results.
    """
    if not _FIELDS.fullmatch(lines):
        raise RequestRefused(400, "malformed request head")
    by_name: dict[bytes, tuple[bytes, ...]] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        by_name[name] = (*by_name.get(name, ()), value.strip(b" \t"))
    if not all(is_authority(host) for host in by_name.get(b"host", ())):
        raise RequestRefused(400, "Host must be a host, with its port or without")
    return Fields(by_name, _body_length(by_name))


def is_authority(host: bytes) -> bool:
    """Whether this may be the value of a Host field (RFC 9110, section 7.2), which may be empty."""
    match = _AUTHORITY.fullmatch(host)
    return match is not None and int(match[1] or 0) < 65536


def _body_length(by_name: Mapping[bytes, tuple[bytes, ...]]) -> int:
    """How many bytes follow the head (RFC 9112, section 6): one clear word, or none."""
    lengths = by_name.get(b"content-length", ())
    codings = by_name.get(b"transfer-encoding", ())
    if len(lengths) + len(codings) > 1:
        raise RequestRefused(400, "the length of the body is not clear")
    if codings:
        words = [word.strip(b" \t") for word in codings[0].lower().split(b",")]
        if words == [b"chunked"]:
            return CHUNKED
        # RFC 9112, sections 6.1 and 6.3.
        if words[-1] == b"chunked" or not _CODINGS.issuperset(words):
            raise RequestRefused(501, "the only transfer coding here is chunked")
        raise RequestRefused(400, "the length of the body is not clear")
    if not lengths:
        return 0
    if not lengths[0].isdigit():
        raise RequestRefused(400, "the length of the body is not clear")
    if len(lengths[0]) > _MAX_LENGTH_DIGITS:
        raise RequestRefused(413, "no body is wanted")
    return int(lengths[0])


def split_head(head: bytes) -> tuple[bytes, bytes]:
    """The request line, and the lines of the header fields, of a head without its blank line."""
    first, _, rest = head.removeprefix(b"\r\n").partition(b"\r\n")  # RFC 9112, section 2.2
    return first, rest + b"\r\n" if rest else b""


def take_credentials(lines: bytes, wanted: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Header fields without the one of that name, which holds credentials for us, and that one.

    So what is kept of the others holds no password, and serves callers with any. A name in odd
    letters, which no client writes, stays among the others.
    """
    taken: dict[bytes, bytes] = {}
    at = lines.find(_CREDENTIAL_MARK)
    while at >= 0:
        begin, end = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\r\n", at)
        name, _, value = lines[begin:end].partition(b":")
        name = name.lower()
        if name == wanted and end >= 0 and not _NO_VALUE.search(value):
            taken[name] = value.strip(b" \t")
            lines = lines[:begin] + lines[end + 2 :]
            at = lines.find(_CREDENTIAL_MARK, begin)
        else:
            at = lines.find(_CREDENTIAL_MARK, at + 1)
    return lines, taken


def parse_request_head(
    request_line: bytes,
    fields: Fields,
    takes_body: Callable[[bytes], bool] = lambda path: False,
    credentials: Mapping[bytes, bytes] = _NO_CREDENTIALS,
) -> RequestHead:
    """The request in a head. Raises RequestRefused.

    ``takes_body`` says of which paths a body is read; nowhere else does a request have one.
    """
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise RequestRefused(400, "malformed request head")
    method, uri, major, minor = match.groups()
    if major != b"1":
        raise RequestRefused(505, "this is a server for HTTP/1.1")
    version = b"HTTP/1.0" if minor == b"0" else b"HTTP/1.1"
    if method == b"CONNECT":
        raise RequestRefused(405, CONNECT_HINT)
    if method not in METHODS:
        raise RequestRefused(405, "this method is not for any page here")
    is_modern = version == b"HTTP/1.1"
    if fields.body_length:
        if fields.body_length == CHUNKED and not is_modern:
            raise RequestRefused(400, "the length of the body is not clear")
        if method != b"POST" or not takes_body(uri.partition(b"?")[0]):
            raise RequestRefused(413, "no body is wanted")
    hosts = len(fields.by_name.get(b"host", ()))
    if hosts > 1 or (is_modern and not hosts):
        raise RequestRefused(400, "there must be one Host")
    keep_alive = is_modern and not _closes(fields)
    return RequestHead(method, uri, version, fields, keep_alive, credentials)


def _closes(fields: Fields) -> bool:
    options = fields.joined(b"connection")
    if options is None:
        return False
    return b"close" in (option.strip() for option in options.lower().split(b","))
