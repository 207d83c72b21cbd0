"""Tests of promproxy.web.status.query."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.web.status.query import HEALTHS, LONGEST_TEXT, SORTS, Query, health_of
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
        """They are cut."""
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
        """As a whole."""
        assert self.found(source="vms")
        assert not self.found(source="vm")

    def test_all_conditions_must_hold(self) -> None:
        """Not only one."""
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
