"""Tests of promproxy.timing.deadlines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.timing.deadlines import TICK, Deadlines


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.passed: list[str] = []
        self.deadlines: Deadlines[str] = Deadlines(self.clock, self.passed.append)

    def test_moment_comes(self) -> None:
        """Not before, and no later."""
        self.deadlines.add("a", 5)
        self.clock.advance(4.999)
        self.assertEqual(self.passed, [])
        self.clock.advance(0.001)
        self.assertEqual(self.passed, ["a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_done_before_is_forgotten(self) -> None:
        """Leaves no timer, at the latest when its moment comes."""
        self.deadlines.add("a", 5)
        self.deadlines.add("b", 6)
        self.deadlines.remove("a")
        self.clock.advance(5.5)
        self.assertEqual(self.passed, [])
        self.deadlines.remove("b")
        self.clock.advance(0.5)
        self.assertEqual(self.passed, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """Ends the timer at once, unless something still waits for its moment."""
        self.deadlines.add("a", 5)
        self.deadlines.stop()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.deadlines.remove("a")
        self.deadlines.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.deadlines.add("b", 6)
        self.clock.advance(6)
        self.assertEqual(self.passed, ["b"])

    def test_earlier_one_that_comes_later(self) -> None:
        """Is met at its own moment."""
        self.deadlines.add("a", 10)
        self.deadlines.add("b", 1)
        self.clock.advance(1)
        self.assertEqual(self.passed, ["b"])
        self.clock.advance(9)
        self.assertEqual(self.passed, ["b", "a"])

    def test_moment_that_has_passed_already(self) -> None:
        """Comes in the next turn."""
        self.clock.advance(10)
        self.deadlines.add("a", 5)
        self.assertEqual(self.passed, [])
        self.clock.advance(0)
        self.assertEqual(self.passed, ["a"])

    def test_one_may_end_another(self) -> None:
        """Whose moment has come as well, and which then hears nothing of it."""

        def passed(thing: str) -> None:
            self.passed.append(thing)
            deadlines.remove("b")
            if thing == "c":
                deadlines.add("d", 7)

        deadlines: Deadlines[str] = Deadlines(self.clock, passed)
        for thing in ("a", "b", "c"):
            deadlines.add(thing, 5)
        self.clock.advance(5)
        self.assertEqual(self.passed, ["c", "a"])
        self.clock.advance(2)
        self.assertEqual(self.passed, ["c", "a", "d"])

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.booleans()), max_size=20))
    def test_any(self, things: list[tuple[float, float, bool]]) -> None:
        """Each is met once, at its moment or one tick later, unless it was removed before."""
        clock = Clock()
        met: dict[int, float] = {}

        def passed(number: int) -> None:
            assert number not in met
            met[number] = clock.seconds()

        deadlines: Deadlines[int] = Deadlines(clock, passed)
        for number, (moment, removed, is_removed) in enumerate(things):
            deadlines.add(number, moment)
            if is_removed:
                clock.callLater(removed, deadlines.remove, number)
        clock.pump([0.01] * 1010)
        for number, (moment, removed, is_removed) in enumerate(things):
            if number in met:
                assert moment <= met[number] <= moment + TICK + 0.02
            else:
                assert is_removed and removed <= moment + TICK + 0.02
        assert clock.getDelayedCalls() == []
