"""Tests of promproxy.targets.document."""

from __future__ import annotations

import gzip
import json
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.document import EntryStyle, document_for, valid_address
from promproxy.targets.ids import safe_id
from promproxy.targets.labels import is_label_name, passed_labels
from promproxy.targets.target import Target

TARGET = Target(
    id="vms/db:9100",
    source="vms",
    scheme="https",
    host="db",
    port=9100,
    path="/metrics",
    query="token=x",
    instance="db:9100",
    labels={"env": "prod"},
    headers=(("X-Secret", "y"),),
)

LABELS = st.dictionaries(
    st.from_regex("(__meta_)?[a-z]{1,5}", fullmatch=True), st.text(st.characters(), max_size=9)
).map(lambda raw: passed_labels(raw, honor_job=True, where="")[0])
TARGETS = st.builds(
    evolve,
    st.just(TARGET),
    id=st.text(max_size=9).map(safe_id),
    instance=st.text(max_size=9),
    labels=LABELS,
)
ADDRESSES = st.sampled_from(["promproxy:8080", "10.0.0.1", "[::1]:8080"])


def groups_for(address: str, *entries: bytes) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads(document_for(entries, address).body)
    return groups


class EntryTests(SynchronousTestCase):
    def test_target(self) -> None:
        """Prometheus is told where to scrape, and nothing of how we do it."""
        [group] = groups_for("promproxy:8080", EntryStyle().target_entry(TARGET))
        self.assertEqual(
            group,
            {
                "targets": ["promproxy:8080"],
                "labels": {
                    "env": "prod",
                    "instance": "db:9100",
                    "__scheme__": "http",
                    "__metrics_path__": "/singleTargetMetrics/vms/db:9100",
                    "__meta_promproxy_source": "vms",
                },
            },
        )

    def test_own_metrics(self) -> None:
        """Our own endpoint is listed under our address, which is its instance too."""
        [group] = groups_for("promproxy:8080", *EntryStyle().own_entries())
        self.assertEqual(
            group,
            {
                "targets": ["promproxy:8080"],
                "labels": {
                    "instance": "promproxy:8080",
                    "__scheme__": "http",
                    "__metrics_path__": "/metrics",
                    "__meta_promproxy_source": "promproxy",
                },
            },
        )

    def test_own_metrics_of_replicas(self) -> None:
        """Each under its own address, however the document is asked for; or none at all."""
        groups = groups_for("promproxy:8080", *EntryStyle().own_entries(("a:1", "[::1]:2")))
        for group, address in zip(groups, ("a:1", "[::1]:2"), strict=True):
            self.assertEqual(group["targets"], [address])
            self.assertEqual(group["labels"]["instance"], address)
            self.assertEqual(group["labels"]["__metrics_path__"], "/metrics")
        self.assertEqual(EntryStyle().own_entries(()), [])
        self.assertEqual(EntryStyle().own_entries(False), [])

    def test_style(self) -> None:
        """Scheme and prefix stand in every entry."""
        style = EntryStyle(scheme="https", path_prefix="/p")
        groups = groups_for("a", style.target_entry(TARGET), *style.own_entries())
        labels = [group["labels"] for group in groups]
        self.assertEqual([label["__scheme__"] for label in labels], ["https"] * 2)
        self.assertEqual(
            [label["__metrics_path__"] for label in labels],
            ["/p/singleTargetMetrics/vms/db:9100", "/p/metrics"],
        )

    def test_path_label_of_promregator(self) -> None:
        """Its users' configurations make `__metrics_path__` of it: our URL, not the target's."""
        style = EntryStyle(path_prefix="/p", promregator_labels=True)
        name = "__meta_promregator_target_path"
        groups = groups_for("a", style.target_entry(TARGET), *style.own_entries())
        self.assertEqual(
            [group["labels"][name] for group in groups],
            ["/p/singleTargetMetrics/vms/db:9100", "/p/promregatorMetrics"],
        )
        [group] = groups_for("a", EntryStyle().target_entry(TARGET))
        self.assertNotIn(name, group["labels"])

    def test_labels_that_pretend_to_be_ours(self) -> None:
        """A source cannot say that its target belongs to another one."""
        target = evolve(TARGET, labels={"__meta_promproxy_source": "other"})
        [group] = groups_for("a", EntryStyle().target_entry(target))
        self.assertEqual(group["labels"]["__meta_promproxy_source"], "vms")


class DocumentTests(SynchronousTestCase):
    def test_no_targets(self) -> None:
        """An empty list is a document too."""
        self.assertEqual(document_for([], "a").body, b"[]\n")

    def test_many_targets(self) -> None:
        """However many are put together in a step."""
        for count in (1, 999, 1000, 1001, 2000, 2500):
            groups = groups_for("a", *[EntryStyle().target_entry(TARGET)] * count)
            self.assertEqual([group["targets"] for group in groups], [["a"]] * count)

    def test_etag(self) -> None:
        """It changes with the content only."""
        entry = EntryStyle().target_entry(TARGET)
        self.assertEqual(document_for([entry], "a").etag, document_for([entry], "a").etag)
        self.assertNotEqual(document_for([entry], "a").etag, document_for([entry], "b").etag)

    def test_compressed(self) -> None:
        """The same bytes at any time, on every replica."""
        document = document_for([EntryStyle().target_entry(TARGET)] * 50, "a")
        self.assertEqual(gzip.decompress(document.compressed()), document.body)
        self.assertEqual(document.compressed(), document.compressed())
        self.assertLess(len(document.compressed()), len(document.body) / 5)

    @given(st.lists(TARGETS, max_size=5), ADDRESSES)
    def test_any_targets(self, targets: list[Target], address: str) -> None:
        """JSON with one good group per target, and the address wherever it belongs."""
        style = EntryStyle()
        entries = [*map(style.target_entry, targets), *style.own_entries()]
        document = document_for(entries, address)
        assert b"\0" not in document.body and document.body.isascii()
        groups = json.loads(document.body)
        self.assertEqual(len(groups), len(entries))
        for group in groups:
            self.assertEqual(group["targets"], [address])
            assert all(map(is_label_name, group["labels"]))
            assert all(isinstance(value, str) for value in group["labels"].values())
        for group, target in zip(groups, targets, strict=False):
            labels = group["labels"]
            self.assertEqual(labels["instance"], target.instance)
            self.assertEqual(labels["__metrics_path__"], f"/singleTargetMetrics/{target.id}")
            assert labels.items() >= target.labels.items()


class ValidAddressTests(SynchronousTestCase):
    def test_hosts_and_ports(self) -> None:
        """What a client may have called us by."""
        for host in (b"promproxy", b"promproxy.example.org:8080", b"10.0.0.1:80", b"[::1]:8080"):
            self.assertEqual(valid_address(host), host.decode())

    def test_everything_else(self) -> None:
        """Nothing gets into the document that could change its meaning."""
        for host in (
            *(b"", b":80", b"a:", b"a:b", b"a:123456", b"a b", b"a/b", b'a"', b"a\0", b"u@a"),
            *(b"a\n", b"::1", b"[::1", b"\xc3\xa9", b"a,b", b"x" * 254),
        ):
            self.assertIsNone(valid_address(host), host)

    @given(st.binary(max_size=12) | st.text("[]:.a1-", max_size=8).map(str.encode))
    def test_any_header(self, host: bytes) -> None:
        """It is refused, or it can be put into a document."""
        address = valid_address(host)
        if address is not None:
            (own,) = groups_for(address, *EntryStyle().own_entries())
            self.assertEqual(own["targets"], [address])
