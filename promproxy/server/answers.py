"""Short plain answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.web.server import Request

RETRY_AFTER_SECONDS = 5

_PHRASES = {508: b"Loop Detected"}  # the one that Twisted does not know (RFC 5842, section 7.2)


def parameter(request: Request, name: bytes) -> str | None:
    """The last value of a parameter of the query, None without it."""
    value = request.args.get(name, [None])[-1]
    return None if value is None else value.decode("utf-8", "replace")


def source_asked_for(request: Request) -> str | None:
    """The source that ``?source=NAME`` names, None where all are meant."""
    return parameter(request, b"source")


def no_source_answer(request: Request, known: Iterable[str]) -> bytes:
    """404, naming the sources that there are."""
    return plain_answer(request, 404, f"no such source; there are: {', '.join(known) or 'none'}")


def not_ready_answer(request: Request, missing: Sequence[str]) -> bytes:
    """503, naming the sources that are waited for."""
    request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER_SECONDS)
    text = f"not ready: waiting for the first targets of {', '.join(missing)}"
    return plain_answer(request, 503, text)


def plain_answer(
    request: Request, status: int, text: str, content_type: str = "text/plain"
) -> bytes:
    """Set up an answer in UTF-8; what it returns is the body."""
    body = f"{text}\n".encode()
    request.setResponseCode(status, _PHRASES.get(status))
    request.setHeader(b"Content-Type", f"{content_type}; charset=utf-8".encode())
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def for_pushprox(path: bytes, text: str) -> str:
    """A text as the answer to a poll, else as it is.

    PushProx's client takes the body of any answer to a poll for a request, and logs what stands
    behind its second blank: ``malformed HTTP version "wrong user or password"``.
    """
    return f"poll refused: {text}" if path.endswith(b"/poll") else text


def accepts_gzip(header: bytes | None) -> bool:
    """Whether an ``Accept-Encoding`` header allows gzip (RFC 9110, section 12.5.3)."""
    for item in (header or b"").lower().split(b","):
        coding, _, parameter = item.partition(b";")
        if coding.strip() in (b"gzip", b"x-gzip"):
            return parameter.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False
