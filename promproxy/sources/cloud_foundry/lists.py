"""Whole lists of the API, page by page; decoded resource by resource, so that nothing stalls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import SourceError
from promproxy.sources.cloud_foundry.api import Api, PageTooLarge, PageTooSlow
from promproxy.sources.cloud_foundry.plan import Query
from promproxy.sources.cloud_foundry.resources import guid_of, malformation_of
from promproxy.sources.json_array import JsonReader
from promproxy.timing.slices import in_slices

LARGEST_PAGE = 5000
SMALLEST_PAGE = 50
READINGS = 3
MOST_PAGES = 5000  # of the smallest size, those of a foundation with 250 000 routes
MOST_HALVINGS = 2

# By kind ("resources", or the name of a list in "included"): how to read one, and all by guid.
Parsers = Mapping[str, Callable[[Mapping[str, Any]], Any]]
Found = dict[str, dict[str, Any]]

_SINGULAR = {
    "organizations": "org",
    "spaces": "space",
    "apps": "app",
    "processes": "process",
    "routes": "route",
    "domains": "domain",
    "service_route_bindings": "route binding",
}


@define
class _Page:
    """What a page holds beside its resources: how many there are in all, and what comes next.

    ``malformed`` has what cannot be read, by kind and guid, with the reason; ``count`` is how many
    resources the list had up to here.
    """

    count: int = 0
    total: int = 0
    following: str = ""
    malformed: dict[tuple[str, str], str] = field(factory=dict)


@define(eq=False)
class Lists:
    """Reads lists; remembers how large a page may be.

    ``malformed`` collects the resources that could not be read, by name, with the reason.
    """

    _api: Api
    _clock: IReactorTime
    malformed: dict[str, str] = field(factory=dict, init=False)
    _page_size: int = field(default=LARGEST_PAGE, init=False)

    def reset_backoff(self) -> None:
        """See `promproxy.sources.Retrying.reset_backoff`."""
        self._api.reset_backoff()

    async def read(self, path: str, query: Query, parsers: Parsers) -> Found:
        """A whole list with its included resources. Raises SourceError.

        Pages are not read at one moment: where something came or went in between, an item may
        have slipped from one page to another past us, so the list is read again.
        """
        readings = slow = 0
        while readings < READINGS:
            size = max(SMALLEST_PAGE, self._page_size >> slow)
            try:
                found = await self._read_once(path, query, parsers, size)
            except PageTooLarge:
                if size <= SMALLEST_PAGE:
                    raise
                self._page_size = size // 2  # for good: it is how the API is set up
            except PageTooSlow:
                if slow == MOST_HALVINGS:
                    raise
                slow += 1  # for now: it may be busy
            else:
                if found is not None:
                    return found
                readings += 1
        raise SourceError(f"{path}: the list kept changing while it was read")

    async def _read_once(
        self, path: str, query: Query, parsers: Parsers, page_size: int
    ) -> Found | None:
        """The list, or None where it changed meanwhile."""
        found: Found = {kind: {} for kind in parsers}
        malformed: dict[tuple[str, str], str] = {}
        count = 0
        parameters = sorted([*query, ("per_page", str(page_size))])
        place = f"{path}?{urlencode(parameters, quote_via=quote, safe=',')}"
        totals = set()
        pages = 0
        while place:
            page = _Page(count)
            before = _count(found, malformed)
            await self._take(await self._api.get(place), page, parsers, found, path)
            totals.add(page.total)
            malformed |= page.malformed
            count = page.count
            pages += 1
            if pages > MOST_PAGES:
                raise SourceError(f"{path}: the list has more than {MOST_PAGES} pages")
            place = page.following
            # A list that is longer than it says, or repeats itself, would never end.
            if place and not before < _count(found, malformed) < max(totals):
                return None
        if pages > 1 and totals != {_count(found, malformed)}:
            return None
        named = {_name(path, *key): why for key, why in malformed.items()}
        if named and not found["resources"]:
            what, why = next(iter(named.items()))
            raise SourceError(f"{path}: the answer is not a list of the API: {what}: {why}")
        self.malformed.update(named)
        return found

    async def _take(
        self, text: str, page: _Page, parsers: Parsers, found: Found, path: str
    ) -> None:
        try:
            await in_slices(_read_page(JsonReader(text), page, parsers, found), self._clock)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            why = str(error) or type(error).__name__
            raise SourceError(f"{path}: the answer is not a list of the API: {why}") from error


def _count(found: Found, malformed: Mapping[tuple[str, str], str]) -> int:
    return len(found["resources"]) + sum(kind == "resources" for kind, _ in malformed)


def _read_page(reader: JsonReader, page: _Page, parsers: Parsers, found: Found) -> Iterator[None]:
    """Read a page; one turn for each resource in it."""
    seen = set()
    for name in reader.members():
        seen.add(name)
        if name == "pagination":
            pagination = reader.value()
            page.total = _whole_number(pagination["total_results"])
            page.following = _path_of(pagination["next"])
        elif name == "resources":
            yield from _read_resources(reader, name, parsers, page, found)
        elif name == "included":
            for kind in () if reader.skip_null() else reader.members():
                yield from _read_resources(reader, kind, parsers, page, found)
        else:
            reader.value()
    reader.end()
    if not seen >= {"pagination", "resources"}:
        raise ValueError("it has no pagination and resources")


def _whole_number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("total_results is not a number")
    return value


def _path_of(link: Any) -> str:
    """Where a link leads on our own address, since the API may know itself by another."""
    if link is None:
        return ""
    parts = urlsplit(link["href"])
    place = f"{parts.path}?{parts.query}"
    if not place.startswith("/") or not place.isascii():
        raise ValueError("the link to the next page has no path")
    return place


def _read_resources(
    reader: JsonReader, kind: str, parsers: Parsers, page: _Page, found: Found
) -> Iterator[None]:
    # A null is none, as programs in Go write a list without elements.
    for _ in () if reader.skip_null() else reader.elements():
        value = reader.value()
        if kind in parsers:
            page.count += kind == "resources"
            try:
                resource = parsers[kind](value)
                found[kind][resource.guid] = resource
            except (LookupError, TypeError, AttributeError) as error:
                page.malformed[kind, guid_of(value) or f"number {page.count}"] = malformation_of(
                    error
                )
        yield


def _name(path: str, kind: str, guid: str) -> str:
    """A resource as an operator calls it, such as ``app 1cb006ee-…``."""
    plural = path.rpartition("/")[2] if kind == "resources" else kind
    return f"{_SINGULAR.get(plural, plural)} {guid}"
