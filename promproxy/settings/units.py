"""Durations and sizes as Prometheus writes them (its documentation, "Configuration")."""

from __future__ import annotations

import re

_SECONDS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
# No number is so long that a float could not hold it.
_DURATION = re.compile("".join(rf"(?:(\d{{1,15}}){unit})?" for unit in _SECONDS), re.ASCII)
_LONGEST = (2**63 - 1) / 1e9  # seconds; Go counts nanoseconds in 64 bits
_SIZE_PART = re.compile(r"(\d{0,15}(?:\.\d{0,15})?)([A-Za-z]+)", re.ASCII)
# Those of github.com/alecthomas/units, ParseBase2Bytes: one family of units for a whole size.
_SIZE_UNITS = [
    {"B": 1, **{f"{letter}{end}": 1024**power for power, letter in enumerate("KMGTPE", 1)}}
    for end in ("iB", "B")
]
_LARGEST = 2**63 - 1


def duration_from_text(text: str) -> float:
    """Seconds: ``1h30m``, ``10s``, ``500ms``, ``0``. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if match is None or not text:
        raise ValueError("a duration such as 30s, 500ms or 1h30m")
    pairs = zip(match.groups(), _SECONDS.values(), strict=True)
    seconds = float(sum(int(number) * size for number, size in pairs if number))
    if seconds > _LONGEST:
        raise ValueError("a duration of at most 292 years")
    return seconds


def size_from_text(text: str) -> int:
    """Bytes: ``10MB``, ``1MiB``, ``1GB512MB`` (1 kB is 1024 bytes, as for Prometheus), ``0``.

    Raises ValueError.
    """
    unsigned = text.removeprefix("+")
    if unsigned == "0":
        return 0
    parts = _SIZE_PART.findall(unsigned)
    is_whole = parts and "".join(number + unit for number, unit in parts) == unsigned
    for units in _SIZE_UNITS:
        if is_whole and all(number not in ("", ".") and unit in units for number, unit in parts):
            size = int(sum(float(number) * units[unit] for number, unit in parts))
            if size <= _LARGEST:
                return size
    raise ValueError("a size such as 512KB or 10MB")


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
