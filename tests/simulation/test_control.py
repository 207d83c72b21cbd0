"""Tests of promproxy.simulation.control."""

from __future__ import annotations

import json
from typing import Any

from treq.testing import StubTreq
from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.exchange import Call
from tests.simulation.support import World


class ControlTests(SynchronousTestCase):
    """The control interface."""

    def setUp(self) -> None:
        """A fresh world."""
        self.world = World()
        self.simulation = self.world.simulation
        self.foundation = self.simulation.foundation

    def ask(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = json.dumps(document).encode()
        call = Call(method=method, path=f"/simulation/{path}", body=body)
        answer = self.simulation.control.answer(call)
        return answer.status, json.loads(answer.body)

    def operate(self, operation: str, **arguments: Any) -> tuple[int, Any]:
        return self.ask("POST", "operations", {"operation": operation, **arguments})

    def test_state(self) -> None:
        """Sizes, counters and switches."""
        status, state = self.ask("GET", "")
        assert status == 200
        assert (state["apps"], state["web_instances"]) == (50, 80)
        assert state["faults"]["embed_supported"] is True
        assert state["requests"] == {"api": {}, "uaa": {}, "router": {}}

    def test_counters_see_requests(self) -> None:
        """Of each server, by path and status; grants by type."""
        api = StubTreq(self.simulation.api_resource)
        router = StubTreq(self.simulation.router_resource)
        self.successResultOf(api.get("http://api.example.test/v3/apps"))
        self.successResultOf(api.post("http://api.example.test/oauth/token"))
        self.successResultOf(router.get("http://no.example.test/metrics"))
        state = self.successResultOf(
            self.successResultOf(api.get("http://api.example.test/simulation/")).json()
        )
        assert state["requests"] == {
            "api": {"/v3/apps": 1},
            "uaa": {"/oauth/token": 1},
            "router": {"/metrics": 1},
        }
        assert state["answers"] == {"api": {"401": 1}, "uaa": {"401": 1}, "router": {"404": 1}}
        assert state["grants"] == {"other 401": 1}

    def test_targets(self) -> None:
        """One entry per web instance, with all that a target is made of."""
        status, targets = self.ask("GET", "targets")
        assert (status, len(targets)) == (200, 80)
        item = self.world.instance(instances=2)
        (target,) = (
            target
            for target in targets
            if (target["app_guid"], target["index"]) == (item.app.guid, item.instance.index)
        )
        assert target["scrapable_routes"] == [item.routes[0].url]
        assert target["space_name"] == item.app.space.name
        assert target["process_guid"] == item.process.guid

    def test_put_faults_sets_all(self) -> None:
        """What is not named goes back to its default."""
        self.simulation.faults.rate_limit = 7
        status, faults = self.ask("PUT", "faults", {"token_calls": 3})
        assert (status, faults["token_calls"], faults["rate_limit"]) == (200, 3, 0)
        assert self.simulation.faults.rate_limit == 0

    def test_post_faults_sets_some(self) -> None:
        """What is not named stays."""
        self.simulation.faults.rate_limit = 7
        injected = [{"kind": "slow", "seconds": 0.5, "where": "router", "count": 2}]
        status, faults = self.ask("POST", "faults", {"injected": injected})
        assert (status, faults["rate_limit"]) == (200, 7)
        assert self.simulation.faults.injected[0].seconds == 0.5

    def test_operations(self) -> None:
        """Each one does what it is called."""
        guid = self.world.instance(instances=2).app.guid
        assert self.operate("scale", app_guid=guid, instances=3) == (200, {"done": None})
        assert len(self.foundation.web_processes(guid)[0].instances) == 3
        self.operate("crash", app_guid=guid, index=1)
        assert self.foundation.web_processes(guid)[0].instances[1].state == "CRASHED"
        self.operate("recover", app_guid=guid, index=1)
        _, answer = self.operate("begin_deployment", app_guid=guid)
        assert answer["done"] == self.foundation.web_processes(guid)[1].guid
        self.operate("finish_deployment", app_guid=guid)
        assert len(self.foundation.web_processes(guid)) == 1
        _, answer = self.operate("map_route", app_guid=guid, host="new", path="/x")
        assert answer["done"] == "new.apps.example.test/x"
        self.operate("stop", app_guid=guid)
        assert self.foundation.apps[guid].state == "STOPPED"
        self.operate("start", app_guid=guid)
        assert self.foundation.apps[guid].state == "STARTED"
        self.operate("delete", app_guid=guid)
        assert guid not in self.foundation.apps
        _, answer = self.operate("churn", steps=5)
        assert len(answer["done"]) == 5

    def test_bad_requests(self) -> None:
        """400 with a reason; nothing changes."""
        guid = next(iter(self.foundation.apps))
        for path, document in (
            ("faults", {"no_such_switch": 1}),
            ("faults", []),
            ("operations", {}),
            ("operations", {"operation": ["stop"]}),
            ("operations", {"operation": "explode"}),
            ("operations", {"operation": "stop"}),
            ("operations", {"operation": "stop", "app_guid": "no such app"}),
            ("operations", {"operation": "stop", "app_guid": [guid]}),
            ("operations", {"operation": "stop", "app_guid": guid, "more": 1}),
            ("operations", {"operation": "scale", "app_guid": guid, "instances": "x"}),
            ("operations", {"operation": "churn", "steps": 0}),
        ):
            status, answer = self.ask("POST", path, document)
            assert (status, list(answer)) == (400, ["error"]), document
        call = Call(method="POST", path="/simulation/faults", body=b"{")
        assert self.simulation.control.answer(call).status == 400

    def test_unknown_path_or_method(self) -> None:
        """404."""
        assert self.ask("GET", "nothing")[0] == 404
        assert self.ask("DELETE", "faults")[0] == 404
