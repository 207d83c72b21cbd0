"""Our own metrics, in a collector registry of their own. None has a label per target."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter as CountOf
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Protocol

from attrs import define, field
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
    Summary,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from twisted import __version__ as twisted_version

from promproxy import __version__
from promproxy.registry import SourceState
from promproxy.targets.snapshot import Snapshot

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BOUNDS = [*map(str, BUCKETS), "+Inf"]


@define(eq=False)
class _Counts:
    """Of one source. ``durations[i]`` counts those in ``BUCKETS[i]`` alone, the last all others."""

    outcomes: dict[str, int] = field(factory=dict)
    durations: list[int] = field(factory=lambda: [0] * len(_BOUNDS))
    seconds: float = 0.0
    size: int = 0


@define(eq=False)
class ScrapeMetrics(Collector):
    """How scrapes ended, by source, counted by plain additions.

    The counters of prometheus_client take a lock for each addition, and a scrape makes four:
    together a twentieth of its cost. All scrapes end in the reactor's thread, so none is needed.
    """

    _sources: dict[str, _Counts] = field(factory=dict, init=False)

    def add(self, source: str, outcome: str, seconds: float, size: int) -> None:
        """A scrape has ended; ``size`` is how many bytes of its body were passed on."""
        counts = self._sources.get(source)
        if counts is None:
            counts = self._sources[source] = _Counts()
        counts.outcomes[outcome] = counts.outcomes.get(outcome, 0) + 1
        counts.durations[bisect_left(BUCKETS, seconds)] += 1
        counts.seconds += seconds
        counts.size += size

    def collect(self) -> Iterable[Metric]:
        scrapes = CounterMetricFamily(
            "promproxy_scrapes",
            "Scrapes by the target's source and by how they ended.",
            labels=("source", "outcome"),
        )
        durations = HistogramMetricFamily(
            "promproxy_scrape_duration_seconds",
            "Time from a scrape's request to the end of its answer.",
            labels=("source",),
        )
        sizes = CounterMetricFamily(
            "promproxy_scrape_body_bytes",
            "Bytes of bodies passed on from targets.",
            labels=("source",),
        )
        for source, counts in self._sources.items():
            for outcome, count in counts.outcomes.items():
                scrapes.add_metric([source, outcome], count)
            buckets = list(zip(_BOUNDS, accumulate(counts.durations), strict=True))
            durations.add_metric([source], buckets, counts.seconds)
            sizes.add_metric([source], counts.size)
        return [scrapes, durations, sizes]


@define(eq=False)
class Metrics:
    """What promproxy counts of itself."""

    registry: CollectorRegistry = field(factory=CollectorRegistry)
    in_flight: Gauge = field(init=False)
    _scrapes: ScrapeMetrics = field(factory=ScrapeMetrics, init=False)
    _refreshes: Counter = field(init=False)
    _refresh_durations: Summary = field(init=False)
    _reload_succeeded: Gauge = field(init=False)
    _reload_moment: Gauge = field(init=False)
    _web_reload_succeeded: Gauge = field(init=False)
    _web_reload_moment: Gauge = field(init=False)
    _certificate_not_after: Gauge | None = field(default=None, init=False)
    _file_writes: Counter = field(init=False)
    _file_succeeded: Gauge = field(init=False)

    def __attrs_post_init__(self) -> None:
        registry = self.registry
        self.in_flight = Gauge(
            "promproxy_scrapes_in_flight", "Scrapes being answered now.", registry=registry
        )
        registry.register(self._scrapes)
        self._refreshes = Counter(
            "promproxy_source_refreshes_total",
            "Refreshes of a source by outcome.",
            ("source", "outcome"),
            registry=registry,
        )
        self._refresh_durations = Summary(
            "promproxy_source_refresh_duration_seconds",
            "Time that refreshes of a source took.",
            ("source",),
            registry=registry,
        )
        self._reload_succeeded = Gauge(
            "promproxy_config_last_reload_successful",
            "Whether the last attempt to read the configuration succeeded.",
            registry=registry,
        )
        self._reload_moment = Gauge(
            "promproxy_config_last_reload_success_timestamp_seconds",
            "When the configuration was last read with success.",
            registry=registry,
        )
        self._file_writes = Counter(
            "promproxy_file_writes_total",
            "Writes of files that follow the targets: saved state and file_sd.",
            ("file", "outcome"),
            registry=registry,
        )
        self._file_succeeded = Gauge(
            "promproxy_file_last_write_successful",
            "Whether the last write of such a file succeeded.",
            ("file",),
            registry=registry,
        )
        self._web_reload_succeeded = Gauge(
            "promproxy_web_config_last_reload_successful",
            "Whether the last attempt to read the web configuration file succeeded.",
            registry=registry,
        )
        self._web_reload_moment = Gauge(
            "promproxy_web_config_last_reload_success_timestamp_seconds",
            "When the web configuration file was last read with success.",
            registry=registry,
        )
        build = Gauge(
            "promproxy_build_info",
            "Always 1; what this promproxy is made of.",
            ("version", "pythonversion", "twistedversion"),
            registry=registry,
        )
        build.labels(__version__, platform.python_version(), twisted_version).set(1)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def scraped(self, source: str, outcome: str, seconds: float, size: int) -> None:
        """Count a scrape that has ended."""
        self._scrapes.add(source, outcome, seconds, size)

    def refreshed(self, source: str, seconds: float, succeeded: bool) -> None:
        """Count a refresh that has ended."""
        self._refreshes.labels(source, "success" if succeeded else "failure").inc()
        self._refresh_durations.labels(source).observe(seconds)

    def file_written(self, file: str, succeeded: bool) -> None:
        """Count a write of a file of this name."""
        self._file_writes.labels(file, "success" if succeeded else "failure").inc()
        self._file_succeeded.labels(file).set(succeeded)

    def watch_connections(self, connections: Connections) -> None:
        """Report the connections that callers have."""
        self.registry.register(_ConnectionsCollector(connections))

    def watch_refused(self, refused: Mapping[str, int]) -> None:
        """Report the requests that were refused for who asked, by reason."""
        self.registry.register(_RefusedCollector(refused))

    def certificate_ends(self, timestamp: float) -> None:
        """Report when the certificate that callers see ends."""
        if self._certificate_not_after is None:
            self._certificate_not_after = Gauge(
                "promproxy_tls_certificate_not_after_timestamp_seconds",
                "When the certificate that callers see ends.",
                registry=self.registry,
            )
        self._certificate_not_after.set(timestamp)

    def web_file_read(self, succeeded: bool, timestamp: float = 0.0) -> None:
        """The same of the web configuration file."""
        self._web_reload_succeeded.set(succeeded)
        if succeeded:
            self._web_reload_moment.set(timestamp)

    def reloaded(self, succeeded: bool, timestamp: float = 0.0) -> None:
        """The configuration was read, or could not be; ``timestamp`` is when it was."""
        self._reload_succeeded.set(succeeded)
        if succeeded:
            self._reload_moment.set(timestamp)

    def watch(
        self, snapshot: Callable[[], Snapshot], states: Callable[[], Mapping[str, SourceState]]
    ) -> None:
        """Report what the registry holds whenever the metrics are asked for."""
        self.registry.register(_RegistryCollector(snapshot, states))


@define(eq=False)
class _RegistryCollector(Collector):
    """The registry's state as gauges."""

    _snapshot: Callable[[], Snapshot]
    _states: Callable[[], Mapping[str, SourceState]]

    def collect(self) -> Iterable[Metric]:
        snapshot, states = self._snapshot(), self._states()
        targets = _gauge("source_targets", "Targets of a source's last good refresh.", "source")
        remarks = _gauge(
            "source_remark",
            "1 for a part of a source that yields nothing: an unreadable file, an idle rule.",
            "source",
            "kind",
            "what",
        )
        dropped = _gauge(
            "source_dropped",
            "Bad targets and labels dropped from a source's last good refresh.",
            "source",
            "reason",
        )
        left_out = _gauge(
            "source_left_out",
            "Apps left out of a source's last good refresh, by reason.",
            "source",
            "reason",
        )
        for name, listing in snapshot.listings.items():
            targets.add_metric([name], len(listing.delivery.targets))
            for kind, what in {(r.kind, r.what): None for r in listing.delivery.remarks}:
                remarks.add_metric([name, kind, what], 1)
            for gauge, things in (
                (dropped, listing.delivery.dropped),
                (left_out, listing.delivery.left_out),
            ):
                for reason, count in CountOf(thing.reason for thing in things).items():
                    gauge.add_metric([name, reason], count)
        success = _gauge(
            "source_last_success_timestamp_seconds", "When a source last delivered.", "source"
        )
        healthy = _gauge(
            "source_last_refresh_successful", "Whether a source's last refresh succeeded.", "source"
        )
        restored = _gauge(
            "source_restored",
            "Whether a source's targets were saved before a restart.",
            "source",
        )
        for name, state in states.items():
            restored.add_metric([name], state.is_restored)
            if state.last_success is not None:
                success.add_metric([name], state.last_success)
            healthy.add_metric([name], state.has_delivered and not state.failures)
        same_id = _gauge("duplicate_ids", "Targets not served since another has their id.")
        same_id.add_metric([], snapshot.shadowed_count())
        same_instance = _gauge("duplicate_instances", "Instance labels that several targets have.")
        same_instance.add_metric([], len(snapshot.duplicate_instances()))
        of_deliveries = [targets, remarks, dropped, left_out]
        return [*of_deliveries, success, healthy, restored, same_id, same_instance]


class Connections(Protocol):
    """The connections of callers, as far as they are counted."""

    @property
    def evicted(self) -> int:
        """How many were closed to make room."""

    def __len__(self) -> int: ...


@define(eq=False)
class _ConnectionsCollector(Collector):
    _connections: Connections

    def collect(self) -> Iterable[Metric]:
        opened = _gauge("connections", "Connections that callers have open.")
        opened.add_metric([], len(self._connections))
        closed = CounterMetricFamily(
            "promproxy_connections_closed_early",
            "Connections of callers closed before their time to make room for others.",
        )
        closed.add_metric([], self._connections.evicted)
        return [opened, closed]


@define(eq=False)
class _RefusedCollector(Collector):
    _refused: Mapping[str, int]

    def collect(self) -> Iterable[Metric]:
        refused = CounterMetricFamily(
            "promproxy_requests_refused", "Requests refused for who asked.", labels=["reason"]
        )
        for reason, count in self._refused.items():
            refused.add_metric([reason], count)
        return [refused]


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"promproxy_{name}", documentation, labels=labels)
