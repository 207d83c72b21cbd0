"""The Cloud Controller's lists as pure functions: which parameters, which items, which page.

Sources: ``app/messages/list_message.rb`` and ``app/presenters/v3/pagination_presenter.rb`` of
cloudfoundry/cloud_controller_ng.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote_plus, unquote_plus

from attrs import field, frozen

from promproxy.simulation.kinds import Kind
from promproxy.simulation.selector import Requirement, parse_selector
from promproxy.simulation.values import Domain, Entity, Org, SimulationError

MOST_PER_PAGE = 5000
_DEFAULT_PER_PAGE = 50
_COMMON = ("page", "per_page", "order_by", "created_ats", "updated_ats", "guids")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_TIME_KEY = re.compile(r"(created_at|updated_at)s(?:\[(lt|lte|gt|gte)\])?")


@frozen(kw_only=True)
class ListQuery:
    """A checked query of a list; ``raw`` holds its filters as sent, for the links to pages."""

    page: int
    per_page: int
    order_by: str
    filters: Mapping[str, frozenset[str]]
    times: tuple[tuple[str, str, frozenset[str]], ...]
    selector: tuple[Requirement, ...]
    include: tuple[str, ...]
    embed: bool
    raw: Mapping[str, str] = field(repr=False)


def parse_query(kind: Kind, query: str, *, maximum_result: int, embed: bool) -> ListQuery:
    """Check the query string of a list.

    ``maximum_result`` 0 means no such limit; without ``embed`` that parameter is unknown.
    Raises SimulationError with the Cloud Controller's words.
    """
    raw = dict(parse_qsl(query, keep_blank_values=True))
    allowed = (*_COMMON, *(name for name in kind.parameters if embed or name != "embed"))
    unknown = [name for name in raw if name not in allowed and not _TIME_KEY.fullmatch(name)]
    if unknown:
        refused, valid = (", ".join(f"'{name}'" for name in some) for some in (unknown, allowed))
        raise SimulationError(
            f"Unknown query parameter(s): {refused}. Valid parameters are: {valid}"
        )
    page = _positive(raw, "page", 1)
    per_page = _positive(raw, "per_page", _DEFAULT_PER_PAGE)
    if per_page > MOST_PER_PAGE:
        raise SimulationError(f"Per page must be between 1 and {MOST_PER_PAGE}")
    if maximum_result and page * per_page > maximum_result:
        raise SimulationError(
            f"Maximum result (page * per_page) must be less than {maximum_result}"
        )
    order_by = raw.get("order_by", "")
    if order_by and order_by.lstrip("+-") not in kind.orders:
        valid = ", ".join(f"'{name}'" for name in kind.orders)
        raise SimulationError(f"Order by can only be: {valid}")
    names = ("guids", *kind.keys)
    return ListQuery(
        page=page,
        per_page=per_page,
        order_by=order_by,
        filters={
            name: _values(raw[name], fold=name in kind.folded) for name in names if name in raw
        },
        times=tuple(_time_filters(raw)),
        selector=parse_selector(raw["label_selector"]) if "label_selector" in raw else (),
        include=_include(raw, kind.includes),
        embed=_embed(raw),
        raw={name: raw[name] for name in raw if name not in ("page", "per_page")},
    )


def _positive(raw: Mapping[str, str], name: str, default: int) -> int:
    text = raw.get(name, str(default))
    if not re.fullmatch("[0-9]+", text) or int(text) < 1:
        raise SimulationError(f"{name.capitalize().replace('_', ' ')} must be a positive integer")
    return int(text)


def _values(text: str, *, fold: bool) -> frozenset[str]:
    # A comma within a value is encoded twice; the query string's own decoding is done already.
    values = (unquote_plus(part) for part in text.split(","))
    return frozenset(value.lower() if fold else value for value in values)


def _time_filters(raw: Mapping[str, str]) -> Iterable[tuple[str, str, frozenset[str]]]:
    for name, text in raw.items():
        match = _TIME_KEY.fullmatch(name)
        if match:
            values = frozenset(text.split(","))
            good = all(_TIME.fullmatch(value) for value in values)
            if not good or (match[2] and len(values) > 1):
                title = match[1].capitalize().replace("_", " ")
                raise SimulationError(f"{title}s must be like '2020-06-30T23:49:04Z'")
            yield match[1], match[2] or "in", values


def _include(raw: Mapping[str, str], includes: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(raw["include"].split(",")) if "include" in raw else ()
    for name in wanted:
        if name not in includes:
            valid = ", ".join(f"'{item}'" for item in includes)
            raise SimulationError(
                f"Invalid included resource: '{name}'. Valid included resources are: {valid}"
            )
        if wanted.count(name) > 1:
            raise SimulationError(f"Duplicate included resource: '{name}'")
    return wanted


def _embed(raw: Mapping[str, str]) -> bool:
    if raw.get("embed", "process_instances") != "process_instances":
        raise SimulationError(
            f"Invalid embedded resource: '{raw['embed']}'. "
            "Valid embedded resources are: 'process_instances'"
        )
    return "embed" in raw


def select(kind: Kind, query: ListQuery, items: Iterable[Entity]) -> list[Any]:
    """The items that a query asks for, in its order."""
    for name, wanted in query.filters.items():
        items = [item for item in items if _has(kind, name, item, wanted)]
    for attribute, operator, values in query.times:
        items = [item for item in items if _in_time(getattr(item, attribute), operator, values)]
    if query.selector:
        items = [item for item in items if all(need.holds(item.labels) for need in query.selector)]
    if query.order_by:
        by = query.order_by.lstrip("+-")
        return sorted(
            items, key=lambda item: str(getattr(item, by)), reverse=query.order_by.startswith("-")
        )
    return list(items)


def _has(kind: Kind, name: str, item: Entity, wanted: frozenset[str]) -> bool:
    if name == "guids":
        return item.guid in wanted
    values = kind.keys[name](item)
    if name in kind.folded:
        values = [value.lower() for value in values]
    return not wanted.isdisjoint(values)


def _in_time(moment: str, operator: str, values: frozenset[str]) -> bool:
    if operator == "in":
        return moment in values
    (limit,) = values
    return {
        "lt": moment < limit,
        "lte": moment <= limit,
        "gt": moment > limit,
        "gte": moment >= limit,
    }[operator]


def cut_page(query: ListQuery, items: list[Any]) -> tuple[list[Any], int]:
    """The items of the page that was asked for, and the total that goes with it.

    Past the end there is nothing, and the total is 0: the pager counts in a window of the page.
    """
    start = (query.page - 1) * query.per_page
    resources = items[start : start + query.per_page]
    return resources, len(items) if resources else 0


def pagination(query: ListQuery, url: str, total: int) -> dict[str, Any]:
    """The ``pagination`` of a page; ``url`` is the list's own address without a query."""
    last = max(1, -(-total // query.per_page))

    def link(page: int) -> dict[str, str]:
        pairs = {**query.raw, "page": str(page), "per_page": str(query.per_page)}
        encoded = (f"{quote_plus(name)}={quote_plus(pairs[name])}" for name in sorted(pairs))
        return {"href": f"{url}?{'&'.join(encoded)}"}

    return {
        "total_results": total,
        "total_pages": last,
        "first": link(1),
        "last": link(last),
        "next": link(query.page + 1) if query.page < last else None,
        "previous": link(query.page - 1) if query.page > 1 else None,
    }


def _name_of(domain: Domain) -> str:
    return domain.name


def included(include: Sequence[str], resources: Sequence[Any]) -> dict[str, list[Entity]]:
    """The parents of a page's resources, each once, by the key they have in ``included``."""
    found: dict[str, list[Entity]] = {}
    for name in include:
        if name == "domain":
            domains: dict[Domain, None] = dict.fromkeys(item.domain for item in resources)
            found["domains"] = [*sorted(domains, key=_name_of)]
        if name == "organization":
            found["organizations"] = list(dict.fromkeys(item.org for item in resources))
        if name.startswith("space"):
            spaces = dict.fromkeys(item.space for item in resources)
            found["spaces"] = list(spaces)
            if name == "space.organization":
                orgs: dict[Org, None] = dict.fromkeys(space.org for space in spaces)
                found["organizations"] = list(orgs)
    return found
