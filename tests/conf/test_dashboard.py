"""The dashboard for Grafana: every query in it is one that Prometheus understands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.pages import CHECKOUT
from tests.docs.yaml_examples import check_promql

DASHBOARD = CHECKOUT / "conf" / "grafana-dashboard.json"


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions(interval: str = "5m") -> Iterator[str]:
    """The queries as they are for all jobs, instances and sources."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", interval)
            yield re.sub(r"\$[a-z]+", ".*", expression)


class DashboardTests(SynchronousTestCase):
    def test_queries(self) -> None:
        """Prometheus understands all of them."""
        folder = Path(self.mktemp())
        folder.mkdir()
        check_promql("\n\n".join(expressions()), folder)

    def test_variables(self) -> None:
        """Every one that a query or a panel names is there."""
        known = {variable["name"] for variable in dashboard()["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]+)", DASHBOARD.read_text(encoding="utf-8")))
        self.assertEqual(used - known, set())

    def test_panels_say_what_they_show(self) -> None:
        """Each has a title, an explanation and a unit, and asks the source that was chosen."""
        for panel in panels():
            assert panel["title"] and panel["description"], panel
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            for target in panel["targets"]:
                self.assertEqual(target["datasource"]["uid"], "${datasource}")

    def test_panels_do_not_overlap(self) -> None:
        """None is wider than the page."""
        places = [panel["gridPos"] for panel in dashboard()["panels"]]
        for place in places:
            self.assertLessEqual(place["x"] + place["w"], 24)
        for one, other in combinations(places, 2):
            apart = any(
                one[at] + one[size] <= other[at] or other[at] + other[size] <= one[at]
                for at, size in (("x", "w"), ("y", "h"))
            )
            assert apart, (one, other)

    def test_ids(self) -> None:
        """No two panels have the same."""
        ids = [panel["id"] for panel in dashboard()["panels"]]
        self.assertEqual(len(set(ids)), len(ids))
