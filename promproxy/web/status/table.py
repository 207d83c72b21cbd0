"""Tables of the status page, and what several of their cells have in common. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from attrs import frozen

from promproxy.web.status import words
from promproxy.web.status.html import Html, element, text


@frozen
class Column:
    """A column: its head, what it shows of a row, and the class of its cells."""

    head: str
    cell: Callable[[Any], Html]
    class_: str | None = None


def table(columns: Iterable[Column], rows: Iterable[Any]) -> Html:
    """A table with a head. Each cell is named, for windows too narrow for the head."""
    columns = list(columns)
    heads = [element("th", c.head, scope="col", class_=_number(c)) for c in columns]
    lines = [
        element(
            "tr",
            *(element("td", c.cell(row), data_label=c.head, class_=c.class_) for c in columns),
        )
        for row in rows
    ]
    whole = element("table", element("thead", element("tr", *heads)), element("tbody", *lines))
    return element("div", whole, class_="box")


def _number(column: Column) -> str | None:
    return column.class_ if column.class_ == "number" else None


def badge(word: str, class_: str) -> Html:
    """A state in one word, in a colour."""
    return element("span", word, class_=f"badge {class_}".strip())


def ago(moment: float | None, now: float) -> Html:
    """How long ago a moment was, and the moment itself to whoever points at it."""
    if moment is None:
        return text("never")
    return element(
        "time",
        f"{words.age(now - moment)} ago",
        datetime=datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds"),
        title=words.moment(moment),
    )
