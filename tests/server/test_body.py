"""Tests of promproxy.server.body, by the channel that feeds it."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from promproxy.errors import CutShort
from promproxy.server.body import BodyTooLarge
from promproxy.server.channel import BODY_SECONDS, LINGER_SECONDS
from promproxy.server.request import CallerRequest
from promproxy.server.site import PromproxySite
from tests.fakes import Caller, Wire, parse_answer

MAX = 1000


class Reader(Protocol):
    """Keeps what it is given."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.end: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.end = reason


@implementer(ITCPTransport)
class HalfClosingWire(Wire):
    """Whose sending end can be closed alone."""

    is_half_closed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseWriteConnection(self) -> None:
        self.is_half_closed = True


class Mirror(Resource):
    """Answers with the body; below ``/held`` when the test says so, without it below ``/no``."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.held: list[CallerRequest] = []
        self.readers: list[Reader] = []
        self.errors: list[Failure] = []

    def render_GET(self, request: CallerRequest) -> bytes:
        assert request.body is None
        return b"<got>"

    def render_POST(self, request: CallerRequest) -> bytes | int:
        if request.path == b"/no":
            return b"<no>"
        if request.path == b"/held":
            self.held.append(request)
        elif request.path == b"/read":
            self.held.append(request)
            self.read(request)
        else:
            self.answer_whole(request)
        return NOT_DONE_YET

    def read(self, request: CallerRequest) -> Reader:
        reader = Reader()
        self.readers.append(reader)
        assert request.body is not None
        request.body.deliver(reader)
        return reader

    def answer_whole(self, request: CallerRequest) -> None:
        assert request.body is not None
        whole: Deferred[bytes] = request.body.read_all(MAX)

        def answer(body: bytes) -> None:
            request.write(b"<%s>" % body)
            request.finish()

        def refuse(failure: Failure) -> None:
            self.errors.append(failure)
            if failure.check(BodyTooLarge):
                request.setResponseCode(413)
                request.finish()

        whole.addCallbacks(answer, refuse)


def post(path: str, *lines: str) -> bytes:
    return "".join(
        f"{line}\r\n" for line in (f"POST {path} HTTP/1.1", "Host: p", *lines, "")
    ).encode()


def counted(path: str, body: bytes) -> bytes:
    return post(path, f"Content-Length: {len(body)}") + body


def chunked(path: str, *pieces: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return post(path, "Transfer-Encoding: chunked") + chunks


class BodyTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.mirror = Mirror()
        site = PromproxySite(self.mirror, self.clock, takes_body=lambda path: path != b"/none")
        self.caller = Caller(site, self.clock)
        self.wire = self.caller.wire

    def receive(self, data: bytes, size: int = 0) -> None:
        size = size or len(data)
        for start in range(0, len(data), size):
            self.caller.channel.dataReceived(data[start : start + size])

    def bodies(self) -> list[bytes]:
        """The bodies that came back, in their order."""
        parts = self.caller.wire_bytes().split(b"<")[1:]
        return [part.partition(b">")[0] for part in parts]


class WholeTests(BodyTestCase):
    """`RequestBody.read_all`."""

    @given(st.lists(st.binary(max_size=30)), st.integers(1, 90), st.booleans())
    def test_every_body_arrives_however_it_is_cut(
        self, bodies: list[bytes], size: int, is_chunked: bool
    ) -> None:
        """What follows it is the next request."""
        self.setUp()
        bodies = [body.translate(None, b"<>\r\n") for body in bodies]
        sent = b""
        for body in bodies:
            body = body or b"-"
            if is_chunked:
                pieces = [piece for piece in (body[:7], body[7:]) if piece]
                sent += chunked("/", *pieces)
            else:
                sent += counted("/", body)
            sent += b"GET / HTTP/1.1\r\nHost: p\r\n\r\n"
        self.receive(sent, size)
        expected = [part for body in bodies for part in (body or b"-", b"got")]
        self.assertEqual(self.bodies(), expected)

    def test_too_large_a_body_is_not_read(self) -> None:
        """Whether its length was announced or not."""
        for data in (
            post("/", f"Content-Length: {MAX + 1}"),
            post("/", "Transfer-Encoding: chunked") + b"1000\r\n" + bytes(MAX + 1),
        ):
            self.setUp()
            self.receive(data)
            answer = self.caller.answer()
            self.assertEqual((answer.status, answer.headers["Connection"]), (413, "close"))
            self.assertTrue(self.wire.disconnecting)
            self.assertTrue(self.mirror.errors[0].check(BodyTooLarge))

    def test_largest_body(self) -> None:
        """That is not too large."""
        self.receive(counted("/", b"x" * MAX) + chunked("/", b"y" * MAX))
        self.assertEqual([len(body) for body in self.bodies()], [MAX, MAX])

    def test_caller_that_waits_to_be_asked(self) -> None:
        """`Expect: 100-continue`: asked once the body is wanted."""
        self.receive(post("/held", "Content-Length: 2", "Expect: 100-continue"))
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.mirror.answer_whole(self.mirror.held[0])
        self.assertEqual(self.caller.wire_bytes(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.receive(b"ok")
        self.assertEqual(self.bodies(), [b"ok"])

    def test_one_that_did_not_wait_is_not_asked(self) -> None:
        """It has given up waiting, or never did."""
        self.receive(post("/", "Content-Length: 2", "Expect: 100-continue") + b"ok")
        self.assertNotIn(b"100 Continue", self.caller.wire_bytes())

    def test_broken_chunks_end_the_connection(self) -> None:
        """Nothing that follows could be told from the body; tests.web.pushprox sees the answer."""
        self.receive(post("/", "Transfer-Encoding: chunked") + b"zz\r\n" + counted("/", b"x"))
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.assertTrue(self.mirror.errors[0].check(CutShort))

    def test_caller_leaves_in_the_middle(self) -> None:
        """The body broke off."""
        self.receive(post("/", "Content-Length: 3") + b"x")
        self.caller.leave()
        self.assertTrue(self.mirror.errors[0].check(CutShort))

    def test_slow_caller(self) -> None:
        """A byte now and then does not help: it has ten seconds for all of it."""
        self.receive(post("/", "Content-Length: 20"))
        for _ in range(9):
            self.receive(b"x")
            self.clock.advance(1)
        self.assertFalse(self.wire.aborted)
        self.receive(b"x")
        self.clock.advance(1)
        self.assertTrue(self.wire.aborted)

    def test_cancelled(self) -> None:
        """The connection is closed."""
        self.receive(post("/held", "Content-Length: 3") + b"x")
        body = self.mirror.held[0].body
        assert body is not None
        whole = body.read_all(3)
        whole.cancel()
        self.assertTrue(self.wire.aborted)
        self.failureResultOf(whole)


class StreamTests(BodyTestCase):
    """`RequestBody.deliver`."""

    def test_pieces_pass_as_they_come(self) -> None:
        """The end is told."""
        self.receive(post("/read", "Transfer-Encoding: chunked"))
        (reader,) = self.mirror.readers
        self.receive(b"3\r\nab")
        self.assertEqual(reader.received, b"ab")
        self.receive(b"c\r\n")
        self.assertEqual(reader.received, b"abc")
        self.assertIsNone(reader.end)
        self.receive(b"0\r\n\r\n")
        assert reader.end is not None
        self.assertTrue(reader.end.check(ResponseDone))

    def test_nothing_is_read_before_it_is_wanted(self) -> None:
        """Beyond what is on its way."""
        self.receive(post("/held", "Content-Length: 100000") + b"x" * 20000)
        self.assertEqual(self.wire.producerState, "paused")
        reader = self.mirror.read(self.mirror.held[0])
        self.assertEqual(len(reader.received), 20000)
        self.assertEqual(self.wire.producerState, "producing")

    def test_reader_that_has_enough(self) -> None:
        """Pauses the connection; no limit of time runs meanwhile."""
        self.receive(post("/read", "Content-Length: 10") + b"12345")
        (reader,) = self.mirror.readers
        reader.transport.pauseProducing()
        self.assertEqual(self.wire.producerState, "paused")
        self.clock.advance(10 * BODY_SECONDS)
        self.receive(b"678")  # was on its way
        self.assertEqual(reader.received, b"12345")
        reader.transport.resumeProducing()
        self.assertEqual(reader.received, b"12345678")
        self.assertEqual(self.wire.producerState, "producing")
        self.assertFalse(self.wire.aborted)

    def test_slow_caller_is_not_waited_for(self) -> None:
        """Each byte buys some time; then the connection is closed."""
        self.receive(post("/read", "Content-Length: 10"))
        for _ in range(3):
            self.clock.advance(BODY_SECONDS - 1)
            self.receive(b"x")
        self.assertFalse(self.wire.aborted)
        self.clock.advance(BODY_SECONDS + 1)
        self.assertTrue(self.wire.aborted)

    def test_reader_that_stops(self) -> None:
        self.receive(post("/read", "Content-Length: 10"))
        self.mirror.readers[0].transport.stopProducing()
        self.assertTrue(self.wire.aborted)

    def test_reader_that_stops_after_the_end(self) -> None:
        self.receive(counted("/read", b"x"))
        self.mirror.readers[0].transport.stopProducing()
        self.assertFalse(self.wire.aborted)


class UnreadTests(BodyTestCase):
    """Answers that do not wait for the body."""

    def test_answer_before_the_body_was_read_ends_the_connection(self) -> None:
        """It says so; what follows is no request."""
        self.receive(post("/no", "Content-Length: 40") + b"GET / HTTP/1.1\r\nHost: p\r\n\r\n")
        answer = parse_answer(self.caller.wire_bytes())
        self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
        self.assertTrue(self.wire.disconnecting)
        self.receive(b"GET / HTTP/1.1\r\nHost: p\r\n\r\n")
        self.assertEqual(self.caller.wire_bytes(), b"")

    def test_what_nobody_wants_is_thrown_away_for_a_while(self) -> None:
        """A reset in the middle of it would hide the answer; but the caller may never end."""
        caller = Caller(self.caller.channel.site, self.clock, HalfClosingWire())
        wire = cast(HalfClosingWire, caller.wire)
        caller.channel.dataReceived(post("/held", "Content-Length: 90000") + bytes(20000))
        self.assertEqual(wire.producerState, "paused")
        self.mirror.held[0].finish()
        self.assertTrue(wire.is_half_closed)
        self.assertEqual(wire.producerState, "producing")
        caller.channel.dataReceived(bytes(20000))
        self.clock.advance(LINGER_SECONDS - 0.1)
        self.assertFalse(wire.aborted)
        self.clock.advance(0.2)
        self.assertTrue(wire.aborted)

    def test_only_where_it_is_taken(self) -> None:
        """Elsewhere 413, before any resource is asked."""
        self.receive(post("/none?a=b", "Content-Length: 1"))
        self.assertEqual(self.caller.answer().status, 413)

    def test_only_posts_have_bodies(self) -> None:
        """A GET with one is refused."""
        self.receive(b"GET /held HTTP/1.1\r\nHost: p\r\nContent-Length: 1\r\n\r\nx")
        self.assertEqual(self.caller.answer().status, 413)
