"""Tests of promproxy.settings.node."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from tests.settings.support import FILE, node_of


class PlaceTests(SynchronousTestCase):
    def message(self, function: Any, *args: Any) -> str:
        """What the ConfigError says after the file's name."""
        error = self.assertRaises(ConfigError, function, *args)
        return str(error).removeprefix(f"{FILE}:")

    def test_errors_name_line_and_keys(self) -> None:
        """The line is that of the key, or of the item, and not of what comes below."""
        top = node_of("# x\na:\n  # y\n  b:\n    - 1\n    - c: 5\n")
        second = list(top.entries()["a"].entries()["b"].items())[1]
        self.assertEqual(self.message(top.fail, "m"), "2: m")
        self.assertEqual(self.message(top.entries()["a"].fail, "m"), "2: a: m")
        self.assertEqual(self.message(top.entries()["a"].entries()["b"].fail, "m"), "4: a.b: m")
        self.assertEqual(self.message(second.fail, "m"), "6: a.b[1]: m")
        self.assertEqual(
            self.message(second.entries()["c"].expected, "d"), "6: a.b[1].c: expected d"
        )

    def test_another_kind_of_node(self) -> None:
        """Says what is expected, and not what stands there."""
        for text, function, message in (
            ("[hunter2]", lambda p: p.entries(), "1: expected a mapping"),
            ("{hunter2: x}", lambda p: list(p.items()), "1: expected a list"),
            ("{hunter2: x}", lambda p: p.scalar("a word"), "1: expected a word"),
            ("~", lambda p: p.scalar("a word"), "1: expected a word"),
            ("{[hunter2]: x}", lambda p: p.entries(), "1: expected a plain key"),
        ):
            self.assertEqual(self.message(function, node_of(text)), message)

    def test_a_key_that_stands_twice(self) -> None:
        """YAML would take the last one and say nothing."""
        self.assertEqual(self.message(node_of("a: 1\nb: 2\na: 3").entries), "3: a: appears twice")

    def test_unknown_keys(self) -> None:
        """The nearest known one is named, or all where none is near."""
        place = node_of("{colour: x}").entries()["colour"]
        for known, hint in (
            (["color", "size"], "did you mean 'color'?"),
            (["weight", "size"], "known here: size, weight"),
        ):
            message = self.message(place.unknown_key, "colour", known)
            self.assertEqual(message, f"1: colour: unknown key; {hint}")


class VariableTests(SynchronousTestCase):
    def test_replaced(self) -> None:
        """Anywhere in a string, in any style of writing it, and as often as it stands there."""
        for text in ("a${X}b${X}", "'a${X}b${X}'", '"a${X}b${X}"', "|-\n  a${X}b${X}"):
            self.assertEqual(node_of(text, X="1").scalar(""), "a1b1")

    def test_dollar(self) -> None:
        """Two stand for one; one that begins no variable stands for itself."""
        for text, value in (
            ("$$", "$"),
            ("$${X}", "${X}"),
            ("$$$$", "$$"),
            ("$X", "$X"),
            ("a$", "a$"),
        ):
            self.assertEqual(node_of(text, X="1").scalar(""), value)

    def test_the_value_is_not_looked_at(self) -> None:
        """A password may hold anything that YAML or we would give a meaning."""
        for value in ("${Y}", "$$", "a: b", "", "*x", "~", "5"):
            place = node_of("x${X}", X=value)
            self.assertEqual(place.scalar(""), f"x{value}")
            assert place.is_string() and not place.is_null()

    def test_default_of_a_variable(self) -> None:
        """Where it is not set, or empty; it may be empty itself."""
        for text, value in (
            ("${A:-x y}", "x y"),
            ("${B:-x}", "x"),
            ("${C:-x}", "c"),
            ("${A:-}", ""),
        ):
            self.assertEqual(node_of(f"'{text}'", B="", C="c").scalar("a text"), value)

    def test_an_empty_variable(self) -> None:
        """It is an empty string and not nothing."""
        place = node_of("${X}", X="")
        self.assertEqual((place.scalar(""), place.is_null()), ("", False))

    def test_undefined(self) -> None:
        """The error names it, but none of those that are defined."""
        error = self.assertRaises(ConfigError, node_of("${X}", Y="hunter2").scalar, "")
        self.assertEqual(
            str(error),
            f"{FILE}:1: the environment has no variable 'X' (a plain $ is written $$)",
        )

    def test_keys(self) -> None:
        """They are taken as they stand."""
        self.assertEqual(list(node_of("${X}: 1", X="a").entries()), ["${X}"])
