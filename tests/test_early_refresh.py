"""Tests of early refreshes: asked for by people, or by scrapes that the router refused."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy.errors import SourceError, Unreachable
from promproxy.metrics import Metrics
from promproxy.registry import Registry
from promproxy.scrape.resource import ScrapeResource
from promproxy.scrape.settings import ScrapeSettings
from promproxy.targets.target import Delivery
from tests.fakes import (
    Caller,
    FakeOutbound,
    delivery_of,
    make_registry,
    make_response,
    settle,
)

TARGETS = delivery_of(*(f"h{number}:80" for number in range(100)), source="cf")


class TimedSource:
    """Remembers when it was asked; takes ``seconds``, and fails while it is told to."""

    def __init__(self, clock: Clock, name: str = "cf", interval: float = 60.0) -> None:
        self.clock = clock
        self.name = name
        self.interval = interval
        self.seconds = 0.0
        self.fails = False
        self.began: list[float] = []
        self.told: list[float] = []

    def reset_backoff(self) -> None:
        self.told.append(self.clock.seconds())

    async def targets(self) -> Delivery:
        self.began.append(self.clock.seconds())
        if self.seconds:
            done: Deferred[None] = Deferred()
            self.clock.callLater(self.seconds, done.callback, None)
            await done
        if self.fails:
            raise SourceError("broken")
        return TARGETS


class EarlyTestCase(SynchronousTestCase):
    """A registry of one source that refreshes every minute, without jitter."""

    interval = 60.0

    def setUp(self) -> None:
        self.clock = Clock()
        self.source = TimedSource(self.clock, interval=self.interval)

    def start(self) -> Registry:
        registry = make_registry(self.clock, self.source)
        registry.start()
        self.at(0)
        return registry

    def at(self, moment: float) -> None:
        """Let time pass until then, from timer to timer."""
        settle(self.clock)
        while self.clock.seconds() < moment:
            times = [call.getTime() for call in self.clock.getDelayedCalls()]
            self.clock.advance(min([moment, *times]) - self.clock.seconds())
            settle(self.clock)


class AskedTests(EarlyTestCase):
    """Registry.refresh_soon."""

    def test_first_request_is_served_at_once(self) -> None:
        """The pause after it is a whole one."""
        registry = self.start()
        self.at(20)
        registry.refresh_soon()
        self.at(100)
        self.assertEqual(self.source.began, [0.0, 20.0, 80.0])

    def test_requests_within_ten_seconds_share_one_refresh(self) -> None:
        """Which begins after the last of them."""
        registry = self.start()
        for moment in (20, 21, 25, 29.5):
            self.at(moment)
            registry.refresh_soon()
        self.at(40)
        self.assertEqual(self.source.began, [0.0, 20.0, 30.0])

    def test_requests_all_the_time(self) -> None:
        """One refresh each ten seconds; each request is served within those."""
        registry = self.start()
        for moment in range(10, 50):
            self.at(moment)
            registry.refresh_soon()
        self.at(60)
        self.assertEqual(self.source.began, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0])

    def test_request_during_a_refresh_is_followed_by_another(self) -> None:
        """The one under way may have read too early."""
        self.source.seconds = 5.0
        registry = self.start()
        self.at(2)
        registry.refresh_soon()
        registry.refresh_soon()
        self.at(30)
        self.assertEqual(self.source.began, [0.0, 5.0])

    def test_each_request_is_followed_by_a_refresh_however_long_they_take(self) -> None:
        """Also one that comes when the refresh an earlier one waited for has just begun."""
        self.source.seconds = 20.0
        registry = self.start()
        for moment in (1, 5, 12, 20.5):
            self.at(moment)
            registry.refresh_soon()
        self.at(70)
        self.assertEqual(self.source.began, [0.0, 20.0, 40.0])

    def test_one_source_of_several(self) -> None:
        """The others go on as they were."""
        other = TimedSource(self.clock, name="other")
        registry = make_registry(self.clock, self.source, other)
        registry.start()
        self.at(20)
        registry.refresh_soon("other")
        self.at(21)
        registry.refresh_soon()
        self.at(50)
        self.assertEqual((self.source.began, other.began), ([0.0, 21.0], [0.0, 20.0, 30.0]))

    def test_source_forgets_what_it_waits_for(self) -> None:
        """Once for each refresh that is asked for."""
        registry = self.start()
        for moment in (20, 21, 22):
            self.at(moment)
            registry.refresh_soon()
        self.at(90)
        # When it is asked for, which ends pauses under way, and again when it begins.
        self.assertEqual(self.source.told, [20.0, 20.0, 21.0, 30.0])
        self.assertEqual(self.source.began, [0.0, 20.0, 30.0, 90.0])

    def test_after_the_stop(self) -> None:
        """Nothing happens any more, such as at the end of a reload."""
        registry = self.start()
        self.successResultOf(registry.stop())
        registry.refresh_soon()
        self.at(100)
        self.assertEqual(self.source.began, [0.0])

    def test_while_the_source_fails(self) -> None:
        """People may ask all the same."""
        self.source.fails = True
        registry = self.start()
        self.at(1)
        registry.refresh_soon()
        self.at(2)
        self.assertEqual(self.source.began, [0.0, 1.0])


class SuspectedTests(EarlyTestCase):
    """Registry.suspect_stale."""

    def suspect(self, registry: Registry) -> None:
        registry.suspect_stale(TARGETS.targets[0])

    def test_first_suspicion_refreshes_at_once(self) -> None:
        """The pause after it is a whole one."""
        registry = self.start()
        self.at(20)
        self.suspect(registry)
        self.at(100)
        self.assertEqual(self.source.began, [0.0, 20.0, 80.0])

    def test_suspicions_are_half_a_minute_apart(self) -> None:
        """At the least; one that comes too early is forgotten."""
        registry = self.start()
        for moment in (10, 11, 39.5, 40, 41):
            self.at(moment)
            self.suspect(registry)
        self.at(99)
        self.assertEqual(self.source.began, [0.0, 10.0, 40.0])

    def test_suspicions_are_half_an_interval_apart(self) -> None:
        """Where that is more."""
        self.interval = 600.0
        self.setUp()
        registry = self.start()
        for moment in range(10, 590, 10):
            self.at(moment)
            self.suspect(registry)
        self.assertEqual(self.source.began, [0.0, 10.0, 310.0])

    def test_failing_source_is_not_hurried(self) -> None:
        """It waits longer from one attempt to the next for a reason."""
        registry = self.start()
        self.source.fails = True
        self.at(60)
        self.suspect(registry)
        self.at(64.5)
        self.assertEqual(self.source.began, [0.0, 60.0])
        self.source.fails = False
        self.at(66)
        self.suspect(registry)
        self.at(67)
        self.assertEqual(self.source.began, [0.0, 60.0, 65.0, 66.0])

    def test_suspicion_during_a_refresh_is_followed_by_another(self) -> None:
        self.source.seconds = 5.0
        registry = self.start()
        self.at(5)
        self.at(67)
        self.suspect(registry)
        self.at(80)
        self.assertEqual(self.source.began, [0.0, 65.0, 70.0])

    def test_only_the_target_s_own_source(self) -> None:
        """Others know nothing of it."""
        other = TimedSource(self.clock, name="other")
        registry = make_registry(self.clock, self.source, other)
        registry.start()
        self.at(20)
        self.suspect(registry)
        self.at(21)
        self.assertEqual((self.source.began, other.began), ([0.0, 20.0], [0.0]))


class ScrapeTests(EarlyTestCase):
    """Scrapes that the gorouter refused."""

    interval = 10_000.0  # so that no ordinary refresh comes in between

    def setUp(self) -> None:
        super().setUp()
        self.outbound = FakeOutbound()
        self.registry = self.start()
        scrapes: Any = ScrapeResource(
            registry=self.registry,
            outbound=self.outbound,
            settings=ScrapeSettings(max_concurrent_per_target=1000),
            metrics=Metrics(),
            clock=self.clock,
            process_id=b"our-id",
        )
        root = Resource()
        root.putChild(b"singleTargetMetrics", scrapes)
        self.root = root
        self.connect()

    def connect(self) -> None:
        """An idle connection would be closed after some minutes."""
        self.caller = Caller(self.root, self.clock)

    def scrape(self, number: int = 0, error: str = "", code: int = 0, reason: Any = None) -> None:
        """Scrape a target; ``error`` is what the router says."""
        self.caller.send("GET", f"/singleTargetMetrics/cf/h{number}:80")
        if reason is not None:
            self.outbound.last.answer.errback(reason)
        else:
            headers = [(b"x-cf-RouterError", error.encode())] if error else []
            response, _ = make_response(code or (400 if error else 200), headers, 0)
            self.outbound.last.answer.callback(response)
            response.finish(None)
        self.outbound.sent.clear()
        self.caller.answer()

    @property
    def early(self) -> int:
        """Refreshes beside the one at the start."""
        settle(self.clock)
        return len(self.source.began) - 1

    def test_target_that_answered_before(self) -> None:
        """Errors that speak of the instance, and not of something else."""
        for error, expected in (
            ("unknown_route", 1),
            ("endpoint_failure (dial tcp: refused)", 1),
            ("no_endpoints", 1),
            ("Connection Limit Reached", 0),
            ("invalid_cf_app_instance_header", 0),
        ):
            self.setUp()
            self.scrape()
            self.scrape(error=error)
            self.assertEqual(self.early, expected, error)

    def test_target_that_never_answered_or_failed_before(self) -> None:
        """What has been down for a while is not news."""
        self.scrape(0, "unknown_route")
        self.scrape(1)
        self.scrape(1, reason=Unreachable("no"))
        self.scrape(1, "unknown_route")
        self.scrape(2)
        self.scrape(2, code=500)
        self.scrape(2, "unknown_route")
        self.assertEqual(self.early, 0)

    def test_error_of_the_app_itself(self) -> None:
        """Says nothing about the registry."""
        self.scrape()
        self.scrape(code=404)
        self.scrape()
        self.scrape(reason=Unreachable("no"))
        self.assertEqual(self.early, 0)

    def test_target_that_recovered_may_be_news_again(self) -> None:
        """When it fails for the second time."""
        self.scrape()
        self.scrape(error="unknown_route")
        self.at(5001)
        self.connect()
        self.scrape()
        self.scrape(error="unknown_route")
        self.assertEqual(self.early, 2)

    def test_hundred_crashed_instances_cause_one_early_refresh(self) -> None:
        """Scraped every 15 s, each at a moment of its own."""
        for number in range(100):
            self.scrape(number)
        for round_ in range(240):
            for number in range(100):
                moment = 15 * (round_ + 1) + number * 0.15
                self.clock.advance(moment - self.clock.seconds())
                self.scrape(number, "endpoint_failure (x)")
        self.assertGreater(self.clock.seconds(), 3600)
        self.assertEqual(self.early, 1)
