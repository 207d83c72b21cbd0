"""The settings of scrapes: deadlines and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from promproxy.settings.readers import (
    duration,
    positive,
    positive_duration,
    setting,
    size,
)


@frozen(kw_only=True)
class ScrapeSettings:
    """Deadlines and limits of scrapes."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "timeout": "write default_timeout or max_timeout",
        "scrape_timeout": "write default_timeout or max_timeout",
        "scrape_interval": "Prometheus decides it: leave it out",
    }

    default_timeout: float = setting(
        positive_duration, default=10.0, doc="deadline of requests without a timeout header"
    )
    max_timeout: float = setting(positive_duration, default=60.0, doc="longest deadline")
    timeout_offset: float = setting(
        duration,
        default=0.25,
        doc="how much earlier than Prometheus to give up, so that the answer reaches it",
    )
    body_size_limit: int = setting(
        size, default=0, doc="largest answer; larger ones are refused or cut short; 0: no limit"
    )
    max_concurrent: int = setting(positive, default=1024, doc="scrapes at a time")
    max_concurrent_per_host: int = setting(
        positive, default=128, doc="scrapes at a time for one host and port"
    )
    max_concurrent_per_target: int = setting(
        positive, default=4, doc="scrapes at a time for one target"
    )

    def deadline_in(self, header: bytes | None) -> float:
        """Seconds until a scrape must have been answered, from the caller's time-out header.

        A header that names no positive number counts as absent. A time-out shorter than twice the
        offset is halved, so that there is always time left to scrape.
        """
        asked = _positive_number(header)
        timeout = min(self.default_timeout if asked is None else asked, self.max_timeout)
        return max(timeout - self.timeout_offset, timeout / 2)


def _positive_number(header: bytes | None) -> float | None:
    try:
        number = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return number if number > 0 else None
