"""The agent: pool, retry, limits and API calls, over transports in memory."""

from __future__ import annotations

import gc
from io import BytesIO

import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, Cooperator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import FileBodyProducer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface.verify import verifyObject

from promproxy.errors import BadUpstream
from promproxy.outbound.agent import MAX_REQUEST_BODY, OutboundAgent
from promproxy.outbound.origin import HttpProxy, split_url
from promproxy.outbound.pool import PoolLimits
from promproxy.outbound.response import Response
from tests.outbound.fakes import CLOSED, HELLO, OK, RESET, FakeConnector

ORIGIN, _ = split_url("http://upstream:9100/metrics")
GET = b"GET /metrics HTTP/1.1\r\nHost: upstream:9100\r\n\r\n"


class AgentCase(SynchronousTestCase):
    """An agent whose connections are in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.connector = FakeConnector()
        self.agent = self.make_agent()

    def make_agent(self, proxy: HttpProxy | None = None, **limits: int) -> OutboundAgent:
        chosen = PoolLimits(**{"idle_seconds": 80, **limits})
        return OutboundAgent(self.clock, self.connector, chosen, proxy)

    def answered(self, index: int, data: bytes = HELLO) -> bytes:
        """Let a connection answer; what it had been asked."""
        connection, transport = self.connector.made[index]
        asked = transport.take()
        connection.dataReceived(data)
        return asked

    def scrape(self) -> bytes:
        """One whole exchange on the newest connection."""
        answer = self.agent.send(ORIGIN, GET)
        self.answered(-1)
        return self.successResultOf(answer.addCallback(treq.content))


class KeepAliveTests(AgentCase):
    """Connections are kept and reused."""

    def test_sequential_requests_share_a_connection(self) -> None:
        """The second request goes out on the first one's connection."""
        assert [self.scrape(), self.scrape()] == [b"hello", b"hello"]
        assert len(self.connector.made) == 1

    def test_concurrent_requests_have_their_own(self) -> None:
        """Exchanges never share a connection at the same time."""
        self.agent.send(ORIGIN, GET)
        self.agent.send(ORIGIN, GET)
        assert len(self.connector.made) == 2

    def test_answer_unread_keeps_its_connection(self) -> None:
        """A connection is free only once the body has arrived."""
        self.agent.send(ORIGIN, GET)
        self.answered(0, OK + b"Content-Length: 5\r\n\r\n")
        self.agent.send(ORIGIN, GET)
        assert len(self.connector.made) == 2

    def test_used_up_connection_is_closed(self) -> None:
        """After Connection: close or surplus bytes a new connection is made."""
        for data in (HELLO + b"x", OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n"):
            self.agent.send(ORIGIN, GET)
            self.answered(-1, data)
            assert self.connector.made[-1][1].disconnecting
        assert len(self.connector.made) == 2

    def test_lost_idle_connection_is_not_used(self) -> None:
        """A connection known to be closed is not handed out."""
        self.scrape()
        self.connector.made[0][0].connectionLost(CLOSED)
        self.scrape()
        assert len(self.connector.made) == 2

    def test_limit_closes_the_surplus(self) -> None:
        """More idle connections than the limit are closed."""
        self.agent = self.make_agent(per_origin=1)
        for _ in range(2):
            self.agent.send(ORIGIN, GET)
        self.answered(0)
        self.answered(1)
        assert [t.disconnecting for _, t in self.connector.made] == [True, False]

    def test_session_is_kept_after_the_first_exchange(self) -> None:
        """The connector is told once per connection to keep its TLS session."""
        self.scrape()
        self.scrape()
        assert self.connector.kept == 1


class IdleTests(AgentCase):
    """The sweep of idle connections, and the end."""

    def test_idle_connection_is_closed_after_the_time_out(self) -> None:
        """It is closed at most one sweep after its time; once gone, no timer stays behind."""
        self.scrape()
        self.clock.pump([10] * 7)
        assert not self.connector.made[0][1].disconnecting
        self.clock.pump([10] * 2)
        assert self.connector.made[0][1].disconnecting
        self.connector.made[0][0].connectionLost(CLOSED)
        self.clock.advance(10)
        assert self.clock.getDelayedCalls() == []

    def test_connection_that_will_not_close_is_aborted(self) -> None:
        """An upstream cannot keep a connection that we are closing for more than a sweep."""
        self.agent.send(ORIGIN, GET)
        self.answered(0, HELLO + b"surplus")
        connection, transport = self.connector.made[0]
        assert (transport.disconnecting, transport.aborted) == (True, False)
        self.clock.advance(10)
        assert transport.aborted
        connection.connectionLost(RESET)
        self.clock.advance(10)
        assert self.clock.getDelayedCalls() == []

    def test_one_timer_for_all(self) -> None:
        """Any number of requests adds no further timer."""
        for _ in range(5):
            self.agent.send(ORIGIN, GET)
        for index in range(5):
            self.answered(index)
        assert len(self.clock.getDelayedCalls()) == 1

    def test_close_waits_for_the_idle_connections(self) -> None:
        """It fires when they are gone, and leaves no timer."""
        self.scrape()
        closed, again = self.agent.close(), self.agent.close()
        self.assertNoResult(closed)
        self.connector.made[0][0].connectionLost(CLOSED)
        self.successResultOf(closed)
        self.successResultOf(again)
        assert self.clock.getDelayedCalls() == []

    def test_close_without_connections_fires_at_once(self) -> None:
        """There is nothing to wait for."""
        self.successResultOf(self.agent.close())

    def test_request_under_way_outlives_close(self) -> None:
        """It gets its answer, and its connection is closed after it."""
        answer = self.agent.send(ORIGIN, GET)
        self.successResultOf(self.agent.close())
        self.answered(0)
        self.successResultOf(answer)
        assert self.connector.made[0][1].disconnecting
        self.connector.made[0][0].connectionLost(CLOSED)
        assert self.clock.getDelayedCalls() == []


class RetryTests(AgentCase):
    """A kept connection that turns out to be closed."""

    def stale(self, head: bytes, heard: bytes = b"") -> Deferred[Response]:
        """A request that loses its kept connection after these bytes."""
        self.scrape()
        answer = self.agent.send(ORIGIN, head, head_only=head.startswith(b"HEAD"))
        connection = self.connector.made[0][0]
        if heard:
            connection.dataReceived(heard)
        connection.connectionLost(RESET)
        return answer

    def test_get_and_head_are_sent_once_more(self) -> None:
        """The same bytes go out on a new connection."""
        for method in (b"GET", b"HEAD"):
            self.setUp()
            head = GET.replace(b"GET", method)
            answer = self.stale(head)
            assert self.answered(1) == head
            assert self.successResultOf(answer).code == 200

    def test_not_twice(self) -> None:
        """The new connection is the last try."""
        answer = self.stale(GET)
        self.connector.made[1][0].connectionLost(RESET)
        self.failureResultOf(answer, BadUpstream)
        assert len(self.connector.made) == 2

    def test_new_connection_even_if_another_is_idle(self) -> None:
        """The second try does not trust another kept connection."""
        first, second = self.agent.send(ORIGIN, GET), self.agent.send(ORIGIN, GET)
        self.answered(0)
        self.answered(1)
        self.successResultOf(first)
        self.successResultOf(second)
        self.agent.send(ORIGIN, GET)
        self.connector.made[1][0].connectionLost(RESET)
        assert len(self.connector.made) == 3

    def test_not_for_a_post(self) -> None:
        """What might act twice is not sent twice."""
        self.failureResultOf(self.stale(b"POST / HTTP/1.1\r\n\r\n"), BadUpstream)
        assert len(self.connector.made) == 1

    def test_not_after_a_byte(self) -> None:
        """An answer that began is not asked for again."""
        self.failureResultOf(self.stale(GET, b"H"), BadUpstream)
        assert len(self.connector.made) == 1

    def test_not_on_a_fresh_connection(self) -> None:
        """Only a kept connection can be stale."""
        answer = self.agent.send(ORIGIN, GET)
        self.connector.made[0][0].connectionLost(RESET)
        self.failureResultOf(answer, BadUpstream)
        assert len(self.connector.made) == 1


class CancelTests(AgentCase):
    """The caller gives up."""

    def test_while_connecting(self) -> None:
        """The connection attempt is given up."""
        self.connector.waiting = True
        answer = self.agent.send(ORIGIN, GET)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        assert self.connector.cancelled == 1

    def test_while_the_body_is_read(self) -> None:
        """It ends at once, though Twisted's producer never tells that it was stopped."""
        cooperator = Cooperator(scheduler=lambda work: self.clock.callLater(0, work))
        producer = FileBodyProducer(BytesIO(b"x"), cooperator=cooperator)
        asked = self.agent.request(b"POST", b"http://upstream/", None, producer)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        assert self.connector.made == []

    def test_while_waiting_for_the_answer(self) -> None:
        """The connection is aborted, fresh or kept; nothing is tried again."""
        for kept in (False, True):
            self.setUp()
            if kept:
                self.scrape()
            answer = self.agent.send(ORIGIN, GET)
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
            connection, transport = self.connector.made[0]
            assert transport.aborted
            connection.connectionLost(RESET)
            assert len(self.connector.made) == 1

    def test_during_the_second_try(self) -> None:
        """A second try under way is given up too."""
        self.scrape()
        answer = self.agent.send(ORIGIN, GET)
        self.connector.waiting = True
        self.connector.made[0][0].connectionLost(RESET)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        assert self.connector.cancelled == 1


class RequestTests(AgentCase):
    """IAgent, as treq uses it."""

    def test_interface(self) -> None:
        """It is an IAgent."""
        assert verifyObject(IAgent, self.agent)

    def test_get(self) -> None:
        """Headers go out as given; the Host header is ours; the answer knows what was asked."""
        headers = Headers({b"Accept": [b"text/plain"], b"Host": [b"evil"]})
        answer = self.agent.request(b"GET", b"http://upstream:9100/a?b=c#d", headers)
        asked = self.answered(0)
        expected = b"GET /a?b=c HTTP/1.1\r\nHost: upstream:9100\r\nAccept: text/plain\r\n\r\n"
        assert asked == expected
        request = self.successResultOf(answer).request
        assert request.absoluteURI == b"http://upstream:9100/a?b=c#d"

    def test_head(self) -> None:
        """The answer to HEAD has no body."""
        answer = self.agent.request(b"HEAD", b"http://upstream/")
        self.answered(0, OK + b"Content-Length: 5\r\n\r\n")
        assert self.successResultOf(answer).length == 0

    def test_post_through_treq(self) -> None:
        """treq's client posts a body and reads the answer."""
        client = HTTPClient(
            self.agent,
            data_to_body_producer=lambda data: FileBodyProducer(
                BytesIO(data), cooperator=Cooperator(scheduler=self.schedule)
            ),
        )
        answer = client.post("http://upstream/token", data=b"a=b", reactor=self.clock)
        self.clock.advance(1)
        asked = self.answered(0)
        assert asked.startswith(b"POST /token HTTP/1.1\r\nHost: upstream\r\n")
        assert asked.endswith(b"Content-Length: 3\r\n\r\na=b")
        assert self.successResultOf(answer.addCallback(treq.content)) == b"hello"

    def schedule(self, work: object) -> object:
        return self.clock.callLater(0, work)

    def test_post_without_a_body_says_so(self) -> None:
        """A POST always tells its length."""
        self.agent.request(b"POST", b"http://upstream/")
        assert b"Content-Length: 0\r\n" in self.answered(0)

    def test_body_too_large(self) -> None:
        """A body over the limit is refused, not held in memory."""
        producer = FileBodyProducer(
            BytesIO(b"x" * (MAX_REQUEST_BODY + 1)), cooperator=Cooperator(scheduler=self.schedule)
        )
        answer = self.agent.request(b"POST", b"http://upstream/", None, producer)
        self.clock.pump([1] * 20)
        self.failureResultOf(answer, ValueError)
        assert self.connector.made == []

    def test_unusable_uri(self) -> None:
        """What cannot be asked is a ValueError, by way of the Deferred."""
        for uri in (b"ftp://h/", b"http://u@h/", b"http://h/\xff", b"http://h/ x"):
            self.failureResultOf(self.agent.request(b"GET", uri), ValueError)

    def test_plain_proxy(self) -> None:
        """An http URI goes to the proxy in absolute form."""
        self.agent = self.make_agent(HttpProxy(host="proxy", port=3128))
        self.agent.request(b"GET", b"http://upstream/x")
        assert self.answered(0).startswith(b"GET http://upstream/x HTTP/1.1\r\n")


class GarbageTests(AgentCase):
    """Memory is freed without the cycle collector's help."""

    def test_no_reference_cycle_per_request(self) -> None:
        """A request leaves nothing for the cycle collector, in one piece or in many."""
        self.scrape()
        pieces = [
            [HELLO],
            [HELLO[:-2], HELLO[-2:]],
            [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n\r\n"],
        ]
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(20):
                for answer_pieces in pieces:
                    self.exchange(answer_pieces)
            gc.collect()
            garbage = [type(thing).__name__ for thing in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert garbage == []

    def exchange(self, pieces: list[bytes]) -> None:
        got: list[bytes] = []
        answer = self.agent.send(ORIGIN, GET)
        answer.addCallback(treq.collect, got.append)
        connection, transport = self.connector.made[0]
        transport.clear()
        for piece in pieces:
            connection.dataReceived(piece)
        assert got
