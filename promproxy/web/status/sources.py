"""The table of sources. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen

from promproxy.registry import SourceState
from promproxy.targets.snapshot import SourceTargets
from promproxy.targets.target import Dropped, LeftOut
from promproxy.web.status import words
from promproxy.web.status.html import Html, element, text
from promproxy.web.status.query import HEALTHS, Query
from promproxy.web.status.table import Column, ago, badge, table

_MOST_REMARKS = 5


@frozen
class SourceRow:
    """A source as the page shows it; ``listing`` is None before it delivered."""

    state: SourceState
    listing: SourceTargets | None
    healths: Mapping[str, int]

    @property
    def name(self) -> str:
        """The source's."""
        return self.state.name


def source_rows(
    states: Mapping[str, SourceState],
    listings: Mapping[str, SourceTargets],
    healths: Mapping[tuple[str, str], int],
) -> list[SourceRow]:
    """A row for each source, in the order of the configuration."""
    return [
        SourceRow(
            state,
            listings.get(name),
            {health: healths.get((name, health), 0) for health in HEALTHS},
        )
        for name, state in states.items()
    ]


def sources_table(rows: Sequence[SourceRow], query: Query, now: float) -> Html:
    """The table, or a word on what to do where there is none."""
    if not rows:
        return element("p", "No source is configured.", class_="none box")
    return table(
        [
            Column("source", lambda row: _name(row, query), "name"),
            Column("state", _state),
            Column("targets", _targets, "number"),
            *(
                Column("not scraped" if health == "unknown" else health, _health(health), "number")
                for health in HEALTHS
            ),
            Column("delivered", lambda row: ago(row.state.last_success, now), "number"),
            Column("left out", _left_out, "soft"),
            Column("last error", _problems, "error"),
        ],
        rows,
    )


def _name(row: SourceRow, query: Query) -> Html:
    return element("a", row.name, href=query.link(source=row.name, view=""))


def _state(row: SourceRow) -> Html:
    state = row.state
    if state.failures:
        times = "once" if state.failures == 1 else f"{words.count(state.failures)} times"
        return badge(f"failed {times}", "down")
    if state.has_delivered:
        return badge("ok", "up")
    return badge("saved targets" if state.is_restored else "waiting", "")


def _targets(row: SourceRow) -> Html:
    return text("-" if row.listing is None else words.count(len(row.listing.delivery.targets)))


def _health(health: str) -> Callable[[SourceRow], Html]:
    return lambda row: text(words.count(row.healths[health]))


def _problems(row: SourceRow) -> Html:
    """The last error, or what is wrong with parts of a source that works."""
    if row.state.last_error or row.listing is None:
        return text(row.state.last_error)
    remarks = row.listing.delivery.remarks
    shown = [f"{remark.what}: {remark.why}" for remark in remarks[:_MOST_REMARKS]]
    more = len(remarks) - len(shown)
    return text("; ".join([*shown, f"and {more} more"] if more else shown))


def _left_out(row: SourceRow) -> Html:
    """How many things are no targets, by reason, the most frequent first."""
    if row.listing is None:
        return text()
    delivery = row.listing.delivery
    return text(", ".join([*_reasons(delivery.left_out), *_reasons(delivery.dropped)]))


def _reasons(things: Iterable[LeftOut | Dropped]) -> list[str]:
    found = Counter(thing.reason for thing in things).most_common()
    return [f"{words.count(number)} {reason.replace('_', ' ')}" for reason, number in found]
