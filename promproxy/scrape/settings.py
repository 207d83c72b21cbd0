"""The settings of scrapes: deadlines and limits."""

from __future__ import annotations

from attrs import frozen

from promproxy.settings.readers import (
    duration,
    positive,
    positive_duration,
    setting,
    size,
)


@frozen(kw_only=True)
class Scrape:
    """Deadlines and limits of scrapes."""

    default_timeout: float = setting(
        positive_duration, default=10.0, doc="where the request names no timeout"
    )
    max_timeout: float = setting(positive_duration, default=60.0, doc="no scrape takes longer")
    timeout_offset: float = setting(
        duration,
        default=0.25,
        doc="how much earlier than Prometheus we give up, so that our answer reaches it",
    )
    body_size_limit: int = setting(
        size, default=0, doc="a larger answer is refused or cut short; 0: none is"
    )
    max_concurrent: int = setting(positive, default=1024, doc="scrapes at a time, in all")
    max_concurrent_per_host: int = setting(
        positive, default=128, doc="scrapes at a time of one host and port"
    )
    max_concurrent_per_target: int = setting(
        positive, default=4, doc="scrapes at a time of one target"
    )
