"""Pauses that somebody may cut short."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime


@define(eq=False)
class Pauses:
    """Any number of pauses at a time; each may be cancelled by itself."""

    _clock: IReactorTime
    _ends: set[IDelayedCall] = field(factory=set, init=False)

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass, or fewer where `end_all` is called meanwhile."""
        over: Deferred[None] = Deferred()
        end = self._clock.callLater(seconds, over.callback, None)
        self._ends.add(end)
        try:
            await over
        finally:
            self._ends.discard(end)
            if end.active():  # the pause was cancelled
                end.cancel()

    def end_all(self) -> None:
        """End those that last, at the reactor's next turn."""
        for end in self._ends:
            end.reset(0)
