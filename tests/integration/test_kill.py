"""What is left when the daemon is killed, and what it makes of that."""

from __future__ import annotations

import json

from tests.integration.case import PeersTestCase
from tests.integration.kills import ADDRESS, TARGETS, Victim
from tests.integration.peers import Prometheus, eventually, prometheus


class KillTests(PeersTestCase):
    """``kill -9``, at any moment. `bench.kills` does the same for longer."""

    def test_files_are_whole_whenever_it_is_killed(self) -> None:
        """With them it starts as it was, though the source tells nothing any more."""
        victim = Victim(self.folder)
        self.addCleanup(victim.daemon.stop)
        victim.kill_at_random(6)
        self.assertGreater(victim.while_writing, 0)
        (self.folder / "targets.json").write_text("no list")
        self.start(victim.daemon)
        answer = victim.daemon.get("/discovery")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(len(json.loads(answer.body)), TARGETS)
        eventually(lambda: self.assertEqual(victim.file_sd.read_bytes(), answer.body))

    def test_prometheus_reads_the_file(self) -> None:
        """The targets of the file are those that it scrapes, at the address that we have."""
        victim = Victim(self.folder, count=3)
        victim.change()
        self.start(victim.daemon)
        self.await_ready(victim.daemon)
        url = f"http://{victim.daemon.address}/discovery"
        server: Prometheus = prometheus(self.folder, url, victim.file_sd)
        self.start(server)

        def all_there() -> None:
            found = server.targets("file_sd")
            self.assertEqual(len(found), 3)
            for target in found:
                self.assertTrue(target["scrapeUrl"].startswith(f"http://{ADDRESS}/singleTarget"))

        eventually(all_there)
