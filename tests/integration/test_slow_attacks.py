"""Thousands of callers that are as slow as they may be, made by slowhttptest."""

from __future__ import annotations

import json
import re
import subprocess
import time

from attrs import frozen

from tests.integration.case import PeersTestCase
from tests.integration.peers import Peer, Prometheus, eventually, need, prometheus

CONNECTIONS = 1000
SECONDS = 12
_NO_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@frozen
class Attack:
    """A mode of slowhttptest, which has so many connections at a time."""

    options: tuple[str, ...]
    path: str

    def start(self, proxy: Peer) -> subprocess.Popen[str]:
        """Run it; what it prints is its report."""
        common = [
            "-c",
            CONNECTIONS,
            "-r",
            CONNECTIONS / 2,
            "-l",
            SECONDS,
            "-i",
            1,
            "-p",
            5,
            "-v",
            1,
        ]
        command = [need("slowhttptest", "slowhttptest"), *self.options, *map(str, common)]
        return subprocess.Popen(
            [*command, "-u", f"http://{proxy.address}{self.path}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


ATTACKS = (
    Attack(("-H",), "/"),
    Attack(("-B", "-s", "1000"), "/poll"),
    # Of a document of some megabytes, read in pieces of 32 bytes.
    Attack(("-X", "-w", "32", "-y", "64", "-n", "1", "-z", "32", "-k", "3"), "/discovery"),
)


class SlowAttacksTests(PeersTestCase):
    def test_prometheus_notices_nothing(self) -> None:
        """Slow heads, slow bodies and slow readers at a time: every scrape succeeds."""
        need("slowhttptest", "slowhttptest")
        exporters = self.start_exporters(2)
        self.list_targets(*exporters)
        many = [{"targets": [f"10.0.{n >> 8}.{n & 255}:9100" for n in range(20_000)]}]
        (self.folder / "many.json").write_text(json.dumps(many))
        proxy = self.start_promproxy(
            "{name: many, files: {paths: [many.json]}}", "{name: nat, pushprox: {startup_hold: 0s}}"
        )
        self.await_ready(proxy)
        server = self.start_prometheus_of(proxy)
        names = dict.fromkeys((exporter.address for exporter in exporters), 1.0)
        eventually(lambda: self.assertEqual(server.query("up"), names))

        began = time.time()
        attacks = [attack.start(proxy) for attack in ATTACKS]
        for attack in attacks:
            self.addCleanup(attack.kill)
        reports = [_NO_COLOUR.sub("", attack.communicate(timeout=60)[0]) for attack in attacks]
        seconds = int(time.time() - began)
        self.assertEqual(server.query(f"min_over_time(up[{seconds}s])"), names)
        counts = server.query(f"count_over_time(up[{seconds}s])")
        self.assertGreater(min(counts.values()), seconds / 2 - 2, counts)
        for report in reports:
            statuses = report.split("slow HTTP test status")[1:]
            most = max(
                int(count) for s in statuses for count in re.findall(r"connected: +(\d+)", s)
            )
            self.assertGreater(most, CONNECTIONS * 0.9, report)
            self.assertNotIn("service available:   NO", report)
        self.assertNotIn("Traceback", proxy.output)

    def start_prometheus_of(self, proxy: Peer) -> Prometheus:
        """It scrapes the few targets that there are, every two seconds."""
        url = f"http://{proxy.address}/discovery?source=vms"
        server = prometheus(self.folder, url, self.folder / "none.json")
        path = self.folder / "prometheus.yml"
        config = json.loads(path.read_text())
        config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s"}
        path.write_text(json.dumps(config))
        self.start(server)
        return server
