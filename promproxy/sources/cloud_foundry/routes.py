"""Which of an app's routes a scrape goes through. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from promproxy.sources.cloud_foundry.resources import Domain, Process, Route
from promproxy.sources.cloud_foundry.rules import Endpoint


def choose_route(
    endpoint: Endpoint,
    process: Process,
    routes: Sequence[Route],
    domains: Mapping[str, Domain],
    with_service: Container[str] = (),
) -> Route | str:
    """The route to use for a process of an app, or why there is none.

    ``routes`` are those with a destination in the process's app, in the API's order. Which place
    internal ones have among them is up to the rule. Of the others those come first that reach the
    app on one port of one process type only, since the gorouter cannot tell the others apart.
    Those in ``with_service``, by guid, come last: behind a route service any instance answers.
    """
    mapped = [route for route in routes if ports_of(route, process)]
    plain = [route for route in mapped if route.guid not in with_service]
    usable = _usable(plain, domains) or _usable(mapped, domains)
    internal = [route for route in mapped if is_internal(route, domains)]
    choice = endpoint.rule.internal_choice
    if internal and choice == "first":
        return _preferred(internal, endpoint)
    if internal and choice == "in_order":
        chosen = _preferred([r for r in mapped if r in usable or r in internal], endpoint)
        if chosen in internal:
            return chosen
    if not usable:
        if internal:
            return "internal_routes"
        return "no_usable_route" if mapped else "no_route"
    if endpoint.port is not None:
        usable = [route for route in usable if ports_of(route, process) == {endpoint.port}]
        if not usable:
            return "no_route_to_port"
    unambiguous = [route for route in usable if _is_unambiguous(route, process.app_guid)]
    return _preferred(unambiguous or usable, endpoint)


def leads_to_app(
    host: str, path: str, routes: Sequence[Route], domains: Mapping[str, Domain]
) -> bool:
    """Whether the gorouter has an address for one of these routes of an app."""
    return any(
        _is_at(route, domains[route.domain_guid].name, host.lower(), path)
        for route in routes
        if route.domain_guid in domains
    )


def _is_at(route: Route, domain: str, host: str, path: str) -> bool:
    if route.host == "*":
        is_host = host.endswith(f".{domain.lower()}")
    else:
        is_host = host == (f"{route.host}.{domain}" if route.host else domain).lower()
    prefix = route.path.rstrip("/").lower()
    return is_host and f"{path.lower()}/".startswith(f"{prefix}/")


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


def _usable(routes: Sequence[Route], domains: Mapping[str, Domain]) -> list[Route]:
    return [route for route in routes if _is_usable(route, domains)]


def _is_usable(route: Route, domains: Mapping[str, Domain]) -> bool:
    """Whether a request through the gorouter, made by us, can reach the app by this route."""
    domain = domains.get(route.domain_guid)
    return (
        domain is not None
        and route.protocol == "http"
        and route.host != "*"
        and not (domain.internal or domain.tcp or domain.mutual_tls)
    )


def is_internal(route: Route, domains: Mapping[str, Domain]) -> bool:
    """Whether a route is for apps on the platform alone, past the gorouter."""
    domain = domains.get(route.domain_guid)
    return domain is not None and domain.internal and route.host != "*"


def _preferred(routes: Sequence[Route], endpoint: Endpoint) -> Route:
    for pattern in endpoint.rule.preferred_route_regex:
        for route in routes:
            if pattern.fullmatch(route.url):
                return route
    return routes[0]
