"""Where the instances of an app are scraped. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from attrs import frozen

from promproxy.sources.cloud_foundry.resources import Domain, Process, Route
from promproxy.sources.cloud_foundry.routes import choose_route, leads_to_app
from promproxy.sources.cloud_foundry.rules import Endpoint
from promproxy.targets.netloc import DEFAULT_PORTS

INTERNAL_PORT = 8080  # what apps listen on unless they are told otherwise

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_PATH = re.compile(r"/[!-~]{0,2000}")  # it becomes a part of labels too, which have a limit


@frozen(kw_only=True)
class Address:
    """Where the instances of one process are scraped; the host of an internal route has a gap.

    ``header`` tells whether the router there knows the app's instances; ``router`` is where to
    connect instead. One that is ``behind_service`` is that of a route service, which sends requests
    on without our header.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str
    route: str
    internal: bool = False
    header: bool = True
    router: str = ""
    behind_service: bool = False


@frozen
class Ways:
    """The routes of an app, by which its processes are reached.

    ``with_service`` has the guids of routes that are bound to a route service.
    """

    routes: list[Route]
    domains: Mapping[str, Domain]
    with_service: Container[str] = ()
    router: str = ""

    def address_of(self, endpoint: Endpoint, process: Process) -> Address | str:
        """The address of a process's instances, or why there is none."""
        address = self._overridden(endpoint) or self._by_route(endpoint, process)
        if isinstance(address, str):
            return address
        if not _HOST.fullmatch(address.host):
            return "route_host"
        whole = f"{address.path}{address.query}"
        if not _PATH.fullmatch(whole) or "#" in whole:
            return "metrics_path"
        return address

    def _overridden(self, endpoint: Endpoint) -> Address | None:
        """Where the rule has it that something stands in front of the app.

        A router that has no such route for the app would refuse a request for its instances.
        """
        override = endpoint.rule.override
        if override is None:
            return None
        path, _, query = (override.path or endpoint.path).partition("?")
        return Address(
            scheme=endpoint.scheme,
            host=override.host,
            port=override.port or DEFAULT_PORTS[endpoint.scheme],
            path=path,
            query=query,
            route=endpoint.rule.override_route_and_path,
            header=leads_to_app(override.host, path, self.routes, self.domains),
            router="" if override.port else self.router,
        )

    def _by_route(self, endpoint: Endpoint, process: Process) -> Address | str:
        route = choose_route(endpoint, process, self.routes, self.domains, self.with_service)
        if isinstance(route, str):
            return route
        path, _, query = endpoint.path.partition("?")
        domain = self.domains[route.domain_guid]
        internal, scheme, port = domain.internal, endpoint.scheme, DEFAULT_PORTS[endpoint.scheme]
        if internal:
            scheme = "http"
            port = endpoint.port or endpoint.rule.internal_route_port or INTERNAL_PORT
        return Address(
            scheme=scheme,
            host=f"{route.host}.{domain.name}" if route.host else domain.name,
            port=port,
            path=f"{route.path}{path}",
            query=query,
            route=route.url,
            internal=internal,
            header=not internal,
            router="" if internal else self.router,
            behind_service=route.guid in self.with_service,
        )
