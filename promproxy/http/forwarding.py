"""Which header fields go to the target, and which come back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit, urlunsplit

from attrs import frozen

from promproxy.errors import LoopDetected

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
LOOP_HEADER = "Promproxy-Loop"

_TIMEOUT_HEADER = TIMEOUT_HEADER.encode()
_HOP_BY_HOP = frozenset(
    b"connection proxy-connection keep-alive te trailer transfer-encoding upgrade content-length "
    b"proxy-authorization proxy-authenticate expect host id".split()
) | {TIMEOUT_HEADER.lower().encode(), LOOP_HEADER.lower().encode()}
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_PASSED_BACK = frozenset((b"content-type", b"content-encoding", b"content-length"))


@frozen(kw_only=True)
class CallerHeaders:
    """Those headers of the caller's that matter; an absent one is None."""

    accept: bytes | None = None
    accept_encoding: bytes | None = None
    user_agent: bytes | None = None
    loop: bytes | None = None


def request_headers(caller: CallerHeaders, process_id: bytes) -> list[tuple[bytes, bytes]]:
    """What the caller's headers add to the request to a target.

    Raises LoopDetected where the request has been through this process before.
    """
    loop = process_id
    if caller.loop is not None:
        if process_id in caller.loop.replace(b",", b" ").split():
            raise LoopDetected("the request came from this promproxy: a loop")
        loop = caller.loop + b", " + process_id
    headers = [
        (name, value)
        for name, value in (
            (b"Accept", caller.accept),
            (b"Accept-Encoding", caller.accept_encoding),
            (b"User-Agent", caller.user_agent),
        )
        if value is not None
    ]
    headers.append((LOOP_HEADER.encode(), loop))
    return headers


def end_to_end_headers(
    headers: Iterable[tuple[bytes, bytes]],
) -> Iterator[tuple[bytes, bytes]]:
    """What a proxy passes on of a request, of names in lower case (RFC 9110, section 7.6.1).

    Not what was meant for the proxy, and nothing that we say ourselves.
    """
    headers = list(headers)
    listed = b",".join(value.lower() for name, value in headers if name == b"connection")
    dropped = _HOP_BY_HOP | {option.strip() for option in listed.split(b",")}
    return (field for field in headers if field[0] not in dropped)


def timeout_header_line(seconds: float) -> bytes:
    """The header line that tells a target how long its caller waits.

    A scrape may get its place just after its deadline, before that is noticed.
    """
    return b"%b: %.3f\r\n" % (_TIMEOUT_HEADER, max(seconds, 0.001))


def is_redirect(status: int) -> bool:
    """Whether a status sends the caller elsewhere; such an answer is not passed on."""
    return status in _REDIRECTS


def response_header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Those header lines of a target's answer that the caller gets.

    A length stays with its body, which passes unchanged, so that even HTTP/1.0 shows a cut.
    """
    return b"".join(
        [b"%b: %b\r\n" % field for field in headers if field[0].lower() in _PASSED_BACK]
    )


def is_gorouter_miss(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the gorouter, and not the app, answered that it cannot reach the instance.

    Source: gorouter, handlers/lookup.go and proxy/round_tripper/error_handler.go.
    """
    return status >= 400 and any(
        name.lower() == b"x-cf-routererror"
        and value.startswith((b"unknown_route", b"endpoint_failure", b"no_endpoints"))
        for name, value in headers
    )


def public_url(url: bytes) -> str:
    """A URL without user, query and fragment, which may be secret; ``""`` for what is none."""
    try:
        parts = urlsplit(url.decode("ascii"))
    except ValueError:
        return ""
    netloc = parts.netloc.rpartition("@")[2]
    shown = urlunsplit((parts.scheme, netloc, parts.path, "", ""))[:200]
    return shown if shown.isprintable() else ""
