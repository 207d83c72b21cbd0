"""Everything that can go wrong, as one object of switches that may be set while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import attrs
from attrs import define, field, fields, validators

from promproxy.simulation.exchange import Answer, html_answer, json_answer, text_answer
from promproxy.simulation.values import SimulationError

UNKNOWN_ROUTE = text_answer(
    404,
    "404 Not Found: Requested route ('api.example.test') does not exist.\n",
    {
        "X-Cf-RouterError": "unknown_route",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache, no-store",
    },
)


def cc_error(status: int, code: int, title: str, detail: str) -> Answer:
    """An error of the Cloud Controller."""
    return json_answer(status, {"errors": [{"detail": detail, "title": title, "code": code}]})


def router_error(status: int, error: str, text: str, **headers: str) -> Answer:
    """An error of the gorouter; ``error`` is the value of ``X-Cf-RouterError``."""
    return text_answer(
        status,
        text + "\n",
        {"X-Cf-RouterError": error, "X-Content-Type-Options": "nosniff", **headers},
    )


# Faults that are an answer of their own.
ANSWERS: Mapping[str, Answer] = {
    "bad_gateway": html_answer(502),
    "unavailable": html_answer(503),
    "gateway_timeout": html_answer(504),
    "nginx_rate_limit": html_answer(429),
    "maintenance": text_answer(503, "API down for maintenance\n"),
    "unknown_route": UNKNOWN_ROUTE,
    "endpoint_failure": router_error(
        502,
        "endpoint_failure (dial tcp 10.255.0.1:61001: connect: connection refused)",
        "502 Bad Gateway: Registered endpoint failed to handle the request.",
    ),
    "connection_limit": router_error(
        503,
        "Connection Limit Reached",
        "503 Service Unavailable: Requested route has reached the connection limit.",
    ),
    "unknown_error": cc_error(500, 10001, "UnknownError", "An unknown error occurred."),
    "database": cc_error(503, 10015, "CF-ServiceUnavailable", "Database connection failure"),
    "uaa_unavailable": cc_error(
        502, 20004, "CF-UaaUnavailable", "The UAA service is currently unavailable"
    ),
    "invalid_token": cc_error(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
    "garbage": Answer(
        status=200,
        body=b'{"pagination":{"total_results":1,"next"\xff\xfe}',
        headers={"Content-Type": "application/json; charset=utf-8"},
    ),
    "internal_server_error": text_answer(500, "Internal Server Error\n"),
}
# Faults of delivery: the true answer later, never, halved, or no answer but a closed connection.
DELIVERIES = ("slow", "hang", "truncate", "reset", "not_http")


@define(kw_only=True, on_setattr=attrs.setters.validate)
class Fault:
    """One fault that strikes requests to one server (``api``, ``uaa`` or ``router``).

    It strikes paths that begin with ``path``, with a ``probability``, and only for the next
    ``count`` times (None: without end).  ``seconds`` is the delay of the kind ``slow``.
    """

    kind: str = field(validator=validators.in_((*ANSWERS, *DELIVERIES)))
    where: str = field(default="api", validator=validators.in_(("api", "uaa", "router")))
    path: str = field(default="", validator=validators.instance_of(str))
    probability: float = field(
        default=1.0,
        validator=[validators.instance_of((int, float)), validators.ge(0), validators.le(1)],
    )
    count: int | None = field(
        default=None, validator=validators.optional(validators.instance_of(int))
    )
    seconds: float = field(
        default=1.0, validator=[validators.instance_of((int, float)), validators.ge(0)]
    )

    def strikes(self, where: str, path: str, random: Random) -> bool:
        """Whether it strikes this request; if so, one of ``count`` is used up."""
        if where != self.where or not path.startswith(self.path) or self.count == 0:
            return False
        if self.probability < 1 and random.random() >= self.probability:
            return False
        if self.count is not None:
            self.count -= 1
        return True

    def answer(self) -> Answer | None:
        """The answer given instead of the true one; None for a fault of delivery."""
        return ANSWERS.get(self.kind)


def _number(default: int) -> Any:
    return field(default=default, validator=[validators.instance_of(int), validators.ge(0)])


def _switch(default: bool) -> Any:
    return field(default=default, validator=validators.instance_of(bool))


def _texts() -> Any:
    return field(
        factory=list,
        validator=validators.deep_iterable(
            validators.instance_of(str), validators.instance_of(list)
        ),
    )


def _is_list_of_faults(_faults: object, _attribute: object, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(item, Fault) for item in value):
        raise TypeError("'injected' must be a list of faults")


@define(kw_only=True, on_setattr=attrs.setters.validate)
class Faults:
    """The switches.  Each may be set at any moment and holds from the next request on.

    - ``rate_limit``: requests that a user may send per ``rate_limit_period_seconds`` (0: no
      limit); ``rate_limit_unauthenticated`` the same per address without a token.
    - ``retry_after_moment``: ``Retry-After`` is the moment of the reset, as some versions have it.
    - ``maximum_result``: refuse ``page * per_page`` from there on (0: do not).
    - ``embed_supported``: False as before API 3.212.
    - ``delete_between_pages``: apps deleted before each page but the first.
    - ``token_calls``: API calls after which a token counts as expired (0: no limit).
    - ``access_token_seconds``: life of the tokens issued from now on.
    - ``refuse_refresh_tokens``, ``rotate_refresh_tokens``: what the UAA does with them.
    - ``uri_encoding_compatibility``: the UAA decodes a client's credentials only where a header
      says that they are encoded.
    - ``odd_resources``: guids of resources that have a null where none belongs.
    - ``route_services``: routes, as host.domain/path, that are bound to a route service.
    - ``route_bindings_supported``: False as before there was a list of these.
    - ``process_instance_header``: False as before routing-release 0.332.0.
    - ``injected``: faults tried in this order, the first that strikes wins.
    """

    rate_limit: int = _number(0)
    rate_limit_unauthenticated: int = _number(100)
    rate_limit_period_seconds: int = _number(3600)
    retry_after_moment: bool = _switch(False)
    maximum_result: int = _number(0)
    embed_supported: bool = _switch(True)
    delete_between_pages: int = _number(0)
    token_calls: int = _number(0)
    access_token_seconds: int = _number(1200)
    refuse_refresh_tokens: bool = _switch(False)
    rotate_refresh_tokens: bool = _switch(False)
    uri_encoding_compatibility: bool = _switch(False)
    odd_resources: list[str] = _texts()
    route_services: list[str] = _texts()
    route_bindings_supported: bool = _switch(True)
    process_instance_header: bool = _switch(True)
    injected: list[Fault] = field(factory=list, validator=_is_list_of_faults)

    def inject(self, kind: str, **options: Any) -> Fault:
        """Add a fault, and forget used-up ones; the options are those of `Fault`."""
        fault = Fault(kind=kind, **options)
        self.injected = [*(item for item in self.injected if item.count != 0), fault]
        return fault

    def draw(self, where: str, path: str, random: Random) -> Fault | None:
        """The fault that strikes this request, if any."""
        return next((item for item in self.injected if item.strikes(where, path, random)), None)

    def reset(self) -> None:
        """Set every switch to its default: nothing goes wrong."""
        self._take(Faults())

    def update(self, values: Mapping[str, Any]) -> None:
        """Set the named switches from JSON values; all or none.

        Raises SimulationError for an unknown name or a value of the wrong type.
        """
        current = {attribute.name: getattr(self, attribute.name) for attribute in fields(Faults)}
        try:
            changed = dict(values)
            if "injected" in changed:
                changed["injected"] = [Fault(**item) for item in changed["injected"]]
            self._take(Faults(**{**current, **changed}))
        except (TypeError, ValueError) as error:
            raise SimulationError(f"cannot set faults: {error.args[0]}") from error

    def as_json(self) -> dict[str, Any]:
        """The switches as JSON values, in the form that `update` takes."""
        return attrs.asdict(self)

    def _take(self, other: Faults) -> None:
        for attribute in fields(Faults):
            setattr(self, attribute.name, getattr(other, attribute.name))
