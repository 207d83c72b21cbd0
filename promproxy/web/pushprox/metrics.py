"""Metrics of tunnels: PushProx's own, so that its dashboards still work, and further ones.

Source of names and labels: PushProx, cmd/proxy/main.go and cmd/proxy/coordinator.go.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from attrs import define, field
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from promproxy.tunnel.agent import TunnelAgent

#: Seconds; those of Go's client library, and so of PushProx.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS = [*(floatToGoString(bound) for bound in BUCKETS), "+Inf"]


@define
class _Durations:
    """``counts`` is by bucket, the last one without a bound."""

    counts: list[int] = field(factory=lambda: [0] * len(_BOUNDS))
    seconds: float = 0.0


@define(eq=False)
class TunnelMetrics(Collector):
    """Part of the own metrics while a pushprox source is configured."""

    _tunnel: TunnelAgent
    _requests: dict[tuple[str, int], int] = field(init=False)
    _durations: dict[str, _Durations] = field(factory=dict, init=False)
    _proxied: dict[int, int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        # Those that are there from the start, as with PushProx.
        shown = (("/poll", 200), ("/poll", 408), ("/push", 200), ("/push", 500))
        self._requests = dict.fromkeys(shown, 0)

    def answered(self, path: str, code: int, seconds: float) -> None:
        """A client has got its answer. Two of these per scrape, so they are plain additions."""
        self._requests[path, code] = self._requests.get((path, code), 0) + 1
        durations = self._durations.get(path)
        if durations is None:
            durations = self._durations[path] = _Durations()
        durations.counts[bisect_left(BUCKETS, seconds)] += 1
        durations.seconds += seconds

    def proxied(self, code: int) -> None:
        """A request in absolute form was answered."""
        self._proxied[code] = self._proxied.get(code, 0) + 1

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
        requests = CounterMetricFamily(
            "pushprox_http_requests",
            "Requests of PushProx clients that were answered.",
            labels=("code", "path"),
        )
        for (path, code), count in self._requests.items():
            requests.add_metric([str(code), path], count)
        yield requests
        durations = HistogramMetricFamily(
            "pushprox_http_duration_seconds",
            "Time that answers to PushProx clients took.",
            labels=("path",),
        )
        for path, one in self._durations.items():
            buckets = list(zip(_BOUNDS, accumulate(one.counts), strict=True))
            durations.add_metric([path], buckets, one.seconds)
        yield durations
        proxied = CounterMetricFamily(
            "pushproxy_proxied_requests",
            "Requests in absolute form, as of proxy_url, that were answered.",
            labels=("code",),
        )
        for code, count in self._proxied.items():
            proxied.add_metric([str(code)], count)
        yield proxied

    def watch(self, registry: CollectorRegistry, is_wanted: bool) -> None:
        """Be part of a registry, or not any more."""
        is_there = self in registry._collector_to_names  # it has no public way to ask
        if is_wanted and not is_there:
            registry.register(self)
        elif is_there and not is_wanted:
            registry.unregister(self)
