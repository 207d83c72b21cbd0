"""Tests of promproxy.sources.cloud_foundry.label_selector."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.selector import parse_selector
from promproxy.sources.cloud_foundry.label_selector import parse_label_selector

KEYS = st.sampled_from(["env", "tier", "team.io/env", "a_b-c"])
VALUES = st.sampled_from(["prod", "test", "1.0", "x_y", "in"])
LABELS = st.dictionaries(KEYS, VALUES)
SETS = st.lists(VALUES, min_size=1, max_size=3).map(lambda values: f"({','.join(values)})")
REQUIREMENTS = st.one_of(
    KEYS,
    KEYS.map("!{}".format),
    st.tuples(KEYS, st.sampled_from(["=", "==", "!="]), VALUES).map("".join),
    st.tuples(KEYS, st.sampled_from([" in ", " notin "]), SETS).map("".join),
)
SELECTORS = st.lists(REQUIREMENTS, min_size=1, max_size=4).map(",".join)


class MatchTests(SynchronousTestCase):
    """What a selector means."""

    def test_each_form(self) -> None:
        """A missing label differs from every value."""
        prod, test, none = {"env": "prod"}, {"env": "test"}, {"tier": "db"}
        for text, expected in (
            ("env", (True, True, False)),
            ("!env", (False, False, True)),
            ("env=prod", (True, False, False)),
            ("env==prod", (True, False, False)),
            ("env!=prod", (False, True, True)),
            ("env in (prod,test)", (True, True, False)),
            ("env in (prod, other)", (True, False, False)),
            ("env notin (prod,other)", (False, True, True)),
            ("env,!tier", (True, True, False)),
            ("env = prod , env", (True, False, False)),
            ("!env,tier=db", (False, False, True)),
        ):
            selector = parse_label_selector(text)
            found = tuple(selector.matches(labels) for labels in (prod, test, none))
            self.assertEqual(found, expected, text)

    def test_keys_with_a_prefix_and_keys_named_like_operators(self) -> None:
        """``in`` and ``notin`` are good names too."""
        self.assertTrue(parse_label_selector("acme.io/env=prod").matches({"acme.io/env": "prod"}))
        self.assertTrue(parse_label_selector("in in (a)").matches({"in": "a"}))
        self.assertTrue(parse_label_selector("notin").matches({"notin": ""}))

    def test_empty_value(self) -> None:
        """A label may be empty, which is not the same as missing."""
        selector = parse_label_selector("env=")
        self.assertTrue(selector.matches({"env": ""}))
        self.assertFalse(selector.matches({}))

    @given(SELECTORS, LABELS)
    def test_agrees_with_the_api(self, text: str, labels: dict[str, str]) -> None:
        """Also in the words in which the API is asked."""
        selector = parse_label_selector(text)
        expected = all(need.holds(labels) for need in parse_selector(text))
        asked = all(need.holds(labels) for need in parse_selector(selector.text))
        self.assertEqual((selector.matches(labels), asked), (expected, expected))

    @given(SELECTORS)
    def test_text_for_the_api_means_the_same_to_us(self, text: str) -> None:
        """Is what it becomes when read again."""
        selector = parse_label_selector(text)
        self.assertEqual(parse_label_selector(selector.text).text, selector.text)


class TextTests(SynchronousTestCase):
    """How the API is asked."""

    def test_no_blank_stands_where_the_api_refuses_it(self) -> None:
        """It takes one around ``in`` only."""
        for text in ("a in (b, c) , !d", "a in ( b,c ),! d"):
            self.assertEqual(parse_label_selector(text).text, "a in (b,c),!d")


class ErrorTests(SynchronousTestCase):
    """What is no selector."""

    def test_position_is_named(self) -> None:
        """Where the requirement begins that makes no sense."""
        for text, position in (
            ("", 0),
            (" ", 0),
            (",", 0),
            ("a b", 0),
            ("a,,b", 2),
            ("a,=b", 2),
            ("a in b", 0),
            ("a in ()x", 0),
            ("a=b,c in (d", 4),
            ("a=b;c", 0),
            ("a>1", 0),
            ("!!a", 0),
            ("!a=b", 0),
            ("a in (b c)", 0),
            ("x,a in (é)", 2),
            ("x,a in ((b))", 2),
        ):
            with self.subTest(text):
                error = self.assertRaises(ValueError, parse_label_selector, text)
                self.assertIn(f"position {position}", str(error))

    def test_many_blanks(self) -> None:
        """However many there are, an answer does not take long; it would have taken years."""
        blanks = " " * 50_000
        for text in (
            f"a in (b{blanks}c)",
            f"a in ({blanks}",
            f"a{blanks}",
            f"a={blanks}!",
            f"a{blanks}!",
        ):
            with contextlib.suppress(ValueError):
                parse_label_selector(text)

    def test_comma_at_the_end(self) -> None:
        """Something is missing there."""
        error = self.assertRaises(ValueError, parse_label_selector, "a,")
        self.assertIn("the last comma", str(error))
        error = self.assertRaises(ValueError, parse_label_selector, "a, ")
        self.assertIn("position 2", str(error))

    @given(st.text(alphabet="ab=!,() in/\n", max_size=12))
    def test_any_text(self, text: str) -> None:
        """Nothing but ValueError; what is accepted can be asked of the API."""
        try:
            selector = parse_label_selector(text)
        except ValueError:
            return
        parse_selector(selector.text)
