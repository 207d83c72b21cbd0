"""Which of an app's routes a scrape goes through. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promproxy.sources.cloud_foundry.resources import Domain, Process, Route
from promproxy.sources.cloud_foundry.rules import Endpoint


def choose_route(
    endpoint: Endpoint, process: Process, routes: Sequence[Route], domains: Mapping[str, Domain]
) -> Route | str:
    """The route to use for a process of an app, or why there is none.

    ``routes`` are those with a destination in the process's app, in the API's order. Internal
    ones come first where the rule has a port for them; else those that reach the app on one port
    of one process type only, since the gorouter cannot tell the others apart.
    """
    mapped = [route for route in routes if ports_of(route, process)]
    usable = [route for route in mapped if _is_usable(route, domains)]
    if endpoint.rule.internal_route_port is not None:
        internal = [route for route in mapped if _is_internal(route, domains)]
        if internal:
            return _preferred(internal, endpoint)
    if not usable:
        return "no_usable_route" if mapped else "no_route"
    if endpoint.port is not None:
        usable = [route for route in usable if ports_of(route, process) == {endpoint.port}]
        if not usable:
            return "no_route_to_port"
    unambiguous = [route for route in usable if _is_unambiguous(route, process.app_guid)]
    return _preferred(unambiguous or usable, endpoint)


def ports_of(route: Route, process: Process) -> set[int | None]:
    """The container ports of a process that a route leads to."""
    return {
        destination.port
        for destination in route.destinations
        if destination.app_guid == process.app_guid and destination.process_type == process.type
    }


def _is_unambiguous(route: Route, app_guid: str) -> bool:
    ways = {(d.process_type, d.port) for d in route.destinations if d.app_guid == app_guid}
    return len(ways) == 1


def _is_usable(route: Route, domains: Mapping[str, Domain]) -> bool:
    """Whether a request through the gorouter, made by us, can reach the app by this route."""
    domain = domains.get(route.domain_guid)
    return (
        domain is not None
        and route.protocol == "http"
        and route.host != "*"
        and not (domain.internal or domain.tcp or domain.mutual_tls)
    )


def _is_internal(route: Route, domains: Mapping[str, Domain]) -> bool:
    domain = domains.get(route.domain_guid)
    return domain is not None and domain.internal and route.host != "*"


def _preferred(routes: Sequence[Route], endpoint: Endpoint) -> Route:
    for pattern in endpoint.rule.preferred_route_regex:
        for route in routes:
            if pattern.fullmatch(route.url):
                return route
    return routes[0]
