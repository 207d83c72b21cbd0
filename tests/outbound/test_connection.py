"""Tests of promproxy.outbound.connection: one connection, over a transport in memory."""

from __future__ import annotations

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import BadUpstream, CutShort
from promproxy.outbound.connection import StaleConnection
from promproxy.outbound.response import Response
from tests.outbound.fakes import CLOSED, HELLO, OK, RESET, RecordingOwner, connected

LONG = OK + b"Content-Length: 10\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class ConnectionCase(SynchronousTestCase):
    """A connection, and the answer to a request sent on it."""

    def setUp(self) -> None:
        self.owner = RecordingOwner()
        self.connection, self.transport = connected(self.owner)

    def send(self, *, head_only: bool = False) -> Deferred[Response]:
        return self.connection.send(b"GET / HTTP/1.1\r\n\r\n", head_only=head_only)

    def answer(self, data: bytes) -> Response:
        """The answer to a request, after these bytes of it."""
        answer = self.send()
        self.connection.dataReceived(data)
        return self.successResultOf(answer)

    def collect(self, response: Response) -> tuple[list[bytes], Deferred[None]]:
        pieces: list[bytes] = []
        return pieces, treq.collect(response, pieces.append)


class ExchangeTests(ConnectionCase):
    """How an exchange begins and ends."""

    def test_request_is_written_as_it_is(self) -> None:
        """The bytes handed in go out unchanged."""
        self.send()
        assert self.transport.value() == b"GET / HTTP/1.1\r\n\r\n"

    def test_whole_answer_in_one_piece(self) -> None:
        """The connection is free again by the time the answer is handed out."""
        answer = self.send()
        said_before: list[list[str]] = []
        answer.addCallback(lambda response: said_before.append(list(self.owner.said)) or response)
        self.connection.dataReceived(HELLO)
        pieces, done = self.collect(self.successResultOf(answer))
        self.successResultOf(done)
        assert (pieces, said_before) == ([b"hello"], [["reusable"]])

    def test_answer_byte_by_byte(self) -> None:
        """The answer is there with the last byte of its head, the body as it comes."""
        answer = self.send()
        for i in range(len(HELLO) - 5):
            self.assertNoResult(answer)
            self.connection.dataReceived(HELLO[i : i + 1])
        pieces, done = self.collect(self.successResultOf(answer))
        for i in range(5):
            self.assertNoResult(done)
            self.connection.dataReceived(b"hello"[i : i + 1])
        self.successResultOf(done)
        assert (b"".join(pieces), self.owner.said) == (b"hello", ["reusable"])

    def test_treq_content(self) -> None:
        """The body can be had in one piece."""
        assert self.successResultOf(treq.content(self.answer(HELLO))) == b"hello"

    def test_next_exchange_on_the_same_connection(self) -> None:
        """The end of a body may begin the next exchange at once."""
        first = self.answer(LONG)
        _, done = self.collect(first)
        second = done.addCallback(lambda _: self.send())
        self.connection.dataReceived(b"0123456789")
        self.connection.dataReceived(HELLO)
        pieces, _ = self.collect(self.successResultOf(second))
        assert (pieces, self.owner.said) == ([b"hello"], ["reusable", "reusable"])

    def test_head_has_no_body(self) -> None:
        """The answer to HEAD is whole with its head."""
        answer = self.send(head_only=True)
        self.connection.dataReceived(LONG)
        response = self.successResultOf(answer)
        assert (response.length, self.owner.said) == (0, ["reusable"])

    def test_surplus_bytes_use_the_connection_up(self) -> None:
        """After more bytes than the answer has, no other exchange may follow."""
        pieces, done = self.collect(self.answer(HELLO + b"x"))
        self.successResultOf(done)
        assert (pieces, self.owner.said) == ([b"hello"], ["used up"])

    def test_data_on_an_idle_connection_ends_it(self) -> None:
        """An answer that nobody asked for is never kept for the next to ask."""
        self.answer(HELLO)
        self.connection.dataReceived(HELLO)
        assert (self.owner.said, self.transport.aborted) == (["reusable", "lost"], True)

    def test_close_delimited_body_ends_with_the_connection(self) -> None:
        """An orderly end of the connection is the end of such a body."""
        pieces, done = self.collect(self.answer(OK + b"\r\nhello"))
        self.assertNoResult(done)
        self.connection.connectionLost(CLOSED)
        self.successResultOf(done)
        assert (pieces, self.owner.said) == ([b"hello"], ["lost"])


class FailureTests(ConnectionCase):
    """How an exchange fails."""

    def test_closed_before_any_answer(self) -> None:
        """A fresh connection that just ends is a bad upstream; the cause is kept."""
        answer = self.send()
        self.connection.connectionLost(RESET)
        error = self.failureResultOf(answer, BadUpstream).value
        assert not isinstance(error, StaleConnection)
        assert error.__cause__ is RESET.value

    def test_stale_after_an_earlier_exchange(self) -> None:
        """A connection that served before and ends without a byte was stale."""
        self.answer(HELLO)
        answer = self.send()
        self.connection.connectionLost(RESET)
        self.failureResultOf(answer, StaleConnection)

    def test_not_stale_after_a_byte(self) -> None:
        """Once a byte came, the request was seen: never ask again."""
        self.answer(HELLO)
        answer = self.send()
        self.connection.dataReceived(b"H")
        self.connection.connectionLost(RESET)
        assert not isinstance(self.failureResultOf(answer).value, StaleConnection)

    def test_garbage(self) -> None:
        """What is no answer fails at once, and the connection is dropped."""
        answer = self.send()
        self.connection.dataReceived(b"SSH-2.0")
        self.failureResultOf(answer, BadUpstream)
        assert self.transport.aborted
        self.connection.connectionLost(RESET)

    def test_cut_short(self) -> None:
        """What arrived is handed on, then the body fails."""
        for reason in (CLOSED, RESET):
            self.setUp()
            pieces, done = self.collect(self.answer(LONG + b"01234"))
            self.connection.connectionLost(reason)
            self.failureResultOf(done, CutShort)
            assert pieces == [b"01234"]

    def test_cut_short_before_anybody_reads(self) -> None:
        """A body that broke off before it was asked for still gives what came, then fails."""
        response = self.answer(LONG + b"01234")
        self.connection.connectionLost(RESET)
        pieces, done = self.collect(response)
        self.failureResultOf(done, CutShort)
        assert pieces == [b"01234"]

    def test_reset_cuts_a_close_delimited_body(self) -> None:
        """A reset is no end of a body."""
        _, done = self.collect(self.answer(OK + b"\r\nhello"))
        self.connection.connectionLost(RESET)
        self.failureResultOf(done, CutShort)

    def test_broken_chunks(self) -> None:
        """Broken chunks cut the body short, in the same piece as the head and later."""
        for first, later in ((b"2\r\nokZZ", b""), (b"2\r\n", b"okZZ")):
            self.setUp()
            response = self.answer(CHUNKED + first)
            pieces, done = self.collect(response)
            self.connection.dataReceived(later)
            self.failureResultOf(done, CutShort)
            assert (b"".join(pieces), self.transport.aborted) == (b"ok", True)

    def test_cancel_aborts(self) -> None:
        """Cancelling drops the connection, and nothing more is heard of it."""
        answer = self.send()
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        assert self.transport.aborted
        self.connection.dataReceived(HELLO)
        self.connection.connectionLost(RESET)
        assert self.owner.said == ["lost"]

    def test_reader_may_end_the_connection(self) -> None:
        """A body protocol that closes its transport, as treq's does, gets nothing more."""
        reader = OneByte()
        self.answer(LONG).deliverBody(reader)
        self.connection.dataReceived(b"0")
        self.connection.dataReceived(b"1")
        self.connection.connectionLost(RESET)
        assert self.transport.aborted
        assert reader.got == [b"0", CutShort]


class OneByte(Protocol):
    """Closes after the first data; remembers what it was told."""

    def __init__(self) -> None:
        self.got: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        self.got.append(data)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        self.got.append(reason.type)


class BackPressureTests(ConnectionCase):
    """The answer as a push producer."""

    def test_pauses_while_nobody_reads(self) -> None:
        """Only what came with the head is held until somebody asks for the body."""
        response = self.answer(LONG + b"012")
        assert self.transport.producerState == "paused"
        pieces, _ = self.collect(response)
        assert (pieces, self.transport.producerState) == ([b"012"], "producing")

    def test_reader_in_the_callback_never_pauses(self) -> None:
        """Who asks for the body as soon as the answer is there is not made to wait."""
        states: list[str] = []
        answer = self.send()
        answer.addCallback(treq.collect, lambda _: states.append(self.transport.producerState))
        self.connection.dataReceived(LONG + b"012")
        self.connection.dataReceived(b"345")
        assert states == ["producing", "producing"]

    def test_consumer_pauses_and_resumes(self) -> None:
        """The consumer's wishes reach the transport."""
        response = self.answer(LONG)
        self.collect(response)
        response.pauseProducing()
        assert self.transport.producerState == "paused"
        response.resumeProducing()
        assert self.transport.producerState == "producing"

    def test_paused_consumer_stays_paused_when_reading_begins(self) -> None:
        """A consumer that was full before the body was asked for is not overrun."""
        response = self.answer(LONG + b"0")
        response.pauseProducing()
        self.collect(response)
        assert self.transport.producerState == "paused"
        response.resumeProducing()
        assert self.transport.producerState == "producing"

    def test_resume_before_reading_begins_holds_no_more(self) -> None:
        """A consumer alone does not make the connection read; somebody must take the body."""
        response = self.answer(LONG + b"0")
        response.resumeProducing()
        assert self.transport.producerState == "paused"

    def test_connection_reads_again_once_released(self) -> None:
        """A consumer that is full at the end leaves no paused connection to the next user."""
        response = self.answer(LONG)
        self.collect(response)
        response.pauseProducing()
        self.connection.dataReceived(b"0123456789")
        assert (self.owner.said, self.transport.producerState) == (["reusable"], "producing")
        response.pauseProducing()
        assert self.transport.producerState == "producing"

    def test_stop_aborts_and_fails_the_body(self) -> None:
        """A consumer that is gone ends the connection; the reader learns it is cut short."""
        response = self.answer(LONG)
        pieces, done = self.collect(response)
        response.stopProducing()
        assert self.transport.aborted
        self.connection.dataReceived(b"01")
        self.connection.connectionLost(RESET)
        self.failureResultOf(done, CutShort)
        assert pieces == []

    def test_stop_of_a_whole_answer_spares_the_connection(self) -> None:
        """Nothing is aborted for an answer that has arrived."""
        self.answer(HELLO).stopProducing()
        assert (self.transport.aborted, self.owner.said) == (False, ["reusable"])
