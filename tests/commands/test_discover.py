"""Tests of promproxy.commands.discover; tests/integration/test_commands.py runs the command."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from promproxy.commands.discover import Report
from promproxy.targets.target import Delivery, Dropped, LeftOut, Remark

DELIVERY = Delivery(
    (),
    (Dropped("app 1: name is not a string", "resource"),),
    (LeftOut("acme/prod/shop /metrics", "internal_routes"), LeftOut("acme/prod/mail", "stopped")),
    (Remark("selects_nothing", "select[1] {org: acem}", "no app is in an org called 'acem'"),),
)


class ReportTests(SynchronousTestCase):
    def test_explanation(self) -> None:
        """Everything that is left out, and what one can do about it."""
        lines = Report(explain=True).text("prod", DELIVERY).splitlines()
        self.assertEqual(
            lines,
            [
                "prod: 0 targets; left out: 1 internal_routes, 1 resource, 1 stopped",
                "left out:",
                "  internal_routes  acme/prod/shop /metrics",
                "  stopped          acme/prod/mail",
                "  resource         app 1: name is not a string",
                "internal_routes: set internal_routes on the rule if promproxy can reach them",
                "warning: select[1] {org: acem}: no app is in an org called 'acem'",
            ],
        )

    def test_without_explanation(self) -> None:
        """Numbers, and warnings all the same."""
        lines = Report().text("prod", DELIVERY).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[1].startswith("warning: select[1]"))

    def test_hint_for_a_name_that_is_not_found(self) -> None:
        text = Report(explain=True).text("prod", Delivery((), (), (LeftOut("org x", "not_found"),)))
        self.assertIn("not_found: ", text.splitlines()[-1])

    def test_json(self) -> None:
        document = json.loads(Report(as_json=True, explain=True).text("prod", DELIVERY))
        self.assertEqual([item["reason"] for item in document["dropped"]], ["resource"])
        self.assertEqual(document["remarks"][0]["kind"], "selects_nothing")
