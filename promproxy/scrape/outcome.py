"""The one place where an error of a scrape becomes a status, and a name for the metrics."""

from __future__ import annotations

from promproxy.errors import (
    BadUpstream,
    Busy,
    DeadlinePassed,
    LoopDetected,
    NoToken,
    ScrapeError,
    Unreachable,
)

# Each error's status, and its name in `promproxy_scrapes_total`.
_MEANING: dict[type[ScrapeError], tuple[int, str]] = {
    Unreachable: (502, "unreachable"),
    NoToken: (502, "no_token"),
    BadUpstream: (502, "bad_answer"),
    Busy: (503, "busy"),
    DeadlinePassed: (504, "timeout"),
    LoopDetected: (508, "loop"),
}


def _meaning(error: ScrapeError) -> tuple[int, str]:
    return next(meaning for kind, meaning in _MEANING.items() if isinstance(error, kind))


def status_of(error: ScrapeError) -> int:
    """The HTTP status that tells of an error."""
    return _meaning(error)[0]


def outcome_of(error: ScrapeError) -> str:
    """What the metrics call an error."""
    return _meaning(error)[1]
