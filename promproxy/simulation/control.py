"""The interface by which a test in another process sees and drives the simulation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from promproxy.simulation.churn import churn
from promproxy.simulation.exchange import Answer, Call, Front, json_answer
from promproxy.simulation.faults import Faults
from promproxy.simulation.foundation import Foundation
from promproxy.simulation.uaa import Uaa
from promproxy.simulation.values import SimulationError, WebInstance

_MOST_STEPS = 10_000


class Control:
    """Answers calls below ``/simulation/``.

    - ``GET /simulation/``: sizes, counters of requests, faults.
    - ``GET /simulation/targets``: each web instance of the STARTED apps, with its routes.
    - ``PUT /simulation/faults``: set the given switches, all others to their defaults;
      ``POST``: set the given switches only.
    - ``POST /simulation/operations``: ``{"operation": NAME, ...}``, see `_operations`.

    Needs no credentials: a simulation has no secrets.  ``fronts`` are asked for their counters.
    """

    def __init__(
        self,
        foundation: Foundation,
        faults: Faults,
        uaa: Uaa,
        fronts: Mapping[str, Front],
        random: Random,
    ) -> None:
        self._foundation = foundation
        self._faults = faults
        self._uaa = uaa
        self._fronts = fronts
        self._random = random
        self._operations = _operations(foundation, random)

    def answer(self, call: Call) -> Answer:
        """The answer to any call; 400 says what cannot be done and why."""
        try:
            match call.method, call.path.removeprefix("/simulation").strip("/"):
                case "GET", "":
                    return json_answer(200, self.state())
                case "GET", "targets":
                    found = self._foundation.web_instances()
                    return json_answer(200, [_target_document(item) for item in found])
                case "PUT", "faults":
                    return self._set_faults({**Faults().as_json(), **_object_in(call.body)})
                case "POST", "faults":
                    return self._set_faults(_object_in(call.body))
                case "POST", "operations":
                    return json_answer(200, {"done": self._operate(_object_in(call.body))})
        except SimulationError as error:
            return json_answer(400, {"error": str(error)})
        return json_answer(404, {"error": "no such path or method"})

    def state(self) -> dict[str, Any]:
        """Sizes, counters and faults as JSON values."""
        foundation = self._foundation
        return {
            "orgs": len(foundation.orgs),
            "spaces": len(foundation.spaces),
            "apps": len(foundation.apps),
            "processes": len(foundation.processes),
            "routes": len(foundation.routes),
            "web_instances": sum(1 for _ in foundation.web_instances()),
            "requests": {name: dict(front.requests) for name, front in self._fronts.items()},
            "answers": {
                name: {str(status): count for status, count in front.answers.items()}
                for name, front in self._fronts.items()
            },
            "grants": dict(self._uaa.grants),
            "faults": self._faults.as_json(),
        }

    def _set_faults(self, values: Mapping[str, Any]) -> Answer:
        self._faults.update(values)
        return json_answer(200, self._faults.as_json())

    def _operate(self, request: dict[str, Any]) -> Any:
        name = request.pop("operation", None)
        operation = self._operations.get(name) if isinstance(name, str) else None
        if operation is None:
            names = ", ".join(sorted(self._operations))
            raise SimulationError(f"'operation' must be one of {names}")
        try:
            return operation(**request)
        except (TypeError, ValueError) as error:
            raise SimulationError(f"{name}: wrong arguments") from error


def _operations(foundation: Foundation, random: Random) -> dict[str, Callable[..., Any]]:
    """What ``POST /simulation/operations`` can do, by name; arguments are JSON keys."""

    def begin_deployment(app_guid: str, instances: int = 1) -> str:
        return foundation.begin_deployment(app_guid, instances).guid

    def map_route(app_guid: str, host: str, path: str = "", domain: str = "") -> str:
        return foundation.map_route(app_guid, host, path, domain).url

    def steps(steps: int = 1) -> list[str]:
        if not 0 < steps <= _MOST_STEPS:
            raise SimulationError(f"'steps' must be between 1 and {_MOST_STEPS}")
        return [churn(foundation, random) for _ in range(steps)]

    return {
        "start": foundation.start,
        "stop": foundation.stop,
        "scale": foundation.scale,
        "crash": foundation.crash,
        "recover": foundation.recover,
        "delete": foundation.delete_app,
        "begin_deployment": begin_deployment,
        "finish_deployment": foundation.finish_deployment,
        "map_route": map_route,
        "churn": steps,
    }


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise SimulationError("the body is not JSON") from error
    if not isinstance(document, dict):
        raise SimulationError("the body must be a JSON object")
    return document


def _target_document(item: WebInstance) -> dict[str, Any]:
    return {
        "org_name": item.app.space.org.name,
        "org_guid": item.app.space.org.guid,
        "space_name": item.app.space.name,
        "space_guid": item.app.space.guid,
        "app_name": item.app.name,
        "app_guid": item.app.guid,
        "process_guid": item.process.guid,
        "index": item.instance.index,
        "state": item.instance.state,
        "labels": dict(item.app.labels),
        "annotations": dict(item.app.annotations),
        "routes": [route.url for route in item.routes],
        "scrapable_routes": [route.url for route in item.scrapable_routes],
    }
