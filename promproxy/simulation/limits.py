"""The Cloud Controller's rate limiter: a number of requests per key in a fixed period."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from attrs import define, frozen

_FORGET_AFTER = 1000


@define
class _Window:
    until: float
    used: int


@frozen(kw_only=True)
class Allowance:
    """What is left of a limit: ``retry_after`` is None, or seconds when the limit is exceeded."""

    limit: int
    remaining: int
    reset: int
    retry_after: int | None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each counted answer; the rest is told in steps of 10 % only."""
        step = self.limit / 10
        remaining = int(int(self.remaining / step) * step)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class RateLimiter:
    """Counts requests by key."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._windows: dict[str, _Window] = {}

    def take(self, key: str, limit: int, period: float) -> Allowance:
        """Count one request of ``key``; ``limit`` is at least 1 per ``period`` seconds."""
        now = self._seconds()
        if len(self._windows) > _FORGET_AFTER:
            self._windows = {k: w for k, w in self._windows.items() if w.until > now}
        window = self._windows.get(key)
        if window is None or window.until <= now:
            window = self._windows[key] = _Window(now + period, 0)
        window.used += 1
        return Allowance(
            limit=limit,
            remaining=max(0, limit - window.used),
            reset=ceil(window.until),
            retry_after=ceil(window.until - now) if window.used > limit else None,
        )
