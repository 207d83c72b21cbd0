"""One source's refreshes, one after the other while the daemon runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall


@define(eq=False)
class RefreshLoop:
    """A LoopingCall of which each turn is a refresh and the pause after it.

    So turns never overlap, and each pause may have its own length. ``refresh`` must not fail.
    """

    _refresh: Callable[[], Coroutine[Any, Any, object]]
    _pause_seconds: Callable[[], float]
    _clock: IReactorTime
    _loop: LoopingCall = field(init=False)
    _turn: Deferred[None] = field(init=False)
    _ended: Deferred[LoopingCall] = field(init=False)
    _pause_end: IDelayedCall | None = field(default=None, init=False)
    _asked_for: float | None = field(default=None, init=False)

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

    def refresh_within(self, seconds: float) -> None:
        """Begin a refresh within ``seconds``, unless one begins earlier anyway."""
        moment = self._clock.seconds() + seconds
        if self._pause_end is None:  # one is under way, which may have read too early
            self._asked_for = moment if self._asked_for is None else min(self._asked_for, moment)
        elif moment < self._pause_end.getTime():
            self._pause_end.reset(seconds)

    def _next_turn(self) -> Deferred[None]:
        self._turn = Deferred.fromCoroutine(self._refresh_and_pause())
        return self._turn

    async def _refresh_and_pause(self) -> None:
        # Cancelled by stop(), or by a source that let an error of its own out: that ends nothing.
        with suppress(CancelledError):
            await self._refresh()
        if self._loop.running:
            await self._wait()

    async def _wait(self) -> None:
        seconds = self._pause_seconds()
        if self._asked_for is not None:
            seconds = min(seconds, max(0.0, self._asked_for - self._clock.seconds()))
            self._asked_for = None
        pause: Deferred[None] = Deferred()
        self._pause_end = self._clock.callLater(seconds, pause.callback, None)
        try:
            await pause
        except CancelledError:  # by stop()
            self._pause_end.cancel()
        self._pause_end = None
