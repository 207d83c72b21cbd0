"""Tests of promproxy.sources.groups."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError
from promproxy.sources.groups import GroupRules, targets_from_groups
from promproxy.targets.ids import is_valid_id, safe_id, short_hash
from promproxy.targets.target import Dropped, Target

RULES = GroupRules(source="vms")

ADDRESSES = st.sampled_from(["db:9100", "[::1]:80", "a_b.c:1", "x:0", "x:70000", "x", "[:::]:1"])
LABEL_NAMES = st.sampled_from(
    ["__scheme__", "__metrics_path__", "__param_x", "__param_", "__address__", "instance", "job"]
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=9)),
    *(ADDRESSES, st.sampled_from(["http", "https", "/a b?c#d%", "//", "/..", "\ud800"])),
)
JSON_LIKE = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAVES, inner, max_size=3),
    max_leaves=6,
)
GROUPS = st.fixed_dictionaries(
    {
        "targets": st.lists(ADDRESSES | JSON_LIKE, max_size=3) | JSON_LIKE,
        "labels": st.dictionaries(LABEL_NAMES | LEAVES, LEAVES, max_size=4) | JSON_LIKE,
    }
)


def found_in(*groups: object, rules: GroupRules = RULES) -> list[Target | Dropped]:
    return list(targets_from_groups(groups, rules))


class TargetsFromGroupsTests(SynchronousTestCase):
    def one(self, address: str = "db:9100", rules: GroupRules = RULES, **labels: str) -> Target:
        [target] = found_in({"targets": [address], "labels": labels}, rules=rules)
        assert isinstance(target, Target), target
        return target

    def reasons(self, *addresses: Any, rules: GroupRules = RULES, **labels: Any) -> list[str]:
        found = found_in({"targets": list(addresses), "labels": labels}, rules=rules)
        return [item.reason for item in found if isinstance(item, Dropped)]

    def test_the_plainest_group(self) -> None:
        """A target is scraped at /metrics by http, and named for its host and port."""
        self.assertEqual(
            found_in({"targets": ["db:9100"]}),
            [
                Target(
                    id="vms/db:9100",
                    source="vms",
                    scheme="http",
                    host="db",
                    port=9100,
                    path="/metrics",
                    instance="db:9100",
                )
            ],
        )

    def test_all_that_a_group_can_say(self) -> None:
        """Its labels steer the scrape, and the rest of them goes on to Prometheus."""
        target = self.one(
            "DB.example.org:0443",
            GroupRules(source="vms", outbound="tls", honor_job=True),
            __scheme__="https",
            __metrics_path__="/probe",
            __param_module="http_2xx",
            __param_target="a b&c",
            env="prod",
            job="mine",
        )
        query = "module=http_2xx&target=a+b%26c"
        name = f"DB.example.org:443/probe~{short_hash(query)}"
        self.assertEqual((target.id, target.instance), (f"vms/{name}", name))
        self.assertEqual(target.url, "https://DB.example.org/probe")
        self.assertEqual(target.query, query)
        self.assertEqual(target.labels, {"env": "prod", "job": "mine"})
        self.assertEqual(target.outbound, "tls")

    def test_instance_of_the_source(self) -> None:
        """The source's own instance wins, the id stays; an empty one is none."""
        self.assertEqual(self.one(instance="db one").instance, "db one")
        self.assertEqual(self.one(instance="db one").id, "vms/db:9100")
        self.assertEqual(self.one(instance="").instance, "db:9100")

    def test_empty_steering_labels(self) -> None:
        """To Prometheus an empty label is none."""
        self.assertEqual(self.one(__scheme__="", __metrics_path__="").url, "http://db:9100/metrics")

    def test_paths(self) -> None:
        """A path is taken as plain text and encoded once, as Prometheus would."""
        for path, sent in (
            ("metrics", "/metrics"),
            ("/a b", "/a%20b"),
            ("/a%20b", "/a%2520b"),
            ("/a?b#c", "/a%3Fb%23c"),
            ("/a:b;c=d,e@f$g&h+i~j", "/a:b;c=d,e@f$g&h+i~j"),
            ("/é!'()*", "/%C3%A9%21%27%28%29%2A"),
            ("//a/../b", "//a/../b"),
        ):
            target = self.one(__metrics_path__=path)
            self.assertEqual(target.path, sent)
            self.assertEqual(target.id, safe_id(f"vms/{target.instance}"))

    def test_parameters_in_any_order(self) -> None:
        """The order of the labels changes neither request nor id."""
        groups = [
            {"targets": ["a:1"], "labels": {"__param_a": "1", "__param_b": "2"}},
            {"targets": ["a:1"], "labels": {"__param_b": "2", "__param_a": "1"}},
        ]
        first, second = found_in(*groups)
        self.assertEqual(first, second)

    def test_ipv6(self) -> None:
        """An address in brackets; the id has none, since they would be encoded."""
        target = self.one("[2001:db8::1]:9100")
        self.assertEqual((target.host, target.instance), ("2001:db8::1", "[2001:db8::1]:9100"))
        self.assertEqual(target.id, safe_id("vms/[2001:db8::1]:9100"))

    def test_what_is_no_address(self) -> None:
        """It is dropped and named; the others of its group stay."""
        for bad in (
            *("", "db:", ":9100", "db:0", "db:65536", "db:999999", "db:-1", "db:9100/x"),
            *("http://db:9100", "user@db:9100", "db :9100", "db:9100\n", "dé:9100", "db:٣"),
            *("::1", "::1:9100", "[:::]:9100", "[db]:9100", "[127.0.0.1]:9100", "[::1%lo]:9100"),
            *(9100, None, True, ["db:9100"], {"db": 9100}, f"{'x' * 254}:9100"),
        ):
            found = found_in({"targets": [bad, "db:9100"]})
            self.assertIsInstance(found[1], Target)
            assert isinstance(found[0], Dropped), bad
            self.assertEqual(found[0].reason, "target_address")
        self.assertEqual(found_in({"targets": ["d b"]})[0].what, "target 'd b' of group 1")

    def test_address_without_a_port(self) -> None:
        """The scheme's port, as Prometheus infers it."""
        for address, scheme, expected in (
            ("db.example", "http", "db.example:80"),
            ("db.example", "https", "db.example:443"),
            ("db.example", "HTTPS", "db.example:443"),
            ("[::1]", "http", "[::1]:80"),
        ):
            group = {"targets": [address], "labels": {"__scheme__": scheme}}
            (target,) = found_in(group)
            assert isinstance(target, Target)
            self.assertEqual(target.instance, expected)
            self.assertEqual(target.scheme, scheme.lower())

    def test_what_cannot_be_scraped(self) -> None:
        """With a scheme we do not speak, or steering labels that are no strings."""
        self.assertEqual(self.reasons("a:1", "b:1", __scheme__="ftp"), ["target_scheme"] * 2)
        self.assertEqual(
            self.reasons("a:1", __metrics_path__=1), ["label_value_type", "target_labels"]
        )

    def test_unknown_key(self) -> None:
        """Prometheus would refuse the document; the target stays, and the slip is told."""
        dropped, target = found_in({"targets": ["db:9100"], "label": {"zone": "x"}})
        self.assertEqual(dropped, Dropped("key 'label' of group 1", "group_key"))
        self.assertIsInstance(target, Target)

    def test_bad_labels(self) -> None:
        """They are dropped once for their group, whose targets stay."""
        group = {"targets": ["a:1", "b:1"], "labels": {"a-b": "x", "n": 1, "ok": "y"}}
        found = found_in(group)
        self.assertEqual([i.reason for i in found[:2]], ["label_name", "label_value_type"])
        self.assertEqual([i.labels for i in found[2:]], [{"ok": "y"}] * 2)

    def test_allowed_hosts(self) -> None:
        """Where hosts are named, no other becomes a target; case does not matter."""
        rules = GroupRules(source="vms", allowed_hosts=("*.Example.org", "10.0.0.?", "2001:db8::*"))
        for host in ("a.example.org", "A.EXAMPLE.ORG", "10.0.0.7", "[2001:db8::1]"):
            self.assertEqual(self.reasons(f"{host}:1", rules=rules), [], host)
        for host in ("example.org", "a.example.org.evil", "10.0.0.77", "[2001:db9::1]"):
            self.assertEqual(self.reasons(f"{host}:1", rules=rules), ["host_not_allowed"], host)

    def test_groups_of_another_shape(self) -> None:
        """They are left out and named; the targets of the others stay."""
        for group, message in (
            ("db:9100", "group 2 is not a mapping with 'targets' and 'labels'"),
            ({"targets": "db:9100"}, "group 2: 'targets' is not a list"),
            (None, "group 2 is not a mapping with 'targets' and 'labels'"),
            ({"targets": [], "labels": ["a"]}, "group 2: 'labels' is not a mapping"),
            ({"targets": [], "labels": []}, "group 2: 'labels' is not a mapping"),
        ):
            first, dropped = found_in({"targets": ["a:1"]}, group)
            assert isinstance(first, Target)
            self.assertEqual(dropped, Dropped(message, "group"))

    def test_no_group_of_the_right_shape(self) -> None:
        """The whole is refused, so that the last good targets stay."""
        error = self.assertRaises(SourceError, found_in, "a:1", {"targets": 5})
        self.assertEqual(str(error), "group 1 is not a mapping with 'targets' and 'labels'")

    def test_empty_parameter(self) -> None:
        """To Prometheus an empty label is none."""
        self.assertEqual(self.one(__param_a="", __param_b="1").query, "b=1")

    def test_short_document_that_stands_for_a_lot(self) -> None:
        """It is refused before it takes the memory, and a large one of the usual kind is not."""
        labels = {f"l{number}": "x" * 4000 for number in range(100)}
        error = self.assertRaises(
            SourceError, found_in, {"targets": []}, {"targets": ["a:1"] * 3000, "labels": labels}
        )
        self.assertEqual(str(error), "group 2: the targets so far, with their labels, take 1 GB")
        self.assertEqual(len(found_in({"targets": ["a:1"] * 2000, "labels": labels})), 2000)

    def test_no_labels(self) -> None:
        """They may be missing, or null as some generators write it."""
        for labels in ({}, {"labels": None}, {"labels": {}}):
            self.assertEqual(len(found_in({"targets": ["a:1"], **labels})), 1)

    @given(st.lists(GROUPS | JSON_LIKE, max_size=3))
    def test_any_value_is_read_or_refused(self, groups: list[object]) -> None:
        """Whatever stands in a file: good targets, named drops, or a SourceError."""
        try:
            found = found_in(*groups)
        except SourceError:
            return
        for item in found:
            if isinstance(item, Dropped):
                assert len(item.what) < 200
                continue
            assert is_valid_id(item.id) and item.id.startswith("vms/")
            parts = urlsplit(f"{item.url}?{item.query}")
            self.assertEqual(parts.hostname, item.host.lower())
            self.assertEqual(parts.port or 80 + 363 * (item.scheme == "https"), item.port)
            self.assertEqual(parts.path, item.path)
            assert item.path.isascii() and item.path.isprintable() and " " not in item.path
            parse_qsl(item.query, keep_blank_values=True, strict_parsing=bool(item.query))
