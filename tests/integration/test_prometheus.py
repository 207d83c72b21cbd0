"""A real Prometheus scrapes real exporters through the real daemon."""

from __future__ import annotations

from tests.integration.case import PeersTestCase
from tests.integration.peers import Peer, Prometheus, eventually


class TargetLost(Exception):
    """Prometheus has let go of a target, or lists one too many."""


class PrometheusTests(PeersTestCase):
    """What Prometheus shows of the targets behind promproxy."""

    def test_targets_come_and_go(self) -> None:
        """All are up with their own series, a stopped one is down for a 502, a new one appears."""
        first, second, third = self.start_exporters(3)
        self.list_targets(first, second)
        proxy = self.start_promproxy()
        self.await_ready(proxy)
        server = self.start_prometheus(proxy)

        eventually(lambda: self.assert_all_up(server, proxy, first, second))
        eventually(lambda: self.check_series(server, proxy, first, second))

        second.stop()
        eventually(lambda: self.check_is_down(server, second))

        self.list_targets(first, third)
        eventually(lambda: self.assertIn(third.address.encode(), proxy.get("/discovery").body))
        self.copy_discovery(proxy)
        eventually(lambda: self.assert_all_up(server, proxy, first, third))

    def check_series(self, server: Prometheus, proxy: Peer, *exporters: Peer) -> None:
        for job in server.JOBS:
            own = {exporter.address: exporter.port for exporter in exporters}
            self.assertEqual(server.query(f'which_exporter{{job="{job}"}}'), own)
            cpus = server.query(f'count by (instance) (node_cpu_seconds_total{{job="{job}"}})')
            self.assertEqual(cpus.keys(), own.keys())
            build = server.query(f'promproxy_build_info{{job="{job}"}}')
            self.assertEqual(build, {proxy.address: 1})

    def check_is_down(self, server: Prometheus, exporter: Peer) -> None:
        for job in server.JOBS:
            errors = {
                target["labels"]["instance"]: target["lastError"] for target in server.targets(job)
            }
            message = errors.pop(exporter.address, "")
            self.assertEqual(message, "server returned HTTP status 502 Bad Gateway")
            self.assertEqual(set(errors.values()), {""})

    def test_restart_loses_no_target(self) -> None:
        """While the daemon is away, and while it waits for a source, Prometheus keeps its list."""
        exporters = self.start_exporters(2)
        document = self.serve([{"targets": [exporters[1].address]}])
        self.list_targets(exporters[0])
        proxy = self.start_promproxy(document.source("elsewhere"))
        self.await_ready(proxy)
        server = self.start_prometheus(proxy)
        everyone = (proxy, *exporters)
        eventually(lambda: self.assert_all_up(server, *everyone))

        proxy.stop()
        self.assertIn("Server Shut Down", proxy.output)
        self.await_failed_refreshes(server, *everyone)
        document.status = 500
        proxy.start()
        self.await_failed_refreshes(server, *everyone)
        self.assertEqual(proxy.get("/discovery").status, 503)
        document.status = 200

        def recovered() -> None:
            self.check_listed(server, *everyone)
            self.assert_all_up(server, *everyone)

        eventually(recovered)

    def await_failed_refreshes(self, server: Prometheus, *peers: Peer) -> None:
        """Wait until Prometheus has failed to refresh twice more; nobody may get lost meanwhile."""
        before = server.failed_refreshes()

        def check() -> None:
            self.check_listed(server, *peers)
            self.assertGreater(server.failed_refreshes(), before + 1)

        eventually(check)

    def check_listed(self, server: Prometheus, *peers: Peer) -> None:
        """Unlike an assertion this is final: `eventually` does not try again."""
        for job in server.JOBS:
            listed = {target["labels"]["instance"] for target in server.targets(job)}
            if listed != {peer.address for peer in peers}:
                raise TargetLost(f"{job}: {listed}")
