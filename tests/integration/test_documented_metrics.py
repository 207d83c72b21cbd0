"""The metrics of a running daemon, beside what docs/metrics.md says of them."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred

from tests.docs.metrics_reference import reference
from tests.integration.support import SocketTestCase, pause, sends

OURS = ("promproxy_", "pushprox_", "pushproxy_")
OF_OTHERS = ("promproxy_sync_",)  # not the daemon's
ONLY_WITH_TLS = ("promproxy_tls_",)  # see tests.daemon.test_inbound
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n"
MORE = """
state_dir: state
merged: {}
"""


def metrics_of(exposition: str) -> dict[str, Metric]:
    """Ours, by name, without the moments of creation that the client library adds."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(exposition)
        if family.name.startswith(OURS) and not family.name.endswith("_created")
    }


class DocumentedMetricsTests(SocketTestCase):
    def test_the_reference_is_true(self) -> Deferred[None]:
        """Names, types and labels; nothing is missing, and nothing is made up."""
        return self.run_case(self._compare())

    async def _compare(self) -> None:
        upstream = await self.upstream(sends(ANSWER))
        self.targets(upstream.address, **{"bad label": "x"})
        await self.daemon(
            more_sources=", {name: nat, pushprox: {}}, {name: idle, files: {paths: [none.json]}}",
            more=MORE,
        )
        await self.scrape(upstream)
        await self.get("/mergedMetrics?source=vms", "X-Prometheus-Scrape-Timeout-Seconds: 1")
        await self.get("http://unknown.example:9100/metrics")
        await self.get("/push", "Content-Length: 0", method="POST")
        while b"promproxy_file_writes_total{" not in (answer := await self.get("/metrics")):
            await pause()
        found = metrics_of(answer.partition(b"\r\n\r\n")[2].decode())
        expected = {
            n: m for n, m in reference().items() if not n.startswith((*OF_OTHERS, *ONLY_WITH_TLS))
        }
        self.assertEqual(set(found), set(expected))
        for name, metric in expected.items():
            family = found[name]
            self.assertEqual(family.type, metric.kind, name)
            labels = {frozenset(sample.labels) - {"le", "quantile"} for sample in family.samples}
            if labels:  # some wait for something that does not happen here
                self.assertEqual(labels, {metric.labels}, name)
        without = {name for name in expected if not found[name].samples}
        self.assertEqual(without, {"promproxy_source_left_out", "promproxy_requests_refused_total"})
