"""Deadlines of many things with one timer: a timer for each costs a tenth of a scrape."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")

#: Deadlines that are not further apart are met together: at most this many seconds late.
TICK = 0.01


@define(eq=False)
class Deadlines(Generic[T]):
    """Calls `on_passed`, which must not raise, with each thing whose moment has come.

    The timer stands at the earliest moment that was known when it was set, also when what it was
    set for is done before, as nearly every scrape is: that costs an entry in a dictionary.
    """

    _clock: IReactorTime
    _on_passed: Callable[[T], None]
    _moments: dict[T, float] = field(factory=dict, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)
    _set_to: float = field(default=inf, init=False)

    def add(self, thing: T, moment: float) -> None:
        """This thing has time until then, in the clock's seconds."""
        self._moments[thing] = moment
        if moment < self._set_to:
            self._set(moment)

    def remove(self, thing: T) -> None:
        """It is done; nothing happens where its moment has passed."""
        self._moments.pop(thing, None)

    def stop(self) -> None:
        """Leave no timer, if nothing is left to wait for."""
        if not self._moments and self._call is not None:
            self._call.cancel()
            self._call = None
            self._set_to = inf

    def _set(self, moment: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._set_to = moment
        self._call = self._clock.callLater(max(moment - self._clock.seconds(), 0.0), self._check)

    def _check(self) -> None:
        self._call = None
        self._set_to = inf
        now = self._clock.seconds()
        passed = [thing for thing, moment in self._moments.items() if moment <= now]
        # The last first: who waits for another to be done must not get its turn by that one's end.
        for thing in reversed(passed):
            if self._moments.pop(thing, None) is not None:  # else another has ended it
                self._on_passed(thing)
        if self._moments:
            self._set(max(min(self._moments.values()), now + TICK))
