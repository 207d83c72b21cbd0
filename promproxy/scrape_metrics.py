"""How scrapes ended, counted by plain additions.

The counters of prometheus_client take a lock for each addition, and a scrape makes four: together a
twentieth of its cost. All scrapes end in the reactor's thread, so none is needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from attrs import define, field
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

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
    """The scrapes of all sources."""

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
        """See `prometheus_client.registry.Collector`."""
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
