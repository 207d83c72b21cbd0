"""The connections of all callers, of which there may be so many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from attrs import define, field
from twisted.logger import Logger

log = Logger()

#: Of each so many connections one more is closed than would be needed, since the choice takes time.
_SHARE = 32


class Connection(Protocol):
    """What must be known of a connection."""

    @property
    def waits_since(self) -> float | None:
        """Since when its caller has owed a head, having sent nothing so far or a part of one."""

    @property
    def idle_since(self) -> float | None:
        """Since when nothing has been under way."""

    def abort(self) -> None:
        """Close it at once."""


C = TypeVar("C", bound=Connection)


def least_worth(connections: Iterable[C], count: int) -> list[C]:
    """At most so many that may be closed: those that wait for a head first, the oldest first."""
    known = [(one.waits_since, one.idle_since, one) for one in connections]
    waiting = sorted(((w, one) for w, _, one in known if w is not None), key=lambda pair: pair[0])
    idle = sorted(
        ((i, one) for w, i, one in known if w is None and i is not None), key=lambda pair: pair[0]
    )
    return [one for _, one in [*waiting, *idle][:count]]


@define(eq=False)
class Connections:
    """Those that are open. ``closed_early`` counts those that were closed to make room."""

    limit: int
    closed_early: int = field(default=0, init=False)
    _open: dict[Connection, None] = field(factory=dict, init=False)
    _is_full: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def are_heads_due(self) -> bool:
        """Whether a caller has yet to send the head, or the rest of it."""
        return any(one.waits_since is not None for one in self._open)

    def add(self, connection: Connection) -> None:
        """It is open."""
        self._open[connection] = None

    def discard(self, connection: Connection) -> None:
        """It is closed."""
        self._open.pop(connection, None)
        if self._is_full and len(self._open) < self.limit // 2:
            self._is_full = False

    def make_room(self) -> bool:
        """Whether one more may be opened; for that, others that do nothing may be closed."""
        if len(self._open) < self.limit:
            return True
        if not self._is_full:
            self._is_full = True
            log.warn(
                "all {limit} connections that callers may have are open; from now on those that "
                "have not asked for anything are closed (see max_connections)",
                limit=self.limit,
            )
        closing = least_worth(self._open, self.limit // _SHARE + 1)
        for one in closing:
            self.discard(one)
            one.abort()
        self.closed_early += len(closing)
        return len(self._open) < self.limit
