"""Tests of promproxy.web.status.selection."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.scrape.history import TargetRecord
from promproxy.web.status.query import Query
from promproxy.web.status.selection import A_STEP, MOST_SORTED, ON_A_PAGE, Selection
from tests.fakes import make_target
from tests.web.status.support import record

MANY = [make_target(f"h:{number}") for number in range(1, 2 * MOST_SORTED)]


def select(
    query: Query, records: Mapping[str, TargetRecord] | None = None, count: int = len(MANY)
) -> Selection:
    selection = Selection(query, (records or {}).get)
    for _ in selection.look_at(MANY[:count]):
        pass
    return selection


def ports(selection: Selection) -> list[int]:
    return [row.target.port for row in selection.rows]


class SelectionTests(SynchronousTestCase):
    def test_a_page(self) -> None:
        """A hundred targets in their own order."""
        self.assertEqual(ports(select(Query())), list(range(1, ON_A_PAGE + 1)))
        self.assertEqual(ports(select(Query(page=2)))[0], ON_A_PAGE + 1)

    def test_the_last_page(self) -> None:
        """It has the rest; there is none behind it."""
        selection = select(Query(page=3), count=2 * ON_A_PAGE + 1)
        self.assertEqual((selection.last_page, len(selection.rows)), (3, 1))
        self.assertEqual(select(Query(page=4), count=2 * ON_A_PAGE + 1).rows, [])
        self.assertEqual(select(Query(), count=2 * ON_A_PAGE).last_page, 2)

    def test_nothing(self) -> None:
        """One empty page."""
        selection = select(Query(), count=0)
        self.assertEqual((selection.matched, selection.rows, selection.last_page), (0, [], 1))

    def test_filters(self) -> None:
        """Counts of all targets stay what they are, whatever is shown."""
        records = {MANY[0].id: record("timeout"), MANY[1].id: record()}
        selection = select(Query(health="down"), records, count=5)
        self.assertEqual((ports(selection), selection.matched), ([1], 1))
        self.assertEqual(
            dict(selection.healths), {("vms", "down"): 1, ("vms", "up"): 1, ("vms", "unknown"): 3}
        )

    def test_each_order(self) -> None:
        """By the last scrape; those without one come last."""
        records = {
            MANY[0].id: record(seconds=1.0, size=30, began=200.0),
            MANY[1].id: record(seconds=3.0, size=20, began=300.0),
            MANY[2].id: record(""),
            MANY[3].id: record(seconds=2.0, size=40, began=100.0),
        }
        for sort, expected in (
            ("slowest", [2, 4, 1, 3, 5]),
            ("largest", [4, 1, 2, 3, 5]),
            ("oldest", [4, 1, 2, 3, 5]),
        ):
            self.assertEqual(ports(select(Query(sort=sort), records, count=5)), expected, sort)

    def test_a_target_that_was_prepared_but_not_scraped(self) -> None:
        """It has no last scrape to show."""
        self.assertIsNone(select(Query(), {MANY[0].id: record("")}, count=1).rows[0].record)

    def test_what_is_sorted_ends_somewhere(self) -> None:
        """So that it takes no more than a step at a time."""
        selection = select(Query(sort="slowest", page=MOST_SORTED // ON_A_PAGE))
        self.assertEqual(selection.matched, len(MANY))
        self.assertEqual((selection.shown, selection.last_page), (MOST_SORTED, 10))
        self.assertEqual(len(selection.rows), ON_A_PAGE)
        self.assertEqual(select(Query(sort="slowest", page=11)).rows, [])

    @given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), max_size=MOST_SORTED + 50), st.integers(1, 3))
    def test_sorted_as_a_whole(self, seconds: list[float], page: int) -> None:
        """The pages are those of a stable sort."""
        records = {MANY[i].id: record(seconds=value) for i, value in enumerate(seconds)}
        selection = select(Query(sort="slowest", page=page), records, count=len(seconds))
        order = sorted(range(len(seconds)), key=lambda i: -seconds[i])
        start = (page - 1) * ON_A_PAGE
        self.assertEqual(ports(selection), [i + 1 for i in order[start : start + ON_A_PAGE]])

    def test_few_targets_at_a_step(self) -> None:
        """Others have their turn in between."""
        selection = Selection(Query(), {}.get)
        next(selection.look_at(MANY))
        self.assertEqual(selection.matched, A_STEP)
