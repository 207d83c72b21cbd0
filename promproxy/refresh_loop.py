"""One source's refreshes, one after the other for as long as the daemon runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater


@define(eq=False)
class RefreshLoop:
    """A LoopingCall of which each turn is a refresh and the pause after it.

    So turns never overlap, and each pause may have its own length. ``refresh`` must not fail.
    """

    _refresh: Callable[[], Coroutine[Any, Any, None]]
    _pause_seconds: Callable[[], float]
    _clock: IReactorTime
    _loop: LoopingCall = field(init=False)
    _turn: Deferred[None] = field(init=False)
    _ended: Deferred[LoopingCall] = field(init=False)

    def start(self) -> None:
        """Begin with a refresh at once."""
        self._loop = LoopingCall(self._next_turn)
        self._loop.clock = self._clock
        self._ended = self._loop.start(0)

    def stop(self) -> Deferred[LoopingCall]:
        """Cancel what is under way; fires when the loop has ended."""
        if self._loop.running:
            self._loop.stop()
            self._turn.cancel()
        return self._ended

    def _next_turn(self) -> Deferred[None]:
        self._turn = Deferred.fromCoroutine(self._refresh_and_pause())
        return self._turn

    async def _refresh_and_pause(self) -> None:
        try:
            await self._refresh()
            await deferLater(self._clock, self._pause_seconds())
        except CancelledError:  # stop() came in between
            pass
