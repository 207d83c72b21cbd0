"""Tests of docs.costs."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from docs.costs import PERFORMANCE, costs_of


class CostsTests(SynchronousTestCase):
    def test_the_slowest_counts(self) -> None:
        """Of the versions that were measured; others than promproxy do not."""
        performance = json.loads(PERFORMANCE.read_text(encoding="utf-8"))
        for sample in performance["samples"]:
            sample["median"] = 9999.0 if sample["stack"].startswith("promproxy") else 1.0
        slow = next(s for s in performance["samples"] if s["stack"].startswith("promproxy"))
        self.assertEqual((slow["part"], slow["case"], slow["unit"]), ("speed", "/2kB", "rate"))
        slow["median"] = 4876.5
        _, _, first, *others = costs_of(performance)
        self.assertEqual(first, "| 2 kB | 4 800 | 205 µs |")
        for row in others:
            self.assertTrue(row.endswith("| 9 900 | 100 µs |"), row)
