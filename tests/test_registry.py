"""Tests of promproxy.registry."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError
from promproxy.registry import Registry
from promproxy.sources.delivery_log import MOST_WARNINGS
from promproxy.targets.target import Delivery, Dropped
from tests.fakes import (
    FakeProfiles,
    ScriptedSource,
    delivery_of,
    make_registry,
    make_target,
    settle,
)

BROKEN = SourceError("the disk is on fire")


class RegistryTestCase(SynchronousTestCase):
    """A registry on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.refreshed: list[tuple[str, float, bool]] = []

    def start(self, *sources: ScriptedSource, **options: Any) -> Registry:
        registry = make_registry(
            self.clock,
            *sources,
            on_refresh=lambda *told: self.refreshed.append(told),
            **options,
        )
        registry.start()
        settle(self.clock)
        return registry

    def ids(self, registry: Registry) -> list[str]:
        return sorted(registry.snapshot.by_id)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        settle(self.clock)


class RefreshTests(RegistryTestCase):
    """What becomes of a refresh."""

    def test_delivery_becomes_a_new_snapshot(self) -> None:
        """Targets by id, and each one's discovery entry."""
        registry = self.start(ScriptedSource([delivery_of("a:1", "b:2"), delivery_of("c:3")]))
        first = registry.snapshot
        self.assertEqual(sorted(first.by_id), ["vms/a:1", "vms/b:2"])
        self.assertEqual(len(first.entries()), 2)
        self.assertIn(b"/singleTargetMetrics/vms/b:2", first.entries()[1])
        self.advance(60)
        self.assertEqual(self.ids(registry), ["vms/c:3"])
        self.assertEqual(sorted(first.by_id), ["vms/a:1", "vms/b:2"])

    def test_unchanged_delivery_keeps_the_snapshot(self) -> None:
        """The very object, so that nothing is rendered again."""
        source = ScriptedSource([delivery_of("a:1")])
        registry = self.start(source)
        snapshot = registry.snapshot
        self.advance(60)
        self.assertEqual(source.calls, 2)
        self.assertIs(registry.snapshot, snapshot)
        self.assertEqual(registry.states["vms"].last_success, 60.0)

    def test_sources_keep_the_order_of_the_configuration(self) -> None:
        late: Deferred[Delivery] = Deferred()
        registry = self.start(
            ScriptedSource([late], name="one"),
            ScriptedSource([delivery_of("b:2", source="two")], name="two"),
        )
        self.assertEqual(self.ids(registry), ["two/b:2"])
        late.callback(delivery_of("a:1", source="one"))
        settle(self.clock)
        self.assertEqual(list(registry.snapshot.listings), ["one", "two"])

    def test_slow_source_is_not_asked_again_meanwhile(self) -> None:
        """One refresh of a source at a time; others go on."""
        slow = ScriptedSource([Deferred()], name="slow")
        quick = ScriptedSource([delivery_of("a:1", source="quick")], name="quick")
        registry = self.start(slow, quick)
        self.advance(60)
        self.advance(60)
        self.assertEqual((slow.calls, quick.calls), (1, 3))
        self.successResultOf(registry.stop())

    def test_source_with_news_is_asked_at_once(self) -> None:
        """Once a second while it has more, however often it says so."""
        source = ScriptedSource([delivery_of("a:1")])
        registry = self.start(source)
        for moment, calls in ((0.0, 2), (0.6, 2), (1.2, 3), (1.8, 3), (2.4, 4), (9.0, 6)):
            self.advance(moment - self.clock.seconds())
            for _ in range(5):
                registry.notify_changed("vms")
            settle(self.clock)
            self.assertEqual(source.calls, calls, moment)
        self.successResultOf(registry.stop())

    def test_news_of_a_source_that_is_not_asked(self) -> None:
        """It is gone, or nothing runs yet."""
        registry = make_registry(self.clock, ScriptedSource([delivery_of("a:1")]))
        registry.notify_changed("vms")
        registry.notify_changed("unknown")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_interval_has_jitter_of_up_to_a_tenth_less(self) -> None:
        """By the random number: 0 is the interval itself, which is never exceeded."""
        for random, pause in ((0.0, 60.0), (0.5, 57.0), (1.0, 54.0)):
            source = ScriptedSource([delivery_of("a:1")])
            self.start(source, random=lambda random=random: random)
            self.advance(pause - 0.01)
            self.assertEqual(source.calls, 1)
            self.advance(0.02)
            self.assertEqual(source.calls, 2)

    def test_every_refresh_is_told_with_its_seconds_and_outcome(self) -> None:
        slow: Deferred[Delivery] = Deferred()
        self.start(ScriptedSource([slow, BROKEN]))
        self.advance(3)
        slow.callback(delivery_of("a:1"))
        settle(self.clock)
        self.advance(60)
        self.assertEqual(self.refreshed, [("vms", 3.0, True), ("vms", 0.0, False)])


class FailureTests(RegistryTestCase):
    """Refreshes that fail."""

    def test_last_good_targets_stay(self) -> None:
        """A failure changes the source's state and nothing else."""
        registry = self.start(ScriptedSource([delivery_of("a:1"), BROKEN]))
        snapshot = registry.snapshot
        self.advance(60)
        state = registry.states["vms"]
        self.assertIs(registry.snapshot, snapshot)
        self.assertEqual((state.failures, state.last_error), (1, "the disk is on fire"))
        self.assertEqual((state.has_delivered, state.last_success), (True, 0.0))

    def test_failures_back_off_and_a_success_ends_that(self) -> None:
        """5 s, 10 s, 20 s and so on up to five intervals; then the interval again."""
        steps: list[Any] = [*[BROKEN] * 8, delivery_of("a:1")]
        source = ScriptedSource(steps)
        registry = self.start(source)
        for pause in (5, 10, 20, 40, 80, 160, 300, 300, 60):
            calls = source.calls
            self.advance(pause - 0.5)
            self.assertEqual(source.calls, calls, pause)
            self.advance(0.5)
            self.assertEqual(source.calls, calls + 1, pause)
        self.assertEqual(registry.states["vms"].failures, 0)
        self.assertEqual(registry.states["vms"].last_error, "")

    def test_source_that_always_fails_is_asked_for_ever(self) -> None:
        """No failure, however many, ends the loop."""
        source = ScriptedSource([BROKEN])
        self.start(source)
        for _ in range(2000):
            self.advance(300)
        self.assertEqual(source.calls, 2001)

    def test_unexpected_error_does_not_end_the_loop_either(self) -> None:
        """It is logged with its traceback; its text, which may hold anything, is not shown."""
        registry = self.start(ScriptedSource([ZeroDivisionError("secret"), delivery_of("a:1")]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(registry.states["vms"].last_error, "an unexpected error, see the log")
        self.assertEqual(self.refreshed, [("vms", 0.0, False)])
        self.advance(5)
        self.assertEqual(self.ids(registry), ["vms/a:1"])

    def test_target_that_cannot_be_rendered_fails_the_refresh(self) -> None:
        """The last good snapshot stays, the loop goes on."""

        def render(target: Any) -> bytes:
            if target.instance == "bad:1":
                raise ZeroDivisionError
            return b"{}"

        source = ScriptedSource([delivery_of("a:1"), delivery_of("bad:1"), delivery_of("b:2")])
        registry = self.start(source, render=render)
        self.advance(60)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.ids(registry), ["vms/a:1"])
        self.advance(5)
        self.assertEqual(self.ids(registry), ["vms/b:2"])

    def test_failure_says_what_becomes_of_the_targets(self) -> None:
        """There may be none yet."""
        with capturedLogs() as events:
            self.start(ScriptedSource([BROKEN, delivery_of("a:1"), BROKEN]))
            self.advance(300)
            self.advance(300)
        said = [formatEvent(e) for e in events if e["log_level"] is LogLevel.error]
        self.assertEqual(
            [text.partition("; ")[2] for text in said],
            ["it has no targets yet", "its last good targets stay"],
        )

    def test_failure_is_logged_once_per_change(self) -> None:
        """The same error again is silent; another one, or one after a recovery, is not."""
        other = SourceError("the disk is wet")
        good = delivery_of("a:1")
        steps: list[Any] = [BROKEN, BROKEN, other, other, good, other]
        with capturedLogs() as events:
            self.start(ScriptedSource(steps))
            for _ in range(5):
                self.advance(300)
        told = [event["error"] for event in events if event["log_level"] is LogLevel.error]
        self.assertEqual(told, [str(BROKEN), str(other), str(other)])
        recovered = [event for event in events if "delivers again" in event["log_format"]]
        self.assertEqual(len(recovered), 1)


class ReadinessTests(RegistryTestCase):
    """Which sources the discovery document waits for."""

    def setUp(self) -> None:
        super().setUp()
        self.late: Deferred[Delivery] = Deferred()
        self.one = ScriptedSource([delivery_of("a:1", source="one")], name="one")
        self.two = ScriptedSource([self.late], name="two")

    def test_every_source_must_have_delivered_once(self) -> None:
        """However long that takes; a delivery without targets counts."""
        registry = self.start(self.one, self.two)
        self.advance(100_000)
        self.assertEqual(registry.pending_sources(), ["two"])
        self.late.callback(Delivery(()))
        settle(self.clock)
        self.assertEqual(registry.pending_sources(), [])

    def test_failure_is_no_delivery_but_does_not_undo_one(self) -> None:
        failing = ScriptedSource([BROKEN, delivery_of("a:1"), BROKEN])
        registry = self.start(failing)
        self.assertEqual(registry.pending_sources(), ["vms"])
        self.advance(5)
        self.assertEqual(registry.pending_sources(), [])
        self.advance(60)
        self.assertEqual(registry.states["vms"].failures, 1)
        self.assertEqual(registry.pending_sources(), [])

    def test_one_source_is_asked_about_alone(self) -> None:
        """As `?source=` depends on that source only."""
        registry = self.start(self.one, self.two)
        self.assertEqual(registry.pending_sources("one"), [])
        self.assertEqual(registry.pending_sources("two"), ["two"])

    def test_startup_grace_ends_the_wait(self) -> None:
        """Counted from the start, for all sources and for each."""
        self.clock.advance(1000)
        registry = self.start(self.one, self.two, startup_grace=30.0)
        self.advance(29)
        self.assertEqual(registry.pending_sources(), ["two"])
        self.advance(1)
        self.assertEqual((registry.pending_sources(), registry.pending_sources("two")), ([], []))

    def test_no_sources_is_ready(self) -> None:
        """There is nothing to wait for."""
        self.assertEqual(self.start().pending_sources(), [])


class StopTests(RegistryTestCase):
    """The end of all loops."""

    def assert_stops(self, registry: Registry) -> None:
        self.successResultOf(registry.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_left_behind(self) -> None:
        """Neither by a source that waits nor by one whose refresh is under way."""
        waiting: Deferred[Delivery] = Deferred()
        registry = self.start(
            ScriptedSource([delivery_of("a:1")]), ScriptedSource([waiting], name="slow")
        )
        self.assert_stops(registry)
        self.assertEqual([name for name, _, _ in self.refreshed], ["vms"])

    def test_stop_while_a_delivery_is_taken_in(self) -> None:
        """Rendering, which goes in slices, ends too."""
        registry = make_registry(self.clock, ScriptedSource([delivery_of("a:1", "b:2")]))
        registry.start()
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        self.assert_stops(registry)
        self.assertEqual(self.ids(registry), [])

    def test_stop_before_start(self) -> None:
        """Possible where another service failed to start."""
        self.assert_stops(make_registry(self.clock, ScriptedSource([delivery_of("a:1")])))


class WarningTests(RegistryTestCase):
    """What operators are told of a delivery."""

    def warnings(self, *deliveries: Delivery) -> list[dict[str, Any]]:
        """The warnings of a refresh of each, from a source of its own."""
        sources: list[ScriptedSource] = [
            ScriptedSource([delivery], name=f"s{i}") for i, delivery in enumerate(deliveries)
        ]
        with capturedLogs() as events:
            self.start(*sources)
            self.advance(60)
        return [event for event in events if event["log_level"] is LogLevel.warn]

    def test_each_dropped_thing_is_named_once(self) -> None:
        """With its reason; an unchanged delivery does not warn again."""
        (event,) = self.warnings(Delivery((), (Dropped("label 'a-b' of group 1", "label_name"),)))
        self.assertEqual((event["what"], event["reason"]), ("label 'a-b' of group 1", "label_name"))

    def test_dropped_thing_is_not_named_with_every_change(self) -> None:
        """Only what was not dropped before."""
        first, second = Dropped("label 'a'", "label_name"), Dropped("label 'b'", "label_name")
        source = ScriptedSource(
            [
                Delivery((), (first,)),
                Delivery((), (first, second)),
                Delivery((make_target("a:1", "s"),), (first, second)),
            ],
            name="s",
        )
        with capturedLogs() as events:
            self.start(source)
            self.advance(200)
        warned = [event["what"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(warned, ["label 'a'", "label 'b'"])

    def test_many_dropped_things_are_not_all_named(self) -> None:
        """The log is not flooded."""
        dropped = tuple(Dropped(f"label {i}", "label_name") for i in range(1000))
        self.assertEqual(len(self.warnings(Delivery((), dropped))), MOST_WARNINGS)

    def test_duplicate_ids_are_counted(self) -> None:
        """The first source's target is the one that is served."""
        twin = delivery_of("a:1", source="x")
        (event,) = self.warnings(twin, delivery_of("a:1", "b:2", source="x"))
        self.assertEqual((event["count"], event["examples"]), (1, ["x/a:1"]))

    def test_equal_instances_are_named(self) -> None:
        """Both targets are kept."""
        one = Delivery((make_target("a:1", "x", instance="same"),))
        two = Delivery((make_target("b:2", "y", instance="same"),))
        (event,) = self.warnings(one, two)
        self.assertEqual((event["count"], event["examples"]), (1, ["same"]))


class RestoreTests(RegistryTestCase):
    """Targets that were saved before a restart."""

    def restored(self, *sources: ScriptedSource) -> Registry:
        registry = make_registry(self.clock, *sources)
        registry.restore(sources[0].name, delivery_of("a:1", source=sources[0].name), 5.0)
        return registry

    def test_they_count_as_a_delivery(self) -> None:
        """Before anything was asked; for this source only."""
        registry = self.restored(ScriptedSource([BROKEN]), ScriptedSource([BROKEN], name="other"))
        self.assertEqual(self.ids(registry), ["vms/a:1"])
        self.assertIn(b"/singleTargetMetrics/vms/a:1", registry.snapshot.entries()[0])
        self.assertEqual(
            (registry.pending_sources(), registry.pending_sources("vms")), (["other"], [])
        )
        self.assertEqual(registry.states["vms"].last_success, 5.0)

    def test_failures_leave_them(self) -> None:
        """However long the source is away."""
        registry = self.restored(ScriptedSource([BROKEN]))
        registry.start()
        self.advance(600)
        self.assertEqual(self.ids(registry), ["vms/a:1"])
        self.assertEqual(
            (registry.pending_sources(), registry.states["vms"].is_restored), ([], True)
        )

    def test_first_delivery_takes_their_place(self) -> None:
        """From then on it is as if they had never been."""
        registry = self.restored(ScriptedSource([delivery_of("b:2")]))
        registry.start()
        settle(self.clock)
        self.assertEqual(self.ids(registry), ["vms/b:2"])
        self.assertFalse(registry.states["vms"].is_restored)

    def test_source_that_takes_them_up(self) -> None:
        """It is told before it is asked, and what it finds unchanged is rendered once only."""

        class TakesUp(ScriptedSource):
            def restore(self, delivery: Delivery) -> None:
                self.steps = [delivery]

        registry = self.restored(TakesUp([BROKEN]))
        snapshot = registry.snapshot
        registry.start()
        settle(self.clock)
        self.assertIs(registry.snapshot, snapshot)
        self.assertFalse(registry.states["vms"].is_restored)


class ProfilesTests(RegistryTestCase):
    """Which profiles a source's targets are reached by: those that came with its settings."""

    def setUp(self) -> None:
        super().setUp()
        self.before, self.after = FakeProfiles(), FakeProfiles()
        self.source = ScriptedSource([delivery_of("a:1")])
        self.registry = self.start(self.source, profiles=self.before)

    def go_on(self, *sources: ScriptedSource, profiles: FakeProfiles | None = None) -> None:
        self.registry.set_sources(sources, lambda target: b"", profiles or self.after)
        settle(self.clock)

    def profiles(self) -> object:
        return self.registry.snapshot.listings["vms"].profiles

    def test_unchanged_source_has_new_ones_at_once(self) -> None:
        """Such as a renewed password."""
        self.go_on(self.source)
        self.assertIs(self.profiles(), self.after)
        self.assertTrue(self.registry.is_current("vms"))

    def test_unchanged_profiles_leave_the_snapshot_as_it_is(self) -> None:
        snapshot = self.registry.snapshot
        self.go_on(self.source, profiles=self.before)
        self.assertIs(self.registry.snapshot, snapshot)

    def test_targets_of_former_settings_keep_theirs(self) -> None:
        """Until the changed source delivers, however often it fails or others change."""
        late: Deferred[Delivery] = Deferred()
        changed = ScriptedSource([BROKEN, late])
        self.go_on(changed)
        self.go_on(changed, profiles=FakeProfiles())
        self.advance(60)
        self.assertIs(self.profiles(), self.before)
        self.assertFalse(self.registry.is_current("vms"))
        self.go_on(changed)
        late.callback(delivery_of("a:1"))
        settle(self.clock)
        self.assertIs(self.profiles(), self.after)
        self.assertTrue(self.registry.is_current("vms"))

    def test_what_a_replaced_source_delivers_is_dropped(self) -> None:
        """Though it takes no notice of being cancelled."""
        stubborn: Deferred[Delivery] = Deferred(lambda d: d.callback(delivery_of("late:1")))
        replaced = ScriptedSource([delivery_of("a:1"), stubborn])
        self.registry = self.start(replaced, profiles=self.before)
        self.advance(60)
        self.go_on(ScriptedSource([BROKEN]))
        self.assertEqual(self.ids(self.registry), ["vms/a:1"])

    def test_same_delivery_of_a_changed_source(self) -> None:
        """Such as that of no targets."""
        (delivery,) = self.source.steps
        assert isinstance(delivery, Delivery)
        self.go_on(ScriptedSource([delivery]))
        self.assertIs(self.profiles(), self.after)
        self.assertTrue(self.registry.is_current("vms"))
