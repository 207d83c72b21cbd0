"""Tests of promproxy.tunnel.agent: what the exchange decides, done."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import Busy, DeadlinePassed, TooManyClients, UnknownScrape, Unreachable
from promproxy.outbound.origin import Origin
from promproxy.outbound.response import Response
from promproxy.tunnel.agent import HOLD_SECONDS, HeldPoll, TunnelAgent
from promproxy.tunnel.exchange import ExchangeLimits

HEAD = b"GET http://web-1:9100/metrics HTTP/1.1\r\nHost: web-1:9100\r\n"
TIMEOUT = b"X-Prometheus-Scrape-Timeout-Seconds: 9.750\r\n"


class AgentTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.ids = iter(("id-1", "id-2", "id-3"))
        self.agent = TunnelAgent(self.clock, lambda: next(self.ids))
        self.changes = 0
        self.agent.on_change = self.count_change
        self.given: list[bytes] = []
        self.refused: list[str] = []

    def count_change(self) -> None:
        self.changes += 1

    def poll(self, name: str = "web-1") -> HeldPoll:
        poll = HeldPoll(name, give=self.given.append, refuse=self.refused.append)
        self.agent.hold(poll)
        return poll

    def scrape(self, name: str = "web-1") -> Deferred[Response]:
        origin = Origin(scheme="http", host=name, port=9100)
        return self.agent.send(origin, HEAD + TIMEOUT + b"\r\n")


class GivenTests(AgentTestCase):
    """What clients are given."""

    def test_request_with_its_id_and_the_time_that_is_left(self) -> None:
        """A whole request, also where it has waited."""
        own = b"Id: id-%d\r\nX-Prometheus-Scrape-Timeout-Seconds: %b\r\n\r\n"
        self.poll()
        self.scrape()
        self.assertEqual(self.given, [HEAD + own % (1, b"9.750")])
        self.scrape()
        self.clock.advance(4)
        self.poll()
        self.assertEqual(self.given[1:], [HEAD + own % (2, b"5.750")])

    def test_dead_poll(self) -> None:
        """It is given again, and counted, once."""
        dead = self.poll()
        self.scrape()
        for _ in range(2):
            self.agent.requeue(dead)
        self.assertEqual((self.agent.redelivered, self.agent.waiting()), (0, 0))
        self.clock.advance(HOLD_SECONDS)
        self.assertEqual((self.agent.redelivered, self.agent.waiting()), (1, 1))
        self.poll()
        self.assertEqual(self.given[1], self.given[0].replace(b"9.750", b"8.750"))

    def test_dead_poll_with_a_successor_that_waits(self) -> None:
        """It is given as soon as the answer has had its time."""
        dead = self.poll()
        self.scrape()
        self.poll()
        self.agent.requeue(dead)
        self.clock.advance(HOLD_SECONDS)
        self.assertEqual((len(self.given), self.agent.held()), (2, 0))

    def test_connection_that_was_reset_after_the_request_was_passed_on(self) -> None:
        """The answer comes, and nobody is asked twice."""
        reset = self.poll()
        answer = self.scrape()
        self.poll()
        self.agent.requeue(reset)
        self.clock.advance(HOLD_SECONDS / 2)
        pushed = self.agent.pushed("")
        pushed.dataReceived(b"HTTP/1.1 200 OK\r\nId: id-1\r\nContent-Length: 0\r\n\r\n")
        self.successResultOf(answer)
        self.clock.advance(HOLD_SECONDS)
        self.assertEqual((self.agent.redelivered, len(self.given)), (0, 1))

    def test_stop_leaves_no_timer(self) -> None:
        dead = self.poll()
        self.scrape()
        self.agent.requeue(dead)
        self.agent.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_little_time_left(self) -> None:
        """A quarter of it is waited for the answer."""
        self.agent.left(self.poll())
        self.scrape()
        self.clock.advance(9.75 - 0.4)
        dead = self.poll()
        self.agent.requeue(dead)
        self.clock.advance(0.1)
        self.assertEqual(self.agent.redelivered, 1)


class FailureTests(AgentTestCase):
    """What scrapes and clients are told."""

    def test_unknown_client(self) -> None:
        """The scrape fails at once."""
        self.failureResultOf(self.scrape(), Unreachable)

    def test_given_up_before_it_was_given(self) -> None:
        """Then it was the client's fault."""
        self.agent.left(self.poll())
        scrape = self.scrape()
        scrape.cancel()
        self.failureResultOf(scrape, DeadlinePassed)
        self.assertEqual(self.agent.waiting(), 0)

    def test_given_up_after_it_was_given(self) -> None:
        """Its answer is nobody's."""
        self.poll()
        scrape = self.scrape()
        scrape.cancel()
        self.failureResultOf(scrape, CancelledError)
        pushed = self.agent.pushed("")
        pushed.dataReceived(b"HTTP/1.1 200 OK\r\nId: id-1\r\n\r\n")
        self.failureResultOf(pushed.done, UnknownScrape)

    def test_too_many_clients(self) -> None:
        """The poll is neither held nor refused: whoever brought it is told."""
        self.agent.use(ExchangeLimits(max_clients=1))
        self.poll()
        self.assertRaises(TooManyClients, self.poll, "web-2")
        self.assertEqual((self.agent.names(), self.refused), (["web-1"], []))

    def test_stop(self) -> None:
        """Polls and waiting scrapes end, and no new ones begin."""
        self.agent.left(self.poll())
        scrape = self.scrape()
        self.poll("web-2")
        self.agent.stop()
        self.poll("web-3")
        self.assertEqual(len(self.refused), 2)
        for ended in (scrape, self.scrape()):
            self.failureResultOf(ended, Busy)


class ChangeTests(AgentTestCase):
    """The list of clients."""

    def test_it_is_told_of_changes_only(self) -> None:
        """A new client, and one that is gone."""
        for _ in range(3):
            self.poll()
        self.assertEqual(self.changes, 1)
        self.agent.left(self.poll())
        self.clock.advance(300)
        self.agent.expire()
        self.agent.expire()
        self.assertEqual((self.changes, self.agent.names()), (2, []))

    def test_dismissed_clients_may_come_again(self) -> None:
        """As new ones; and the time to wait for them begins anew."""
        self.agent.begin()
        self.poll()
        self.clock.advance(50)
        self.agent.dismiss("no source")
        self.assertEqual((self.refused, self.agent.names()), (["no source"], []))
        self.assertEqual(self.agent.begin(), 50.0)
        self.poll()
        self.assertEqual(self.agent.names(), ["web-1"])
