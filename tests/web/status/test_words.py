"""Tests of promproxy.web.status.words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.web.status import words


class WordsTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """Long ones in groups."""
        self.assertEqual(words.count(999), "999")
        self.assertEqual(words.count(1234567), "1\u202f234\u202f567")

    def test_sizes(self) -> None:
        """As short as they mean something."""
        for amount, shown in (
            *((0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1240, "1.2 kB"), (57123, "57 kB")),
            *((1.5e6, "1.5 MB"), (2e9, "2 GB"), (5e13, "50000 GB")),
        ):
            self.assertEqual(words.size(amount), shown)

    def test_durations(self) -> None:
        """Milliseconds below a tenth of a second."""
        for seconds, shown in (
            *((0.0, "0 ms"), (0.0034, "3 ms"), (0.25, "0.25 s"), (9.75, "9.8 s"), (12.3, "12 s")),
        ):
            self.assertEqual(words.duration(seconds), shown)

    def test_ages(self) -> None:
        """In one unit, and never negative: clocks are set back."""
        for seconds, shown in (
            *((-5.0, "0 s"), (0.9, "0 s"), (119.9, "119 s"), (120.0, "2 min"), (7199.0, "119 min")),
            *((7200.0, "2 h"), (172799.0, "47 h"), (172800.0, "2 d"), (1e9, "11574 d")),
        ):
            self.assertEqual(words.age(seconds), shown)

    def test_moments(self) -> None:
        """In UTC, which they say."""
        self.assertEqual(words.moment(1700000000.25), "2023-11-14 22:13:20 UTC")
