"""Shards of the discovery document are the sets that Prometheus's own hashmod makes."""

from __future__ import annotations

import json

from tests.integration.case import PeersTestCase
from tests.integration.peers import HOST, Prometheus, eventually, prometheus

TARGETS = 40
SHARDS = 3


class ShardsTests(PeersTestCase):
    def test_prometheus_makes_the_same(self) -> None:
        """By relabelling of all targets, and by a document for each shard."""
        groups = [{"targets": [f"{HOST}:{port}" for port in range(1, TARGETS + 1)]}]
        self.target_file.write_text(json.dumps(groups))
        proxy = self.start_promproxy()
        self.await_ready(proxy)
        self.discovery_file.write_text("[]")
        url = f"http://{proxy.address}/discovery"
        jobs = []
        for shard in range(SHARDS):
            one = {"url": f"{url}?shard={shard}&of={SHARDS}"}
            hashing = {
                "source_labels": ["instance"],
                "modulus": SHARDS,
                "target_label": "__tmp_hash",
                "action": "hashmod",
            }
            keeping = {"source_labels": ["__tmp_hash"], "regex": str(shard), "action": "keep"}
            jobs += [
                {"job_name": f"ours-{shard}", "http_sd_configs": [one]},
                {
                    "job_name": f"theirs-{shard}",
                    "http_sd_configs": [{"url": url}],
                    "relabel_configs": [hashing, keeping],
                },
            ]
        server = prometheus(self.folder, url, self.discovery_file, more_jobs=jobs)
        self.start(server)

        def are_equal() -> None:
            found = [instances(server, f"ours-{shard}") for shard in range(SHARDS)]
            self.assertEqual(sum(map(len, found)), TARGETS + 1)  # our own metrics too
            self.assertEqual(len(set().union(*found)), TARGETS + 1)
            for shard in range(SHARDS):
                self.assertEqual(found[shard], instances(server, f"theirs-{shard}"))

        eventually(are_equal)


def instances(server: Prometheus, job: str) -> set[str]:
    return {target["labels"]["instance"] for target in server.targets(job)}
