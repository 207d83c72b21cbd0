"""Durations and sizes as Prometheus writes them (its documentation, "Configuration")."""

from __future__ import annotations

import re

_SECONDS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
# No number is so long that a float could not hold it.
_DURATION = re.compile("".join(rf"(?:(\d{{1,15}}){unit})?" for unit in _SECONDS), re.ASCII)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)([KMGTPE]?)i?B", re.ASCII)


def duration_from_text(text: str) -> float:
    """Seconds: ``1h30m``, ``10s``, ``500ms``, ``0``. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if match is None or not text:
        raise ValueError("a duration such as 30s, 500ms or 1h30m")
    return float(
        sum(int(n) * s for n, s in zip(match.groups(), _SECONDS.values(), strict=True) if n)
    )


def size_from_text(text: str) -> int:
    """Bytes: ``10MB`` (1 kB is 1024 bytes, as for Prometheus), ``0``. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if text == "0":
        return 0
    if match is None:
        raise ValueError("a size such as 512KB or 10MB")
    return int(float(match[1]) * 1024 ** " KMGTPE".index(match[2] or " "))


def text_from_duration(seconds: float) -> str:
    """A duration as `duration_from_text` reads it: ``1h30m``, ``250ms``, ``0s``."""
    left = round(seconds * 1000)
    parts = []
    for unit, size in _SECONDS.items():
        count, left = divmod(left, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def text_from_size(size: int) -> str:
    """A size as `size_from_text` reads it, in the largest unit without a fraction: ``64MB``."""
    power = 0
    while size and size % 1024 == 0 and power < 6:
        size, power = size // 1024, power + 1
    return f"{size}{' KMGTPE'[power].strip()}B"
