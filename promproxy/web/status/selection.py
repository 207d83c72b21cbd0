"""The targets that the status page shows, found step by step among all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import heappush, heapreplace
from math import inf

from attrs import define, field, frozen

from promproxy.scrape.history import TargetRecord
from promproxy.targets.target import Target
from promproxy.web.status.query import UNKNOWN, Query, health_of

ON_A_PAGE = 100
MOST_SORTED = 1000  # of what is sorted, no more than the first so many are kept
A_STEP = 25

_KEYS: dict[str, Callable[[TargetRecord], float]] = {
    "slowest": lambda record: record.seconds,
    "largest": lambda record: record.size,
    "oldest": lambda record: -record.began,
}


@frozen
class Row:
    """A target, and how its last scrape ended; None where there was none."""

    target: Target
    record: TargetRecord | None


@define
class Selection:
    """What a query finds. Complete once `look_at` has come to its end.

    ``healths`` counts all targets by source and health. ``matched`` is how many the query wants,
    ``shown`` how many of these its pages show in all; ``rows`` are those of its page.
    """

    query: Query
    last: Callable[[str], TargetRecord | None]
    healths: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    matched: int = field(default=0, init=False)
    rows: list[Row] = field(factory=list, init=False)
    _heap: list[tuple[float, int, Row]] = field(factory=list, init=False)

    def look_at(self, targets: Iterable[Target]) -> Iterator[None]:
        """Take a few targets at each turn."""
        key = _KEYS.get(self.query.sort)
        for number, target in enumerate(targets, 1):
            self._take(target, key)
            if number % A_STEP == 0:
                yield
        if key is not None:
            self.rows = self._of_page([row for *_, row in sorted(self._heap, reverse=True)])

    @property
    def shown(self) -> int:
        """See above."""
        return min(self.matched, MOST_SORTED) if self.query.sort else self.matched

    @property
    def last_page(self) -> int:
        """The number of the last page that has a target; 1 where there is none."""
        return max(1, -(-self.shown // ON_A_PAGE))

    def _take(self, target: Target, key: Callable[[TargetRecord], float] | None) -> None:
        record = self.last(target.id)
        health = health_of(record)
        self.healths[target.source, health] += 1
        if not self.query.wants(target, record):
            return
        self.matched += 1
        record = None if health == UNKNOWN else record
        if key is not None:
            # Those that were not scraped come last.
            self._keep(-inf if record is None else key(record), target, record)
        elif (self.matched - 1) // ON_A_PAGE == self.query.page - 1:
            self.rows.append(Row(target, record))

    def _keep(self, rank: float, target: Target, record: TargetRecord | None) -> None:
        """Keep one if it is among those that rank highest; of equal ones the first."""
        heap = self._heap
        if len(heap) < MOST_SORTED:
            heappush(heap, (rank, -self.matched, Row(target, record)))
        elif rank > heap[0][0]:
            heapreplace(heap, (rank, -self.matched, Row(target, record)))

    def _of_page(self, rows: list[Row]) -> list[Row]:
        start = (self.query.page - 1) * ON_A_PAGE
        return rows[start : start + ON_A_PAGE]
