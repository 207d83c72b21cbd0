"""Tests of promproxy.scrape.merged.budget."""

from __future__ import annotations

from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.scrape.merged.budget import Budget


@define(eq=False)
class Holder:
    """Knows whether it is paused."""

    is_paused: bool = False

    def pause(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume(self) -> None:
        assert self.is_paused
        self.is_paused = False


class BudgetTests(SynchronousTestCase):
    def test_the_first_goes_on(self) -> None:
        """The others wait while too much is held, and go on when it is not."""
        budget = Budget(10)
        first, second = Holder(), Holder()
        for holder in (first, second):
            budget.begin(holder)
            budget.set(holder, 9)
        self.assertEqual((first.is_paused, second.is_paused), (False, True))
        budget.end(first)
        assert not second.is_paused
        self.assertEqual(budget.used, 9)

    def test_what_the_first_sends_on_lets_the_others_go_on(self) -> None:
        budget = Budget(10)
        first, second = Holder(), Holder()
        for holder in (first, second):
            budget.begin(holder)
            budget.set(holder, 9)
        budget.set(first, 1)
        assert not second.is_paused

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), max_size=60))
    def test_somebody_can_always_go_on(self, steps: list[tuple[int, int]]) -> None:
        """So nothing hangs; and nothing is paused for no reason."""
        budget, holders = Budget(30), {number: Holder() for number in range(5)}
        held: dict[int, int] = {}
        for number, size in steps:
            holder = holders[number]
            if number not in held:
                budget.begin(holder)
                held[number] = 0
            elif size == 0:
                budget.end(holder)
                del held[number]
                holder.is_paused = False
            elif not holder.is_paused:
                budget.set(holder, size)
                held[number] = size
            self.assertEqual(budget.used, sum(held.values()))
            assert not held or any(not holders[n].is_paused for n in held)
            if budget.used <= 30:
                assert not any(holders[n].is_paused for n in held)
