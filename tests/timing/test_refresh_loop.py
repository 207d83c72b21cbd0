"""Tests of promproxy.timing.refresh_loop."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.timing.refresh_loop import RefreshLoop


class RefreshLoopTests(SynchronousTestCase):
    """Turns of refresh and pause."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.began: list[float] = []
        self.waiting: list[Deferred[None]] = []
        self.pauses = [10.0, 20.0]
        self.cancelled = 0

    def make(self, *, is_slow: bool = False) -> RefreshLoop:
        async def refresh() -> None:
            self.began.append(self.clock.seconds())
            if is_slow:
                self.waiting.append(Deferred(self.count_cancelled))
                await self.waiting[-1]

        return RefreshLoop(refresh, lambda: self.pauses.pop(0), self.clock)

    def count_cancelled(self, _waiting: object) -> None:
        self.cancelled += 1

    def stop(self, loop: RefreshLoop) -> None:
        self.successResultOf(loop.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_first_refresh_is_at_once_and_each_pause_has_its_own_length(self) -> None:
        """The pause is asked for after each refresh."""
        loop = self.make()
        loop.start()
        self.clock.pump([10.0, 19.0])
        self.assertEqual(self.began, [0.0, 10.0])
        self.pauses.append(1.0)
        self.clock.advance(1)
        self.assertEqual(self.began, [0.0, 10.0, 30.0])
        self.stop(loop)

    def test_slow_refresh_is_never_overlapped_and_its_pause_begins_at_its_end(self) -> None:
        """A refresh longer than the pause delays the next one by all of its time."""
        loop = self.make(is_slow=True)
        loop.start()
        self.clock.advance(1000)
        self.assertEqual(self.began, [0.0])
        self.waiting[0].callback(None)
        self.clock.advance(9.9)
        self.assertEqual(self.began, [0.0])
        self.clock.advance(0.1)
        self.assertEqual(self.began, [0.0, 1010.0])
        self.stop(loop)

    def test_stop_during_refresh_cancels_it(self) -> None:
        """What the refresh waits for is cancelled, and no further turn comes."""
        loop = self.make(is_slow=True)
        loop.start()
        self.stop(loop)
        self.assertEqual(self.cancelled, 1)
        self.clock.advance(1000)
        self.assertEqual(self.began, [0.0])

    def test_stop_during_pause_ends_it(self) -> None:
        """No timer is left."""
        loop = self.make()
        loop.start()
        self.stop(loop)
        self.clock.advance(1000)
        self.assertEqual(self.began, [0.0])

    def test_refresh_that_is_cancelled_from_inside_does_not_end_the_loop(self) -> None:
        """A source may let such an error out."""
        loop = self.make(is_slow=True)
        loop.start()
        self.waiting[0].cancel()
        self.clock.advance(10)
        self.assertEqual(self.began, [0.0, 10.0])
        self.stop(loop)

    def test_second_stop_is_harmless(self) -> None:
        loop = self.make()
        loop.start()
        self.stop(loop)
        self.stop(loop)


class RefreshWithinTests(SynchronousTestCase):
    """RefreshLoop.refresh_within."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.began: list[float] = []
        self.waiting: list[Deferred[None]] = []
        self.is_slow = False
        self.loop = RefreshLoop(self.refresh, lambda: 60.0, self.clock)
        self.loop.start()

    async def refresh(self) -> None:
        self.began.append(self.clock.seconds())
        if self.is_slow:
            self.waiting.append(Deferred())
            await self.waiting[-1]

    def test_pause_is_shortened_and_never_lengthened(self) -> None:
        """The earliest moment counts."""
        self.loop.refresh_within(30.0)
        self.loop.refresh_within(100.0)
        self.loop.refresh_within(20.0)
        self.loop.refresh_within(25.0)
        self.clock.advance(19.9)
        self.assertEqual(self.began, [0.0])
        self.clock.advance(0.1)
        self.assertEqual(self.began, [0.0, 20.0])
        self.clock.advance(59.9)
        self.assertEqual(self.began, [0.0, 20.0])

    def test_hurried_during_a_refresh(self) -> None:
        """The next one begins at the earliest moment asked for, but not before the first ends."""
        self.is_slow = True
        self.clock.advance(60)
        for seconds in (30.0, 10.0, 20.0):
            self.loop.refresh_within(seconds)
        self.clock.advance(4)
        self.waiting[0].callback(None)
        self.clock.advance(5.9)
        self.assertEqual(self.began, [0.0, 60.0])
        self.clock.advance(0.1)
        self.assertEqual(self.began, [0.0, 60.0, 70.0])
        self.loop.refresh_within(1.0)
        self.clock.advance(100)
        self.waiting[1].callback(None)
        self.clock.advance(0)
        self.assertEqual(self.began, [0.0, 60.0, 70.0, 170.0])
        self.waiting[2].callback(None)
        self.clock.advance(59.9)
        self.assertEqual(len(self.began), 4)

    def test_hurried_after_the_stop(self) -> None:
        """Nothing comes of it."""
        self.successResultOf(self.loop.stop())
        self.loop.refresh_within(0.0)
        self.clock.advance(100)
        self.assertEqual((self.began, self.clock.getDelayedCalls()), ([0.0], []))
