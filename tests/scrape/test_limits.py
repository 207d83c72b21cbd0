from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import Busy
from promproxy.scrape.limits import LONGEST_LINE, Limits
from promproxy.targets.target import Target

ONE = Target(
    id="s/a:1", source="s", scheme="http", host="a", port=1, path="/metrics", instance="a:1"
)
SAME_HOST = evolve(ONE, id="s/a:1/other", path="/other")
OTHER_HOST = evolve(ONE, id="s/b:1", host="b")


def enter(limits: Limits, target: Target) -> Deferred[None]:
    async def entering() -> None:
        waiting = limits.enter(target)
        if waiting is not None:
            await waiting

    return Deferred.fromCoroutine(entering())


class LimitsTests(SynchronousTestCase):
    def test_target_at_its_limit_has_a_line(self) -> None:
        """First come, first served; who leaves it makes room; others go past."""
        limits = Limits(10, 10, 2)
        for _ in range(2):
            self.successResultOf(enter(limits, ONE))
        third, fourth, fifth = (enter(limits, ONE) for _ in range(3))
        self.successResultOf(enter(limits, SAME_HOST))
        fourth.cancel()
        self.failureResultOf(fourth, CancelledError)
        limits.leave(ONE)
        self.successResultOf(third)
        self.assertNoResult(fifth)
        limits.leave(ONE)
        self.successResultOf(fifth)
        for target in (ONE, ONE, SAME_HOST):
            limits.leave(target)
        for _ in range(2):
            self.successResultOf(enter(limits, ONE))

    def test_long_line(self) -> None:
        """The next one is refused at once."""
        limits = Limits(1000, 1000, 1)
        self.successResultOf(enter(limits, ONE))
        for _ in range(LONGEST_LINE):
            self.assertNoResult(enter(limits, ONE))
        self.failureResultOf(enter(limits, ONE), Busy)

    def test_place_of_a_target_is_free_again_after_leaving(self) -> None:
        """The limit counts what is under way, not what has been."""
        limits = Limits(10, 10, 1)
        for _ in range(3):
            self.successResultOf(enter(limits, ONE))
            limits.leave(ONE)

    def test_host_at_its_limit_waits_first_come_first_served(self) -> None:
        """Scrapes of a full host get its places in the order in which they came."""
        limits = Limits(10, 1, 9)
        self.successResultOf(enter(limits, ONE))
        second, third = enter(limits, ONE), enter(limits, SAME_HOST)
        self.assertNoResult(second)
        limits.leave(ONE)
        self.successResultOf(second)
        self.assertNoResult(third)
        limits.leave(ONE)
        self.successResultOf(third)

    def test_full_host_holds_no_place_in_all(self) -> None:
        """Those who wait for a stalled host delay nobody else."""
        limits = Limits(2, 1, 9)
        self.successResultOf(enter(limits, ONE))
        for _ in range(5):
            self.assertNoResult(enter(limits, ONE))
        self.successResultOf(enter(limits, OTHER_HOST))

    def test_hosts_behind_one_router(self) -> None:
        """Each has its own places: a host is that of the URL, not what is connected to."""
        limits = Limits(9, 1, 9)
        for target in (ONE, OTHER_HOST):
            self.successResultOf(enter(limits, evolve(target, router="https://router:443")))

    def test_all_places_taken_makes_others_wait(self) -> None:
        """max_concurrent holds over all hosts."""
        limits = Limits(1, 9, 9)
        self.successResultOf(enter(limits, ONE))
        waiting = enter(limits, OTHER_HOST)
        self.assertNoResult(waiting)
        limits.leave(ONE)
        self.successResultOf(waiting)

    def test_long_line_of_those_that_end_at_once(self) -> None:
        """Each gives its place to the next, in their order; none is lost."""
        ended: list[int] = []

        async def visit(number: int, target: Target) -> None:
            waiting = limits.enter(target)
            assert waiting is not None
            await waiting
            ended.append(number)
            limits.leave(target)

        for targets in ([ONE], [OTHER_HOST], [ONE, OTHER_HOST, SAME_HOST]):
            limits = Limits(1, 1, 5000)
            self.successResultOf(enter(limits, ONE))
            ended.clear()
            for number in range(1000):
                for target in targets:
                    Deferred.fromCoroutine(visit(number, target))
            limits.leave(ONE)
            self.assertEqual(len(ended), 1000 * len(targets))
            if len(targets) == 1:
                self.assertEqual(ended, sorted(ended))
            self.assertEqual((limits._hosts, limits._targets), ({}, {}))
            self.successResultOf(enter(limits, OTHER_HOST))

    def test_newcomer_does_not_overtake(self) -> None:
        """Not even one who comes while places are handed on."""
        limits = Limits(9, 1, 9)
        self.successResultOf(enter(limits, ONE))
        second, third = enter(limits, ONE), enter(limits, ONE)
        newcomers: list[Deferred[None]] = []

        def leave(_result: None) -> None:
            limits.leave(ONE)
            newcomers.append(enter(limits, SAME_HOST))

        second.addCallback(leave)
        limits.leave(ONE)
        self.successResultOf(third)
        self.assertNoResult(newcomers[0])
        limits.leave(ONE)
        self.successResultOf(newcomers[0])

    def test_who_gives_up_waiting_leaves_nothing_behind(self) -> None:
        """A cancelled wait, for a host or for a place in all, takes no place later."""
        limits = Limits(1, 1, 9)
        self.successResultOf(enter(limits, ONE))
        for waiting in (enter(limits, ONE), enter(limits, OTHER_HOST)):
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
        limits.leave(ONE)
        self.assertEqual((limits._hosts, limits._targets), ({}, {}))
        for target in (ONE, OTHER_HOST):
            self.successResultOf(enter(limits, target))
            limits.leave(target)
