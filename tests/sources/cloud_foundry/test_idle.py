"""Tests of promproxy.sources.cloud_foundry.idle."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.cloud_foundry.label_selector import parse_label_selector
from promproxy.sources.cloud_foundry.resources import Organization, Space
from promproxy.sources.cloud_foundry.settings import Rule, Selector
from promproxy.sources.cloud_foundry.targets import Inventory, TargetOptions, targets_of
from promproxy.targets.target import Remark
from tests.sources.cloud_foundry.support import app, inventory, process, route

SHOP = inventory(
    app(annotations={"prometheus.io/scrape": "false"}),
    app("app-2", name="billing", space_guid="space-2"),
    Space("space-2", "Stage", "org-2"),
    Organization("org-2", "Other"),
    process(),
    route(),
)


def remarks(
    *rules: Rule, of: Inventory = SHOP, exclude: tuple[Selector, ...] = ()
) -> list[tuple[str, str]]:
    """What is remarked of rules; all of it is of the same kind."""
    options = TargetOptions(source="prod", rules=rules, exclude=exclude)
    found = [item for item in targets_of(of, options) if isinstance(item, Remark)]
    assert all(remark.kind == "selects_nothing" for remark in found)
    return [(remark.what, remark.why) for remark in found]


class RuleTests(SynchronousTestCase):
    """Rules that select nothing."""

    def why(self, **conditions: Any) -> str:
        ((what, why),) = remarks(Rule(app="shop"), Rule(**conditions))
        self.assertIn("select[1]", what)
        return why

    def test_rules_that_select_something(self) -> None:
        """However much or little."""
        rules = (Rule(org="OTHER"), Rule(app="shop", space="prod"), Rule(path="/x"))
        self.assertEqual(remarks(*rules), [])

    def test_rule_after_others_that_leave_it_nothing(self) -> None:
        """Its credentials, for example, are for nobody."""
        found = remarks(Rule(), Rule(org="acme", outbound="acme"), Rule(paths=("/metrics", "/x")))
        why = "earlier rules select all of its apps, with the same paths"
        self.assertEqual(found, [("select[1] {org: acme}", why)])
        shadowed = Rule(paths=("/x",))
        self.assertEqual(
            remarks(Rule(), Rule(paths=("/x", "/metrics")), shadowed)[0][0], "select[2]"
        )

    def test_rules_that_share_their_apps(self) -> None:
        """One for some of them, then one for the rest; stopped ones are selected too."""
        stopped = inventory(app(started=False), process(), route())
        self.assertEqual(remarks(Rule(app="shop"), Rule()), [])
        self.assertEqual(remarks(Rule(app="shop"), of=stopped), [])

    def test_misspelt_name_and_the_nearest(self) -> None:
        """The first condition that fails is told."""
        self.assertEqual(
            self.why(org="acem", app="shop"),
            "no app is in an org called 'acem'; the nearest name is 'Acme'",
        )
        self.assertEqual(
            self.why(org="acme", space="prd"),
            "no app is in a space called 'prd'; the nearest name is 'Prod'",
        )
        self.assertEqual(
            self.why(org="other", app="biling"),
            "no app is called 'biling'; the nearest name is 'billing'",
        )

    def test_name_like_no_other(self) -> None:
        self.assertEqual(self.why(org="zzz"), "no app is in an org called 'zzz'")

    def test_name_that_is_there_but_elsewhere(self) -> None:
        """The space of another org."""
        self.assertEqual(self.why(org="acme", space="stage"), "no app is in a space called 'stage'")

    def test_names_that_exist_but_not_together(self) -> None:
        """As far as is known, since only what rules name was read."""
        names = {"org": ["Acme"], "space": ["Prod"]}
        ((_, why),) = remarks(Rule(org="acme", space="prod"), of=Inventory(names=names))
        self.assertEqual(why, "no app has these names together")

    def test_patterns_guids_and_labels(self) -> None:
        self.assertEqual(self.why(org_regex=re.compile("x.*")), "no app is in an org that matches")
        self.assertEqual(self.why(space_guid="gone"), "no app is in a space that matches")
        self.assertEqual(self.why(app_regex=re.compile("x.*")), "no app matches")
        labels = parse_label_selector("tier=web")
        self.assertEqual(self.why(label_selector=labels), "no such app has these labels")

    def test_annotations(self) -> None:
        self.assertEqual(
            self.why(annotations=True),
            'none of its 2 apps is annotated with prometheus.io/scrape: "true"',
        )

    def test_nothing_at_all(self) -> None:
        self.assertEqual(remarks(Rule(), of=inventory()), [("select[0]", "there are no apps")])

    def test_names_that_were_looked_up(self) -> None:
        """Since only those that rules name were read."""
        ((_, why),) = remarks(Rule(org="acem"), of=Inventory(names={"org": ["Acme", "Other"]}))
        self.assertIn("the nearest name is 'Acme'", why)

    def test_rule_is_told_by_its_conditions(self) -> None:
        rule = Rule(
            org="nope", space_regex=re.compile("p.*"), label_selector=parse_label_selector("a=b")
        )
        ((what, _),) = remarks(rule)
        self.assertEqual(what, "select[0] {org: nope, space_regex: p.*, label_selector: a in (b)}")


class OtherTests(SynchronousTestCase):
    """What else of the settings may select nothing."""

    def test_exclude(self) -> None:
        found = remarks(Rule(), exclude=(Selector(app="shop"), Selector(app="nope")))
        self.assertEqual(found, [("exclude[1] {app: nope}", "no app is called 'nope'")])

    def test_preferred_routes(self) -> None:
        """Unless the rule selects nothing anyway."""
        patterns = (re.compile("shop.*"), re.compile("other.*"))
        self.assertEqual(
            remarks(Rule(preferred_route_regex=patterns)),
            [("select[0].preferred_route_regex: other.*", "no route of the rule's apps matches")],
        )
        ((what, _),) = remarks(Rule(app="nope", preferred_route_regex=patterns))
        self.assertEqual(what, "select[0] {app: nope}")
