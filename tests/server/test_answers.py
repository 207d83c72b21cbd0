"""Tests of promproxy.server.answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy.server.answers import plain_answer
from tests.fakes import Caller


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
