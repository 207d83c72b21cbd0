"""Tests of promproxy.timing.slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.timing.slices import in_slices


class InSlicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.done = 0

    def turn(self) -> None:
        """One turn of the reactor; `advance` would go on while calls are due."""
        call: Any = self.clock.calls.pop()
        call.called = 1
        call.func(*call.args, **call.kw)

    def steps(self, count: int) -> Iterator[None]:
        """Each takes a millisecond."""
        for _ in range(count):
            self.clock.rightNow += 0.001
            self.done += 1
            yield

    def begin(self, work: Iterator[None]) -> Deferred[None]:
        return Deferred.fromCoroutine(in_slices(work, self.clock))

    def test_others_have_a_turn_every_three_milliseconds(self) -> None:
        working = self.begin(self.steps(7))
        for expected in (3, 6, 7):
            self.assertNoResult(working)
            self.turn()
            self.assertEqual(self.done, expected)
        self.successResultOf(working)

    def test_cancelling_ends_the_work(self) -> None:
        working = self.begin(self.steps(7))
        self.turn()
        working.cancel()
        self.failureResultOf(working, CancelledError)
        self.clock.advance(1)
        self.assertEqual((self.done, self.clock.getDelayedCalls()), (3, []))

    def test_error_of_the_work_is_passed_on(self) -> None:
        def fail() -> Iterator[None]:
            yield
            raise ValueError

        working = self.begin(fail())
        self.clock.advance(0)
        self.failureResultOf(working, ValueError)
