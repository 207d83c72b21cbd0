"""Numbers and moments as people read them. Pure."""

from __future__ import annotations

from datetime import datetime, timezone


def count(number: int) -> str:
    """With a thin space between thousands: ``10 000``."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(amount: float) -> str:
    """Bytes: ``512 B``, ``57 kB``, ``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{_short(amount)} {unit}"
        amount /= 1000
    return f"{_short(amount)} GB"


def duration(seconds: float) -> str:
    """How long something took: ``3 ms``, ``0.25 s``, ``12 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{_short(seconds)} s"


def age(seconds: float) -> str:
    """How long ago something was, in one unit: ``3 s``, ``5 min``, ``2 h``, ``4 d``."""
    for unit, length, longest in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < longest:
            return f"{max(0, int(seconds / length))} {unit}"
    return f"{int(seconds / 86400)} d"


def moment(seconds: float) -> str:
    """A moment in UTC: ``2026-01-31 12:00:00 UTC``."""
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _short(amount: float) -> str:
    """Two digits that mean something, and no more behind the point than that takes."""
    if amount >= 10 or amount == int(amount):
        return f"{amount:.0f}"
    return f"{amount:.1f}" if amount >= 1 else f"{amount:.2f}"
