"""The Cloud Controller API v3, as far as a reader of apps, processes and routes needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Protocol
from uuid import UUID

from promproxy.simulation.documents import (
    BASE,
    Texts,
    destination_document,
    instance_documents,
    process_document,
    stats_documents,
    text_of,
    with_a_null,
)
from promproxy.simulation.exchange import Answer, Call, html_answer, json_answer
from promproxy.simulation.faults import Faults, cc_error
from promproxy.simulation.foundation import Foundation
from promproxy.simulation.kinds import KINDS, PROCESSES_OF_APP, Kind
from promproxy.simulation.limits import Allowance, RateLimiter
from promproxy.simulation.listing import (
    cut_page,
    included,
    pagination,
    parse_query,
    select,
)
from promproxy.simulation.uaa import Token
from promproxy.simulation.values import (
    Domain,
    Entity,
    Process,
    SimulationError,
    bindings,
)

API_VERSION = "3.228.0"
LONGEST_REQUEST_LINE = 8192
_BINDINGS = "service_route_bindings"
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_SCOPES = {
    "cloud_controller.read",
    "cloud_controller.admin",
    "cloud_controller.admin_read_only",
    "cloud_controller.global_auditor",
}
_UNKNOWN_REQUEST = cc_error(404, 10000, "CF-NotFound", "Unknown request")
_NOT_AUTHENTICATED = cc_error(401, 10002, "CF-NotAuthenticated", "Authentication error")
_INVALID_TOKEN = cc_error(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")
_NOT_AUTHORIZED = cc_error(
    403, 10003, "CF-NotAuthorized", "You are not authorized to perform the requested action"
)
_RATE_LIMITED = cc_error(429, 10013, "CF-RateLimitExceeded", "Rate Limit Exceeded")
_ADDRESS_RATE_LIMITED = cc_error(
    429,
    10014,
    "CF-IPBasedRateLimitExceeded",
    "Rate Limit Exceeded: Unauthenticated requests from this IP address have exceeded the limit."
    " Please log in.",
)


class TokenChecker(Protocol):
    """What the Cloud Controller needs of a UAA."""

    def use(self, access_token: str) -> Token | None:
        """The token if it is good; counts the use."""


class Api:
    """Answers calls to the API.

    ``base_url`` stands in front of all links; without one it is made of the call's Host.
    """

    def __init__(
        self,
        foundation: Foundation,
        uaa: TokenChecker,
        faults: Faults,
        random: Random,
        base_url: str | None = None,
    ) -> None:
        self._foundation = foundation
        self._uaa = uaa
        self._faults = faults
        self._random = random
        self._base_url = base_url
        self._texts = Texts()
        self._limiter = RateLimiter(foundation.seconds)

    def answer(self, call: Call) -> Answer:
        """The answer to any call."""
        line = len(f"{call.method} {call.path}?{call.query} HTTP/1.1\r\n") - (not call.query)
        if line > LONGEST_REQUEST_LINE:
            return html_answer(414)
        base = self._base_url or f"{call.scheme}://{call.host}"
        path = call.path.rstrip("/")
        if call.method in ("GET", "HEAD") and path in ("", "/v3"):
            answer = json_answer(200, _root(base) if path == "" else _v3(base))
        else:
            answer = self._limited(call, path, base)
        request_id = UUID(int=self._random.getrandbits(128), version=4)
        return _with_headers(answer, {"X-Vcap-Request-Id": f"{request_id}::{request_id}"})

    def _limited(self, call: Call, path: str, base: str) -> Answer:
        """Check the token, count the request against a limit, then answer."""
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        token = None
        if scheme.lower() == "bearer":
            token = self._uaa.use(value.strip())
            if token is None:
                return _INVALID_TOKEN
        allowance = self._count(call, token)
        headers = allowance.headers if allowance else {}
        if allowance and allowance.retry_after is not None:
            refusal = _RATE_LIMITED if token else _ADDRESS_RATE_LIMITED
            is_moment = self._faults.retry_after_moment
            headers["Retry-After"] = str(allowance.reset if is_moment else allowance.retry_after)
            # The limiter sits before the part that sets the type, so its JSON is called text.
            headers["Content-Type"] = "text/plain; charset=utf-8"
            return _with_headers(refusal, headers)
        if path == "/v3/info" and call.method in ("GET", "HEAD"):
            answer = json_answer(200, self._info(base))
        elif token is None:
            answer = _NOT_AUTHENTICATED
        elif _SCOPES.isdisjoint(token.scope.split()):
            answer = _NOT_AUTHORIZED
        else:
            answer = self._resource(call, path, base)
        return _with_headers(answer, headers)

    def _count(self, call: Call, token: Token | None) -> Allowance | None:
        faults = self._faults
        if not faults.rate_limit:
            return None
        limit = faults.rate_limit if token else max(1, faults.rate_limit_unauthenticated)
        key = f"user {token.owner}" if token else f"address {call.client}"
        return self._limiter.take(key, limit, faults.rate_limit_period_seconds)

    def _resource(self, call: Call, path: str, base: str) -> Answer:
        if call.method not in ("GET", "HEAD") or not path.startswith("/v3/"):
            return _UNKNOWN_REQUEST
        segments = path.split("/")[2:]
        try:
            answer = self._list(call, segments, base)
        except SimulationError as error:
            detail = f"The query parameter is invalid: {error}"
            return cc_error(400, 10005, "CF-BadQueryParameter", detail)
        return answer or self._single(segments, base) or _UNKNOWN_REQUEST

    # Lists

    def _list(self, call: Call, segments: list[str], base: str) -> Answer | None:
        foundation = self._foundation
        items: Callable[[], Iterable[Entity]]
        match segments:
            case [name] if name in KINDS and self._is_known(name):
                kind, items = KINDS[name], self._collection(name).values
            case ["apps", guid, "processes"] if guid in foundation.apps:
                kind, items = PROCESSES_OF_APP, lambda: foundation.processes_of(guid)
            case ["apps", guid, "routes"] if guid in foundation.apps:
                kind, items = KINDS["routes"], lambda: foundation.routes_of(guid)
            case ["organizations", guid, "domains"] if guid in foundation.orgs:
                kind, items = KINDS["domains"], lambda: _domains_in(foundation, guid)
            case _:
                return None
        return self._page(kind, items, call, base)

    def _page(
        self, kind: Kind, items: Callable[[], Iterable[Entity]], call: Call, base: str
    ) -> Answer:
        query = parse_query(
            kind,
            call.query,
            maximum_result=self._faults.maximum_result,
            embed=self._faults.embed_supported,
        )
        if query.page > 1:
            self._delete_some()
        selected = select(kind, query, items())
        resources, total = cut_page(query, selected)
        texts = [self._text(item) for item in resources]
        if query.embed:
            texts = [self._embed(*pair) for pair in zip(resources, texts, strict=True)]
        parts = [
            b'{"pagination":',
            text_of(pagination(query, BASE + call.path, total)),
            b',"resources":[',
            b",".join(texts),
            b"]",
        ]
        if query.include:
            groups = [
                text_of(name) + b":[" + b",".join(self._texts[item] for item in parents) + b"]"
                for name, parents in included(query.include, resources).items()
            ]
            parts += [b',"included":{', b",".join(groups), b"}"]
        parts.append(b"}")
        return _finished(b"".join(parts), base)

    def _embed(self, process: Process, text: bytes) -> bytes:
        state = self._foundation.apps[process.app_guid].state
        instances = instance_documents(process, state, self._foundation.seconds())
        return text[:-1] + b',"process_instances":' + text_of(instances) + b"}"

    def _text(self, entity: Entity) -> bytes:
        text = self._texts[entity]
        return with_a_null(text) if entity.guid in self._faults.odd_resources else text

    def _is_known(self, name: str) -> bool:
        return name != _BINDINGS or self._faults.route_bindings_supported

    def _delete_some(self) -> None:
        """Delete the oldest apps, which shifts what the page about to be made begins with."""
        for guid in list(self._foundation.apps)[: self._faults.delete_between_pages]:
            self._foundation.delete_app(guid)

    # Single resources

    def _single(self, segments: list[str], base: str) -> Answer | None:
        if len(segments) < 2 or segments[0] not in KINDS or not self._is_known(segments[0]):
            return None
        name, guid, *rest = segments
        entity = self._collection(name).get(guid)
        if entity is None:
            title = KINDS[name].title
            return cc_error(404, 10010, "CF-ResourceNotFound", f"{title} not found")
        if name == "apps" and rest[:1] == ["processes"] and len(rest) in (2, 3):
            return self._process_of_app(guid, rest[1], rest[2:], base)
        if name == "processes":
            return self._process(self._foundation.processes[guid], rest, base)
        if name == "routes" and rest == ["destinations"]:
            route = self._foundation.routes[guid]
            path = f"{BASE}/v3/routes/{guid}"
            destinations = [destination_document(route, item) for item in route.destinations]
            links = {"self": {"href": f"{path}/destinations"}, "route": {"href": path}}
            return _finished(text_of({"destinations": destinations, "links": links}), base)
        return None if rest else _finished(self._texts[entity], base)

    def _process_of_app(self, guid: str, kind: str, rest: list[str], base: str) -> Answer | None:
        # With several of one type the newest is meant, as in the Cloud Controller.
        for process in reversed(self._foundation.processes_of(guid)):
            if process.type == kind:
                return self._process(process, rest, base)
        return cc_error(404, 10010, "CF-ResourceNotFound", "Process not found")

    def _process(self, process: Process, rest: list[str], base: str) -> Answer | None:
        state = self._foundation.apps[process.app_guid].state
        now = self._foundation.seconds()
        document: dict[str, Any]
        if not rest:
            document = process_document(process, command="bin/start")
        elif rest == ["stats"]:
            document = {"resources": stats_documents(process, state, now)}
        elif rest == ["process_instances"]:
            path = f"{BASE}/v3/processes/{process.guid}"
            links = {"self": {"href": f"{path}/process_instances"}, "process": {"href": path}}
            document = {"resources": instance_documents(process, state, now), "links": links}
        else:
            return None
        return _finished(text_of(document), base)

    def _collection(self, name: str) -> dict[str, Any]:
        if name == _BINDINGS:
            return bindings(self._foundation.routes.values(), self._faults.route_services)
        found: dict[str, Any] = getattr(
            self._foundation, "orgs" if name == "organizations" else name
        )
        return found

    def _info(self, base: str) -> dict[str, Any]:
        limit = self._faults.rate_limit
        return {
            "build": "simulation",
            "cli_version": {"minimum": "", "recommended": ""},
            "custom": {},
            "description": "A simulated foundation",
            "name": "promproxy simulation",
            "version": 0,
            "osbapi_version": "2.17",
            "rate_limits": {
                "enabled": bool(limit),
                "general_limit": limit,
                "reset_interval_in_minutes": self._faults.rate_limit_period_seconds // 60,
            },
            "links": {"self": {"href": f"{base}/v3/info"}, "support": {"href": ""}},
        }


def _domains_in(foundation: Foundation, org_guid: str) -> list[Domain]:
    """The domains that an org can use: those shared with all, its own, those shared with it."""
    return [
        domain
        for domain in foundation.domains.values()
        if not domain.owner or org_guid in {org.guid for org in (domain.owner, *domain.shared_with)}
    ]


def _finished(text: bytes, base: str) -> Answer:
    return Answer(status=200, body=text.replace(BASE.encode(), base.encode()), headers=_JSON)


def _with_headers(answer: Answer, headers: dict[str, str]) -> Answer:
    return Answer(status=answer.status, body=answer.body, headers={**answer.headers, **headers})


def _root(base: str) -> dict[str, Any]:
    link = {"href": base}
    return {
        "links": {
            "self": link,
            "cloud_controller_v3": {"href": f"{base}/v3", "meta": {"version": API_VERSION}},
            "network_policy_v0": {"href": f"{base}/networking/v0/external"},
            "network_policy_v1": {"href": f"{base}/networking/v1/external"},
            "login": link,
            "uaa": link,
            # What an operator has not configured is null, not left out.
            "credhub": None,
            "routing": None,
            "logging": None,
            "log_cache": None,
            "log_stream": None,
            "app_ssh": {
                "href": "ssh.example.test:2222",
                "meta": {"host_key_fingerprint": "none", "oauth_client": "ssh-proxy"},
            },
        }
    }


def _v3(base: str) -> dict[str, Any]:
    names = {"self": "", **{name: f"/{name}" for name in sorted(KINDS)}, "info": "/info"}
    return {"links": {name: {"href": f"{base}/v3{path}"} for name, path in names.items()}}
