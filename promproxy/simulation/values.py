"""What a foundation consists of: frozen values that point upwards (route to space to org).

Two values are equal only when they are the same object: a change makes a new value, so a cache
keyed by the value itself can never be stale.  Times are epoch seconds, texts of times are UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from uuid import NAMESPACE_DNS, uuid5

from attrs import field, frozen

from promproxy.errors import PromproxyError

STARTED = "STARTED"
STOPPED = "STOPPED"

RUNNING = "RUNNING"
STARTING = "STARTING"
CRASHED = "CRASHED"
DOWN = "DOWN"


class SimulationError(PromproxyError):
    """The simulated foundation was asked for something that it cannot do."""


def timestamp(seconds: float) -> str:
    """The Cloud Controller's way to write a moment, with whole seconds."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@frozen(eq=False, kw_only=True)
class Entity:
    """What all listed resources have in common."""

    guid: str
    created_at: str
    updated_at: str
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)


@frozen(eq=False, kw_only=True)
class Org(Entity):
    """An organization."""

    name: str


@frozen(eq=False, kw_only=True)
class Space(Entity):
    """A space; its name is unique within its org."""

    name: str
    org: Org


@frozen(eq=False, kw_only=True)
class App(Entity):
    """An app; ``state`` is the desired one, STARTED or STOPPED."""

    name: str
    space: Space
    state: str = STARTED
    lifecycle: str = "buildpack"


@frozen(eq=False, kw_only=True)
class Instance:
    """One container of a process of a STARTED app; ``since`` is when it came into its state."""

    index: int
    guid: str
    state: str
    since: float


@frozen(eq=False, kw_only=True)
class Process(Entity):
    """A process type of an app; the desired number of instances is the number of ``instances``."""

    app_guid: str
    space: Space
    type: str
    version: str
    instances: tuple[Instance, ...]


@frozen(eq=False, kw_only=True)
class Domain(Entity):
    """A domain; ``owner`` None means shared with all orgs, a router group means TCP."""

    name: str
    internal: bool = False
    router_group: str | None = None
    enforce_route_policies: bool = False
    owner: Org | None = None
    shared_with: tuple[Org, ...] = ()


@frozen(kw_only=True)
class Destination:
    """Where a route leads to: the instances of one process type of an app."""

    guid: str
    app_guid: str
    process_type: str = "web"
    port: int = 8080


@frozen(eq=False, kw_only=True)
class Route(Entity):
    """A route; ``port`` is set for TCP only."""

    host: str
    domain: Domain
    space: Space
    path: str = ""
    port: int | None = None
    destinations: tuple[Destination, ...] = ()

    @property
    def protocol(self) -> str:
        return "tcp" if self.domain.router_group else "http"

    @property
    def fqdn(self) -> str:
        """Host and domain; starts with ``*.`` for a wildcard route."""
        return f"{self.host}.{self.domain.name}" if self.host else self.domain.name

    @property
    def url(self) -> str:
        """As the Cloud Controller shows it, without a scheme."""
        return self.fqdn + (f":{self.port}" if self.port is not None else self.path)

    @property
    def scrapable(self) -> bool:
        """Whether a plain HTTP request through the gorouter can use this route."""
        return (
            self.protocol == "http"
            and self.host != "*"
            and not self.domain.internal
            and not self.domain.enforce_route_policies
        )


@frozen(eq=False, kw_only=True)
class RouteBinding(Entity):
    """A route service that requests of a route pass first."""

    route: Route


def bindings(routes: Iterable[Route], urls: Collection[str]) -> dict[str, RouteBinding]:
    """The bindings, by guid, of those routes that have one of these URLs."""
    found = (
        RouteBinding(
            guid=str(uuid5(NAMESPACE_DNS, route.guid)),
            created_at=route.created_at,
            updated_at=route.updated_at,
            route=route,
        )
        for route in routes
        if route.url in urls
    )
    return {binding.guid: binding for binding in found}


@frozen(kw_only=True)
class WebInstance:
    """One desired instance of a web process of a STARTED app: what a discovery should find."""

    app: App
    process: Process
    instance: Instance
    routes: tuple[Route, ...]

    @property
    def scrapable_routes(self) -> tuple[Route, ...]:
        """Those routes that a plain HTTP request through the gorouter can use."""
        return tuple(route for route in self.routes if route.scrapable)
