"""The table of targets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promproxy.targets.document import SCRAPE_PATH
from promproxy.web.status import words
from promproxy.web.status.html import Html, element, text
from promproxy.web.status.query import DOWN, UP, health_of
from promproxy.web.status.selection import Row
from promproxy.web.status.table import Column, ago, badge, table

# What people call an app by; of other meta labels there are too many.
_SHOWN_META = {
    "__meta_cf_org_name": "org",
    "__meta_cf_space_name": "space",
    "__meta_cf_app_name": "app",
    "__meta_cf_instance_index": "index",
}


def targets_table(rows: Sequence[Row], now: float) -> Html:
    """The table, or that there is nothing to show."""
    if not rows:
        return element("p", "No target to show here.", class_="none box")
    return table(
        [
            Column("target", _name, "name"),
            Column("labels", _labels, "labels"),
            Column("health", _health),
            Column("last scrape", lambda row: _ago(row, now), "number"),
            Column("took", _took, "number"),
            Column("size", _size, "number"),
            Column("error", _error, "error"),
        ],
        rows,
    )


def _name(row: Row) -> Html:
    target = row.target
    link = element("a", target.id, href=f"{SCRAPE_PATH[1:]}/{target.id}")
    return text(link, element("small", target.url))


def _labels(row: Row) -> Html:
    labels = shown_labels(row.target.labels)
    chips = [element("span", f"{name}: {value}") for name, value in labels.items()]
    return element("div", *chips) if chips else text()


def shown_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Those that the series have, and the names of Cloud Foundry."""
    meta = {name: labels[label] for label, name in _SHOWN_META.items() if label in labels}
    plain = {name: value for name, value in labels.items() if not name.startswith("__")}
    return {**meta, **plain}


def _health(row: Row) -> Html:
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
