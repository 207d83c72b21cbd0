"""Short ways to make a foundation's resources, and a stand-in for the API's HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from promproxy.outbound.fetch import Answer
from promproxy.simulation.exchange import Call
from promproxy.sources.cloud_foundry.resources import (
    App,
    Destination,
    Domain,
    Organization,
    Process,
    Route,
    Space,
)
from promproxy.sources.cloud_foundry.targets import Inventory
from tests.fakes import settle
from tests.simulation.support import World

ORG = Organization("org-1", "Acme")
SPACE = Space("space-1", "Prod", "org-1")
DOMAINS = {
    domain.guid: domain
    for domain in (
        Domain("plain", "apps.example"),
        Domain("internal", "apps.internal", internal=True),
        Domain("tcp", "tcp.example", tcp=True),
        Domain("mtls", "secure.example", mutual_tls=True),
    )
}


def app(guid: str = "app-1", **changes: Any) -> App:
    """A started app in the space."""
    fields: dict[str, Any] = {
        "guid": guid,
        "name": "Shop",
        "started": True,
        "space_guid": "space-1",
    }
    return App(**{**fields, **changes})


def process(
    guid: str = "app-1", instances: int = 1, type: str = "web", app: str = "app-1"
) -> Process:
    """A process of the app."""
    return Process(guid, type, instances, app)


def route(
    host: str = "shop",
    *destinations: Destination,
    domain: str = "plain",
    path: str = "",
    protocol: str = "http",
) -> Route:
    """A route; to the app's web process on port 8080 unless it is told where to."""
    name = f"{host}.{DOMAINS[domain].name}" if host else DOMAINS[domain].name
    guid = f"route-{name}{path}".replace(".", "-").replace("/", "_").replace("*", "any")
    return Route(guid, protocol, host, path, f"{name}{path}", domain, destinations or (to(),))


def to(type: str = "web", port: int | None = 8080, app: str = "app-1") -> Destination:
    """A destination."""
    return Destination(app, type, port)


def inventory(*things: Any, with_place: bool = True) -> Inventory:
    """What a refresh has read; org, space and domains are there already."""
    places: tuple[Any, ...] = (ORG, SPACE, *DOMAINS.values()) if with_place else ()
    kinds = {
        "organizations": Organization,
        "spaces": Space,
        "apps": App,
        "processes": Process,
        "routes": Route,
        "domains": Domain,
    }
    found = [*places, *things]
    return Inventory(
        **{
            name: {thing.guid: thing for thing in found if isinstance(thing, kind)}
            for name, kind in kinds.items()
        }
    )


def answer(document: Any = None, status: int = 200, **headers: str) -> Answer:
    """An answer: bytes as they are, all else as JSON; in names of headers _ stands for a hyphen."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return Answer(status, Headers(named), body)


def page(
    *resources: Mapping[str, Any], total: int | None = None, following: str = "", **included: Any
) -> Answer:
    """A page of a list; ``following`` is the link to the next one."""
    total = len(resources) if total is None else total
    pagination = {"total_results": total, "next": {"href": following} if following else None}
    document = {"pagination": pagination, "resources": list(resources)}
    return answer({**document, "included": included} if included else document)


@frozen
class Asked:
    """One request."""

    method: str
    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None
    at: float

    @property
    def path(self) -> str:
        """The path with the query."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


Answering = Callable[[Asked], Any]


@define(eq=False)
class FakeFetcher:
    """Stands where a Fetcher does. A function gives an Answer, an error to raise, or a Deferred."""

    clock: Clock
    answering: Answering
    asked: list[Asked] = field(factory=list, repr=False)

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None = None,
    ) -> Answer:
        request = Asked(method, url, headers, data, self.clock.seconds())
        self.asked.append(request)
        found = self.answering(request)
        if isinstance(found, Deferred):
            found = await found
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def paths(self) -> list[str]:
        """The paths asked for, with their queries."""
        return [request.path for request in self.asked]


def answer_in_turn(*answers: Any) -> Answering:
    """One answer after the other; the last one stays."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def answer_of(world: World) -> Answering:
    """What the simulated API and UAA answer."""

    def answering(request: Asked) -> Answer:
        parts = urlsplit(request.url)
        call = Call(
            method=request.method,
            path=parts.path,
            query=parts.query,
            headers={
                "host": parts.netloc,
                **{name.lower(): value for name, value in request.headers.items()},
            },
            body=_encoded(request.form),
        )
        server = world.simulation.uaa if parts.path.startswith("/oauth") else world.api
        found = server.answer(call)
        return Answer(found.status, Headers({k: [v] for k, v in found.headers.items()}), found.body)

    return answering


def _encoded(form: Mapping[str, str] | None) -> bytes:
    return urlencode(form or {}).encode()


def begin(coroutine: Any, clock: Clock) -> Deferred[Any]:
    """Start it, and let all happen that takes no time."""
    begun: Deferred[Any] = Deferred.fromCoroutine(coroutine)
    settle(clock)
    return begun


def pass_time(clock: Clock, done: Deferred[Any], most: float = 3600.0) -> None:
    """Let time pass, from timer to timer, until it is done."""
    ended: list[object] = []
    done.addBoth(lambda result: (ended.append(result), result)[1])
    end = clock.seconds() + most
    while not ended and clock.getDelayedCalls() and clock.seconds() <= end:
        following = min(call.getTime() for call in clock.getDelayedCalls())
        clock.advance(max(0.0, following - clock.seconds()))
        settle(clock)
