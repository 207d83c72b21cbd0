"""Tests of promproxy.web.status.query."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.scrape.history import TargetRecord
from promproxy.web.status.query import (
    A_STEP,
    HEALTHS,
    LONGEST_TEXT,
    MOST_SORTED,
    ON_A_PAGE,
    SORTS,
    Query,
    Selection,
    health_of,
)
from tests.fakes import make_target
from tests.web.status.support import record

QUERIES = st.builds(
    Query,
    text=st.text(max_size=20).map(str.strip),
    source=st.text(max_size=20),
    health=st.sampled_from(["", *HEALTHS]),
    sort=st.sampled_from(["", *SORTS]),
    page=st.integers(1, 9999),
)


def args_of(link: str) -> dict[bytes, list[bytes]]:
    """What a request for the link would have."""
    parsed = parse_qs(urlsplit(link).query, keep_blank_values=True)
    return {name.encode(): [v.encode() for v in values] for name, values in parsed.items()}


class ArgsTests(SynchronousTestCase):
    def test_nothing_means_all(self) -> None:
        """The first page of everything."""
        self.assertEqual(Query.from_args({}), Query())

    def test_everything(self) -> None:
        """The last value of each counts."""
        args = {
            b"text": [b"x", b" caf\xc3\xa9 "],
            b"source": [b"vms"],
            b"health": [b"down"],
            b"sort": [b"slowest"],
            b"page": [b"3"],
            b"view": [b"configuration"],
        }
        expected = Query(
            text="café", source="vms", health="down", sort="slowest", page=3, view="configuration"
        )
        self.assertEqual(Query.from_args(args), expected)

    def test_nonsense_means_all(self) -> None:
        """Whoever writes URLs by hand gets a page all the same."""
        for name, value in (
            *(("health", "ill"), ("sort", "name"), ("view", "x"), ("other", "x")),
            *(("page", p) for p in ("0", "-1", "x", "", "1.5", "1" * 9, "²")),
        ):
            query = Query.from_args({name.encode(): [value.encode()]})
            self.assertEqual(query, Query(page=max(query.page, 1)), (name, value))
            self.assertLessEqual(query.page, 1)

    def test_long_texts(self) -> None:
        self.assertEqual(Query.from_args({b"text": [b"x" * 10000]}).text, "x" * LONGEST_TEXT)

    def test_bytes_that_are_no_text(self) -> None:
        """They find nothing, and break nothing."""
        self.assertEqual(Query.from_args({b"text": [b"\xff"]}).text, "\ufffd")


class LinkTests(SynchronousTestCase):
    def test_changes_begin_at_the_first_page(self) -> None:
        """The third page of something else is not what was meant."""
        query = Query(text="a b", page=3)
        self.assertEqual(query.link(health="down"), "?text=a+b&health=down")
        self.assertEqual(query.link(page=4), "?text=a+b&page=4")

    def test_everything_has_a_link_too(self) -> None:
        """One that works below a path prefix."""
        self.assertEqual(Query(page=3).link(), "./")

    @given(QUERIES)
    def test_back_and_forth(self, query: Query) -> None:
        """A link leads to what it was made for, whatever the words in it."""
        self.assertEqual(Query.from_args(args_of(query.link(page=query.page))), query)


class WantsTests(SynchronousTestCase):
    def found(self, **query: str) -> bool:
        target = make_target(
            "db-1.Example.org:9100",
            path="/probe",
            labels={"team": "Storage", "__meta_cf_app_name": "shop"},
        )
        return Query(**query).wants(target, record("timeout", error="no answer"))

    def test_text(self) -> None:
        """In the id, the URL, a label's value, also one that only Prometheus sees, or the error."""
        for text in ("vms/db", "EXAMPLE", "/probe", "stor", "shop", "NO answer", ""):
            assert self.found(text=text), text
        for text in ("web", "team", "timeout", "meta"):
            assert not self.found(text=text), text

    def test_source(self) -> None:
        assert self.found(source="vms")
        assert not self.found(source="vm")

    def test_all_conditions_must_hold(self) -> None:
        assert self.found(text="db", source="vms", health="down")
        assert not self.found(text="db", source="vms", health="up")
        assert not self.found(text="db", source="other", health="down")

    def test_health(self) -> None:
        """As Prometheus calls it."""
        self.assertEqual(health_of(None), "unknown")
        self.assertEqual(health_of(record("")), "unknown")
        self.assertEqual(health_of(record("success")), "up")
        for outcome in ("target_error", "timeout", "unreachable", "cut_short"):
            self.assertEqual(health_of(record(outcome)), "down")


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
