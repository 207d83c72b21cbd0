"""Tests of promproxy.scrape.merged.body."""

from __future__ import annotations

import gzip

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from promproxy.errors import BadUpstream, CutShort
from promproxy.scrape.merged.body import Gunzip, TargetBody
from promproxy.scrape.merged.budget import Budget

DONE = Failure(ResponseDone())  # type: ignore[no-untyped-call]
CUT = Failure(CutShort("x"))  # type: ignore[no-untyped-call]


class GunzipTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=99), max_size=4), st.integers(1, 50))
    def test_members_in_pieces(self, members: list[bytes], size: int) -> None:
        """Whatever the pieces are, as one."""
        data = b"".join(gzip.compress(member) for member in members)
        decoder = Gunzip()
        decoded = [decoder.decode(data[i : i + size], 9999) for i in range(0, len(data), size)]
        self.assertEqual(b"".join(decoded), b"".join(members))
        assert decoder.is_whole

    @given(st.binary(min_size=1, max_size=99), st.integers(1, 20))
    def test_a_cut(self, body: bytes, missing: int) -> None:
        decoder = Gunzip()
        decoder.decode(gzip.compress(body)[:-missing], 9999)
        assert not decoder.is_whole

    def test_a_bomb_is_not_unpacked(self) -> None:
        """One byte more than the limit tells enough."""
        self.assertEqual(len(Gunzip().decode(gzip.compress(bytes(10_000_000)), 1000)), 1001)

    def test_garbage(self) -> None:
        for data in (b"xyz", gzip.compress(b"x") + b"xyz"):
            self.assertRaises(BadUpstream, Gunzip().decode, data, 99)


class CollectorTests(SynchronousTestCase):
    def collector(self, *, is_gzip: bool = False) -> tuple[TargetBody, StringTransport]:
        """One with a limit of ten bytes."""
        collector, transport = TargetBody(10, Budget(99), is_gzip=is_gzip), StringTransport()
        collector.makeConnection(transport)
        return collector, transport

    def test_a_whole_body(self) -> None:
        collector, _ = self.collector()
        collector.dataReceived(b"abc")
        collector.dataReceived(b"def")
        collector.connectionLost(DONE)
        self.assertEqual(self.successResultOf(collector.whole), b"abcdef")

    def test_a_cut(self) -> None:
        collector, _ = self.collector()
        collector.dataReceived(b"abc")
        collector.connectionLost(CUT)
        self.failureResultOf(collector.whole, BadUpstream)

    def test_too_large(self) -> None:
        """The connection is given up, and what comes still is not kept."""
        collector, transport = self.collector()
        for _ in range(3):
            collector.dataReceived(b"abcdef")
        failure = self.failureResultOf(collector.whole, BadUpstream)
        self.assertEqual(failure.value.reason, "its answer is larger than 10 bytes")
        self.assertEqual(transport.producerState, "stopped")
        collector.connectionLost(CUT)

    def test_gzip(self) -> None:
        collector, _ = self.collector(is_gzip=True)
        collector.dataReceived(gzip.compress(b"abc"))
        collector.connectionLost(DONE)
        self.assertEqual(self.successResultOf(collector.whole), b"abc")

    def test_gzip_that_ends_early(self) -> None:
        collector, _ = self.collector(is_gzip=True)
        collector.dataReceived(gzip.compress(b"abc")[:-1])
        collector.connectionLost(DONE)
        self.failureResultOf(collector.whole, BadUpstream)

    def test_cancelling(self) -> None:
        """The connection is given up."""
        collector, transport = self.collector()
        collector.whole.addErrback(lambda _: None)
        collector.whole.cancel()
        self.assertEqual(transport.producerState, "stopped")
