"""What the status page is asked for, and the targets that it finds, step by step. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappush, heapreplace
from math import inf
from typing import Any
from urllib.parse import urlencode

import attrs
from attrs import define, field, frozen

from promproxy.scrape.history import TargetRecord
from promproxy.targets.target import Target

UP, DOWN, UNKNOWN = HEALTHS = ("up", "down", "unknown")
SORTS = ("slowest", "largest", "oldest")  # the default is the order of the sources
CONFIGURATION = "configuration"
LONGEST_TEXT = 200


@frozen(kw_only=True)
class Query:
    """Which targets are shown, and which part of them; every field has a value that means all.

    ``text`` is looked for in a target's id, URL, labels and last error, without regard to case.
    ``view`` is CONFIGURATION, or ``""`` for sources and targets. The first ``page`` is 1.
    """

    text: str = ""
    source: str = ""
    health: str = ""
    sort: str = ""
    page: int = 1
    view: str = ""

    @classmethod
    def from_args(cls, args: Mapping[bytes, list[bytes]]) -> Query:
        """The query of a request; what makes no sense means all, as if it were not there."""
        said = {name.decode("latin-1"): _decoded(values[-1]) for name, values in args.items()}
        return cls(
            text=said.get("text", "").strip()[:LONGEST_TEXT],
            source=said.get("source", ""),
            health=_among(HEALTHS, said.get("health", "")),
            sort=_among(SORTS, said.get("sort", "")),
            page=_page(said.get("page", "")),
            view=_among((CONFIGURATION,), said.get("view", "")),
        )

    def link(self, **changes: Any) -> str:
        """A relative URL of the first page with these changes."""
        query = attrs.evolve(self, **{"page": 1, **changes})
        said = {
            field.name: value
            for field in attrs.fields(Query)
            if (value := getattr(query, field.name)) != field.default
        }
        return f"?{urlencode(said)}" if said else "./"

    def wants(self, target: Target, record: TargetRecord | None) -> bool:
        """Whether the query selects a target."""
        if self.source and target.source != self.source:
            return False
        if self.health and health_of(record) != self.health:
            return False
        return not self.text or _is_in(self.text.lower(), target, record)


def health_of(record: TargetRecord | None) -> str:
    """How the last scrape ended, as Prometheus calls it."""
    if record is None or not record.outcome:
        return UNKNOWN
    return UP if record.is_up else DOWN


def _is_in(text: str, target: Target, record: TargetRecord | None) -> bool:
    if text in target.id.lower() or text in target.instance.lower() or text in target.url.lower():
        return True
    if any(text in value.lower() for value in target.labels.values()):
        return True
    return record is not None and text in record.error.lower()


def _page(text: str) -> int:
    return max(1, int(text)) if text.isdecimal() and len(text) < 9 else 1


def _among(words: tuple[str, ...], word: str) -> str:
    return word if word in words else ""


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "replace")


ON_A_PAGE = 100
MOST_SORTED = 1000  # how many of a sorted list are kept
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
    """The targets that a query finds, complete once `look_at` has finished.

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
        """Keep a target if it ranks among the highest; the first of equal ones."""
        heap = self._heap
        if len(heap) < MOST_SORTED:
            heappush(heap, (rank, -self.matched, Row(target, record)))
        elif rank > heap[0][0]:
            heapreplace(heap, (rank, -self.matched, Row(target, record)))

    def _of_page(self, rows: list[Row]) -> list[Row]:
        start = (self.query.page - 1) * ON_A_PAGE
        return rows[start : start + ON_A_PAGE]
