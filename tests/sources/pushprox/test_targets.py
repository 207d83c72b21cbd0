"""Tests of promproxy.sources.pushprox.targets, and of its rules."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.pushprox.settings import AllowRule, TargetRule
from promproxy.sources.pushprox.targets import (
    ClientRules,
    listed_id,
    requested_target,
    targets_of_client,
)
from promproxy.targets.target import Dropped, Target


def targets_of(fqdn: str, *rules: TargetRule, honor_job: bool = False) -> list[Target]:
    made = targets_of_client(
        fqdn, ClientRules(source="nat", targets=rules or (TargetRule(),), honor_job=honor_job)
    )
    return [target for target in made if isinstance(target, Target)]


class TargetsTests(SynchronousTestCase):
    """What is scraped on a client."""

    def test_node_exporter_by_default(self) -> None:
        """With PushProx's instance, so that series go on."""
        (target,) = targets_of("web-1.example.org")
        self.assertEqual(target.id, "nat/web-1.example.org:9100/metrics")
        self.assertEqual(target.url, "http://web-1.example.org:9100/metrics")
        self.assertEqual(target.instance, "web-1.example.org:9100")
        self.assertEqual(target.labels, {"__meta_pushprox_fqdn": "web-1.example.org"})
        assert target.is_tunnelled

    def test_several_on_a_client(self) -> None:
        """Each with an id and an instance of its own."""
        rules = (TargetRule(), TargetRule(port=8443, path="/app?x=y", scheme="https"))
        node, app = targets_of("web-1", *rules)
        self.assertEqual(app.id, "nat/web-1:8443/app~14bf50d8")
        self.assertEqual(app.instance, "web-1:8443/app~14bf50d8")
        self.assertEqual((app.url, app.query), ("https://web-1:8443/app", "x=y"))
        self.assertNotEqual(node.id, app.id)

    def test_on_some_clients_only(self) -> None:
        """The pattern is for the whole name."""
        rule = TargetRule(fqdn_regex=re.compile("web-.*", re.IGNORECASE))
        self.assertEqual(targets_of("db-1", rule), [])
        self.assertEqual(targets_of("my-web-1", rule), [])
        self.assertEqual(len(targets_of("WEB-1", rule)), 1)

    def test_first_of_two_rules_for_one_place_counts(self) -> None:
        """They would be one target."""
        rules = (TargetRule(fqdn_regex=re.compile("web-1"), scheme="https"), TargetRule())
        self.assertEqual([t.scheme for t in targets_of("web-1", *rules)], ["https"])
        self.assertEqual([t.scheme for t in targets_of("web-2", *rules)], ["http"])

    def test_labels_from_templates(self) -> None:
        """Parts of the name, and whatever the pattern names."""
        rule = TargetRule(
            fqdn_regex=re.compile(r"[^.]+\.(?P<site>[^.]+)(?P<rest>\.x)?\..*"),
            labels={"site": "{site}", "host": "{host}", "where": "{domain}:{port}{path}{rest}"},
        )
        (target,) = targets_of("web-1.vienna.example.org", rule)
        self.assertEqual(target.labels["site"], "vienna")
        self.assertEqual(target.labels["host"], "web-1")
        self.assertEqual(target.labels["where"], "vienna.example.org:9100/metrics")

    def test_bad_label_is_dropped_and_named(self) -> None:
        """One that Prometheus would refuse costs only itself."""
        rules = ClientRules(source="nat", targets=(TargetRule(labels={"x": "y" * 5000}),))
        dropped = [x for x in targets_of_client("web-1", rules) if isinstance(x, Dropped)]
        self.assertEqual(dropped, [Dropped("label 'x' of client web-1", "label_value_length")])

    def test_requested_target_never_has_the_id_of_a_listed_one(self) -> None:
        """Whatever is asked for; its place may be the same."""
        (listed,) = targets_of("web-1")
        asked = requested_target("nat", "web-1", 9100, "/metrics", "")
        self.assertNotEqual(asked.id, listed.id)
        self.assertEqual(listed_id(asked), listed.id)
        for query in ("_scheme=https", "x=y", "a=%2F&_scheme=https"):
            self.assertNotEqual(listed_id(requested_target("nat", "h", 1, "/", query)), "nat/h:1")

    def test_scheme_parameter(self) -> None:
        """Says how the client scrapes, and is no part of the target's query."""
        asked = requested_target("nat", "web-1", 9100, "/m", "x=%2F&_scheme=https")
        self.assertEqual((asked.scheme, asked.query), ("https", "x=%2F"))
        other = requested_target("nat", "web-1", 9100, "/m", "x=%2f&_scheme=http")
        self.assertEqual((other.scheme, other.query), ("http", "x=%2f&_scheme=http"))


class AllowTests(SynchronousTestCase):
    """What may be asked for by `proxy_url`."""

    def test_without_rules_everything(self) -> None:
        assert ClientRules(source="nat").allows(1, "/x")

    def test_one_rule_must_fit(self) -> None:
        """Its port, where it has one, and the whole path."""
        allow = (AllowRule(port=9100), AllowRule(path_regex=re.compile("/metrics|/m[0-9]")))
        rules = ClientRules(source="nat", allow=allow)
        for port, path, allowed in (
            *((9100, "/x", True), (9101, "/metrics", True), (1, "/m1", True)),
            *((9101, "/x", False), (1, "/m12", False), (1, "/metrics/", False)),
        ):
            self.assertEqual(rules.allows(port, path), allowed, (port, path))
