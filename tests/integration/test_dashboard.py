"""The dashboard's queries, asked of a Prometheus that scrapes a daemon."""

from __future__ import annotations

from tests.conf.test_dashboard import expressions
from tests.integration.case import PeersTestCase
from tests.integration.peers import eventually

# Nothing is refused, dropped or left out here, and there is no source pushprox.
WITHOUT_SERIES = ("requests_refused", "source_dropped", "source_left_out", "tunnel", "pushprox_")


class DashboardTests(PeersTestCase):
    def test_every_query_finds_something(self) -> None:
        """With a target that is up, one that is down, and a source that fails."""
        up, down = self.start_exporters(2)
        self.list_targets(up, down)
        down.stop()
        document = self.serve([])
        document.status = 500
        proxy = self.start_promproxy(document.source("broken"))
        eventually(lambda: self.assertIn(b'source="vms"} 2.0', proxy.get("/metrics").body))
        document.status = 200
        self.await_ready(proxy)
        document.status = 500
        server = self.start_prometheus(proxy)

        def check() -> None:
            empty = [query for query in expressions("10s") if not server.series(query)]
            unexpected = [q for q in empty if not any(name in q for name in WITHOUT_SERIES)]
            self.assertEqual(unexpected, [], "\n".join(unexpected))

        eventually(check, 40)
