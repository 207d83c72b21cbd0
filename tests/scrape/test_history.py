"""Tests of promproxy.scrape.history."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ScrapeError, Unreachable
from promproxy.scrape.history import QUIET_SECONDS, Place, ScrapeHistory, TargetRecord
from tests.fakes import FakeProfiles, delivery_of, make_target, registry_with


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        registry = registry_with(Clock(), delivery_of("a:1", "b:1"))
        self.target = registry.snapshot.by_id["vms/a:1"]
        self.profiles = registry.snapshot.profiles_of(self.target)
        self.history = ScrapeHistory(registry)

    def end(self, record: TargetRecord, outcome: str, error: ScrapeError | None = None) -> str:
        """Record how a scrape ended, and return what was logged of it."""
        with capturedLogs() as events:
            self.history.record(
                record, outcome, status=200, began=1.0, seconds=2.0, size=3, error=error
            )
        return "; ".join(str(formatEvent(event)) for event in events)

    def test_failures_are_logged_when_they_begin_and_end(self) -> None:
        record = self.history.of(self.target, self.profiles)
        url = "vms/a:1: http://a:1/metrics"
        refused, late = Unreachable("connection refused"), Unreachable("name not found")
        for outcome, error, logged in (
            ("success", None, ""),
            ("unreachable", refused, f"target {url}: connection refused"),
            ("unreachable", late, ""),
            ("success", None, "target vms/a:1 answers again"),
            ("target_error", None, ""),
        ):
            self.assertEqual(self.end(record, outcome, error), logged)

    def test_last_result(self) -> None:
        self.assertIsNone(self.history.last("vms/a:1"))
        record = self.history.of(self.target, self.profiles)
        self.end(record, "unreachable", Unreachable("connection refused"))
        self.assertIs(self.history.last("vms/a:1"), record)
        self.assertEqual((record.is_up, record.error), (False, "connection refused"))

    def test_template_is_renewed_with_the_target_or_the_profiles(self) -> None:
        before = self.history.of(self.target, self.profiles)
        self.assertIs(before.template, self.target)
        moved = evolve(self.target, path="/other")
        self.assertIs(self.history.of(moved, self.profiles).template, moved)
        self.assertIs(self.history.of(self.target, FakeProfiles()).template, self.target)

    def test_former_targets_are_forgotten_in_time(self) -> None:
        """Once there are more than twice as many records as targets."""
        for number in range(10):
            self.history.of(make_target(f"h{number}:1"), self.profiles)
        kept = [n for n in range(10) if self.history.last(f"vms/h{n}:1") is not None]
        self.assertLessEqual(len(kept), 5)


class PlaceTests(SynchronousTestCase):
    """Another outcome than the one before is news."""

    def setUp(self) -> None:
        self.place = Place()

    def is_news(self, outcome: str, now: float) -> bool:
        is_failure = outcome != "success"
        return self.place.before(outcome, is_failure, now) != outcome

    def test_first_failure_is_news_and_the_others_are_not(self) -> None:
        """Whatever URL they are of, and whatever answers meanwhile."""
        outcomes = ["success", "unreachable", "timeout", "success", "unreachable", "success"]
        found = [self.is_news(outcome, now) for now, outcome in enumerate(outcomes)]
        self.assertEqual(found, [False, True, False, False, False, False])

    def test_place_that_is_well_again(self) -> None:
        """After a while without a failure; then the next failure is news."""
        self.is_news("unreachable", 0.0)
        self.assertFalse(self.is_news("success", QUIET_SECONDS))
        self.assertTrue(self.is_news("success", QUIET_SECONDS + 1))
        self.assertFalse(self.is_news("success", QUIET_SECONDS + 2))
        self.assertTrue(self.is_news("timeout", QUIET_SECONDS + 3))
