"""Metrics of tunnels: PushProx's own, so that its dashboards go on, and what it lacks.

Source of names and labels: PushProx, cmd/proxy/main.go and cmd/proxy/coordinator.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from promproxy.tunnel.agent import TunnelAgent


@define(eq=False)
class TunnelMetrics(Collector):
    """Part of the own metrics while a pushprox source is configured."""

    _tunnel: TunnelAgent
    _requests: Counter = field(init=False)
    _durations: Histogram = field(init=False)
    _proxied: Counter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._requests = Counter(
            "pushprox_http_requests_total",
            "Requests of PushProx clients that were answered.",
            ("code", "path"),
            registry=None,
        )
        self._durations = Histogram(
            "pushprox_http_duration_seconds",
            "Time that answers to PushProx clients took.",
            ("path",),
            registry=None,
        )
        self._proxied = Counter(
            "pushproxy_proxied_requests_total",
            "Requests in absolute form, as of proxy_url, that were answered.",
            ("code",),
            registry=None,
        )
        for code, path in (("200", "/poll"), ("408", "/poll"), ("200", "/push"), ("500", "/push")):
            self._requests.labels(code, path)

    def answered(self, path: str, code: int, seconds: float) -> None:
        """A client has got its answer."""
        self._requests.labels(str(code), path).inc()
        self._durations.labels(path).observe(seconds)

    def proxied(self, code: int) -> None:
        """A request in absolute form was answered."""
        self._proxied.labels(str(code)).inc()

    def collect(self) -> Iterable[Metric]:
        tunnel = self._tunnel
        for name, text, value in (
            ("pushprox_clients", "Known PushProx clients.", len(tunnel.names())),
            ("promproxy_tunnel_polls_held", "Clients whose poll waits.", tunnel.held()),
            (
                "promproxy_tunnel_scrapes_waiting",
                "Scrapes that wait for their client to poll.",
                tunnel.waiting(),
            ),
        ):
            gauge = GaugeMetricFamily(name, text)
            gauge.add_metric([], value)
            yield gauge
        redelivered = CounterMetricFamily(
            "promproxy_tunnel_redelivered_scrapes",
            "Scrapes given to a poll whose connection was dead, and so to the next one.",
        )
        redelivered.add_metric([], tunnel.redelivered)
        yield redelivered
        for own in (self._requests, self._durations, self._proxied):
            yield from own.collect()

    def watch(self, registry: CollectorRegistry, is_wanted: bool) -> None:
        """Be part of a registry, or not any more."""
        is_there = self in registry._collector_to_names  # it has no public way to ask
        if is_wanted and not is_there:
            registry.register(self)
        elif is_there and not is_wanted:
            registry.unregister(self)
