"""Tests of promproxy.simulation.selector."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.selector import parse_selector
from promproxy.simulation.values import SimulationError

LABELS = {"env": "prod", "example.com/team": "blue", "empty": ""}


def holds(selector: str) -> bool:
    return all(need.holds(LABELS) for need in parse_selector(selector))


class ParseSelectorTests(SynchronousTestCase):
    """All forms of a requirement."""

    def test_those_that_hold(self) -> None:
        """Each form with labels that fulfil it."""
        for selector in (
            *("env", "!tier", "env=prod", "env==prod", "env!=test", "tier!=test", "empty="),
            *("env in (prod)", "env in (test,prod)", "env notin (test,dev)", "tier notin (a)"),
            *("example.com/team=blue", "env=prod,!tier,example.com/team in (red,blue)"),
        ):
            assert holds(selector), selector

    def test_those_that_do_not_hold(self) -> None:
        """Each form with labels that do not fulfil it."""
        for selector in (
            *("tier", "!env", "env=test", "env==test", "env!=prod", "tier=", "team=blue"),
            *("env in (test,dev)", "tier in (a)", "env notin (prod,dev)", "env=prod,tier"),
        ):
            assert not holds(selector), selector

    def test_malformed_ones_are_refused(self) -> None:
        """What is in no form is an error."""
        for selector in (
            *("", ",", "env in (a, b)", "env in ()x", "env in a", "=x", "env=a b", "!env=a"),
            *("a/b/c=d", "env notin", "env in (a", ",".join("k" for _ in range(51))),
        ):
            with self.assertRaises(SimulationError, msg=selector):
                parse_selector(selector)

    @given(st.text(max_size=30))
    def test_any_text_is_parsed_or_refused(self, text: str) -> None:
        """No text leads to an error of another kind."""
        try:
            parse_selector(text)
        except SimulationError:
            return
        assert text != ""
