"""Limits on concurrent scrapes: in total, per host, per target."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from promproxy.errors import Busy
from promproxy.targets.target import Target

#: How many scrapes may wait for others of the same target to end. Each has its deadline.
LONGEST_LINE = 64


@define(eq=False)
class _Slots:
    """A FIFO counting semaphore."""

    limit: int
    taken: int = 0
    _released: int = 0  # and not handed on yet
    _line: OrderedDict[Deferred[None], None] = field(factory=OrderedDict)

    def try_acquire(self) -> bool:
        if self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def wait(self) -> Deferred[None]:
        """Fires when a slot has been given."""
        turn: Deferred[None] = Deferred(self._line.pop)  # where the wait is cancelled
        self._line[turn] = None
        return turn

    def release(self) -> None:
        self._released += 1
        if self._released > 1:
            return  # to the loop below, or a long line of those that fail at once were too deep
        while self._released:
            if self._line:
                turn, _ = self._line.popitem(last=False)
                turn.callback(None)  # the place changes hands, and may come back at once
            else:
                self.taken -= 1
            self._released -= 1


@define(eq=False)
class Limits:
    """Slots for scrapes, which wait for one in the order of their arrival.

    A host is the host and port of the target's URL. At its limit it holds no slot of the total, so
    that a stalled host delays no other.
    """

    _total: int
    _per_host: int
    _per_target: int
    _everyone: _Slots = field(init=False)
    _hosts: dict[tuple[str, int], _Slots] = field(factory=dict, init=False)
    _targets: dict[str, int] = field(factory=dict, init=False)
    _lines: dict[str, OrderedDict[Deferred[None], None]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._everyone = _Slots(self._total)

    def enter(self, target: Target) -> Coroutine[Any, Any, None] | None:
        """Take a slot; if none is free, await what this returns.

        Raises Busy where a long line waits for the target already. `leave` must follow, unless
        this raises, or what it returns is cancelled.
        """
        running = self._targets.get(target.id, 0)
        if running >= self._per_target:
            line = self._lines.setdefault(target.id, OrderedDict())
            if len(line) >= LONGEST_LINE:
                raise Busy(f"{len(line)} scrapes of this target wait already")
            return self._wait_in_line(target, line)
        self._targets[target.id] = running + 1
        return self._enter_host(target)

    async def _wait_in_line(self, target: Target, line: OrderedDict[Deferred[None], None]) -> None:
        turn: Deferred[None] = Deferred(line.pop)  # where the wait is cancelled
        line[turn] = None
        await turn  # its place has changed hands
        waiting = self._enter_host(target)
        if waiting is not None:
            await waiting

    def _enter_host(self, target: Target) -> Coroutine[Any, Any, None] | None:
        key = (target.host, target.port)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Slots(self._per_host)
        if not host.try_acquire():
            return self._wait(target, host)
        if not self._everyone.try_acquire():
            return self._wait_for_total(target)
        return None

    async def _wait(self, target: Target, host: _Slots) -> None:
        try:
            await host.wait()
        except BaseException:
            self._leave_target(target)
            raise
        if not self._everyone.try_acquire():
            await self._wait_for_total(target)

    async def _wait_for_total(self, target: Target) -> None:
        try:
            await self._everyone.wait()
        except BaseException:
            self._leave_host(target)
            raise

    def leave(self, target: Target) -> None:
        self._everyone.release()
        self._leave_host(target)

    def _leave_host(self, target: Target) -> None:
        key = (target.host, target.port)
        host = self._hosts[key]
        host.release()
        if not host.taken:
            del self._hosts[key]
        self._leave_target(target)

    def _leave_target(self, target: Target) -> None:
        line = self._lines.get(target.id)
        if line is not None:
            if line:
                turn, _ = line.popitem(last=False)
                turn.callback(None)
                return
            del self._lines[target.id]
        left = self._targets[target.id] - 1
        if left:
            self._targets[target.id] = left
        else:
            del self._targets[target.id]
