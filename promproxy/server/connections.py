"""The connections of all callers, up to a limit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from attrs import define, field
from twisted.logger import Logger

log = Logger()

#: One more in this many is closed than needed, since the choice takes time.
_SHARE = 32


class Connection(Protocol):
    """What must be known of a connection."""

    @property
    def awaiting_head_since(self) -> float | None:
        """Since when its caller has owed a head, having sent nothing so far or a part of one."""

    @property
    def idle_since(self) -> float | None:
        """Since when nothing has been under way."""

    def abort(self) -> None:
        """Close it at once."""


C = TypeVar("C", bound=Connection)


def eviction_candidates(connections: Iterable[C], count: int) -> list[C]:
    """At most ``count`` that may be closed: first those that owe a head, the oldest first."""
    known = [(one.awaiting_head_since, one.idle_since, one) for one in connections]
    waiting = sorted(((w, one) for w, _, one in known if w is not None), key=lambda pair: pair[0])
    idle = sorted(
        ((i, one) for w, i, one in known if w is None and i is not None), key=lambda pair: pair[0]
    )
    return [one for _, one in [*waiting, *idle][:count]]


@define(eq=False)
class Connections:
    """The open connections. ``evicted`` counts those closed to make room."""

    limit: int
    evicted: int = field(default=0, init=False)
    _open: dict[Connection, None] = field(factory=dict, init=False)
    _is_full: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def has_pending_heads(self) -> bool:
        """Whether a caller has yet to send the head, or the rest of it."""
        return any(one.awaiting_head_since is not None for one in self._open)

    def add(self, connection: Connection) -> None:
        self._open[connection] = None

    def discard(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        if self._is_full and len(self._open) < self.limit // 2:
            self._is_full = False

    def evict(self) -> bool:
        """Whether one more may be opened; for that, others that do nothing may be closed."""
        if len(self._open) < self.limit:
            return True
        if not self._is_full:
            self._is_full = True
            log.warn(
                "connection limit {limit} reached, closing idle ones (see max_connections)",
                limit=self.limit,
            )
        closing = eviction_candidates(self._open, self.limit // _SHARE + 1)
        for one in closing:
            self.discard(one)
            one.abort()
        self.evicted += len(closing)
        return len(self._open) < self.limit
