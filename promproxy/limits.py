"""How many scrapes may run at a time: in all, of one host, of one target."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import DeferredSemaphore

from promproxy.errors import Busy
from promproxy.target import Target


@define(eq=False)
class Limits:
    """Places for scrapes; they wait for one in the order in which they came.

    A host is the host and port of the target's URL. One at its limit holds no place in all, so
    that a stalled host delays nobody else.
    """

    _in_all: int
    _per_host: int
    _per_target: int
    _everyone: DeferredSemaphore = field(init=False)
    _hosts: dict[tuple[str, int], DeferredSemaphore] = field(factory=dict, init=False)
    _targets: dict[str, int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._everyone = DeferredSemaphore(self._in_all)

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
            host = self._hosts[key] = DeferredSemaphore(self._per_host)
        try:
            await host.acquire()
        except BaseException:
            self._leave_target(target)
            raise
        try:
            await self._everyone.acquire()
        except BaseException:
            self._leave_host(target)
            raise

    def leave(self, target: Target) -> None:
        """Give the place back."""
        self._everyone.release()
        self._leave_host(target)

    def _leave_host(self, target: Target) -> None:
        key = (target.host, target.port)
        host = self._hosts[key]
        host.release()
        if host.tokens == host.limit:
            del self._hosts[key]
        self._leave_target(target)

    def _leave_target(self, target: Target) -> None:
        left = self._targets[target.id] - 1
        if left:
            self._targets[target.id] = left
        else:
            del self._targets[target.id]
