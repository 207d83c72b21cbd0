"""Tests of promproxy.settings.units."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.settings.units import (
    duration_from_text,
    size_from_text,
    text_from_duration,
    text_from_size,
)

MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def as_text(milliseconds: int) -> str:
    """A duration as Prometheus would write it."""
    parts = []
    for unit, size in MILLISECONDS.items():
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


class DurationTests(SynchronousTestCase):
    def test_each_unit(self) -> None:
        """From milliseconds to years, which have 365 days."""
        for text, seconds in (
            *(("1ms", 0.001), ("1s", 1), ("1m", 60), ("1h", 3600), ("1d", 86400)),
            *(("1w", 604800), ("1y", 31536000), ("0", 0), ("0s", 0), ("007s", 7)),
        ):
            self.assertEqual(duration_from_text(text), seconds, text)

    def test_several_units(self) -> None:
        self.assertEqual(duration_from_text("1h30m"), 5400)
        self.assertEqual(duration_from_text("1y2w3d4h5m6s7ms"), 33019506.007)

    def test_what_is_no_duration(self) -> None:
        """It is refused, and the message says what is expected."""
        for bad in (
            *("", "5", "s", "-5s", "1.5h", "5S", "30m1h", "1s1s", " 1s", "1s ", "1s\n", "1 s"),
            *("٣s", "1e3s", "1min", "+1s", "1_0s", "00"),
        ):
            error = self.assertRaises(ValueError, duration_from_text, bad)
            self.assertEqual(str(error), "a duration such as 30s, 500ms or 1h30m")

    def test_numbers_without_end(self) -> None:
        """They are refused too, rather than to break the arithmetic."""
        for digits in (16, 400, 5000):
            error = self.assertRaises(ValueError, duration_from_text, f"{'9' * digits}ms")
            self.assertEqual(str(error), "a duration such as 30s, 500ms or 1h30m")

    @given(st.integers(0, 9 * 10**12))
    def test_round_trip(self, milliseconds: int) -> None:
        """What Prometheus writes means to us what it means to it."""
        seconds = duration_from_text(as_text(milliseconds))
        assert math.isclose(seconds, milliseconds / 1000, abs_tol=1e-6)

    def test_as_text(self) -> None:
        """In as few words as there are."""
        for seconds, text in (
            *((0.0, "0s"), (0.25, "250ms"), (60.0, "1m"), (90.0, "1m30s"), (86400.0, "1d")),
            *((31536000.0, "1y"), (0.0004, "0s"), (0.29, "290ms")),
        ):
            self.assertEqual(text_from_duration(seconds), text)

    @given(st.integers(0, 9 * 10**12))
    def test_back_and_forth(self, milliseconds: int) -> None:
        """What we write means to us what it meant before."""
        seconds = duration_from_text(text_from_duration(milliseconds / 1000))
        assert math.isclose(seconds, milliseconds / 1000, abs_tol=1e-6)

    @given(st.text("019ywdhms ", max_size=9))
    def test_any_text(self, text: str) -> None:
        """A duration that is finite and not negative, or a ValueError."""
        try:
            seconds = duration_from_text(text)
        except ValueError:
            return
        assert 0 <= seconds < math.inf


class SizeTests(SynchronousTestCase):
    def test_each_unit(self) -> None:
        """In steps of 1024, with or without the i."""
        for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB", "EB")):
            self.assertEqual(size_from_text(f"3{unit}"), 3 * 1024**power)
        self.assertEqual(size_from_text("1MiB"), 1024**2)
        self.assertEqual(size_from_text("0"), 0)

    def test_fractions(self) -> None:
        """As far as there are whole bytes."""
        self.assertEqual(size_from_text("1.5KB"), 1536)

    def test_as_prometheus_reads_them(self) -> None:
        """Several units, of one family; a plus; a fraction without its first digit."""
        for text, size in (
            *(("1MB1KB25B", 1024**2 + 1024 + 25), ("1MiB1KiB", 1024**2 + 1024)),
            *((".5MB", 524288), ("1.MB", 1024**2), ("+1KB", 1024), ("7EB", 7 * 1024**6)),
        ):
            self.assertEqual(size_from_text(text), size, text)
        for bad in ("1MiB1KB", ".B", "16EB", "1MB2", "++1B"):
            self.assertRaises(ValueError, size_from_text, bad)

    def test_what_is_no_size(self) -> None:
        """It is refused, and the message says what is expected."""
        for bad in ("", "5", "MB", "-1MB", "1 MB", "1M", "1mb", "1MB\n", "٣MB", "1iB"):
            error = self.assertRaises(ValueError, size_from_text, bad)
            self.assertEqual(str(error), "a size such as 512KB or 10MB")

    def test_numbers_without_end(self) -> None:
        """They are refused too."""
        for digits in (16, 400):
            self.assertRaises(ValueError, size_from_text, f"{'9' * digits}EB")
            self.assertRaises(ValueError, size_from_text, f"1.{'9' * digits}B")

    def test_as_text(self) -> None:
        """In the largest unit that needs no fraction."""
        for size, text in (
            *((0, "0B"), (1, "1B"), (1023, "1023B"), (1024, "1KB"), (1536, "1536B")),
            *((64 * 1024**2, "64MB"), (1024**6, "1EB"), (1024**7, "1024EB")),
        ):
            self.assertEqual(text_from_size(size), text)

    @given(st.integers(0, 10**15 - 1))
    def test_back_and_forth(self, size: int) -> None:
        """What we write means to us what it meant before."""
        self.assertEqual(size_from_text(text_from_size(size)), size)
