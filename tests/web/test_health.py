"""Tests of promproxy.web.health."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError
from promproxy.web.health import HealthyResource, ReadyResource
from tests.fakes import Caller, ScriptedSource, delivery_of, make_registry, settle


class HealthyTests(SynchronousTestCase):
    """The process is alive."""

    def test_always_200(self) -> None:
        """There is nothing to ask."""
        answer = Caller(HealthyResource()).get("/")
        self.assertEqual((answer.status, answer.body), (200, b"promproxy is healthy.\n"))


class ReadyTests(SynchronousTestCase):
    """Whether `/discovery` can be served."""

    def test_503_names_what_is_missing_and_why_until_all_have_delivered(self) -> None:
        """One line for each source."""
        clock = Clock()
        slow: Deferred[object] = Deferred()
        registry = make_registry(
            clock,
            ScriptedSource([delivery_of("a:1")]),
            ScriptedSource([SourceError("no such door"), delivery_of("b:1")], name="broken"),
            ScriptedSource([slow], name="slow"),
        )
        registry.start()
        settle(clock)
        caller = Caller(ReadyResource(registry))
        answer = caller.get("/")
        self.assertEqual(answer.status, 503)
        self.assertEqual(
            answer.body.decode().splitlines(),
            [
                "not ready, sources missing:",
                "broken: no such door",
                "slow: its first refresh is under way",
            ],
        )
        slow.callback(delivery_of("c:1"))
        clock.advance(5)
        settle(clock)
        answer = caller.get("/")
        self.assertEqual((answer.status, answer.body), (200, b"promproxy is ready.\n"))
