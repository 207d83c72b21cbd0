"""When to try again: pure arithmetic on seconds."""

from __future__ import annotations


def longest_wait(interval: float) -> float:
    """The most seconds that a source is left alone after a failure, whatever its server asks for.

    Five intervals, but at least 5 s and at most 5 min.
    """
    return min(max(5 * interval, 5.0), 300.0)


def next_delay(*, interval: float, failures: int, random: float) -> float:
    """Seconds until a source's next refresh.

    ``failures`` counts those in a row; ``random`` is from [0, 1). A success waits for the interval.
    Failures wait from 5 s (or the interval, if shorter) on twice as long each time, up to the
    `longest_wait`. Up to a tenth less is waited, so that sources, and replicas, do not ask all at
    once.
    """
    delay = interval
    if failures:
        # The exponent is bounded, since a float is.
        delay = min(longest_wait(interval), min(interval, 5.0) * 2.0 ** min(failures - 1, 30))
    return delay * (1 - random / 10)
