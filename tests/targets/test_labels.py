"""Tests of promproxy.targets.labels."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.labels import (
    MAX_LABEL_BYTES,
    is_label_name,
    passed_labels,
    problem_with_label,
    shown,
)

NAMES = st.one_of(
    st.sampled_from(
        ["job", "instance", "__address__", "__meta_x", "__param_a b", "__scrape_timeout__", "é"]
    ),
    st.from_regex("[a-z_][a-z0-9_]{0,9}", fullmatch=True),
    st.text(max_size=9),
    st.none() | st.integers() | st.booleans() | st.dates() | st.tuples(st.integers()),
)
VALUES = st.one_of(
    st.text(st.characters(), max_size=20),
    st.integers(4000, 4200).map("x".__mul__),
    st.none() | st.integers() | st.floats() | st.lists(st.integers(), max_size=2),
)


class LabelNameTests(SynchronousTestCase):
    def test_names_of_the_data_model(self) -> None:
        """Letters, digits and underscores, no digit first."""
        for name in ("a", "A9", "_", "__meta_x", "le"):
            assert is_label_name(name), name

    def test_everything_else(self) -> None:
        """Also not what only looks like a letter, nor what is not a string."""
        for name in ("", "9a", "a-b", "a.b", "é", "a\n", "a b", "٣", None, 1, True, ("a",)):
            assert not is_label_name(name), name


class ProblemWithLabelTests(SynchronousTestCase):
    def test_longest_name(self) -> None:
        """Longer than any that Prometheus's storages take."""
        self.assertIsNone(problem_with_label("a" * 1024, "x"))
        self.assertEqual(problem_with_label("a" * 1025, "x"), "label_name")

    def test_longest_value(self) -> None:
        """4 kB pass, one byte more does not; bytes are counted, not characters."""
        self.assertIsNone(problem_with_label("a", "x" * 4096))
        self.assertEqual(problem_with_label("a", "x" * 4097), "label_value_length")
        self.assertEqual(problem_with_label("a", "é" * 2049), "label_value_length")

    def test_other_problems(self) -> None:
        """A bad name, a value that is not a string, half a surrogate pair."""
        self.assertEqual(problem_with_label("a-b", "x"), "label_name")
        self.assertEqual(problem_with_label("a", 1), "label_value_type")
        self.assertEqual(problem_with_label("a", None), "label_value_type")
        self.assertEqual(problem_with_label("a", "\ud800"), "label_value_type")


class PassedLabelsTests(SynchronousTestCase):
    def passed(self, raw: dict[object, object], *, honor_job: bool = False) -> dict[str, str]:
        labels, dropped = passed_labels(raw, honor_job=honor_job, where="group 1")
        self.assertEqual(dropped, [])
        return labels

    def reason_for(self, name: object, value: object = "x") -> str:
        labels, [dropped] = passed_labels({name: value}, honor_job=False, where="group 1")
        self.assertEqual(labels, {})
        self.assertEqual(dropped.what, f"label {shown(name)} of group 1")
        return dropped.reason

    def test_what_goes_on(self) -> None:
        """Plain labels, __meta_* and __scrape_*__ pass unchanged."""
        labels: dict[object, object] = {
            "env": "prod",
            "empty": "",
            "_one": "1",
            "__meta_rack": "7",
            "__scrape_timeout__": "3s",
            "__scrape_interval__": "30s",
            "odd": 'a\0"\\\né\u2028',
        }
        self.assertEqual(self.passed(labels), labels)

    def test_what_says_how_we_scrape(self) -> None:
        """It is consumed without a word, and so is instance."""
        raw: dict[object, object] = {
            "__address__": "a:1",
            "__scheme__": "https",
            "__metrics_path__": "/x",
            "__param_module": "y",
            "instance": "z",
        }
        self.assertEqual(self.passed(raw), {})

    def test_job(self) -> None:
        """It passes only where the operator says so."""
        self.assertEqual(self.passed({"job": "x"}, honor_job=True), {"job": "x"})
        self.assertEqual(self.reason_for("job"), "label_job")

    def test_reserved_names(self) -> None:
        """Other names with two underscores belong to Prometheus."""
        for name in ("__name__", "__tmp", "__", "__meta_", "__scrape_x", "__scrape___"):
            self.assertEqual(self.reason_for(name), "label_reserved", name)

    def test_bad_labels(self) -> None:
        """Each is named, with the reason."""
        self.assertEqual(self.reason_for("a-b"), "label_name")
        self.assertEqual(self.reason_for(8080), "label_name")
        self.assertEqual(self.reason_for("a", 8080), "label_value_type")
        self.assertEqual(self.reason_for("__param_a", 1), "label_value_type")
        self.assertEqual(self.reason_for("__param_a b"), "label_name")

    @given(st.dictionaries(NAMES, VALUES, max_size=6), st.booleans())
    def test_prometheus_would_take_whatever_is_left(
        self, raw: dict[object, object], honor_job: bool
    ) -> None:
        """Only its own kind of names, and strings that JSON can carry; each other one is named."""
        labels, dropped = passed_labels(raw, honor_job=honor_job, where="it")
        for name, value in labels.items():
            assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name)
            assert not name.startswith("__") or name.startswith(("__meta_", "__scrape_"))
            assert raw[name] == value and len(value.encode()) <= MAX_LABEL_BYTES
            self.assertEqual(json.loads(json.dumps(value)), value)
        consumed = {name for name, value in raw.items() if value is None} | {
            name
            for name, value in raw.items()
            if isinstance(name, str)
            and (
                value is None or name in ("instance", "__address__") or name.startswith("__param_")
            )
        }
        missing = len(raw) - len(labels) - len(dropped)
        assert 0 <= missing <= len(consumed)


class ShownTests(SynchronousTestCase):
    def test_text(self) -> None:
        """It is quoted, so that blanks and line ends show."""
        self.assertEqual(shown("a b\n"), "'a b\\n'")

    def test_long_text(self) -> None:
        self.assertEqual(shown("x" * 78), f"'{'x' * 78}'")
        self.assertEqual(shown("x" * 79), f"'{'x' * 76}...")
        self.assertEqual(shown("x" * 1000), f"'{'x' * 76}...")

    def test_other_values(self) -> None:
        """Short ones show as they are."""
        self.assertEqual(shown(9100), "9100")
        self.assertEqual(shown(None), "None")
        self.assertEqual(shown(["a:1"]), "['a:1']")

    def test_a_number_too_long_to_be_written(self) -> None:
        """Python refuses to write numbers of thousands of digits; YAML can spell them in hex."""
        self.assertEqual(shown(1 << 20000), "<int>")

    def test_a_list_nested_too_deeply_to_be_written(self) -> None:
        """Nor does it write lists in lists in lists without end."""
        nested: list[object] = []
        for _ in range(100_000):
            nested = [nested]
        self.assertEqual(shown(nested), "<list>")
