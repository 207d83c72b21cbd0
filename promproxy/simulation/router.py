"""The gorouter: finds the instance for a request, or refuses as ``handlers/lookup.go`` does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from uuid import UUID

from attrs import evolve, frozen

from promproxy.simulation.exchange import Answer, Call
from promproxy.simulation.faults import Faults, router_error
from promproxy.simulation.foundation import Foundation
from promproxy.simulation.pages import Apps, Endpoint
from promproxy.simulation.values import RUNNING, STARTED, Route

APP_HEADER = "x-cf-app-instance"
PROCESS_HEADER = "x-cf-process-instance"
_GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_APP_INSTANCE = re.compile(rf"({_GUID}):([0-9]+)", re.ASCII)
_PROCESS_INSTANCE = re.compile(rf"({_GUID})(?::([0-9]+))?", re.ASCII)
_NO_CACHE = {"Cache-Control": "no-cache, no-store"}


@frozen(kw_only=True)
class _Wanted:
    """The instance that a header asks for; ``index`` None means any of the process."""

    guid: str
    index: str | None
    of_process: bool

    def matches(self, endpoint: Endpoint) -> bool:
        guid = endpoint.process.guid if self.of_process else endpoint.app.guid
        # Compared as text, as the real one does: "01" is no index.
        return guid == self.guid and self.index in (None, str(endpoint.instance.index))


class Router:
    """Answers calls to all routes of the foundation."""

    def __init__(self, foundation: Foundation, faults: Faults, random: Random) -> None:
        self._foundation = foundation
        self._faults = faults
        self._random = random
        self._apps = Apps()

    def answer(self, call: Call) -> Answer | None:
        """The answer to any call; None where the TLS handshake would have failed."""
        request_id = str(UUID(int=self._random.getrandbits(128), version=4))
        answer = self._route(call, request_id)
        if answer is None:
            return None
        return evolve(answer, headers={**answer.headers, "X-Vcap-Request-Id": request_id})

    def _route(self, call: Call, request_id: str) -> Answer | None:
        host = call.host.rpartition(":")[0] if re.search(r":\d+$", call.host) else call.host
        if host in ("", call.client):
            text = "400 Bad Request: Request had empty Host header"
            return router_error(400, "empty_host", text, **_NO_CACHE)
        app_value = call.headers.get(APP_HEADER, "")
        process_value = call.headers.get(PROCESS_HEADER, "")
        wanted = None
        if app_value:
            match = _APP_INSTANCE.fullmatch(app_value)
            if match is None:
                return _invalid("app", "App")
            wanted = _Wanted(guid=match[1], index=match[2], of_process=False)
        elif process_value and self._faults.process_instance_header:
            match = _PROCESS_INSTANCE.fullmatch(process_value)
            if match is None:
                return _invalid("process", "Process")
            wanted = _Wanted(guid=match[1], index=match[2], of_process=True)
        route = self._find_route(host.lower(), call.path)
        if route is not None and route.domain.enforce_route_policies:
            return None
        if route is not None and route.url in self._faults.route_services:
            # The route service sends the request on without the header.
            wanted = None
        endpoints = list(self._endpoints(route)) if route else []
        if wanted is not None:
            endpoints = [endpoint for endpoint in endpoints if wanted.matches(endpoint)]
            if not endpoints:
                return _no_instance(wanted, call.host)
            # With equal app guid and index twice, the last one met wins.
            endpoint = endpoints[-1] if wanted.index is not None else self._pick(endpoints)
        elif route is None:
            text = f"404 Not Found: Requested route ('{call.host}') does not exist."
            return router_error(404, "unknown_route", text, **_NO_CACHE)
        elif not endpoints:
            text = (
                f"503 Service Unavailable: Requested route ('{call.host}') "
                "has no available endpoints."
            )
            headers = {"Cache-Control": "public,max-age=2"}
            return router_error(503, "no_endpoints", text, **headers)
        else:
            endpoint = self._pick(endpoints)
        assert route is not None  # an endpoint was found by it
        path = call.path[len(route.path) :]
        forwarded = _forwarded(call, endpoint, request_id)
        return self._apps.answer(endpoint, path, forwarded, self._foundation.seconds())

    def _pick(self, endpoints: list[Endpoint]) -> Endpoint:
        return self._random.choice(endpoints)

    def _find_route(self, host: str, path: str) -> Route | None:
        """The route with the longest path for this name, else for the nearest wildcard."""
        names = [host]
        labels = host.split(".")
        names += [".".join(["*", *labels[count:]]) for count in range(1, len(labels))]
        for name in names:
            routes = [
                route for route in self._foundation.routes_at(name) if _serves(route, path.lower())
            ]
            if routes:
                return max(routes, key=lambda route: len(route.path))
        return None

    def _endpoints(self, route: Route) -> Iterator[Endpoint]:
        """What of a route is in the routing table: the running instances of started apps."""
        for destination in route.destinations:
            app = self._foundation.apps[destination.app_guid]
            if app.state != STARTED:
                continue
            for process in self._foundation.processes_of(app.guid):
                if process.type == destination.process_type:
                    for instance in process.instances:
                        if instance.state == RUNNING:
                            yield Endpoint(
                                app=app, process=process, instance=instance, port=destination.port
                            )


def _serves(route: Route, path: str) -> bool:
    """Whether a route is in the table of the gorouter and its path is a prefix of this one."""
    if route.protocol != "http" or route.domain.internal or not route.destinations:
        return False
    prefix = route.path.lower()
    return not prefix or path == prefix or path.startswith(prefix + "/")


def _invalid(word: str, title: str) -> Answer:
    text = f"400 Bad Request: Invalid X-CF-{title}-Instance Header"
    return router_error(400, f"invalid_cf_{word}_instance_header", text, **_NO_CACHE)


def _no_instance(wanted: _Wanted, host: str) -> Answer:
    instance = "" if wanted.index is None else f"instance ('{wanted.index}') with "
    guid = f"process guid ('{wanted.guid}')" if wanted.of_process else f"guid ('{wanted.guid}')"
    text = f"400 Bad Request: Requested {instance}{guid} does not exist for route ('{host}')"
    return router_error(400, "unknown_route", text, **_NO_CACHE)


def _forwarded(call: Call, endpoint: Endpoint, request_id: str) -> Call:
    """The call as the app sees it; what a client says of ``X-Cf-*`` itself does not count."""
    headers = {name: value for name, value in call.headers.items() if name != APP_HEADER}
    before = headers.get("x-forwarded-for")
    headers |= {
        "x-cf-applicationid": endpoint.app.guid,
        "x-cf-instanceindex": str(endpoint.instance.index),
        "x-cf-instanceid": endpoint.instance.guid,
        "x-forwarded-for": f"{before}, {call.client}" if before else call.client,
        "x-forwarded-proto": headers.get("x-forwarded-proto", call.scheme),
        "x-vcap-request-id": request_id,
    }
    return evolve(call, headers=headers)
