"""Tests of promproxy.metrics."""

from __future__ import annotations

import re

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy import __version__
from promproxy.errors import SourceError
from promproxy.metrics import Metrics
from promproxy.server.connections import Connections
from promproxy.targets.target import Delivery, Dropped, LeftOut
from tests.fakes import ScriptedSource, delivery_of, make_registry, make_target, settle


class MetricsTestCase(SynchronousTestCase):
    """Metrics of nobody else."""

    def setUp(self) -> None:
        self.metrics = Metrics()

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"promproxy_{name}", labels)


class ConnectionsTests(MetricsTestCase):
    def test_connections_of_callers(self) -> None:
        """How many there are, and how many had to go."""
        connections = Connections(2)
        self.metrics.watch_connections(connections)
        self.assertEqual(self.value("connections"), 0)
        self.assertEqual(self.value("connections_closed_early_total"), 0)


class CountingTests(MetricsTestCase):
    """What is counted as it happens."""

    def test_scrapes_by_source_and_outcome(self) -> None:
        """Time and bytes by source alone."""
        for outcome, seconds, size in (("success", 0.2, 10), ("success", 3, 5), ("timeout", 9, 1)):
            self.metrics.scraped("vms", outcome, seconds, size)
        self.metrics.scraped("nat", "success", 0, 7)
        self.assertEqual(self.value("scrapes_total", source="vms", outcome="success"), 2)
        self.assertEqual(self.value("scrapes_total", source="vms", outcome="timeout"), 1)
        self.assertEqual(self.value("scrape_duration_seconds_count", source="vms"), 3)
        self.assertEqual(self.value("scrape_duration_seconds_bucket", source="vms", le="0.25"), 1)
        self.assertEqual(self.value("scrape_body_bytes_total", source="vms"), 16)
        self.assertEqual(self.value("scrape_body_bytes_total", source="nat"), 7)

    def test_refreshes_by_source_and_outcome(self) -> None:
        """The time that they took."""
        self.metrics.refreshed("vms", 2, True)
        self.metrics.refreshed("vms", 1, False)
        self.assertEqual(self.value("source_refreshes_total", source="vms", outcome="success"), 1)
        self.assertEqual(self.value("source_refreshes_total", source="vms", outcome="failure"), 1)
        self.assertEqual(self.value("source_refresh_duration_seconds_sum", source="vms"), 3)

    def test_two_daemons_in_a_process_share_nothing(self) -> None:
        """The collector registry is not the global one."""
        other = Metrics()
        self.metrics.in_flight.inc()
        self.assertEqual(self.value("scrapes_in_flight"), 1)
        self.assertEqual(other.registry.get_sample_value("promproxy_scrapes_in_flight"), 0)


class RegistryMetricsTests(MetricsTestCase):
    """What the target registry holds when the metrics are asked for."""

    def setUp(self) -> None:
        super().setUp()
        clock = Clock()
        clock.advance(1000)
        odd = Delivery(
            (make_target("a:1"), make_target("b:1", instance="a:1"), make_target("a:1")),
            (Dropped("x", "label_name"), Dropped("y", "label_name"), Dropped("z", "label_job")),
            (LeftOut("app", "stopped"),),
        )
        registry = make_registry(
            clock,
            ScriptedSource([odd, SourceError("x")]),
            ScriptedSource([delivery_of("c:1", source="quick")], name="quick"),
            ScriptedSource([Deferred()], name="slow"),
        )
        registry.start()
        settle(clock)
        clock.advance(60)
        settle(clock)
        self.metrics.watch(lambda: registry.snapshot, lambda: registry.states)

    def test_targets_of_the_last_good_refresh(self) -> None:
        """None for a source that has not delivered, which is not the same as 0."""
        self.assertEqual(self.value("source_targets", source="vms"), 3)
        self.assertEqual(self.value("source_targets", source="quick"), 1)
        self.assertIsNone(self.value("source_targets", source="slow"))

    def test_what_was_left_out_by_reason(self) -> None:
        """What is bad, and what is fine but no target."""
        self.assertEqual(self.value("source_dropped", source="vms", reason="label_name"), 2)
        self.assertEqual(self.value("source_dropped", source="vms", reason="label_job"), 1)
        self.assertEqual(self.value("source_left_out", source="vms", reason="stopped"), 1)

    def test_health_of_each_source(self) -> None:
        """When it last delivered, and whether its last refresh did."""
        name = "source_last_success_timestamp_seconds"
        self.assertEqual(self.value(name, source="vms"), 1000)
        self.assertEqual(self.value(name, source="quick"), 1060)
        self.assertIsNone(self.value(name, source="slow"))
        name = "source_last_refresh_successful"
        healthy = [self.value(name, source=source) for source in ("vms", "quick", "slow")]
        self.assertEqual(healthy, [0, 1, 0])

    def test_duplicates(self) -> None:
        """Of ids, which are not served, and of instances, which are."""
        self.assertEqual(self.value("duplicate_ids"), 1)
        self.assertEqual(self.value("duplicate_instances"), 1)


class ExpositionTests(MetricsTestCase):
    """The text of all of it."""

    def test_build_process_and_garbage_collector(self) -> None:
        """As every exporter has them."""
        families = {family.name: family for family in self.families()}
        (build,) = families["promproxy_build_info"].samples
        self.assertEqual(build.labels["version"], __version__)
        for name in ("process_open_fds", "python_gc_collections"):
            self.assertIn(name, families)

    def test_names_follow_the_conventions(self) -> None:
        """Base units, counters end in _total, each has a help text."""
        self.metrics.scraped("vms", "success", 1, 1)
        for family in self.families():
            if family.name.startswith("promproxy_"):
                self.assertTrue(family.documentation.endswith("."), family.name)
                self.assertIsNone(re.search("milli|minutes|kilo|percent", family.name))

    def families(self) -> list:  # type: ignore[type-arg]
        text = generate_latest(self.metrics.registry).decode()
        return list(text_string_to_metric_families(text))
