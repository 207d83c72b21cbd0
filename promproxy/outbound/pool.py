"""Idle connections: which to hand out, which to close. Pure: no sockets, no clock.

The newest idle connection of an origin is used first, so that those a quieter load does not need
grow old and are closed. Times are seconds of any steady clock, never going backwards.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from attrs import field, frozen
from attrs.validators import ge, gt

Connection = TypeVar("Connection", bound=Hashable)


@frozen(kw_only=True)
class PoolLimits:
    """How many connections may wait unused, per origin and in all, and for how many seconds."""

    per_origin: int = field(default=128, validator=ge(0))
    total: int = field(default=16384, validator=ge(0))
    idle_seconds: float = field(default=90.0, validator=gt(0))


class Pool(Generic[Connection]):
    """The idle connections of one agent.

    State: ``_idle`` maps each to its origin key and the time it became idle, oldest first;
    ``_by_key`` has the same connections per key, oldest first.
    """

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._idle: OrderedDict[Connection, tuple[Hashable, float]] = OrderedDict()
        self._by_key: dict[Hashable, list[Connection]] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, key: Hashable) -> Connection | None:
        """The newest idle connection of this origin, no longer idle; None if there is none."""
        stack = self._by_key.get(key)
        if stack is None:
            return None
        connection = stack.pop()
        if not stack:
            del self._by_key[key]
        del self._idle[connection]
        return connection

    def put(self, key: Hashable, connection: Connection, now: float) -> list[Connection]:
        """Add an idle connection; returns connections to close, to keep the limits."""
        self._idle[connection] = (key, now)
        stack = self._by_key.setdefault(key, [])
        stack.append(connection)
        surplus = []
        if len(stack) > self._limits.per_origin:
            surplus.append(stack[0])
        elif len(self._idle) > self._limits.total:
            surplus.append(next(iter(self._idle)))
        for one in surplus:
            self.discard(one)
        return surplus

    def discard(self, connection: Connection) -> bool:
        """Forget a connection that is gone; was it idle?"""
        entry = self._idle.pop(connection, None)
        if entry is None:
            return False
        stack = self._by_key[entry[0]]
        stack.remove(connection)
        if not stack:
            del self._by_key[entry[0]]
        return True

    def expire(self, now: float) -> list[Connection]:
        """The connections that waited too long, now forgotten: close them."""
        limit = now - self._limits.idle_seconds
        expired = []
        for connection, (_key, since) in self._idle.items():
            if since > limit:
                break
            expired.append(connection)
        for connection in expired:
            self.discard(connection)
        return expired

    def clear(self) -> list[Connection]:
        """All of them, now forgotten: close them."""
        everything = list(self._idle)
        self._idle.clear()
        self._by_key.clear()
        return everything
