"""The metrics of a file that follows a document.

Each has the file as a label, since node_exporter puts the metrics of all text files together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from attrs import define, field
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_PREFIX = "promproxy_sync_"
_LAST_SUCCESS = f"{_PREFIX}last_success_timestamp_seconds"


@define(kw_only=True, eq=False)
class Figures(Collector):
    """The state of the file, for metrics.

    ``attempts`` counts by outcome; None where each attempt is a process of its own.
    """

    file: str
    attempts: Counter[str] | None = field(factory=Counter)
    succeeded: bool | None = None
    seconds: float = 0.0
    last_success: float | None = None
    targets: int | None = None

    def collect(self) -> Iterable[Metric]:
        if self.attempts is not None:
            attempts = CounterMetricFamily(
                f"{_PREFIX}attempts",
                "Attempts to fetch the document, by outcome.",
                labels=("file", "outcome"),
            )
            for outcome in ("written", "unchanged", "failure"):
                attempts.add_metric([self.file, outcome], self.attempts[outcome])
            yield attempts
        if self.succeeded is None:
            return
        yield self._gauge("last_attempt_successful", "Whether it succeeded.", self.succeeded)
        yield self._gauge("last_attempt_duration_seconds", "How long it took.", self.seconds)
        if self.last_success is not None:
            help_text = "When the file was last known to say what the server says."
            yield self._gauge("last_success_timestamp_seconds", help_text, self.last_success)
        if self.targets is not None:
            yield self._gauge("targets", "Targets that the file lists.", self.targets)

    def _gauge(self, name: str, help_text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"{_PREFIX}{name}", help_text, labels=("file",))
        family.add_metric([self.file], value)
        return family

    def as_text(self) -> bytes:
        """For the textfile collector of node_exporter."""
        registry = CollectorRegistry()
        registry.register(self)
        text: bytes = generate_latest(registry)
        return text

    def registry(self) -> CollectorRegistry:
        """For an endpoint of our own."""
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        return registry

    def recall(self, text: str) -> None:
        """Take over the last success from a former process's file, if it is readable."""
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == _LAST_SUCCESS and sample.labels == {"file": self.file}:
                        self.last_success = float(sample.value)
        except ValueError:
            return
