"""Tests of TLS connections of callers: promproxy.server.tls, and how a channel ends them."""

from __future__ import annotations

from contextlib import suppress as ignoring
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy.daemon.server_tls import make_server_context
from promproxy.server.channel import CLOSE_SECONDS, HEAD_SECONDS, LAST_ANSWER_SECONDS
from promproxy.server.settings import TlsServer
from promproxy.server.site import KEEP_ALIVE_SECONDS, PromproxySite
from promproxy.server.tls import ServerConnections, TlsFactory
from tests.fakes import Caller, Wire, settle
from tests.integration.certificates import Authority

PEER = IPv4Address("TCP", "192.0.2.1", 5)


class TcpWire(Wire):
    """What TLS needs of a transport besides."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class Page(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Length", b"2")
        return b"up"


class TlsTestCase(SynchronousTestCase):
    """A client, in memory, of a site behind TLS."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.connections = ServerConnections(self.context())
        self.site = PromproxySite(Page(), self.clock, max_connections=2)
        self.connect()

    def context(self) -> SSL.Context:
        own = self.folder / "own.pem"
        own.write_bytes(Authority().issue("localhost"))
        return make_server_context(TlsServer(cert_file=own, key_file=own))

    def connect(self) -> None:
        self.wire = TcpWire(peerAddress=PEER)
        self.protocol = TlsFactory(self.connections, self.site).buildProtocol(PEER)
        self.protocol.makeConnection(self.wire)
        self.client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        self.client.set_connect_state()

    def exchange(self) -> bytes:
        """Carry bytes to and fro; what the client has read."""
        read = b""
        for _ in range(5):
            with ignoring(SSL.WantReadError):
                self.client.do_handshake()
            with ignoring(SSL.WantReadError):
                self.protocol.dataReceived(self.client.bio_read(65536))
            settle(self.clock)
            if self.wire.value():
                self.client.bio_write(self.wire.value())
                self.wire.clear()
            with ignoring(SSL.WantReadError, SSL.ZeroReturnError):
                read += self.client.recv(65536)
        return read

    def ask(self, *headers: str, method: str = "GET") -> bytes:
        lines = [f"{method} / HTTP/1.1", "Host: p", *headers, "", ""]
        self.exchange()
        self.client.send("\r\n".join(lines).encode())
        return self.exchange()


class ConnectionTests(TlsTestCase):
    """From the handshake to the end."""

    def test_answer(self) -> None:
        self.assertTrue(self.ask().endswith(b"\r\n\r\nup"))
        self.assertTrue(self.ask().endswith(b"\r\n\r\nup"))

    def test_new_connections_are_made_with_the_newest(self) -> None:
        """One that is there goes on with what it has."""
        self.exchange()
        before = self.client.get_peer_certificate()
        self.connections.newest = self.context()
        self.assertTrue(self.ask().endswith(b"up"))
        self.connect()
        self.assertTrue(self.ask().endswith(b"up"))
        self.assertNotEqual(
            before.to_cryptography(), self.client.get_peer_certificate().to_cryptography()
        )

    def test_silent_caller(self) -> None:
        """Has ten seconds for the handshake and the first request together."""
        self.clock.advance(HEAD_SECONDS + 0.1)
        self.assertTrue(self.wire.aborted)

    def test_half_a_handshake(self) -> None:
        """Does not buy more time."""
        with ignoring(SSL.WantReadError):
            self.client.do_handshake()
        hello = self.client.bio_read(65536)
        self.clock.advance(HEAD_SECONDS - 1)
        self.protocol.dataReceived(hello[:20])
        self.clock.advance(1.1)
        self.assertTrue(self.wire.aborted)

    def test_no_tls_at_all(self) -> None:
        """Is told so in plain text, ends at once, and is counted."""
        self.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: p\r\n\r\n")
        self.assertTrue(self.wire.disconnecting or self.wire.aborted)
        self.assertTrue(self.wire.value().startswith(b"HTTP/1.0 400 "))
        self.assertIn(b"write https://", self.wire.value())
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.site.gate.refused, {"tls": 1})

    def test_end_that_is_no_failure(self) -> None:
        self.ask()
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.site.gate.refused, {})

    def test_too_many_connections(self) -> None:
        """Those that have not asked for anything make room."""
        first = self.wire
        self.connect()
        self.connect()
        self.assertTrue(first.aborted)


class EndTests(TlsTestCase):
    """A caller that does not say goodbye: it is waited for 15 s, and no longer."""

    def check(self, seconds: float = CLOSE_SECONDS) -> None:
        self.assertFalse(self.wire.aborted)
        self.clock.advance(seconds - 1)
        self.assertFalse(self.wire.aborted)
        self.clock.advance(1.1)
        self.assertTrue(self.wire.aborted)

    def test_after_the_last_answer(self) -> None:
        """That the caller has asked for as the last one."""
        self.assertIn(b"Connection: close", self.ask("Connection: close"))
        self.check(LAST_ANSWER_SECONDS)  # it may be long, and the caller slow

    def test_after_a_refused_request(self) -> None:
        """Whose body nobody reads."""
        self.assertTrue(self.ask("Content-Length: 9").startswith(b"HTTP/1.1 413 "))
        self.check()

    def test_after_a_pause(self) -> None:
        """That was too long."""
        self.ask()
        self.clock.advance(KEEP_ALIVE_SECONDS + 0.1)
        self.check()

    def test_without_tls(self) -> None:
        """A caller that does not take the rest of the last answer."""
        caller = Caller(self.site, self.clock)
        self.wire = caller.wire
        caller.send("GET", "/", Connection="close")
        self.assertTrue(self.wire.disconnecting)
        self.check(LAST_ANSWER_SECONDS)
