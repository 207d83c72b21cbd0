"""The status page as HTML. Pure: everything that it shows is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from attrs import frozen

from promproxy import __version__
from promproxy.web.status import words
from promproxy.web.status.html import Html, element, text
from promproxy.web.status.query import CONFIGURATION, HEALTHS, MOST_SORTED, SORTS, Query, Selection
from promproxy.web.status.tables import SourceRow, sources_table, targets_table

STYLE = files(__package__).joinpath("style.css").read_text(encoding="utf-8")

_SORT_NAMES = {
    "slowest": "slowest scrape first",
    "largest": "largest answer first",
    "oldest": "longest not scraped first",
}
_HEALTH_NAMES = {"up": "up", "down": "down", "unknown": "not scraped yet"}


@frozen
class Status:
    """What the page shows; ``now`` is the clock's, ``missing`` are sources not yet there."""

    sources: Sequence[SourceRow]
    missing: Sequence[str]
    selection: Selection
    now: float


def status_page(status: Status) -> Html:
    """Sources and targets."""
    query = status.selection.query
    return _document(
        query,
        _tiles(status),
        element("h2", "Sources"),
        sources_table(status.sources, query, status.now),
        element("h2", "Targets"),
        _form(query, [row.name for row in status.sources]),
        targets_table(status.selection.rows, status.now),
        _pages(status.selection),
    )


def configuration_page(query: Query, configuration: str) -> Html:
    """The configuration in force."""
    return _document(
        query,
        element("h2", "Configuration in force, with the defaults"),
        element("div", element("pre", configuration, tabindex=0), class_="box"),
    )


def _document(query: Query, *content: Html) -> Html:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "promproxy"),
        element("link", rel="icon", href="data:,"),  # none, and no request for one
        element("style", Html(STYLE)),
    )
    header = element(
        "header",
        element("h1", "promproxy ", element("small", __version__)),
        element(
            "nav",
            _view(query, "Sources and targets", ""),
            _view(query, "Configuration", CONFIGURATION),
        ),
        element(
            "nav",
            *(element("a", name, href=href) for name, href in _LINKS),
            class_="more",
        ),
    )
    body = element("body", header, element("main", *content))
    return text(Html("<!DOCTYPE html>\n"), element("html", head, body, lang="en"))


_LINKS = (
    ("discovery", "discovery"),
    ("metrics", "metrics"),
    ("targets as JSON", "api/v1/targets"),
    ("ready", "-/ready"),
)


def _view(query: Query, name: str, view: str) -> Html:
    is_current = "page" if query.view == view else None
    return element("a", name, href=Query(view=view).link(), aria_current=is_current)


def _tiles(status: Status) -> Html:
    healths = status.selection.healths
    counts = {
        health: sum(n for (_, one), n in healths.items() if one == health) for health in HEALTHS
    }
    tiles = [_tile("targets", sum(counts.values()), Query(), "")]
    tiles += [
        _tile(
            _HEALTH_NAMES[health],
            counts[health],
            Query(health=health),
            health if counts[health] else "",
        )
        for health in HEALTHS
    ]
    waiting = None
    if status.missing:
        waiting = element(
            "p",
            "Not ready: waiting for the first targets of ",
            element("b", ", ".join(status.missing)),
            class_="error",
        )
    return text(element("div", *tiles, class_="tiles"), waiting)


def _tile(name: str, number: int, query: Query, class_: str) -> Html:
    shown = element("b", words.count(number))
    return element("a", shown, element("span", name), href=query.link(), class_=class_ or None)


def _form(query: Query, sources: Iterable[str]) -> Html:
    search = element(
        "input",
        type="search",
        name="text",
        value=query.text,
        placeholder="id, address, label or error",
    )
    is_filtered = query != Query(page=query.page)
    return element(
        "form",
        element("label", "search", search, class_="wide"),
        _choice("source", query.source, "all", {name: name for name in sources}),
        _choice("health", query.health, "any", _HEALTH_NAMES),
        _choice("sort", query.sort, "as in the sources", {s: _SORT_NAMES[s] for s in SORTS}),
        element("button", "Show"),
        element("a", "show all", href="./") if is_filtered else None,
        method="get",
        action="./",
    )


def _choice(name: str, chosen: str, default: str, choices: dict[str, str]) -> Html:
    options = [
        element("option", shown, value=value, selected=value == chosen)
        for value, shown in {"": default, **choices}.items()
    ]
    return element("label", name, element("select", *options, name=name))


def _pages(selection: Selection) -> Html:
    query, last, count = selection.query, selection.last_page, words.count
    total = f"{count(selection.matched)} of {count(sum(selection.healths.values()))} targets"
    if selection.shown < selection.matched:
        total += f", the first {count(MOST_SORTED)} in this order are shown"
    links = [("first", 1), ("previous", query.page - 1), ("next", query.page + 1), ("last", last)]
    return element(
        "nav",
        element("span", f"page {count(query.page)} of {count(last)}: {total}", class_="soft"),
        *(
            element("a", name, href=query.link(page=page))
            for name, page in links
            if 1 <= page <= last and page != query.page
        ),
        class_="pages",
        aria_label="pages of targets",
    )
