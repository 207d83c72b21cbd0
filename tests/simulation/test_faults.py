"""Tests of promproxy.simulation.faults, and of exchange, which lets them strike."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from promproxy.simulation.faults import ANSWERS, Fault, Faults
from promproxy.simulation.values import SimulationError
from tests.simulation.support import World, sample

API = "http://api.example.test/v3/info"


class FaultsTests(SynchronousTestCase):
    """The switches as values."""

    def draws(self, faults: Faults, where: str = "api", path: str = "/v3/apps") -> bool:
        return faults.draw(where, path, Random(1)) is not None

    def test_next_calls(self) -> None:
        """A fault with a count strikes so often and then no more."""
        faults = Faults()
        faults.inject("reset", count=2)
        assert [self.draws(faults) for _ in range(4)] == [True, True, False, False]

    def test_where_and_path(self) -> None:
        """It strikes one server, and paths with its beginning only."""
        faults = Faults()
        faults.inject("hang", where="uaa", path="/oauth")
        assert self.draws(faults, "uaa", "/oauth/token")
        assert not self.draws(faults, "uaa", "/other")
        assert not self.draws(faults, "api", "/oauth/token")

    def test_probability(self) -> None:
        """About so many of a thousand."""
        faults, random = Faults(), Random(1)
        faults.inject("reset", probability=0.1)
        hits = sum(faults.draw("api", "/", random) is not None for _ in range(1000))
        assert 70 < hits < 130

    def test_first_that_strikes_wins(self) -> None:
        """A used-up one lets the next strike."""
        faults = Faults()
        faults.inject("hang", count=1)
        faults.inject("reset")
        kinds = [getattr(faults.draw("api", "/", Random(1)), "kind", "") for _ in range(2)]
        assert kinds == ["hang", "reset"]

    def test_update_and_back(self) -> None:
        """What `as_json` gives, `update` takes; `reset` undoes all."""
        faults, other = Faults(), Faults()
        faults.update({"rate_limit": 5, "injected": [{"kind": "slow", "seconds": 2}]})
        other.update(json.loads(json.dumps(faults.as_json())))
        assert other == faults
        assert faults.injected == [Fault(kind="slow", seconds=2)]
        faults.reset()
        assert faults == Faults()

    def test_bad_updates_change_nothing(self) -> None:
        """Unknown names, wrong types and wrong ranges are refused as a whole."""
        faults = Faults()
        for bad in (
            {"no_such_switch": 1},
            {"rate_limit": "5"},
            {"rate_limit": -1},
            {"embed_supported": 1},
            {"injected": [{"kind": "no such kind"}]},
            {"injected": [{"kind": "slow", "probability": 2}]},
            {"injected": ["slow"]},
            {"injected": 5},
        ):
            with self.assertRaises(SimulationError, msg=str(bad)):
                faults.update({"token_calls": 3, **bad})
        assert faults == Faults()

    def test_bodies_are_the_recorded_ones(self) -> None:
        """Those errors of the Cloud Controller that were recorded."""
        for kind, name in (
            ("unknown_error", "error_500"),
            ("uaa_unavailable", "error_502_uaa"),
            ("database", "error_503"),
            ("invalid_token", "error_401"),
        ):
            assert json.loads(ANSWERS[kind].body) == sample(name)


class FrontTests(SynchronousTestCase):
    """Faults as a client of the server meets them."""

    def setUp(self) -> None:
        """A world whose API is asked through HTTP in memory."""
        self.world = World()
        self.faults = self.world.simulation.faults
        self.front = self.world.simulation.fronts["api"]
        self.stub = StubTreq(self.world.simulation.api_resource)

    def get(self, url: str = API, **options: Any) -> Deferred[Any]:
        deferred = self.stub.get(url, **options)
        self.stub.flush()
        return deferred

    def test_without_faults(self) -> None:
        """Answers come through with status, headers and the Host in their links."""
        response = self.successResultOf(self.get())
        document = self.successResultOf(response.json())
        assert response.code == 200
        assert document["links"]["self"]["href"] == API

    def test_each_answer(self) -> None:
        """Every fault that is an answer arrives as it is, once."""
        for kind, answer in ANSWERS.items():
            self.faults.inject(kind, count=1)
            response = self.successResultOf(self.get())
            assert response.code == answer.status
            assert self.successResultOf(response.content()) == answer.body
            for name, value in answer.headers.items():
                assert response.headers.getRawHeaders(name) == [value]
        assert self.successResultOf(self.get()).code == 200

    def test_html_and_router_answers_are_not_json(self) -> None:
        """Servers in front of the API have their own manners."""
        kinds = ("bad_gateway", "unavailable", "gateway_timeout", "nginx_rate_limit")
        for kind in kinds:
            assert ANSWERS[kind].headers["Content-Type"] == "text/html"
        assert ANSWERS["unknown_route"].headers["X-Cf-RouterError"] == "unknown_route"
        assert ANSWERS["maintenance"].body == b"API down for maintenance\n"

    def test_slow(self) -> None:
        """The true answer, after the delay."""
        self.faults.inject("slow", seconds=5)
        deferred = self.get()
        self.world.clock.advance(4.9)
        self.stub.flush()
        self.assertNoResult(deferred)
        self.world.clock.advance(0.2)
        self.stub.flush()
        assert self.successResultOf(deferred).code == 200

    def test_slow_and_client_leaves(self) -> None:
        """Nothing remains to be done."""
        self.faults.inject("slow", seconds=5)
        deferred = self.get()
        deferred.cancel()
        self.stub.flush()
        self.failureResultOf(deferred)
        assert self.world.clock.getDelayedCalls() == []

    def test_hang(self) -> None:
        self.faults.inject("hang", count=1)
        deferred = self.get()
        self.world.clock.advance(10_000)
        self.stub.flush()
        self.assertNoResult(deferred)
        assert self.front.requests == {"/v3/info": 1}
        assert self.front.answers == {}

    def test_truncate(self) -> None:
        """Half of the body, then the end of the connection."""
        self.faults.inject("truncate")
        response = self.successResultOf(self.get())
        body = response.content()
        self.stub.flush()
        self.failureResultOf(body, ResponseFailed)

    def test_reset_and_nonsense(self) -> None:
        """No response at all."""
        for kind in ("reset", "not_http"):
            self.faults.inject(kind, count=1)
            self.failureResultOf(self.get())

    def test_policy_enforcing_domain(self) -> None:
        """The gorouter ends the connection, as there is no client certificate."""
        simulation = self.world.simulation
        (route,) = (
            x for x in simulation.foundation.routes.values() if x.host and "secure" in x.url
        )
        self.stub = StubTreq(simulation.router_resource)
        self.failureResultOf(self.get(f"http://{route.fqdn}/metrics"))
        assert simulation.fronts["router"].answers == {}

    def test_requests_are_counted_by_path(self) -> None:
        """Guids are not told apart, and the number of paths is bounded."""
        for guid in list(self.world.simulation.foundation.apps)[:2]:
            self.successResultOf(self.get(f"http://api.example.test/v3/apps/{guid}"))
        for number in range(250):
            self.successResultOf(self.get(f"http://api.example.test/v3/x{number}"))
        assert self.front.requests["/v3/apps/:guid"] == 2
        assert self.front.requests["other"] == 51
        assert self.front.answers == {401: 252}
