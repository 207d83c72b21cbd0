"""Tests of promproxy.sources.cloud_foundry.router_check."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError, Unreachable
from promproxy.simulation.exchange import Answer
from promproxy.sources.cloud_foundry.router_check import RouterCheck
from tests.fakes import FakeOutbound, make_response, make_target
from tests.simulation.support import World

TARGET = make_target(
    "shop.apps.example:80", "prod", headers=(("X-CF-PROCESS-INSTANCE", "p-1:0"),), router="http://r"
)


class RouterCheckTests(SynchronousTestCase):
    """What the answer to a malformed header tells of a router."""

    def setUp(self) -> None:
        self.outbound = FakeOutbound()
        check: Any = RouterCheck(self.outbound)
        self.checking: Deferred[None] = Deferred.fromCoroutine(check(TARGET))

    def answer(self, code: int, *headers: tuple[bytes, bytes]) -> None:
        response, self.connection = make_response(code, list(headers))
        self.outbound.last.answer.callback(response)

    def test_the_target_is_asked_with_a_malformed_header(self) -> None:
        """On the way on which it will be scraped."""
        sent = self.outbound.last
        self.assertEqual((sent.target.url, sent.target.router), (TARGET.url, TARGET.router))
        self.assertEqual(sent.headers, [(b"X-CF-PROCESS-INSTANCE", b"malformed")])

    def test_router_that_refuses_it_knows_it(self) -> None:
        """The body is of no interest."""
        self.answer(400, (b"X-Cf-RouterError", b"invalid_cf_process_instance_header"))
        self.assertIsNone(self.successResultOf(self.checking))
        self.assertTrue(self.connection.aborted)

    def test_any_other_answer_means_that_it_does_not(self) -> None:
        """The app's own 400 too."""
        known = (b"X-Cf-RouterError", b"invalid_cf_process_instance_header")
        other = (b"X-Cf-RouterError", b"invalid_cf_app_instance_header")
        for code, headers in ((200, ()), (400, ()), (400, (other,)), (200, (known,)), (404, ())):
            self.setUp()
            self.answer(code, *headers)
            failure = self.failureResultOf(self.checking, SourceError)
            self.assertIn("does not know X-CF-PROCESS-INSTANCE", str(failure.value))
            self.assertTrue(self.connection.aborted)

    def test_router_that_cannot_be_asked(self) -> None:
        """Another error, which names the address."""
        self.outbound.last.answer.errback(Unreachable("connection refused"))
        message = str(self.failureResultOf(self.checking, SourceError).value)
        self.assertIn("http://shop.apps.example/metrics: connection refused", message)

    def test_simulated_routers(self) -> None:
        """One before and one after the header came."""
        for known in (True, False):
            world = World(clock=Clock())
            world.simulation.faults.process_instance_header = known
            host = world.instance().routes[0].fqdn
            found = world.scrape(host, x_cf_process_instance="malformed")
            assert isinstance(found, Answer)
            self.setUp()
            headers = [(k.encode(), v.encode()) for k, v in found.headers.items()]
            self.answer(found.status, *headers)
            if known:
                self.successResultOf(self.checking)
            else:
                self.failureResultOf(self.checking, SourceError)
