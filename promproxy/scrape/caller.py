"""What a caller's header fields become in the request to the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from promproxy.http.forwarding import (
    LOOP_HEADER,
    CallerHeaders,
    end_to_end_headers,
    request_headers,
)
from promproxy.outbound.request import render_headers
from promproxy.server.head import Fields

REMEMBERED_CALLERS = 512  # as many as PromproxySite remembers fields

_LOOP_FIELD = LOOP_HEADER.lower().encode()
_CONTROLS = bytes((*range(0x20), 0x7F))
_CONTROLS_TO_SPACES = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))

#: Makes header lines for the target. Raises LoopDetected.
RequestLines = Callable[[Fields], bytes]


def lines_for_scrapes(process_id: bytes) -> RequestLines:
    """The few fields that a scrape passes on; cached, since callers repeat them."""

    @lru_cache(REMEMBERED_CALLERS)
    def lines(fields: Fields) -> bytes:
        return render_headers(request_headers(caller_headers(fields), process_id))

    return lines


def lines_for_proxy(process_id: bytes) -> RequestLines:
    """All fields that a proxy passes on."""

    @lru_cache(REMEMBERED_CALLERS)
    def lines(fields: Fields) -> bytes:
        loop = request_headers(CallerHeaders(loop=caller_headers(fields).loop), process_id)
        return render_headers([*end_to_end_headers(_cleaned(fields)), *loop])

    return lines


def caller_headers(fields: Fields) -> CallerHeaders:
    """The header fields of a request that matter to targets, fit to be sent."""
    return CallerHeaders(
        accept=_clean(fields.joined(b"accept")),
        accept_encoding=_clean(fields.joined(b"accept-encoding")),
        user_agent=_clean(fields.joined(b"user-agent")),
        loop=_clean(fields.joined(_LOOP_FIELD)),
    )


def _cleaned(fields: Fields) -> Iterator[tuple[bytes, bytes]]:
    for name, values in fields.by_name.items():
        yield from ((name, _clean(value) or b"") for value in values)


def _clean(value: bytes | None) -> bytes | None:
    """A field's value fit to be sent (RFC 9110, section 5.5)."""
    return None if value is None else value.translate(_CONTROLS_TO_SPACES)
