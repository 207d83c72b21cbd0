"""Tests of promproxy.outbound.response, by the connection that feeds it."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface.verify import verifyObject

from tests.outbound.fakes import HELLO, OK
from tests.outbound.test_connection import ConnectionCase

LONG = OK + b"Content-Length: 10\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class ResponseTests(ConnectionCase):
    """What an answer offers to treq and to the proxy."""

    def test_interfaces(self) -> None:
        """It is an IResponse and an IPushProducer."""
        response = self.answer(HELLO)
        assert verifyObject(IResponse, response)
        assert verifyObject(IPushProducer, response)

    def test_head(self) -> None:
        """Version, status and headers are the upstream's own."""
        response = self.answer(
            b"HTTP/1.0 503 Not Now\r\nX-A: 1\r\nx-a: 2\r\nContent-Type: text/plain\r\n\r\n"
        )
        assert (response.version, response.code, response.phrase) == (
            (b"HTTP", 1, 0),
            503,
            b"Not Now",
        )
        assert response.raw_headers == [
            (b"X-A", b"1"),
            (b"x-a", b"2"),
            (b"Content-Type", b"text/plain"),
        ]
        assert response.headers.getRawHeaders(b"X-a") == [b"1", b"2"]
        assert response.headers is response.headers

    def test_length(self) -> None:
        """The length is known, zero, or unknown."""
        for head, length in (
            (LONG, 10),
            (CHUNKED, UNKNOWN_LENGTH),
            (OK + b"\r\n", UNKNOWN_LENGTH),
            (b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", 0),
        ):
            self.setUp()
            assert self.answer(head).length == length

    def test_large_body_is_bytes_for_whoever_reads_it(self) -> None:
        """Though we do not copy it for ourselves: `IProtocol` promises bytes."""
        body = b"x" * 100_000
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body
        pieces, _done = self.collect(self.answer(data))
        self.assertEqual([type(piece) for piece in pieces], [bytes])
        self.assertEqual(pieces, [body])

    def test_whole_body_at_once(self) -> None:
        """Is what `deliverBody` would give, and takes its place."""
        response = self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        self.assertTrue(response.is_whole)
        self.assertEqual(response.whole_body(), [b"hello"])
        self.assertRaises(RuntimeError, response.deliverBody, Protocol())

    def test_body_is_given_once(self) -> None:
        """A body cannot be had twice."""
        response = self.answer(HELLO)
        self.collect(response)
        with self.assertRaises(RuntimeError):
            self.collect(response)
