"""How many scrapes may run at a time: in all, of one host, of one target."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field
from twisted.internet.defer import Deferred

from promproxy.errors import Busy
from promproxy.target import Target


@define(eq=False)
class _Places:
    """So many places; who finds none waits in line."""

    limit: int
    taken: int = 0
    _line: OrderedDict[Deferred[None], None] = field(factory=OrderedDict)

    async def take(self) -> None:
        if self.taken < self.limit:
            self.taken += 1
            return
        turn: Deferred[None] = Deferred(self._line.pop)  # where the wait is cancelled
        self._line[turn] = None
        await turn

    def give_back(self) -> None:
        if self._line:
            turn, _ = self._line.popitem(last=False)
            turn.callback(None)  # the place changes hands
        else:
            self.taken -= 1


@define(eq=False)
class Limits:
    """Places for scrapes; they wait for one in the order in which they came.

    A host is the host and port of the target's URL. One at its limit holds no place in all, so
    that a stalled host delays nobody else.
    """

    _in_all: int
    _per_host: int
    _per_target: int
    _everyone: _Places = field(init=False)
    _hosts: dict[tuple[str, int], _Places] = field(factory=dict, init=False)
    _targets: dict[str, int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._everyone = _Places(self._in_all)

    async def enter(self, target: Target) -> None:
        """Take a place, waiting where there is none. Raises Busy where the target has enough.

        `leave` must follow, unless this raises or is cancelled.
        """
        running = self._targets.get(target.id, 0)
        if running >= self._per_target:
            raise Busy(f"{running} scrapes of it are under way already")
        self._targets[target.id] = running + 1
        key = (target.host, target.port)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Places(self._per_host)
        try:
            await host.take()
        except BaseException:
            self._leave_target(target)
            raise
        try:
            await self._everyone.take()
        except BaseException:
            self._leave_host(target)
            raise

    def leave(self, target: Target) -> None:
        """Give the place back."""
        self._everyone.give_back()
        self._leave_host(target)

    def _leave_host(self, target: Target) -> None:
        key = (target.host, target.port)
        host = self._hosts[key]
        host.give_back()
        if not host.taken:
            del self._hosts[key]
        self._leave_target(target)

    def _leave_target(self, target: Target) -> None:
        left = self._targets[target.id] - 1
        if left:
            self._targets[target.id] = left
        else:
            del self._targets[target.id]
