"""Tests of promproxy.server.answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy.errors import (
    BadUpstream,
    Busy,
    DeadlinePassed,
    LoopDetected,
    ScrapeError,
    Unreachable,
)
from promproxy.outbound.connection import StaleConnection
from promproxy.scrape.outcome import outcome_of, status_of
from promproxy.server.answers import plain_answer
from tests.fakes import Caller


class StatusTests(SynchronousTestCase):
    """Errors as statuses."""

    def test_each_error_has_the_status_that_the_design_gives_it(self) -> None:
        """A name of its own in the metrics."""
        for kind, status, outcome in (
            (Unreachable, 502, "unreachable"),
            (BadUpstream, 502, "bad_answer"),
            (Busy, 503, "busy"),
            (DeadlinePassed, 504, "timeout"),
            (LoopDetected, 508, "loop"),
        ):
            error = kind("why")
            self.assertEqual((status_of(error), outcome_of(error)), (status, outcome))

    def test_every_scrape_error_has_one(self) -> None:
        """Those that are made later as well."""
        for kind in ScrapeError.__subclasses__():
            self.assertGreaterEqual(status_of(kind("why")), 500)

    def test_more_special_error_is_answered_as_its_family(self) -> None:
        """An error may have subclasses."""
        self.assertEqual(status_of(StaleConnection("why")), 502)


class Plain(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return plain_answer(request, int(request.path[1:]), "größer")


class PlainAnswerTests(SynchronousTestCase):
    """One line of text."""

    def test_answer_is_one_line_of_utf_8(self) -> None:
        """Its length is known, and no browser guesses what it is."""
        answer = Caller(Plain()).get("/404")
        self.assertEqual((answer.status, answer.phrase), (404, "Not Found"))
        self.assertEqual(answer.body, "größer\n".encode())
        self.assertEqual(answer.headers["Content-Length"], "9")
        self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")

    def test_508_has_a_phrase(self) -> None:
        """Twisted does not know it."""
        self.assertEqual(Caller(Plain()).get("/508").phrase, "Loop Detected")

    def test_head(self) -> None:
        """The same without the body."""
        answer = Caller(Plain()).head("/404")
        self.assertEqual((answer.status, answer.body), (404, b""))
        self.assertEqual(answer.headers["Content-Length"], "9")
