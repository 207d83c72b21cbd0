"""Tests of promproxy.web.api."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import Unreachable
from promproxy.scrape.history import ScrapeHistory
from promproxy.targets.target import Delivery
from promproxy.web.api import MOST_AT_A_TIME, TargetsResource
from tests.fakes import Caller, FakeProfiles, make_target, registry_with

NAMES = [f"h:{number}" for number in range(1, 6)]

PROFILES = FakeProfiles()


class TargetsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        labels = {"zone": "x", "__meta_a": "b"}
        self.targets = [make_target(name, labels=labels, query="token=hunter2") for name in NAMES]
        registry = registry_with(self.clock, Delivery(tuple(self.targets)))
        self.history = ScrapeHistory(registry)
        self.caller = Caller(TargetsResource(registry, self.history))

    def get(self, query: str = "") -> tuple[int, Any]:
        answer = self.caller.get(f"/api/v1/targets{query}")
        self.assertEqual(answer.headers["Content-Type"], "application/json; charset=utf-8")
        return answer.status, json.loads(answer.body)

    def active(self, query: str = "") -> list[dict[str, Any]]:
        status, document = self.get(query)
        self.assertEqual((status, document["status"]), (200, "success"))
        found: list[dict[str, Any]] = document["data"]["activeTargets"]
        return found

    def note(self, outcome: str, error: Unreachable | None = None) -> None:
        self.history.record(
            self.history.of(self.targets[0], PROFILES),
            outcome,
            status=200,
            began=1700000000.25,
            seconds=0.5,
            size=10,
            error=error,
        )

    def test_target_that_was_not_scraped(self) -> None:
        """Every member that Prometheus has; nothing of the query, which may be secret."""
        self.assertEqual(
            self.active()[0],
            {
                "discoveredLabels": {"zone": "x", "__meta_a": "b", "instance": "h:1"},
                "labels": {"zone": "x", "instance": "h:1"},
                "scrapePool": "vms",
                "scrapeUrl": "http://h:1/metrics",
                "lastError": "",
                "lastScrape": "0001-01-01T00:00:00Z",
                "lastScrapeDuration": 0.0,
                "health": "unknown",
            },
        )

    def test_how_the_last_scrape_ended(self) -> None:
        """When, how long it took, and why it failed."""
        self.note("success")
        found = self.active()[0]
        self.assertEqual((found["health"], found["lastScrapeDuration"]), ("up", 0.5))
        self.assertEqual(found["lastScrape"], "2023-11-14T22:13:20.250Z")
        self.note("unreachable", Unreachable("connection refused"))
        found = self.active()[0]
        self.assertEqual((found["health"], found["lastError"]), ("down", "connection refused"))
        self.note("target_error")
        found = self.active()[0]
        self.assertEqual((found["health"], found["lastError"]), ("down", ""))

    def test_pages(self) -> None:
        """In the order of the sources, without gaps."""
        for query, expected in (
            ("?limit=2", NAMES[:2]),
            ("?limit=2&offset=2", NAMES[2:4]),
            ("?offset=4", NAMES[4:]),
            ("?limit=0", []),
            ("?offset=99", []),
        ):
            found = [target["labels"]["instance"] for target in self.active(query)]
            self.assertEqual(found, expected, query)

    def test_bad_parameters(self) -> None:
        """400, which says what is expected."""
        for query in ("limit=x", "limit=-1", "limit=", "offset=1.5", f"limit={MOST_AT_A_TIME + 1}"):
            status, document = self.get(f"?{query}")
            self.assertEqual((status, document["errorType"]), (400, "bad_data"), query)
            self.assertIn(query.partition("=")[0], document["error"])

    def test_record_outlives_a_refresh(self) -> None:
        """The target is asked anew, and what is known of its last scrape stays."""
        self.note("success")
        again = make_target(NAMES[0])
        record = self.history.of(again, PROFILES)
        self.assertIs(record.target, again)
        self.assertEqual(record.outcome, "success")
