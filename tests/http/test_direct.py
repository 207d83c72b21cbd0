"""Tests of promproxy.http.direct."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.tcp import Server
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from promproxy.http import direct
from promproxy.http.direct import write_now, writev_now


@implementer(IReactorFDSet)
class Watched:
    """A reactor that only remembers who wants to write."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None: ...

    def removeReader(self, reader: Any) -> None: ...

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)


class Silent:
    """A protocol that does nothing."""

    def connectionLost(self, reason: Failure) -> None: ...


class SendTests(SynchronousTestCase):
    """A real TCP transport over a pair of sockets; the test plays the reactor."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(self.theirs.close)
        ours.setblocking(False)
        self.theirs.setblocking(False)
        self.reactor = Watched()
        self.transport = Server(ours, Silent(), ("", 0), None, 1, self.reactor)

    def send(self, transport: Any, data: bytes) -> None:
        write_now(transport, data)

    def arrived(self) -> bytes:
        data = b""
        try:
            while piece := self.theirs.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        return data

    def test_idle_connection_sends_at_once(self) -> None:
        """Before the reactor turns, and without asking it for anything."""
        self.send(self.transport, b"hello")
        self.assertEqual(self.arrived(), b"hello")
        self.assertEqual(self.reactor.writers, set())

    def test_order_is_kept_where_something_waits(self) -> None:
        """It goes behind that."""
        self.transport.write(b"first")
        self.send(self.transport, b" second")
        self.assertEqual(self.arrived(), b"")
        self.transport.doWrite()
        self.assertEqual(self.arrived(), b"first second")

    def test_what_the_socket_does_not_take_is_sent_later(self) -> None:
        """All of it, once."""
        data = bytes(range(256)) * 40_000
        self.send(self.transport, data)
        self.assertEqual(self.reactor.writers, {self.transport})
        received = self.arrived()
        while self.reactor.writers:
            self.transport.doWrite()
            received += self.arrived()
        self.assertEqual(received, data)

    def test_closed_connection(self) -> None:
        """Takes nothing more; one that is closing sends what was there, and no more."""
        self.transport.write(b"last")
        self.transport.loseConnection()
        self.send(self.transport, b" more")
        self.transport.doWrite()
        self.assertEqual(self.arrived()[:4], b"last")

    def test_dead_connection_is_left_to_the_reactor(self) -> None:
        """Which meets the error when it writes."""
        self.theirs.close()
        self.send(self.transport, b"a")
        self.send(self.transport, b"b")
        self.assertEqual(self.reactor.writers, {self.transport})
        self.assertIsInstance(self.transport.doWrite(), Exception)

    def test_encrypted_transport_is_never_bypassed(self) -> None:
        """Its socket would send clear text."""
        written: list[bytes] = []
        self.transport.TLS = True
        self.transport.write = written.append  # as the mixin for TLS has it
        self.send(self.transport, b"secret")
        self.assertEqual((self.arrived(), written), (b"", [b"secret"]))

    def test_any_other_transport_writes(self) -> None:
        """A wrapper above all, though it hands out the attributes of what it wraps."""

        class Wrapper(StringTransport):
            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

        inner = self.transport
        wrapper = Wrapper()
        self.send(wrapper, b"secret")
        self.assertEqual((self.arrived(), wrapper.value()), (b"", b"secret"))

    def test_private_fields_that_are_gone(self) -> None:
        """A Twisted of tomorrow may not have them: then as ever."""
        del self.transport._tempDataBuffer
        written: list[bytes] = []
        self.transport.write = written.append
        self.send(self.transport, b"a")
        self.assertEqual((self.arrived(), written), (b"", [b"a"]))


class PiecesTests(SendTests):
    """The same holds for pieces, which are sent without being joined."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(direct, "_LARGE", 0)

    def send(self, transport: Any, data: bytes) -> None:
        middle = len(data) // 2
        writev_now(transport, [data[:middle], memoryview(data)[middle:]])

    def test_more_pieces_than_the_system_takes_at_once(self) -> None:
        writev_now(self.transport, [b"ab"] * 5000)
        self.assertEqual(self.arrived(), b"ab" * 5000)

    def test_large_pieces_are_not_copied(self) -> None:
        """That is what it is for: the transport's own way, which takes one piece, is not used."""
        self.transport.writeSomeData = None
        self.send(self.transport, b"hello")
        self.assertEqual(self.arrived(), b"hello")
