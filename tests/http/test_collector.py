"""Tests of promproxy.http.collector; its users' tests cover what they change of it."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from promproxy.errors import CutShort
from promproxy.http.collector import BodyCollector


class BodyCollectorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.transport = StringTransport()
        self.collector = BodyCollector(4, ValueError("too large"))
        self.collector.makeConnection(self.transport)

    def test_whole_body(self) -> None:
        """Its end may also be that of the connection."""
        for end in (ResponseDone(), PotentialDataLoss()):
            self.setUp()
            self.collector.dataReceived(b"ab")
            self.collector.dataReceived(b"cd")
            self.collector.connectionLost(Failure(end))
            self.assertEqual(self.successResultOf(self.collector.whole), b"abcd")

    def test_too_large(self) -> None:
        """The connection is closed, and what still arrives is dropped."""
        for piece in (b"abc", b"de", b"fg"):
            self.collector.dataReceived(piece)
        self.failureResultOf(self.collector.whole, ValueError)
        self.collector.connectionLost(Failure(ResponseDone()))
        self.assertEqual((self.transport.producerState, self.collector.pieces), ("stopped", []))

    def test_broken_off(self) -> None:
        self.collector.dataReceived(b"ab")
        self.collector.connectionLost(Failure(ConnectionLost()))
        failure = self.failureResultOf(self.collector.whole, CutShort)
        self.assertIsInstance(failure.value.__cause__, ConnectionLost)

    def test_cancelled(self) -> None:
        self.collector.whole.addErrback(lambda _: None)
        self.collector.whole.cancel()
        self.assertEqual(self.transport.producerState, "stopped")
