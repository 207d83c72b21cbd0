"""Tests of promproxy.sources.json_array."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.json_array import JsonReader, json_array_elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LAYOUTS = st.sampled_from([None, 0, 1, "\t", "\r\n "])


def elements_of(text: str) -> list[Any]:
    return list(json_array_elements(text))


class JsonArrayElementsTests(SynchronousTestCase):
    def test_lazy(self) -> None:
        """An element is there before what follows has been looked at."""
        self.assertEqual(next(json_array_elements("[1, oops")), 1)

    def test_what_is_no_array(self) -> None:
        """It is refused, whatever it is."""
        for bad in (
            *("", " ", "{}", "1", "null", '"[]"', "[", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]"),
            *("[1]]", "[1] 2", "[]x", "[1}", "[a]", "['a']", '["a]', "\ufeff[]", "\xa0[]", "[1;2]"),
        ):
            with self.assertRaises(ValueError, msg=bad):
                elements_of(bad)

    def test_nested_too_deeply(self) -> None:
        """An error like any other."""
        with self.assertRaises(ValueError):
            elements_of("[" * 200_000)

    def test_number_too_long_to_be_read(self) -> None:
        """An error like any other."""
        with self.assertRaises(ValueError):
            elements_of(f"[{'9' * 10_000}]")

    def test_what_json_loads_takes_beyond_the_standard(self) -> None:
        """NaN and the infinities, as the standard library reads them."""
        found = elements_of("[NaN, -Infinity]")
        assert math.isnan(found[0]) and found[1] == -math.inf

    @given(st.lists(VALUES, max_size=5), LAYOUTS)
    def test_any_array(self, array: list[Any], indent: Any) -> None:
        """The same elements as ``json.loads`` finds, in any layout."""
        text = json.dumps(array, indent=indent)
        self.assertEqual(elements_of(f" \n{text}\t"), json.loads(text))

    @given(st.text('[]{},:1e-"a\\ \n', max_size=12))
    def test_any_text(self, text: str) -> None:
        """An array for ``json.loads`` is one for us, and the other way round."""
        try:
            expected = json.loads(text)
        except ValueError:
            expected = None
        if isinstance(expected, list):
            self.assertEqual(elements_of(text), expected)
        else:
            self.assertRaises(ValueError, elements_of, text)


class JsonReaderTests(SynchronousTestCase):
    def test_an_array_inside_an_object(self) -> None:
        """The reader goes into what is large and takes the rest whole."""
        reader = JsonReader(' { "a" : [ 1 , {"x": 2} ] , "b" : {"c": 3} } ')
        read: dict[str, Any] = {}
        for name in reader.members():
            if name == "a":
                read[name] = [reader.value() for _ in reader.elements()]
            else:
                read[name] = reader.value()
        reader.end()
        self.assertEqual(read, {"a": [1, {"x": 2}], "b": {"c": 3}})

    def test_what_is_no_object(self) -> None:
        for bad in ("", "[]", '{"a"}', '{"a" 1}', '{"a":}', '{"a":1,}', "{1:2}", '{"a":1', "{]"):
            with self.assertRaises(ValueError, msg=bad):
                reader = JsonReader(bad)
                for _ in reader.members():
                    reader.value()
                reader.end()

    @given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), LAYOUTS)
    def test_any_object(self, value: dict[str, Any], indent: Any) -> None:
        """The same members as ``json.loads`` finds, in any layout."""
        reader = JsonReader(json.dumps(value, indent=indent))
        self.assertEqual({name: reader.value() for name in reader.members()}, value)
        reader.end()
