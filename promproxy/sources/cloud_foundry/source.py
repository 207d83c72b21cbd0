"""The source: a foundation's apps, read in a few requests and joined into targets."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import SourceError
from promproxy.sources.building import deliver
from promproxy.sources.cloud_foundry.api import NotFound
from promproxy.sources.cloud_foundry.lists import Found, Lists, Parsers
from promproxy.sources.cloud_foundry.plan import (
    Query,
    Scope,
    guid_queries,
    name_queries,
    scope_of,
)
from promproxy.sources.cloud_foundry.resources import (
    app_from_json,
    binding_from_json,
    domain_from_json,
    organization_from_json,
    process_from_json,
    route_from_json,
    space_from_json,
)
from promproxy.sources.cloud_foundry.targets import Inventory, TargetOptions, targets_of
from promproxy.targets.target import Delivery, Dropped, LeftOut, Remark, Target
from promproxy.timing.slices import in_slices

ROUTER_CHECK_SECONDS = 30.0
ROUTE_SERVICES_SECONDS = 30.0

_APPS: Parsers = {
    "resources": app_from_json,
    "spaces": space_from_json,
    "organizations": organization_from_json,
}
_PROCESSES: Parsers = {"resources": process_from_json}
_ROUTES: Parsers = {"resources": route_from_json, "domains": domain_from_json}
_ORGS: Parsers = {"resources": organization_from_json}
_SPACES: Parsers = {"resources": space_from_json, "organizations": organization_from_json}

# By what the lists are narrowed to: where all names of that kind are.
_NAMED: dict[str, tuple[str, Query, Parsers]] = {
    "organization": ("/v3/organizations", (), _ORGS),
    "space": ("/v3/spaces", (("include", "organization"),), _SPACES),
    "app": ("/v3/apps", (), {"resources": app_from_json}),
}

_BINDINGS: Parsers = {"resources": binding_from_json}

_EVERYTHING: list[Query] = [()]


@define(eq=False)
class CloudFoundrySource:
    """All or nothing: a refresh that could not read every list fails. Only a single resource that
    cannot be read is left out.

    ``max_loss`` is the share of the targets whose sudden loss is believed only when the next
    refresh finds the same. ``check_router`` fails where the router does not know what
    the targets need of it; it is given one of them.
    """

    name: str
    interval: float
    _lists: Lists
    _options: TargetOptions
    _clock: IReactorTime
    _max_loss: float
    _check_router: Callable[[Target], Coroutine[Any, Any, None]]
    _delivery: Delivery | None = field(default=None, init=False)
    _doubted: bool = field(default=False, init=False)
    _idle: tuple[str, ...] = field(default=(), init=False)
    _names: dict[str, list[str]] = field(factory=dict, init=False)
    _bound: frozenset[str] = field(default=frozenset(), init=False)
    _router_is_checked: bool = field(default=False, init=False)

    def restore(self, delivery: Delivery) -> None:
        """See `promproxy.sources.Restorable.restore`: a loss shows in comparison."""
        self._delivery = delivery

    def reset_backoff(self) -> None:
        """See `promproxy.sources.Retrying.reset_backoff`."""
        self._lists.reset_backoff()

    async def targets(self) -> Delivery:
        scope = scope_of(self._options.rules)
        self._lists.malformed.clear()
        inventory, missing = await self._read(scope)
        remarks = await self._look_for_route_services() if inventory.routes else []
        inventory = evolve(inventory, with_service=self._bound)
        found = await self._joined(inventory, scope)
        odd = [Dropped(f"{what}: {why}", "resource") for what, why in self._lists.malformed.items()]
        found = evolve(
            found,
            left_out=(*found.left_out, *missing),
            dropped=(*found.dropped, *odd),
            remarks=(*found.remarks, *remarks),
        )
        self._doubt_sudden_loss(found)
        if self._options.by_process and not self._router_is_checked:
            await self._check_router_with(found.targets)
        if self._delivery is None or not await self._is_unchanged(self._delivery, found):
            self._delivery = found
        return self._delivery

    async def _joined(self, inventory: Inventory, scope: Scope) -> Delivery:
        """The targets. Where rules select nothing, and others than the time before, the names that
        there are in their place are looked up, once.
        """
        inventory = evolve(inventory, names=self._names)
        found = await deliver(targets_of(inventory, self._options), self._clock)
        idle = tuple(remark.what for remark in found.remarks)
        if idle == self._idle:
            return found
        self._idle = idle
        self._names = await self._names_beside(scope) if idle else {}
        inventory = evolve(inventory, names=self._names)
        return await deliver(targets_of(inventory, self._options), self._clock)

    async def _names_beside(self, scope: Scope) -> dict[str, list[str]]:
        """The names of all orgs, spaces or apps, where only those that rules name were read."""
        if scope.by not in _NAMED:
            return {}
        path, query, parsers = _NAMED[scope.by]
        try:
            found = await self._merged(path, [query], parsers)
        except SourceError:  # it is for a hint only
            return {}
        kind = "org" if scope.by == "organization" else scope.by
        kinds = {"resources": kind, "organizations": "org"}
        return {kinds[key]: [r.name for r in those.values()] for key, those in found.items()}

    async def _check_router_with(self, targets: Sequence[Target]) -> None:
        """Ask the router once, with a target that is scraped through it."""
        target = next((target for target in targets if target.headers), None)
        if target is None:
            return
        checking = Deferred.fromCoroutine(self._check_router(target))
        checking.addTimeout(ROUTER_CHECK_SECONDS, self._clock)
        try:
            await checking
        except DeferredTimeout as error:
            raise SourceError(
                f"instance_routing: process: the router did not answer at {target.url} within "
                f"{ROUTER_CHECK_SECONDS:.0f} s"
            ) from error
        self._router_is_checked = True

    def _doubt_sudden_loss(self, found: Delivery) -> None:
        had = 0 if self._delivery is None else len(self._delivery.targets)
        lost = had - len(found.targets)
        if lost > had * self._max_loss and not self._doubted:
            self._doubted = True
            raise SourceError(
                f"{lost} of {had} targets are gone at once; they stay until the next refresh "
                "finds the same"
            )
        self._doubted = False

    async def _is_unchanged(self, before: Delivery, found: Delivery) -> bool:
        if evolve(before, targets=()) != evolve(found, targets=()):
            return False
        if len(before.targets) != len(found.targets):
            return False
        differences = 0

        def compare() -> Iterator[None]:
            nonlocal differences
            for old, new in zip(before.targets, found.targets, strict=True):
                differences += old != new
                yield

        await in_slices(compare(), self._clock)
        return not differences

    async def _read(self, scope: Scope) -> tuple[Inventory, list[LeftOut]]:
        """The three lists, and the names in the configuration that the foundation has not."""
        if scope.by in ("app", "label"):
            return await self._read_by_app(scope)
        queries, missing = await self._queries(scope)
        if scope.by == "organization":
            # The API's routes of an org are not those that another one shares with it, but its
            # routes of a space are. Source: cloud_controller_ng, app/fetchers/route_fetcher.rb.
            apps, processes = await _together(self._apps(queries), self._processes(queries))
            spaces = dict.fromkeys(app.space_guid for app in apps["resources"].values())
            narrowed = guid_queries("space_guids", list(spaces))
            routes = await self._routes(_EVERYTHING if narrowed is None else narrowed)
        else:
            apps, processes, routes = await _together(
                self._apps(queries), self._processes(queries), self._routes(queries)
            )
        return _inventory(apps, processes, routes), missing

    async def _read_by_app(self, scope: Scope) -> tuple[Inventory, list[LeftOut]]:
        """The apps first: only then is known whether their processes and routes can be few."""
        if scope.by == "label":
            apps = await self._apps([(("label_selector", scope.names[0]),)])
            missing = []
        else:
            apps = await self._apps(list(name_queries(scope.names)))
            missing = _missing("app", scope.names, apps)
        queries = guid_queries("app_guids", list(apps["resources"]))
        queries = _EVERYTHING if queries is None else queries
        processes, routes = await _together(self._processes(queries), self._routes(queries))
        return _inventory(apps, processes, routes), missing

    async def _queries(self, scope: Scope) -> tuple[list[Query], list[LeftOut]]:
        """The filters for all three lists."""
        if not scope.by:
            return _EVERYTHING, []
        named = _empty(_ORGS)
        missing: list[LeftOut] = []
        if scope.names and scope.by == "organization":
            named = await self._merged("/v3/organizations", list(name_queries(scope.names)), _ORGS)
            missing = _missing("org", scope.names, named)
        elif scope.names:
            named = await self._merged(
                "/v3/spaces",
                [(*query, ("include", "organization")) for query in name_queries(scope.names)],
                _SPACES,
            )
            missing = _missing("space", scope.names, named)
            named["resources"] = {
                guid: space
                for guid, space in named["resources"].items()
                if self._is_wanted(space, named["organizations"].get(space.org_guid))
            }
        guids = list(dict.fromkeys([*scope.guids, *named["resources"]]))
        queries = guid_queries(f"{scope.by}_guids", guids)
        return (_EVERYTHING if queries is None else queries), missing

    def _is_wanted(self, space: Any, org: Any) -> bool:
        """Names of spaces repeat in other orgs."""
        return org is not None and any(rule.means_space(space, org) for rule in self._options.rules)

    async def _apps(self, queries: list[Query]) -> Found:
        included = [(*query, ("include", "space.organization")) for query in queries]
        return await self._merged("/v3/apps", included, _APPS)

    async def _processes(self, queries: list[Query]) -> Found:
        types = dict.fromkeys(t for rule in self._options.rules for t in rule.process_types)
        typed = [(*query, ("types", ",".join(types))) for query in queries]
        return await self._merged("/v3/processes", typed, _PROCESSES)

    async def _routes(self, queries: list[Query]) -> Found:
        included = [(*query, ("include", "domain")) for query in queries]
        return await self._merged("/v3/routes", included, _ROUTES)

    async def _look_for_route_services(self) -> list[Remark]:
        """Which routes are bound to one. It matters to few apps, so the refresh does not fail where
        that cannot be read: what was known last counts, with a remark.
        """
        try:
            reading = self._merged("/v3/service_route_bindings", _EVERYTHING, _BINDINGS)
            read = Deferred.fromCoroutine(reading)
            found = await read.addTimeout(ROUTE_SERVICES_SECONDS, self._clock)
            self._bound = frozenset(each.route_guid for each in found["resources"].values())
        except NotFound:  # the API is older than these bindings
            self._bound = frozenset()
        except DeferredTimeout:
            return [Remark("unreadable", "bindings of route services", "no answer in time")]
        except SourceError as error:
            return [Remark("unreadable", "bindings of route services", str(error))]
        return []

    async def _merged(self, path: str, queries: list[Query], parsers: Parsers) -> Found:
        """The union of a list under several filters."""
        merged = _empty(parsers)
        for found in await _together(*(self._lists.read(path, q, parsers) for q in queries)):
            for kind, resources in found.items():
                merged[kind].update(resources)
        return merged


async def _together(*reads: Coroutine[Any, Any, Found]) -> list[Found]:
    """All results; the first failure cancels the other reads and is raised."""
    reading = [Deferred.fromCoroutine(read) for read in reads]
    try:
        return await gatherResults(reading, consumeErrors=True)
    except FirstError as error:
        for read in reading:
            read.cancel()
        error.subFailure.raiseException()


def _empty(parsers: Parsers) -> Found:
    return {kind: {} for kind in parsers}


def _missing(what: str, names: Sequence[str], found: Found) -> list[LeftOut]:
    known = {resource.name.lower() for resource in found["resources"].values()}
    return [LeftOut(f"{what} {n}", "not_found") for n in names if n.lower() not in known]


def _inventory(apps: Found, processes: Found, routes: Found) -> Inventory:
    return Inventory(
        organizations=apps["organizations"],
        spaces=apps["spaces"],
        apps=apps["resources"],
        processes=processes["resources"],
        routes=routes["resources"],
        domains=routes["domains"],
    )
