"""One bad label makes Prometheus refuse a whole document: a real one gets none from the daemon."""

from __future__ import annotations

from typing import Any

from tests.integration.case import PeersTestCase
from tests.integration.peers import HOST, Peer, Prometheus, eventually

ODD_BUT_VALID = 'a "quoted" \\ {thing} <b>\n\0 \N{SNOWMAN} \N{GRINNING FACE}'
ODD_YAML_LABELS = "{1: one, null: none, true: 'on', since: 2020-01-01, size: .inf, list: [x]}"
KEPT_YAML_LABELS = {"null": "none", "true": "on", "since": "2020-01-01", "size": ".inf"}
ODD_THINGS_LEFT_OUT = 18


def odd_groups(first: str, second: str) -> list[dict[str, Any]]:
    """Groups of which two targets are fine, two are listed in vain, and 18 things are wrong."""
    wrong_labels = {
        "bad-name": "",
        "1st": "",
        "": "",
        "\N{LATIN SMALL LETTER U WITH DIAERESIS}mlaut": "",
        "with space": "",
        "new\nline": "",
        "number": 1,
        "nothing": None,
        "truth": True,
        "list": ["x"],
        "mapping": {},
        "huge": "x" * 1_000_000,
        "half_a_pair": "\ud800",
        "job": "stolen",
        "__name__": "stolen",
    }
    return [
        {
            "targets": [first],
            "labels": {**wrong_labels, "instance": "twin", "kept": ODD_BUT_VALID},
        },
        {"targets": [second], "labels": {"instance": "twin", "__address__": "192.0.2.1:80"}},
        {"targets": [f"{HOST}:1"], "labels": {"instance": 5}},
        {"targets": ["no port", 17, "host:99999", "a b:80"]},
        {"targets": [f"{HOST}:3"], "labels": {"__scrape_interval__": "often"}},
        {"targets": [f"{HOST}:4"], "labels": {"__scrape_timeout__": "1h"}},
    ]


class OddLabelsTests(PeersTestCase):
    """Sources that deliver what Prometheus would not take."""

    def test_odd_labels_do_not_spoil_the_document(self) -> None:
        """What Prometheus would refuse is left out and counted; every good target is up."""
        exporters = first, second, third = self.start_exporters(3)
        document = self.serve(odd_groups(first.address, second.address))
        self.list_targets(third)
        odd_file = self.folder / "odd.yml"
        odd_file.write_text(f"[{{targets: ['{HOST}:2'], labels: {ODD_YAML_LABELS}}}]")
        yaml_source = "{name: odd-yaml, files: {paths: [odd.yml]}}"
        proxy = self.start_promproxy(document.source("odd"), yaml_source)
        self.await_ready(proxy)
        server = self.start_prometheus(proxy)

        def check() -> None:
            for job in server.JOBS:
                self.check_targets(server, job, proxy, *exporters)
                self.check_counted(server, job, proxy)

        eventually(check)
        self.assertEqual(server.failed_refreshes(), 0)

    def check_counted(self, server: Prometheus, job: str, proxy: Peer) -> None:
        dropped = f'promproxy_source_dropped{{source="odd",job="{job}"}}'
        self.assertEqual(
            server.query(f"sum by (instance) ({dropped})"), {proxy.address: ODD_THINGS_LEFT_OUT}
        )
        twins = server.query(f'promproxy_duplicate_instances{{job="{job}"}}')
        self.assertEqual(twins, {proxy.address: 1})

    def check_targets(
        self, server: Prometheus, job: str, proxy: Peer, first: Peer, second: Peer, third: Peer
    ) -> None:
        found = {target["scrapeUrl"]: target for target in server.targets(job)}
        url = f"http://{proxy.address}"
        scrape = f"{url}/singleTargetMetrics"
        odd, twin = f"{scrape}/odd/{first.address}", f"{scrape}/odd/{second.address}"
        plain, own = f"{scrape}/vms/{third.address}", f"{url}/metrics"
        misnamed, from_yaml = f"{scrape}/odd/{HOST}:1", f"{scrape}/odd-yaml/{HOST}:2"
        health = {where: target["health"] for where, target in found.items()}
        self.assertEqual(
            health,
            {
                **dict.fromkeys((odd, twin, plain, own), "up"),
                **dict.fromkeys((misnamed, from_yaml), "down"),  # nobody listens there
            },
        )
        labels = {where: target["labels"] for where, target in found.items()}
        twins = {"job": job, "instance": "twin"}
        replaced = {"half_a_pair": "\N{REPLACEMENT CHARACTER}"}  # as Go does
        self.assertEqual(labels[odd], {**twins, **replaced, "kept": ODD_BUT_VALID})
        self.assertEqual(labels[twin], twins)
        self.assertEqual(labels[misnamed], {"job": job, "instance": f"{HOST}:1"})
        expected = {"job": job, "instance": f"{HOST}:2", **KEPT_YAML_LABELS}
        self.assertEqual(labels[from_yaml], expected)
