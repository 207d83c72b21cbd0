"""Tests of promproxy.tunnel.pushed: however a push is cut into pieces, and whatever it holds."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from promproxy.errors import BadUpstream, CutShort, PromproxyError, UnknownScrape
from promproxy.outbound.response import Response
from promproxy.tunnel.pushed import PushedAnswer
from tests.fakes import Wire
from tests.go_client import EXPOSITION, Responses

_done: Callable[[Exception], Failure] = Failure
KINDS = ("counted", "chunked", "until_close", "error")
cuts = st.lists(st.integers(0, 400), max_size=6)


@define(eq=False)
class Scrape:
    """It waits for an answer."""

    head_only: bool = False
    answer: Deferred[Response] = field(factory=Deferred)


class Collector(Protocol):
    """The body, and how it ended."""

    def __init__(self) -> None:
        self.body = b""
        self.end: type | None = None

    def dataReceived(self, data: bytes) -> None:
        self.body += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end = reason.type


@define(eq=False)
class Push:
    """One push, of which the scrape `id` waits for the answer."""

    wire: Wire = field(factory=Wire)
    scrape: Scrape = field(factory=Scrape)
    collector: Collector = field(factory=Collector)
    is_taken: bool = False
    error: Exception | None = None
    is_passed_on: bool = False
    response: Response | None = None
    protocol: PushedAnswer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.protocol = PushedAnswer(self._take)
        self.protocol.makeConnection(self.wire)
        self.scrape.answer.addCallbacks(self._got, lambda failure: None)
        self.protocol.done.addCallbacks(self._passed_on, self._refused)

    def _take(self, scrape_id: str) -> Scrape:
        if scrape_id != "id" or self.is_taken:
            raise UnknownScrape("nobody")
        self.is_taken = True
        return self.scrape

    def _got(self, response: Response) -> None:
        self.response = response
        response.deliverBody(self.collector)

    def _passed_on(self, _none: None) -> None:
        self.is_passed_on = True

    def _refused(self, failure: Failure) -> None:
        self.error = failure.value

    def bring(self, data: bytes, places: list[int], *, whole: bool = True) -> None:
        """The body of the push, cut at these places."""
        ends = sorted({*places, len(data)})
        for start, end in zip([0, *ends], ends, strict=False):
            if data[start:end]:
                self.protocol.dataReceived(data[start:end])
        self.protocol.connectionLost(_done(ResponseDone() if whole else CutShort("cut")))

    @property
    def outcome(self) -> tuple[object, ...]:
        """All that can be seen of it."""
        code = None if self.response is None else self.response.code
        end = self.collector.end
        return (code, self.collector.body, end, self.is_passed_on, type(self.error))


class PushedAnswerTests(SynchronousTestCase):
    def test_what_go_writes(self) -> None:
        """Each kind of body, to its end."""
        for kind in KINDS:
            push = Push()
            push.bring(getattr(Responses("id"), kind)(), [])
            self.assertTrue(push.is_passed_on, kind)
            self.assertIs(push.collector.end, ResponseDone)
            assert push.response is not None
            expected = 500 if kind == "error" else 200
            self.assertEqual(push.response.code, expected)
            if expected == 200:
                self.assertEqual(push.collector.body, EXPOSITION)

    @given(st.sampled_from(KINDS), cuts, st.integers(0, 400), st.booleans())
    def test_pieces_make_no_difference(
        self, kind: str, places: list[int], length: int, whole: bool
    ) -> None:
        """Also where it ends early, or the push breaks off."""
        data = getattr(Responses("id"), kind)()[:length]
        at_once, cut = Push(), Push()
        at_once.bring(data, [], whole=whole)
        cut.bring(data, places, whole=whole)
        self.assertEqual(cut.outcome, at_once.outcome)

    @given(st.binary(max_size=300), cuts, st.booleans())
    def test_anything(self, data: bytes, places: list[int], whole: bool) -> None:
        """The push is told in the end, with an error of ours or none, and so is the scrape."""
        for start in (b"", b"HTTP/1.1 200 OK\r\nId: id\r\n", Responses("id").chunked()[:-9]):
            push = Push()
            push.bring(start + data, places, whole=whole)
            assert push.is_passed_on != (push.error is not None)
            assert push.error is None or isinstance(push.error, PromproxyError)
            assert not push.is_taken or push.scrape.answer.called
            assert push.response is None or push.collector.end in (ResponseDone, CutShort)

    def test_head_that_never_ends(self) -> None:
        """It is refused before it takes much memory."""
        push = Push()
        for _ in range(70):
            push.protocol.dataReceived(b"x" * 1000)
        self.assertIsInstance(push.error, BadUpstream)

    def test_reader_that_does_not_ask_yet(self) -> None:
        """The push is not read until it does."""
        push = Push()
        push.scrape.answer = answer = Deferred()
        data = Responses("id").counted(b"x" * 1000)
        push.protocol.dataReceived(data[:200])
        self.assertEqual(push.wire.producerState, "paused")
        self.successResultOf(answer).deliverBody(push.collector)
        self.assertEqual(push.wire.producerState, "producing")

    def test_reader_that_wants_no_more(self) -> None:
        """The push is told, and whatever else comes of it is nobody's."""
        push = Push()
        data = Responses("id").counted(b"x" * 1000)
        push.protocol.dataReceived(data[:200])
        assert push.response is not None
        push.response.stopProducing()
        self.assertIsInstance(push.error, UnknownScrape)
        self.assertIs(push.collector.end, CutShort)
        got = push.collector.body
        push.bring(data[200:], [])
        self.assertEqual(push.collector.body, got)
