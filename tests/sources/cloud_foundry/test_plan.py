"""Tests of promproxy.sources.cloud_foundry.plan."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.kinds import KINDS
from promproxy.simulation.listing import parse_query
from promproxy.sources.cloud_foundry.label_selector import parse_label_selector
from promproxy.sources.cloud_foundry.plan import (
    BATCH,
    MOST_NAME_BYTES,
    Scope,
    guid_queries,
    name_queries,
    scope_of,
)
from promproxy.sources.cloud_foundry.settings import Rule

ANY = re.compile(".*")
LABEL = parse_label_selector("a = b")


def scope(*conditions: dict[str, Any]) -> Scope:
    """The scope of a rule for each."""
    return scope_of([Rule(**each) for each in conditions])


class ScopeTests(SynchronousTestCase):
    """What the lists are narrowed to."""

    def test_nothing_or_a_pattern_is_read_as_a_whole(self) -> None:
        """Names that match it are not known before."""
        for conditions in ({}, {"org_regex": ANY}, {"space": "prod"}, {"app_regex": ANY}):
            self.assertEqual(scope(conditions), Scope(), conditions)

    def test_orgs(self) -> None:
        """By name or guid, each once; what else is said is filtered afterwards."""
        found = scope(
            {"org": "a", "app": "x"}, {"org": "b"}, {"org": "a"}, {"org_guid": "g", "org": "c"}
        )
        self.assertEqual(found, Scope("organization", ("g",), ("a", "b")))

    def test_spaces_of_orgs(self) -> None:
        """A space's name alone is not enough: it is in many orgs."""
        found = scope(
            {"org": "a", "space": "p"}, {"org_guid": "g", "space": "q"}, {"space_guid": "s"}
        )
        self.assertEqual(found, Scope("space", ("s",), ("p", "q")))
        self.assertEqual(scope({"space": "p"}, {"space_guid": "s"}), Scope())

    def test_space_in_one_rule_and_org_in_another(self) -> None:
        """The wider of them; a space without an org fits into no org's list."""
        found = scope({"org": "a", "space": "p"}, {"org": "b"})
        self.assertEqual(found, Scope("organization", (), ("a", "b")))
        self.assertEqual(scope({"space_guid": "s"}, {"org": "b"}), Scope())

    def test_apps_by_name(self) -> None:
        self.assertEqual(
            scope({"app": "x"}, {"app": "y", "org": "a"}), Scope("app", (), ("x", "y"))
        )

    def test_labels(self) -> None:
        """One selector for all, in the API's words; several cannot be asked for at once."""
        found = scope({"label_selector": LABEL}, {"label_selector": LABEL, "org": "a"})
        self.assertEqual(found, Scope("label", (), (LABEL.text,)))
        other = {"label_selector": parse_label_selector("!a")}
        self.assertEqual(scope({"label_selector": LABEL}, other), Scope())
        self.assertEqual(scope({"label_selector": LABEL}, {}), Scope())


class NameQueryTests(SynchronousTestCase):
    """How names are asked for."""

    def names_of(self, query: tuple[tuple[str, str], ...]) -> frozenset[str]:
        """What the API understands."""
        text = urlencode(query, quote_via=quote, safe=",")
        parsed = parse_query(KINDS["organizations"], text, maximum_result=0, embed=True)
        return parsed.filters["names"]

    def test_few_names_are_one_query(self) -> None:
        """Joined by commas; none are none."""
        self.assertEqual(list(name_queries(["a", "b"])), [(("names", "a,b"),)])
        self.assertEqual(list(name_queries([])), [])

    def test_odd_names_are_understood(self) -> None:
        """The API decodes each name once more."""
        odd = ["a,b", "50%", "a%2Cb", "c++", "with blank", "é&=#?", "a/b"]
        (query,) = name_queries(odd)
        self.assertEqual(self.names_of(query), frozenset(name.lower() for name in odd))

    @given(st.lists(st.text(min_size=1, max_size=60), max_size=400, unique=True))
    def test_any_names(self, names: list[str]) -> None:
        """All of them are asked for, in requests that are short enough even when re-encoded."""
        names = [name.encode("utf-8", "ignore").decode() or "x" for name in names]
        asked: set[str] = set()
        for query in name_queries(names):
            asked |= self.names_of(query)
            self.assertLessEqual(len(quote(query[0][1], safe="")), MOST_NAME_BYTES)
        self.assertEqual(asked, {name.lower() for name in names})

    def test_many_names_are_several_queries(self) -> None:
        """As few as the budget allows."""
        names = [f"organization-number-{n:04}" for n in range(400)]
        self.assertEqual(len(list(name_queries(names))), 2)

    def test_name_longer_than_the_budget_is_asked_for_alone(self) -> None:
        """The API may say what it thinks of it."""
        self.assertEqual(len(list(name_queries(["x" * 9000, "y"]))), 2)


class GuidQueryTests(SynchronousTestCase):
    """How guids are asked for."""

    def test_one_query_up_to_a_batch(self) -> None:
        """Which fits into a request line, the commas encoded."""
        guids = [f"{n:036}" for n in range(BATCH)]
        queries = guid_queries("space_guids", guids)
        assert queries is not None
        self.assertEqual(queries, [(("space_guids", ",".join(guids)),)])
        self.assertLess(len(quote(queries[0][0][1], safe="")), 7500)

    def test_more_are_not_worth_it(self) -> None:
        """Two batches of three lists are more requests than the whole."""
        self.assertIsNone(guid_queries("space_guids", ["g"] * (BATCH + 1)))

    def test_none_are_no_query(self) -> None:
        """Not one without a filter, which would ask for everything."""
        self.assertEqual(guid_queries("space_guids", []), [])
