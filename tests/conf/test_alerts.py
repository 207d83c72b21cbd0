"""The alert rules, by Prometheus's own means, and that nothing was forgotten in their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.pages import CHECKOUT
from tests.docs.yaml_examples import promtool

RULES = CHECKOUT / "conf" / "alerts.yml"
TESTS = Path(__file__).absolute().parent / "alerts-test.yml"


def loaded(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


class AlertsTests(SynchronousTestCase):
    def test_rules(self) -> None:
        """Prometheus understands them and has nothing to warn of."""
        promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    def test_when_they_fire(self) -> None:
        """As the other file says."""
        promtool("test", "rules", str(TESTS))

    def test_each_is_tested(self) -> None:
        """That it fires, and that it waits before it does."""
        names = {rule["alert"] for group in loaded(RULES)["groups"] for rule in group["rules"]}
        cases = [
            case for test in loaded(TESTS)["tests"] for case in test.get("alert_rule_test", [])
        ]
        fires = {case["alertname"] for case in cases if case["exp_alerts"]}
        waits = {case["alertname"] for case in cases if not case["exp_alerts"]}
        self.assertEqual((fires, waits), (names, names))
