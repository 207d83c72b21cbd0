"""What a scrape of a real exporter through the daemon is like, beside one without."""

from __future__ import annotations

import gzip
import subprocess

from tests.integration.case import PeersTestCase
from tests.integration.peers import HOST, Peer, eventually, need

# What the exporter tells of its own memory and connections depends on who asks, and how: a kept
# connection has other buffers than a new one.
ABOUT_THE_PROCESS = (b"go_", b"process_", b"promhttp_")


def names(exposition: bytes) -> list[bytes]:
    """Its lines without the values of the samples."""
    lines = exposition.splitlines()
    return [line if line.startswith(b"#") else line.rpartition(b" ")[0] for line in lines]


class ExpositionTests(PeersTestCase):
    """What a scrape through promproxy is like, beside one without."""

    def start_both(self) -> tuple[Peer, Peer, str]:
        """An exporter, promproxy, and the exporter's path there."""
        (exporter,) = self.start_exporters(1)
        self.list_targets(exporter)
        proxy = self.start_promproxy()
        self.await_ready(proxy)
        return exporter, proxy, f"/singleTargetMetrics/vms/{exporter.address}"

    def test_differs_only_in_values_that_change_by_themselves(self) -> None:
        """The series, the help and type lines and all values that stay are the exporter's."""
        exporter, proxy, path = self.start_both()

        def check() -> None:
            direct = exporter.get("/metrics").body
            proxied = proxy.get(path).body
            later = exporter.get("/metrics").body
            self.assertEqual(names(proxied), names(direct))
            self.assertEqual(names(later), names(direct))
            lines = zip(*(body.splitlines() for body in (direct, proxied, later)), strict=True)
            stayed = [
                (line, through)
                for line, through, after in lines
                if line == after and not line.startswith(ABOUT_THE_PROCESS)
            ]
            self.assertGreater(len(stayed), 100)
            self.assertEqual([through for _, through in stayed], [line for line, _ in stayed])

        # Tried again since a gauge may change and change back in between.
        eventually(check)

    def test_format_is_the_one_that_the_caller_accepts(self) -> None:
        """The exporter sees our caller's Accept, and its own content type comes back."""
        exporter, proxy, path = self.start_both()
        types = set()
        for accept in (
            "text/plain;version=0.0.4",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
            "encoding=delimited",
        ):
            direct = exporter.get("/metrics", Accept=accept)
            proxied = proxy.get(path, Accept=accept)
            self.assertEqual(proxied.headers["Content-Type"], direct.headers["Content-Type"])
            types.add(proxied.headers["Content-Type"])
        self.assertEqual(len(types), 2)

    def test_gzip_is_the_exporters_own(self) -> None:
        """Compressed bytes pass as they are: their head tells who compressed them."""
        exporter, proxy, path = self.start_both()
        direct = exporter.get("/metrics", Accept_Encoding="gzip")
        proxied = proxy.get(path, Accept_Encoding="gzip")
        self.assertEqual(proxied.status, 200)
        self.assertEqual(proxied.headers["Content-Encoding"], "gzip")
        gzip_head = slice(0, 10)  # RFC 1952, section 2.3
        self.assertEqual(proxied.body[gzip_head], direct.body[gzip_head])
        plain = exporter.get("/metrics").body
        self.assertEqual(names(gzip.decompress(proxied.body)), names(plain))

    def test_promtool_has_nothing_to_say_of_our_own_metrics(self) -> None:
        """After scrapes and refreshes of every outcome, so that all metrics have values."""
        promtool = need("promtool", "prometheus")
        (exporter,) = self.start_exporters(1)
        addresses = [exporter.address, f"{HOST}:1", "no address"]
        document = self.serve([{"targets": addresses, "labels": {"bad-name": ""}}])
        broken = self.serve([])
        broken.status = 500
        self.list_targets(exporter)
        proxy = self.start_promproxy(document.source("odd"), broken.source("broken"))

        def delivered() -> None:
            self.assertEqual(proxy.get("/discovery?source=vms").status, 200)
            self.assertEqual(proxy.get("/discovery?source=odd").status, 200)

        eventually(delivered)
        for target, status in (
            (f"vms/{exporter.address}", 200),
            (f"odd/{HOST}:1", 502),
            ("vms/unknown", 503),
        ):
            answer = proxy.get(f"/singleTargetMetrics/{target}")
            self.assertEqual(answer.status, status, answer.body)
        body = proxy.get("/metrics").body
        self.assertIn(b"promproxy_source_dropped{", body)
        done = subprocess.run(
            [promtool, "check", "metrics"], input=body, capture_output=True, timeout=20
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
