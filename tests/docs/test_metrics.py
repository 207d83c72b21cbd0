"""Metrics that anything in the manual or in conf/ names: each is in the reference.

That the reference is true is tested with a running daemon, in tests/integration.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ScrapeError
from promproxy.scrape.outcome import outcome_of
from promproxy.sync.metrics import Figures
from tests.docs.metrics_reference import reference, words_of_tables
from tests.docs.pages import CHECKOUT, all_pages

_METRIC = re.compile(r"\b(?:promproxy|pushprox|pushproxy)_[a-z0-9_]+[a-z0-9]\b")
# Members of documents, and a series of merged answers.
NO_METRICS = {"promproxy_state", "promproxy_source", "promproxy_merged_target_failed"}


def texts() -> dict[str, str]:
    """All that may name a metric."""
    files = [*all_pages(), *(str(f.relative_to(CHECKOUT)) for f in CHECKOUT.glob("conf/*.*"))]
    return {name: (CHECKOUT / name).read_text(encoding="utf-8") for name in files}


class NamesTests(SynchronousTestCase):
    def test_are_those_of_the_reference(self) -> None:
        """So that none is misspelled, or was renamed meanwhile."""
        series = {name for metric in reference().values() for name in metric.series}
        for file, text in texts().items():
            known = {*series, *reference()} if file.endswith(".md") else series
            self.assertEqual(set(_METRIC.findall(text)) - known - NO_METRICS, set(), file)


class ReferenceTests(SynchronousTestCase):
    def test_of_sync(self) -> None:
        """All that `promproxy sync` tells, and no more."""
        figures = Figures(file="f", succeeded=True, seconds=1.0, last_success=1.0, targets=1)
        found = {
            f"{family.name}_total" if family.type == "counter" else family.name: (
                family.type,
                {frozenset(sample.labels) for sample in family.samples},
            )
            for family in figures.collect()
        }
        expected = {
            name: (metric.kind, {metric.labels})
            for name, metric in reference().items()
            if name.startswith("promproxy_sync_")
        }
        self.assertEqual(found, expected)

    def test_outcomes(self) -> None:
        """Each that the code has, with none that it has not."""
        documented = words_of_tables("outcome")
        of_errors = {outcome_of(kind("")) for kind in ScrapeError.__subclasses__()}
        self.assertEqual(of_errors - documented, set())
        self.assert_in_code(documented)

    def test_reasons(self) -> None:
        """None that the code has not."""
        reasons = words_of_tables("reason")
        self.assertGreater(len(reasons), 20)
        self.assert_in_code(reasons)

    def assert_in_code(self, words: set[str]) -> None:
        code = "".join(f.read_text(encoding="utf-8") for f in CHECKOUT.glob("promproxy/**/*.py"))
        self.assertEqual({word for word in words if f'"{word}"' not in code}, set())
