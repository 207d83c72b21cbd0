"""Tests of promproxy.timing.pauses."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.timing.pauses import Pauses


class PausesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pauses = Pauses(self.clock)

    def begin(self, seconds: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self.pauses.pause(seconds))

    def test_time_passes(self) -> None:
        pause = self.begin(3)
        self.clock.advance(2.9)
        self.assertNoResult(pause)
        self.clock.advance(0.1)
        self.successResultOf(pause)

    def test_all_are_cut_short(self) -> None:
        pauses = [self.begin(3), self.begin(5)]
        self.pauses.end_all()
        self.clock.advance(0)
        for pause in pauses:
            self.successResultOf(pause)
        self.pauses.end_all()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Nothing of it is left."""
        pause = self.begin(3)
        pause.cancel()
        self.failureResultOf(pause, CancelledError)
        self.pauses.end_all()
        self.assertEqual(self.clock.getDelayedCalls(), [])
