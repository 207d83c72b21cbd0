"""Tests of promproxy.sources.cloud_foundry.rules."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.cloud_foundry.label_selector import parse_label_selector
from promproxy.sources.cloud_foundry.resources import App
from promproxy.sources.cloud_foundry.rules import Endpoint, endpoints_of
from promproxy.sources.cloud_foundry.settings import Rule, Selector
from tests.sources.cloud_foundry.support import ORG, SPACE, app


def pattern(text: str) -> re.Pattern[str]:
    """As the configuration reads one."""
    return re.compile(text, re.IGNORECASE)


def annotated(**annotations: str) -> App:
    """An app that asks to be scraped."""
    named = {f"prometheus.io/{name}": value for name, value in annotations.items()}
    return app(annotations={"prometheus.io/scrape": "true", **named})


def endpoints(the_app: App, *rules: Rule, may_be_http: bool = True) -> list[Endpoint] | str:
    """What the rules want of an app in the org and space of the tests."""
    return endpoints_of(the_app, SPACE, ORG, rules, lambda rule: may_be_http)


class SelectorTests(SynchronousTestCase):
    """Which apps are meant; the app is Shop in Acme/Prod."""

    def matches(self, **conditions: Any) -> bool:
        the_app = app(labels={"tier": "web"})
        return Selector(**conditions).matches(the_app, SPACE, ORG)

    def test_no_condition_means_every_app(self) -> None:
        """An empty rule selects all."""
        self.assertTrue(self.matches())

    def test_exact_names_regard_no_case(self) -> None:
        """As the database does; a part of the name is not enough."""
        for field, name in (("org", "aCME"), ("space", "PROD"), ("app", "shop")):
            self.assertTrue(self.matches(**{field: name}), field)
            self.assertFalse(self.matches(**{field: name[:-1]}), field)
            self.assertFalse(self.matches(**{field: f"{name}s"}), field)

    def test_pattern_must_match_the_whole_name(self) -> None:
        """Without regard to case."""
        for field, name in (("org_regex", "acme"), ("space_regex", "prod"), ("app_regex", "shop")):
            self.assertTrue(self.matches(**{field: pattern(f"{name[:2]}.*")}), field)
            self.assertTrue(self.matches(**{field: pattern(f"x|{name}")}), field)
            self.assertFalse(self.matches(**{field: pattern(name[:-1])}), field)
            self.assertFalse(self.matches(**{field: pattern(name[1:])}), field)

    def test_guids(self) -> None:
        """Exactly as they are."""
        self.assertTrue(self.matches(org_guid="org-1", space_guid="space-1"))
        self.assertFalse(self.matches(org_guid="ORG-1"))
        self.assertFalse(self.matches(space_guid="space-2"))

    def test_labels(self) -> None:
        self.assertTrue(self.matches(label_selector=parse_label_selector("tier=web")))
        self.assertFalse(self.matches(label_selector=parse_label_selector("tier=db")))

    def test_every_condition_must_hold(self) -> None:
        """One that does not is enough to select nothing."""
        good: dict[str, Any] = {
            "org": "acme",
            "org_guid": "org-1",
            "space_regex": pattern("p.*"),
            "space_guid": "space-1",
            "app": "shop",
            "label_selector": parse_label_selector("tier"),
        }
        bad: dict[str, Any] = {
            "org": "x",
            "org_guid": "x",
            "space_regex": pattern("x"),
            "space_guid": "x",
            "app": "x",
            "label_selector": parse_label_selector("!tier"),
        }
        self.assertTrue(self.matches(**good))
        for name, value in bad.items():
            self.assertFalse(self.matches(**{**good, name: value}), name)

    def test_space_can_be_judged_alone(self) -> None:
        """By conditions on spaces and orgs only."""
        self.assertTrue(Selector(space="prod", app="other").means_space(SPACE, ORG))
        self.assertFalse(Selector(space="dev").means_space(SPACE, ORG))


class UnionTests(SynchronousTestCase):
    """Several rules and paths."""

    def test_default_is_one_path_over_https(self) -> None:
        rule = Rule()
        self.assertEqual(
            endpoints(app(), rule), [Endpoint(rule=rule, path="/metrics", scheme="https")]
        )

    def test_union_by_path_in_the_order_of_the_rules(self) -> None:
        """For the same path the first rule wins."""
        first = Rule(paths=("/a", "/b"), outbound="one")
        second = Rule(paths=("/b", "/c"), scheme="http", outbound="two")
        found = endpoints(app(), first, second)
        assert isinstance(found, list)
        self.assertEqual(
            [(endpoint.path, endpoint.scheme, endpoint.rule.outbound) for endpoint in found],
            [("/a", "https", "one"), ("/b", "https", "one"), ("/c", "http", "two")],
        )

    def test_rule_that_does_not_match_adds_nothing(self) -> None:
        other = Rule(app="other", paths=("/x",))
        found = endpoints(app(), other, Rule(), other)
        assert isinstance(found, list)
        self.assertEqual([endpoint.path for endpoint in found], ["/metrics"])

    def test_app_that_no_rule_selects(self) -> None:
        """The reason says so."""
        self.assertEqual(endpoints(app(), Rule(app="other")), "not_selected")
        self.assertEqual(endpoints(app()), "not_selected")

    def test_reason_of_the_rule_that_selects_it(self) -> None:
        """Says more than that another one does not."""
        rules = (Rule(annotations=True), Rule(app="other"))
        self.assertEqual(endpoints(app(), *rules), "not_annotated")

    def test_app_without_annotation_may_be_selected_by_another_rule(self) -> None:
        """Rules do not forbid what others want."""
        found = endpoints(app(), Rule(annotations=True), Rule())
        assert isinstance(found, list)
        self.assertEqual(len(found), 1)


class AnnotationTests(SynchronousTestCase):
    """Apps that say themselves how they are scraped."""

    def endpoint(self, the_app: App, may_be_http: bool = True, **rule: Any) -> Endpoint:
        found = endpoints(the_app, Rule(annotations=True, **rule), may_be_http=may_be_http)
        assert isinstance(found, list), found
        (endpoint,) = found
        return endpoint

    def test_only_true_asks_for_it(self) -> None:
        """In just these letters."""
        for value in ("false", "True", "1", "", "yes"):
            the_app = app(annotations={"prometheus.io/scrape": value})
            self.assertEqual(endpoints(the_app, Rule(annotations=True)), "not_annotated")

    def test_without_more_annotations_the_rule_decides(self) -> None:
        """All of its paths, its scheme, any port."""
        found = endpoints(annotated(), Rule(annotations=True, paths=("/a", "/b"), scheme="http"))
        assert isinstance(found, list)
        self.assertEqual(
            [(w.path, w.scheme, w.port) for w in found],
            [("/a", "http", None), ("/b", "http", None)],
        )

    def test_path(self) -> None:
        """In place of all paths of the rule; a slash in front may be left out."""
        for path in ("/x?y=1", "x?y=1"):
            self.assertEqual(self.endpoint(annotated(path=path), paths=("/a", "/b")).path, "/x?y=1")
        self.assertEqual(self.endpoint(annotated(path=""), paths=("/a",)).path, "/a")

    def test_port(self) -> None:
        """A number from 1 to 65535."""
        self.assertEqual(self.endpoint(annotated(port="9100")).port, 9100)
        self.assertIsNone(self.endpoint(annotated(port="")).port)
        for port in ("0", "65536", "-1", "80 ", "http", "9e3", "٣", "²", "9" * 5000):
            self.assertEqual(
                endpoints(annotated(port=port), Rule(annotations=True)), "annotation_port"
            )

    def test_scheme(self) -> None:
        self.assertEqual(self.endpoint(annotated(scheme="http")).scheme, "http")
        self.assertEqual(self.endpoint(annotated(scheme="https"), scheme="http").scheme, "https")
        for scheme in ("HTTP", "ftp", "http:"):
            rule = Rule(annotations=True)
            self.assertEqual(endpoints(annotated(scheme=scheme), rule), "annotation_scheme")

    def test_credentials_never_go_over_http_by_annotation(self) -> None:
        """The rule may say http itself, though."""
        found = endpoints(annotated(scheme="http"), Rule(annotations=True), may_be_http=False)
        self.assertEqual(found, "annotation_http")
        self.assertEqual(
            self.endpoint(annotated(scheme="https"), may_be_http=False).scheme, "https"
        )
        found = self.endpoint(annotated(scheme="http"), may_be_http=False, scheme="http")
        self.assertEqual(found.scheme, "http")

    def test_annotations_count_only_where_the_rule_says_so(self) -> None:
        """An app cannot choose otherwise."""
        found = endpoints(annotated(path="/x", port="1", scheme="http"), Rule())
        assert isinstance(found, list)
        self.assertEqual([(w.path, w.scheme, w.port) for w in found], [("/metrics", "https", None)])
