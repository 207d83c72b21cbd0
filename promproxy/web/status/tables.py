"""The tables of sources and targets. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen

from promproxy.registry import SourceState
from promproxy.targets.document import SCRAPE_PATH
from promproxy.targets.snapshot import SourceTargets
from promproxy.targets.target import Dropped, LeftOut
from promproxy.web.status import words
from promproxy.web.status.html import Column, Html, ago, badge, element, table, text
from promproxy.web.status.query import DOWN, HEALTHS, UP, Query, Row, health_of

_MOST_REMARKS = 5


@frozen
class SourceRow:
    """A source as the page shows it; ``listing`` is None before it delivered."""

    state: SourceState
    listing: SourceTargets | None
    healths: Mapping[str, int]

    @property
    def name(self) -> str:
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
    """The table, or a hint without sources."""
    if not rows:
        return element("p", "No source is configured.", class_="none box")
    return table(
        [
            Column("source", lambda row: _source_name(row, query), "name"),
            Column("state", _state),
            Column("targets", _targets, "number"),
            *(
                Column(
                    "not scraped" if health == "unknown" else health,
                    _source_health(health),
                    "number",
                )
                for health in HEALTHS
            ),
            Column("delivered", lambda row: ago(row.state.last_success, now), "number"),
            Column("left out", _left_out, "soft"),
            Column("last error", _problems, "error"),
        ],
        rows,
    )


def _source_name(row: SourceRow, query: Query) -> Html:
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


def _source_health(health: str) -> Callable[[SourceRow], Html]:
    return lambda row: text(words.count(row.healths[health]))


def _problems(row: SourceRow) -> Html:
    """The last error, or the remarks on a working source."""
    if row.state.last_error or row.listing is None:
        return text(row.state.last_error)
    remarks = row.listing.delivery.remarks
    shown = [f"{remark.what}: {remark.why}" for remark in remarks[:_MOST_REMARKS]]
    more = len(remarks) - len(shown)
    return text("; ".join([*shown, f"and {more} more"] if more else shown))


def _left_out(row: SourceRow) -> Html:
    """How many were left out, by reason, the most frequent first."""
    if row.listing is None:
        return text()
    delivery = row.listing.delivery
    return text(", ".join([*_reasons(delivery.left_out), *_reasons(delivery.dropped)]))


def _reasons(things: Iterable[LeftOut | Dropped]) -> list[str]:
    found = Counter(thing.reason for thing in things).most_common()
    return [f"{words.count(number)} {reason.replace('_', ' ')}" for reason, number in found]


# What people call an app by; of other meta labels there are too many.
_SHOWN_META = {
    "__meta_cf_org_name": "org",
    "__meta_cf_space_name": "space",
    "__meta_cf_app_name": "app",
    "__meta_cf_instance_index": "index",
}


def targets_table(rows: Sequence[Row], now: float) -> Html:
    """The table, or a note that it is empty."""
    if not rows:
        return element("p", "No target to show here.", class_="none box")
    return table(
        [
            Column("target", _target_name, "name"),
            Column("labels", _labels, "labels"),
            Column("health", _target_health),
            Column("last scrape", lambda row: _ago(row, now), "number"),
            Column("took", _took, "number"),
            Column("size", _size, "number"),
            Column("error", _error, "error"),
        ],
        rows,
    )


def _target_name(row: Row) -> Html:
    target = row.target
    link = element("a", target.id, href=f"{SCRAPE_PATH[1:]}/{target.id}")
    return text(link, element("small", target.url))


def _labels(row: Row) -> Html:
    labels = shown_labels(row.target.labels)
    chips = [element("span", f"{name}: {value}") for name, value in labels.items()]
    return element("div", *chips) if chips else text()


def shown_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of series, and Cloud Foundry's names."""
    meta = {name: labels[label] for label, name in _SHOWN_META.items() if label in labels}
    plain = {name: value for name, value in labels.items() if not name.startswith("__")}
    return {**meta, **plain}


def _target_health(row: Row) -> Html:
    health = health_of(row.record)
    return badge(health, health if health in (UP, DOWN) else "")


def _ago(row: Row, now: float) -> Html:
    return text("-") if row.record is None else ago(row.record.began, now)


def _took(row: Row) -> Html:
    return text("-" if row.record is None else words.duration(row.record.seconds))


def _size(row: Row) -> Html:
    return text("-" if row.record is None else words.size(row.record.size))


def _error(row: Row) -> Html:
    """Why it is down: our own reason, or the target's status."""
    record = row.record
    if record is None or record.is_up:
        return text()
    if record.outcome == "target_error":
        return text(f"the target answered with status {record.status}")
    return text(record.error or record.outcome)
