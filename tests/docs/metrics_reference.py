"""What docs/metrics.md says that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from tests.docs.pages import Page, all_pages

_SUFFIXES = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "counter": ("",),
    "gauge": ("",),
}


@frozen
class Metric:
    """A row of the reference."""

    name: str
    kind: str
    labels: frozenset[str]

    @property
    def series(self) -> list[str]:
        """The names of its series."""
        return [f"{self.name}{suffix}" for suffix in _SUFFIXES[self.kind]]


def reference() -> dict[str, Metric]:
    """All rows, by their metric's name."""
    return {metric.name: metric for metric in _metrics(page())}


def page() -> Page:
    """The page."""
    return all_pages()["docs/metrics.md"]


def words_of_tables(head: str) -> set[str]:
    """All that stands between backquotes in the first column of tables with this first head."""
    found = set()
    for first, _, *rows in page().tables():
        if _cells(first)[0] == head:
            found |= {word for row in rows for word in re.findall("`([^`]+)`", _cells(row)[0])}
    return found


def _metrics(page: Page) -> Iterator[Metric]:
    for head, _, *rows in page.tables():
        if _cells(head)[:3] == ["metric", "type", "labels"]:
            for row in rows:
                name, kind, labels, _ = _cells(row)
                yield Metric(name.strip("`"), kind, frozenset(re.findall("`([^`]+)`", labels)))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
