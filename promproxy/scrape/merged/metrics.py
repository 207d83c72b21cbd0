"""What merged scrapes count of themselves."""

from __future__ import annotations

from attrs import define, field
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from promproxy.exposition.rewrite import Block


@define(eq=False)
class MergedMetrics:
    """In the registry only where merged scrapes are configured."""

    registry: CollectorRegistry
    _requests: Counter = field(init=False)
    _duration: Summary = field(init=False)
    _targets: Counter = field(init=False)
    _bytes: Counter = field(init=False)
    _collisions: Counter = field(init=False)
    _duplicates: Gauge = field(init=False)

    def __attrs_post_init__(self) -> None:
        registry = self.registry
        self._requests = Counter(
            "promproxy_merged_requests_total",
            "Merged scrapes by how they ended.",
            ("outcome",),
            registry=registry,
        )
        self._duration = Summary(
            "promproxy_merged_duration_seconds",
            "Time from a merged scrape's request to the end of its answer.",
            registry=registry,
        )
        self._targets = Counter(
            "promproxy_merged_targets_total",
            "Targets of merged scrapes by how their own scrape ended.",
            ("outcome",),
            registry=registry,
        )
        self._bytes = Counter(
            "promproxy_merged_bytes_total",
            "Bytes of merged scrapes: of targets' bodies, decoded; with labels; as sent.",
            ("stage",),
            registry=registry,
        )
        self._collisions = Counter(
            "promproxy_merged_label_collisions_total",
            "Series of targets with a label of the same name as one of ours.",
            registry=registry,
        )
        self._duplicates = Gauge(
            "promproxy_merged_duplicate_targets",
            "Targets left out of the last merged scrape, since another one has their labels.",
            registry=registry,
        )

    def target(self, outcome: str, size: int, block: Block) -> None:
        """A target's scrape ended; ``size`` is that of its body, decoded."""
        self._targets.labels(outcome).inc()
        self._bytes.labels("body").inc(size)
        self._bytes.labels("labelled").inc(len(block.text))
        self._collisions.inc(block.collisions)

    def request(self, outcome: str, seconds: float, sent: int, duplicates: int) -> None:
        self._requests.labels(outcome).inc()
        self._duration.observe(seconds)
        self._bytes.labels("sent").inc(sent)
        self._duplicates.set(duplicates)

    def refused(self, outcome: str) -> None:
        """A merged scrape was refused before it began."""
        self._requests.labels(outcome).inc()
