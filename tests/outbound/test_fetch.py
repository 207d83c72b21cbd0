"""Tests of promproxy.outbound.fetch."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from promproxy.errors import BadUpstream, DeadlinePassed, Unreachable
from promproxy.outbound.fetch import Answer, Fetcher
from tests.fakes import break_off, make_response

URL = "http://api.example/v3/apps?page=2"


class Scripted(Resource):
    """Answers by a function, and keeps the requests."""

    isLeaf = True

    def __init__(self, answer: Callable[[Request], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.requests: list[Request] = []
        self.gone = 0

    def render(self, request: Request) -> Any:
        self.requests.append(request)
        request.notifyFinish().addErrback(self.count_gone)
        return self.answer(request)

    def count_gone(self, _failure: object) -> None:
        self.gone += 1


@implementer(IAgent)
class OneAnswer:
    """An agent whose every answer is the same Deferred."""

    def __init__(self, answer: Deferred[Any]) -> None:
        self.answer = answer

    def request(self, *_: Any, **__: Any) -> Deferred[Any]:
        return self.answer


class FetcherTestCase(SynchronousTestCase):
    """A fetcher on a clock, with 30 s and 1000 bytes."""

    def setUp(self) -> None:
        self.clock = Clock()

    def fetcher(self, agent: Any, **changes: Any) -> Fetcher:
        fields = {"agent": agent, "clock": self.clock, "timeout": 30.0, "max_size": 1000}
        return Fetcher(**{**fields, **changes})

    def serve(self, answer: Callable[[Request], Any], **changes: Any) -> Fetcher:
        self.server = Scripted(answer)
        self.agent = RequestTraversalAgent(self.server)
        return self.fetcher(self.agent, **changes)

    def begin(self, fetcher: Fetcher, **options: Any) -> Deferred[Answer]:
        options = {"method": "GET", "url": URL, "headers": {}, **options}
        return Deferred.fromCoroutine(fetcher.fetch(**options))

    def fetch(self, fetcher: Fetcher, **options: Any) -> Answer:
        return self.successResultOf(self.begin(fetcher, **options))


class RequestTests(FetcherTestCase):
    """What is sent."""

    def sent(self, fetcher: Fetcher, **options: Any) -> Request:
        self.fetch(fetcher, **options)
        return self.server.requests[-1]

    def test_request_has_the_url_and_the_headers_given(self) -> None:
        request = self.sent(self.serve(lambda _: b""), headers={"Accept": "application/json"})
        self.assertEqual((request.method, request.uri), (b"GET", b"/v3/apps?page=2"))
        self.assertEqual(request.getHeader("Accept"), "application/json")
        self.assertIsNone(request.getHeader("Authorization"))

    def test_authorization_goes_with_every_request_and_not_into_a_repr(self) -> None:
        """It may be all that protects the API."""
        fetcher = self.serve(lambda _: b"", authorization=b"Basic c2VjcmV0")
        self.assertEqual(self.sent(fetcher).getHeader("Authorization"), "Basic c2VjcmV0")
        self.assertNotIn("c2VjcmV0", repr(fetcher))

    def test_cookie_of_an_answer_is_not_sent_back(self) -> None:
        """A request depends on none before it."""

        def answer(request: Request) -> bytes:
            request.addCookie("session", "1")
            return b""

        fetcher = self.serve(answer)
        self.sent(fetcher)
        self.assertIsNone(self.sent(fetcher).getHeader("Cookie"))


class AnswerTests(FetcherTestCase):
    """What comes back."""

    def test_status_headers_and_body(self) -> None:
        """Whatever the status; the last one of repeated headers."""

        def answer(request: Request) -> bytes:
            request.setResponseCode(404)
            request.responseHeaders.setRawHeaders("X-Many", ["one", "two"])
            return b"nothing here"

        got = self.fetch(self.serve(answer))
        self.assertEqual((got.status, got.body), (404, b"nothing here"))
        self.assertEqual((got.header("x-many"), got.header("X-None")), ("two", ""))
        self.assertNotIn("nothing", repr(got))

    def test_gzip_is_asked_for_and_decompressed(self) -> None:
        """A body comes as it was before."""

        def answer(request: Request) -> bytes:
            self.assertIn("gzip", request.getHeader("Accept-Encoding"))
            request.setHeader("Content-Encoding", "gzip")
            return gzip.compress(b"[1, 2]")

        self.assertEqual(self.fetch(self.serve(answer)).body, b"[1, 2]")

    def test_redirect_is_not_followed(self) -> None:
        """It would send credentials to another host."""

        def answer(request: Request) -> bytes:
            request.redirect("http://elsewhere.example/")
            return b""

        self.assertEqual(self.fetch(self.serve(answer)).status, 302)
        self.assertEqual(len(self.server.requests), 1)

    def test_body_of_just_the_limit_is_taken(self) -> None:
        """The limit is the largest size allowed."""
        self.assertEqual(len(self.fetch(self.serve(lambda _: b"x" * 1000)).body), 1000)


class FailureTests(FetcherTestCase):
    """Answers that cannot be used, as errors of ours."""

    def fails(self, begun: Deferred[Answer], kind: type[Exception]) -> str:
        failure = self.failureResultOf(begun)
        failure.trap(kind)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return str(failure.value)

    def endless(self, *pieces: bytes, encoding: str = "") -> Fetcher:
        """A server that sends these and never ends its answer."""

        def answer(request: Request) -> int:
            if encoding:
                request.setHeader("Content-Encoding", encoding)
            for piece in pieces:
                request.write(piece)
            return NOT_DONE_YET

        return self.serve(answer)

    def test_no_answer_within_the_time(self) -> None:
        """The request is given up."""
        cancelled: list[object] = []
        begun = self.begin(self.fetcher(OneAnswer(Deferred(cancelled.append))))
        self.clock.advance(29.9)
        self.assertNoResult(begun)
        self.clock.advance(0.1)
        self.assertEqual(self.fails(begun, DeadlinePassed), "no complete answer within 30 s")
        self.assertEqual(len(cancelled), 1)

    def test_no_end_of_the_answer_within_the_time(self) -> None:
        """The connection is closed, rather than left to whatever else comes."""
        for encoding in ("", "gzip"):
            begun = self.begin(self.endless(b"[", encoding=encoding))
            self.agent.flush()
            self.clock.advance(30)
            self.fails(begun, DeadlinePassed)
            self.agent.flush()
            self.assertEqual(self.server.gone, 1, encoding)

    def test_too_large_an_answer_is_refused_as_soon_as_that_shows(self) -> None:
        """Nobody waits for the rest, and the connection is closed."""
        begun = self.begin(self.endless(b"x" * 600, b"x" * 600))
        self.agent.flush()
        self.assertEqual(self.fails(begun, BadUpstream), "the answer is larger than 1000 bytes")
        self.agent.flush()
        self.assertEqual(self.server.gone, 1)

    def test_size_is_that_of_the_decompressed_body(self) -> None:
        """A small answer may hold a large document."""

        def answer(request: Request) -> bytes:
            request.setHeader("Content-Encoding", "gzip")
            return gzip.compress(b"x" * 100_000)

        self.fails(self.begin(self.serve(answer)), BadUpstream)

    def test_answer_that_breaks_off(self) -> None:
        """With our agent, and with Twisted's."""
        response, _ = make_response()
        response.deliver(b"[1, ")
        begun = self.begin(self.fetcher(OneAnswer(succeed(response))))
        break_off(response)
        self.assertEqual(self.fails(begun, BadUpstream), "the answer broke off")

        def answer(request: Request) -> int:
            request.setHeader("Content-Length", "100")
            request.write(b"[")
            request.channel.transport.loseConnection()
            return NOT_DONE_YET

        begun = self.begin(self.serve(answer))
        self.agent.flush()
        self.fails(begun, BadUpstream)

    def test_damaged_gzip(self) -> None:
        """Reported, not taken for an empty body."""

        def answer(request: Request) -> bytes:
            request.setHeader("Content-Encoding", "gzip")
            return b"this is no gzip"

        begun = self.begin(self.serve(answer))
        self.assertEqual(self.fails(begun, BadUpstream), "the answer is not valid gzip")

    def test_error_of_the_agent_passes(self) -> None:
        """The outbound agent raises errors of ours already."""
        agent = OneAnswer(fail(Unreachable("connection refused")))
        self.assertEqual(
            self.fails(self.begin(self.fetcher(agent)), Unreachable), "connection refused"
        )

    def test_cancelling_gives_the_request_up(self) -> None:
        """As when the daemon stops."""
        response, connection = make_response()
        begun = self.begin(self.fetcher(OneAnswer(succeed(response))))
        begun.cancel()
        self.failureResultOf(begun)
        self.assertTrue(connection.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])
