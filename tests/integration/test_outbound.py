"""The agent over real sockets on 127.0.0.1."""

from __future__ import annotations

import ssl as standard_ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from promproxy.errors import BadUpstream, CutShort, UncleanClose, Unreachable
from promproxy.outbound.agent import OutboundAgent, make_agent
from promproxy.outbound.origin import HttpProxy, Origin, Router, basic_credentials, split_url
from promproxy.outbound.pool import PoolLimits
from promproxy.outbound.request import start_request
from promproxy.outbound.response import Response
from promproxy.outbound.tls import make_tls_profile
from tests.integration.certificates import Authority
from tests.integration.servers import Scripted, ScriptedFactory, TLSServer, answers

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CLOSING = OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"
AUTHORITY = Authority()


@implementer(IHostnameResolver)
class FixedResolver:
    """Knows these names only."""

    def __init__(self, **names: list[object]) -> None:
        self._names = names

    def resolveHostName(
        self, receiver: Any, host: str, portNumber: int = 0, *_: Any, **__: Any
    ) -> Any:
        receiver.resolutionBegan(None)
        for kind, address in self._names.get(host, []):
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()
        return receiver


@implementer(IHostnameResolver)
class SilentResolver:
    """Never answers."""

    def resolveHostName(self, receiver: Any, *_: Any, **__: Any) -> Any:
        receiver.resolutionBegan(self)
        return self

    def cancel(self) -> None:
        """What a resolution under way offers."""


class OutboundCase(TestCase):
    """An agent, and servers that go away with the test."""

    timeout = 20

    def setUp(self) -> None:
        self.agent = self.make_agent()

    def make_agent(self, **options: Any) -> OutboundAgent:
        trust = trustRootFromCertificates([Certificate.loadPEM(AUTHORITY.pem)])
        agent = make_agent(reactor, **{"tls": make_tls_profile(trust_root=trust), **options})
        self.addCleanup(agent.close)
        return agent

    def serve(self, script: Callable[[Scripted, int], None]) -> tuple[ScriptedFactory, int]:
        factory = ScriptedFactory(script)
        port = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
        self.addCleanup(self.end, factory, port)
        return factory, port.getHost().port

    def end(self, factory: ScriptedFactory, port: Any) -> Deferred[None]:
        """Stop listening, and wait until the clients' connections are gone too."""
        for connection in factory.connections:
            connection.transport.abortConnection()
        gone = Deferred.fromCoroutine(self.until(lambda: factory.lost == len(factory.connections)))
        return gone.addCallback(lambda _: port.stopListening())

    def serve_tls(self, *names: str, answer: bytes = HELLO, **options: Any) -> TLSServer:
        path = self.mktemp()
        Path(path).write_bytes(AUTHORITY.issue(*names))
        server = TLSServer(path, answer, **options)
        # In a thread, as its connections may end only when the reactor runs on.
        self.addCleanup(deferToThread, server.stop)
        return server

    def resolve(self, **names: list[object]) -> None:
        before = reactor.installNameResolver(FixedResolver(**names))
        self.addCleanup(reactor.installNameResolver, before)

    def send(self, url: str, method: bytes = b"GET", **ways: Any) -> Deferred[Response]:
        origin, path = split_url(url, **ways)
        return self.send_to(origin, path, method)

    def send_to(self, origin: Origin, path: bytes, method: bytes = b"GET") -> Deferred[Response]:
        head = start_request(origin, method, path) + b"\r\n"
        return self.agent.send(origin, head, head_only=method == b"HEAD")

    async def fetch(self, url: str, **ways: Any) -> bytes:
        return await treq.content(await self.send(url, **ways))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the reactor or another process brings about."""
        while not condition():
            await deferLater(reactor, 0.002)

    async def refused(self, answer: Coroutine[Any, Any, Any] | Deferred[Any], *kinds: Any) -> str:
        """The text of the error that this must end with."""
        try:
            await answer
        except kinds as error:
            assert error.__cause__ is None or str(error) not in str(error.__cause__)
            return str(error)
        raise AssertionError("it did not fail")


def run(case: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], Deferred[None]]:
    """A test from a coroutine function (trial of Twisted 22.4 does not run those)."""

    def test(self: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(case(self))

    test.__name__, test.__doc__ = case.__name__, case.__doc__
    return test


class PlainTests(OutboundCase):
    """Scripted upstreams without TLS."""

    @run
    async def test_connection_is_kept_and_reused(self) -> None:
        """Several scrapes share one connection."""
        server, port = self.serve(answers(HELLO))
        for _ in range(3):
            assert await self.fetch(f"http://127.0.0.1:{port}/m") == b"hello"
        assert len(server.connections) == 1
        assert server.requests[0] == b"GET /m HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port

    @run
    async def test_head(self) -> None:
        """HEAD leaves the connection usable, though a length was announced."""
        server, port = self.serve(
            lambda connection, number: connection.transport.write(
                HELLO[:-5] if number == 1 else HELLO
            )
        )
        response = await self.send(f"http://127.0.0.1:{port}/", b"HEAD")
        assert response.length == 0
        assert await self.fetch(f"http://127.0.0.1:{port}/") == b"hello"
        assert len(server.connections) == 1

    @run
    async def test_byte_by_byte(self) -> None:
        """An answer that arrives in single bytes is the same answer."""

        def trickle(connection: Scripted, _number: int, sent: int = 0) -> None:
            if sent < len(HELLO):
                connection.transport.write(HELLO[sent : sent + 1])
                reactor.callLater(0.001, trickle, connection, 0, sent + 1)

        _server, port = self.serve(trickle)
        assert await self.fetch(f"http://127.0.0.1:{port}/") == b"hello"

    @run
    async def test_connection_closed_while_idle(self) -> None:
        """A connection that the upstream closed is not used again."""

        def answer_and_close(connection: Scripted, _number: int) -> None:
            connection.transport.write(HELLO)
            connection.transport.loseConnection()

        server, port = self.serve(answer_and_close)
        for _ in range(2):
            assert await self.fetch(f"http://127.0.0.1:{port}/") == b"hello"
            await deferLater(reactor, 0.02)
        assert len(server.connections) == 2

    @run
    async def test_stale_connection_is_tried_again(self) -> None:
        """An upstream that closes or resets on the second request gets it on a new connection."""
        for end in ("loseConnection", "abortConnection"):

            def script(connection: Scripted, number: int, end: str = end) -> None:
                if number == 2:
                    getattr(connection.transport, end)()
                else:
                    connection.transport.write(HELLO)

            server, port = self.serve(script)
            for _ in range(2):
                assert await self.fetch(f"http://127.0.0.1:{port}/") == b"hello"
            assert (len(server.connections), len(server.requests)) == (2, 3)

    @run
    async def test_surplus_never_reaches_the_next_scrape(self) -> None:
        """Bytes after an answer, with it or later, end the connection."""

        def script(connection: Scripted, number: int) -> None:
            connection.transport.write(HELLO + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            reactor.callLater(0.02, connection.transport.write, HELLO.replace(b"hello", b"later"))

        server, port = self.serve(script)
        for _ in range(3):
            assert await self.fetch(f"http://127.0.0.1:{port}/") == b"hello"
            await deferLater(reactor, 0.04)
        assert len(server.connections) == 3

    @run
    async def test_cut_bodies(self) -> None:
        """A body that is cut by a close or a reset fails after what arrived."""
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        for data, end in (
            (OK + b"Content-Length: 9\r\n\r\nhello", "loseConnection"),
            (OK + b"Content-Length: 9\r\n\r\nhello", "abortConnection"),
            (chunked, "loseConnection"),
            (chunked, "abortConnection"),
            (OK + b"\r\nhello", "abortConnection"),
        ):

            def script(connection: Scripted, _: int, data: bytes = data, end: str = end) -> None:
                connection.transport.write(data)
                reactor.callLater(0.02, getattr(connection.transport, end))

            _, port = self.serve(script)
            got: list[bytes] = []
            response = await self.send(f"http://127.0.0.1:{port}/")
            await self.refused(treq.collect(response, got.append), CutShort)
            assert got == [b"hello"]

    @run
    async def test_tls_that_ends_without_goodbye(self) -> None:
        """A body that ends with such a connection may be cut; a profile may take it as whole."""
        answer = OK + b"Connection: close\r\n\r\nhello"
        server = self.serve_tls("localhost", answer=answer)
        got: list[bytes] = []
        response = await self.send(f"https://localhost:{server.port}/")
        reason = await self.refused(treq.collect(response, got.append), UncleanClose)
        assert "without TLS's close_notify" in reason
        assert got == [b"hello"]
        trust = trustRootFromCertificates([Certificate.loadPEM(AUTHORITY.pem)])
        tls = make_tls_profile(trust_root=trust, allow_unclean_close=True)
        self.agent = self.make_agent(tls=tls)
        assert await self.fetch(f"https://localhost:{server.port}/") == b"hello"

    @run
    async def test_half_closed(self) -> None:
        """A body that ends with a half-close is whole."""

        def script(connection: Scripted, _number: int) -> None:
            connection.transport.write(OK + b"\r\nhello")
            connection.transport.loseWriteConnection()

        _, port = self.serve(script)
        assert await self.fetch(f"http://127.0.0.1:{port}/") == b"hello"

    @run
    async def test_no_usable_answer(self) -> None:
        """Nothing, half a head, garbage: a bad upstream, in a few fixed words."""
        for data, reason in (
            (b"", "connection closed without an answer"),
            (OK + b"Content-", "connection closed without an answer"),
            (b"220 mail ESMTP\r\n", "not an HTTP answer"),
        ):

            def script(connection: Scripted, _number: int, data: bytes = data) -> None:
                connection.transport.write(data)
                connection.transport.loseConnection()

            _, port = self.serve(script)
            answer = self.send(f"http://127.0.0.1:{port}/")
            assert await self.refused(answer, BadUpstream) == reason

    @run
    async def test_cancel_while_stalled(self) -> None:
        """Giving up on an upstream that says nothing ends its connection."""
        server, port = self.serve(lambda connection, number: None)
        answer = self.send(f"http://127.0.0.1:{port}/")
        await self.until(lambda: bool(server.requests))
        answer.cancel()
        await self.refused(answer, CancelledError)
        await self.until(lambda: server.lost == 1)

    @run
    async def test_stop_in_the_middle(self) -> None:
        """A reader that goes away ends the upstream's connection."""
        server, port = self.serve(answers(OK + b"Content-Length: 9\r\n\r\nhello"))
        response = await self.send(f"http://127.0.0.1:{port}/")
        done = treq.collect(response, lambda data: None)
        response.stopProducing()
        await self.refused(done, CutShort)
        await self.until(lambda: server.lost == 1)

    @run
    async def test_idle_connection_is_closed(self) -> None:
        """After the idle time-out the upstream sees its connection closed."""
        self.agent = self.make_agent(limits=PoolLimits(idle_seconds=0.05))
        server, port = self.serve(answers(HELLO))
        await self.fetch(f"http://127.0.0.1:{port}/")
        await self.until(lambda: server.lost == 1)

    @run
    async def test_concurrent_scrapes_each_get_their_own_answer(self) -> None:
        """Five hundred scrapes at once, twice: every body proves which request it answers."""

        def echo(connection: Scripted, number: int) -> None:
            path = connection.factory.requests[-1].split(b" ")[1]
            reactor.callLater(
                number % 7 / 1000,
                connection.transport.write,
                OK + b"Content-Length: %d\r\n\r\n%b" % (len(path), path),
            )

        server, port = self.serve(echo)
        for _ in range(2):
            waiting = [
                Deferred.fromCoroutine(self.fetch(f"http://127.0.0.1:{port}/{i}"))
                for i in range(500)
            ]
            for i, body in enumerate(waiting):
                assert await body == b"/%d" % i
        assert len(server.connections) <= 1000

    @run
    async def test_api_call_through_treq(self) -> None:
        """treq's client works on this agent, body and redirect included."""

        def script(connection: Scripted, number: int) -> None:
            moved = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
            connection.transport.write(moved if number == 2 else HELLO)

        server, port = self.serve(script)
        client = HTTPClient(self.agent)
        posted = await client.post(f"http://127.0.0.1:{port}/", data=b"a=b")
        assert await posted.content() == b"hello"
        got = await client.get(f"http://127.0.0.1:{port}/here")
        assert await got.text() == "hello"
        assert server.requests[2].startswith(b"GET /there HTTP/1.1\r\n")


class ConnectTests(OutboundCase):
    """Connections that cannot be made, or are made in a roundabout way."""

    @run
    async def test_refused(self) -> None:
        """A port where nobody listens."""
        port = reactor.listenTCP(0, ScriptedFactory(answers(b"")), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        reason = await self.refused(self.send(f"http://127.0.0.1:{number}/"), Unreachable)
        assert reason == "connection refused"

    @run
    async def test_unknown_name(self) -> None:
        """A name without an address, and one that cannot be a name."""
        self.resolve()
        for name in ("nowhere.test", "x" * 70 + ".test"):
            reason = await self.refused(self.send(f"http://{name}/"), Unreachable)
            assert reason == "name not found"

    @run
    async def test_next_address_is_tried(self) -> None:
        """A name with a dead address and a live one is reached."""
        self.resolve(twins=[(IPv6Address, "::1"), (IPv4Address, "127.0.0.1")])
        server, port = self.serve(answers(HELLO))
        assert await self.fetch(f"http://twins:{port}/") == b"hello"
        assert b"Host: twins:%d\r\n" % port in server.requests[0]

    @run
    async def test_time_limit_covers_the_handshake(self) -> None:
        """A server that accepts and then says nothing does not hold us up."""
        self.agent = self.make_agent(connect_timeout_seconds=0.1)
        server, port = self.serve(lambda connection, number: None)
        reason = await self.refused(self.send(f"https://127.0.0.1:{port}/"), Unreachable)
        assert reason == "connect timed out"
        await self.until(lambda: server.lost == 1)

    @run
    async def test_time_limit_covers_the_tunnel(self) -> None:
        """A proxy that does not answer a CONNECT does not hold us up."""
        self.agent = self.make_agent(connect_timeout_seconds=0.1)
        server, port = self.serve(lambda connection, number: None)
        proxy = HttpProxy(host="127.0.0.1", port=port)
        reason = await self.refused(self.send("https://up.test/", proxy=proxy), Unreachable)
        assert reason == "connect timed out"
        await self.until(lambda: server.lost == 1)

    @run
    async def test_cancel_while_connecting(self) -> None:
        """Giving up in the middle of a handshake ends the connection."""
        server, port = self.serve(lambda connection, number: None)
        answer = self.send(f"https://127.0.0.1:{port}/")
        await self.until(lambda: bool(server.connections))
        answer.cancel()
        await self.refused(answer, CancelledError)
        await self.until(lambda: server.lost == 1)

    @run
    async def test_cancel_while_resolving(self) -> None:
        """Giving up while the name is looked up is a cancellation like any other."""
        before = reactor.installNameResolver(SilentResolver())
        self.addCleanup(reactor.installNameResolver, before)
        answer = self.send("http://slow.test/")
        answer.cancel()
        await self.refused(answer, CancelledError)

    @run
    async def test_plain_router(self) -> None:
        """Two routes share a connection to the router; each keeps its Host header."""
        server, port = self.serve(answers(HELLO))
        router = Router(scheme="http", host="127.0.0.1", port=port)
        for name in ("a", "b"):
            assert await self.fetch(f"https://{name}.test/m", router=router) == b"hello"
        hosts = [request.split(b"\r\n")[1] for request in server.requests]
        assert (hosts, len(server.connections)) == ([b"Host: a.test", b"Host: b.test"], 1)

    @run
    async def test_plain_proxy(self) -> None:
        """A plain request goes to the proxy in absolute form."""
        server, port = self.serve(answers(HELLO))
        proxy = HttpProxy(host="127.0.0.1", port=port)
        assert await self.fetch("http://up.test/m", proxy=proxy) == b"hello"
        assert server.requests[0].startswith(b"GET http://up.test/m HTTP/1.1\r\n")


class Relay(Protocol):
    """One half of a proxied connection."""

    def __init__(self, other: Any) -> None:
        self.other = other

    def connectionMade(self) -> None:
        self.other.dataReceived = self.transport.write
        self.other.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.other.transport.write(data)

    def connectionLost(self, reason: object) -> None:
        self.other.transport.loseConnection()


class TunnelTests(OutboundCase):
    """CONNECT through an HTTP proxy."""

    def serve_proxy(self, upstream_port: int) -> tuple[ScriptedFactory, HttpProxy]:
        def script(connection: Scripted, _number: int) -> None:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", upstream_port)
            connectProtocol(endpoint, Relay(connection))

        server, port = self.serve(script)
        credentials = basic_credentials("u", "p")
        return server, HttpProxy(host="127.0.0.1", port=port, authorization=credentials)

    @run
    async def test_tls_through_a_tunnel(self) -> None:
        """The proxy sees the CONNECT and its credentials, the upstream our TLS."""
        upstream = self.serve_tls("up.test")
        server, proxy = self.serve_proxy(upstream.port)
        for _ in range(2):
            assert await self.fetch("https://up.test/m", proxy=proxy) == b"hello"
        assert server.requests == [
            b"CONNECT up.test:443 HTTP/1.1\r\nHost: up.test:443\r\n"
            b"Proxy-Authorization: Basic dTpw\r\n\r\n"
        ]
        assert upstream.requests == [b"GET /m HTTP/1.1\r\nHost: up.test\r\n\r\n"] * 2

    @run
    async def test_plain_router_through_a_tunnel(self) -> None:
        """A router behind a proxy is reached by CONNECT, with the route's Host header."""
        upstream, port = self.serve(answers(HELLO))
        server, proxy = self.serve_proxy(port)
        router = Router(scheme="http", host="10.0.0.5", port=80)
        assert await self.fetch("http://up.test/m", proxy=proxy, router=router) == b"hello"
        assert server.requests[0].startswith(b"CONNECT 10.0.0.5:80 HTTP/1.1\r\n")
        assert upstream.requests == [b"GET /m HTTP/1.1\r\nHost: up.test\r\n\r\n"]

    @run
    async def test_refusals(self) -> None:
        """Whatever a proxy says but 2xx makes the upstream unreachable."""
        for data, reason in (
            (b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nnope", "refused the connection"),
            (b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\n", "refused the connection"),
            (b"HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno", "asks for other credentials"),
            (b"HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n", "asks for other credentials"),
            (b"SSH-2.0\r\n", "no usable answer"),
            (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "no usable answer"),
            (b"", "closed the connection"),
        ):

            def script(connection: Scripted, _number: int, data: bytes = data) -> None:
                connection.transport.write(data)
                if not data:
                    connection.transport.loseConnection()

            _, port = self.serve(script)
            proxy = HttpProxy(host="127.0.0.1", port=port)
            answer = self.send("https://up.test/", proxy=proxy)
            text = await self.refused(answer, Unreachable)
            assert text.startswith("HTTP proxy") and text.endswith(reason), text


class TLSTests(OutboundCase):
    """TLS, verified against the test's own authority."""

    @run
    async def test_verified_by_name_and_address(self) -> None:
        """The route's name is shown and verified, wherever the connection goes."""
        server = self.serve_tls("a.test", "127.0.0.1")
        router = Router(scheme="https", host="127.0.0.1", port=server.port)
        for url in ("https://a.test/", "http://a.test/", "https://127.0.0.1/"):
            assert await self.fetch(url, router=router) == b"hello"
        assert server.sni == ["a.test", None]

    @run
    async def test_each_name_has_its_own_connection(self) -> None:
        """Behind a TLS router every name is shown to the router in a handshake of its own."""
        server = self.serve_tls("a.test", "b.test")
        router = Router(scheme="https", host="127.0.0.1", port=server.port)
        for name in ("a", "b", "a"):
            assert await self.fetch(f"https://{name}.test/", router=router) == b"hello"
        assert server.sni == ["a.test", "b.test"]

    @run
    async def test_certificate_not_accepted(self) -> None:
        """Wrong name or unknown authority: no request is sent, and the connection ends."""
        server = self.serve_tls("a.test")
        router = Router(scheme="https", host="127.0.0.1", port=server.port)
        ours = trustRootFromCertificates([Certificate.loadPEM(AUTHORITY.pem)])
        other = trustRootFromCertificates([Certificate.loadPEM(Authority().pem)])
        for number, (name, profile) in enumerate(
            (
                ("b.test", make_tls_profile(trust_root=ours)),
                ("a.test", make_tls_profile(trust_root=other)),
                ("a.test", make_tls_profile(trust_root=ours, server_name="c.test")),
                ("127.0.0.1", make_tls_profile(trust_root=ours)),
            ),
            1,
        ):
            self.agent = self.make_agent(tls=profile)
            answer = self.send(f"https://{name}/", router=router)
            assert await self.refused(answer, Unreachable) == "TLS certificate not accepted"
            await self.until(lambda number=number: server.ended == number)
        assert server.requests == []

    @run
    async def test_other_profiles(self) -> None:
        """Another name to verify, and no verification."""
        server = self.serve_tls("a.test")
        router = Router(scheme="https", host="127.0.0.1", port=server.port)
        ours = trustRootFromCertificates([Certificate.loadPEM(AUTHORITY.pem)])
        for name, profile in (
            ("b.test", make_tls_profile(trust_root=ours, server_name="a.test")),
            ("b.test", make_tls_profile(trust_root=None)),
        ):
            self.agent = self.make_agent(tls=profile)
            assert await self.fetch(f"https://{name}/", router=router) == b"hello"

    @run
    async def test_no_tls_there(self) -> None:
        """A server that speaks no TLS, and one that closes at the first word of it."""
        _, port = self.serve(answers(HELLO))
        for act in (
            lambda connection, _data: connection.transport.write(b"HTTP/1.1 400 No\r\n\r\n"),
            lambda connection, _data: connection.transport.loseConnection(),
        ):
            self.patch(Scripted, "dataReceived", act)
            reason = await self.refused(self.send(f"https://127.0.0.1:{port}/"), Unreachable)
            assert reason == "TLS handshake failed"

    @run
    async def test_sessions_are_resumed(self) -> None:
        """The second handshake with an origin is an abbreviated one; another name's is not."""
        for version in (standard_ssl.TLSVersion.TLSv1_3, standard_ssl.TLSVersion.TLSv1_2):
            server = self.serve_tls("a.test", "b.test", answer=CLOSING, version=version)
            router = Router(scheme="https", host="127.0.0.1", port=server.port)
            for name in ("a", "a", "b", "a"):
                assert await self.fetch(f"https://{name}.test/", router=router) == b"hello"
            assert server.reused == [False, True, False, True], version

    @run
    async def test_resumed_session_is_still_verified(self) -> None:
        """Sessions are kept per name, so another name is verified in full."""
        server = self.serve_tls("a.test", answer=CLOSING)
        router = Router(scheme="https", host="127.0.0.1", port=server.port)
        await self.fetch("https://a.test/", router=router)
        answer = self.send("https://b.test/", router=router)
        assert await self.refused(answer, Unreachable) == "TLS certificate not accepted"

    @run
    async def test_close_does_not_wait_for_a_deaf_server(self) -> None:
        """A server that does not answer the TLS goodbye cannot hold up closing."""
        server = self.serve_tls("127.0.0.1", deaf=True)
        assert await self.fetch(f"https://127.0.0.1:{server.port}/") == b"hello"
        await self.agent.close().addTimeout(2, reactor)

    @run
    async def test_truncated_close_delimited_body(self) -> None:
        """Without TLS's own goodbye, the end of the connection is no end of the body."""
        server = self.serve_tls("a.test", answer=OK + b"Connection: close\r\n\r\nhello")
        router = Router(scheme="https", host="127.0.0.1", port=server.port)
        await self.refused(self.fetch("https://a.test/", router=router), CutShort)


class Stalling:
    """A consumer that keeps what it is given until it is told to go on, as a full buffer does."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.taken = 0
        self.most = 0
        self._stalled: Any = None

    def stall(self, producer: Any) -> None:
        self._stalled = producer
        producer.pauseProducing()

    def go_on(self) -> None:
        producer, self._stalled = self._stalled, None
        self.kept.clear()
        producer.resumeProducing()

    def write(self, data: bytes) -> None:
        self.taken += len(data)
        if self._stalled is not None:
            self.kept.append(data)
            self.most = max(self.most, sum(map(len, self.kept)))


def resident() -> int:
    """The bytes of memory this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class BackPressureTests(OutboundCase):
    """A long answer and a reader that stalls."""

    timeout = 60
    size = 200 << 20

    def flood(self, *pem: str) -> int:
        """Start a process that sends the long answer; its port."""
        script = str(Path(__file__).with_name("flood.py"))
        child = subprocess.Popen(
            [sys.executable, script, str(self.size), *pem],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        assert child.stdin and child.stdout
        self.addCleanup(child.stdin.close)
        self.addCleanup(child.stdout.close)
        return int(child.stdout.readline())

    async def stream(self, url: str, **ways: Any) -> None:
        """Read the answer with stalls, before the body is asked for and in the middle."""
        await self.fetch_start(url, **ways)
        before = resident()
        response = await self.send(url, **ways)
        await deferLater(reactor, 0.5)
        assert resident() - before < 8 << 20
        consumer, highest = Stalling(), 0
        done = treq.collect(response, consumer.write)
        for _ in range(10):
            await deferLater(reactor, 0.01)
            consumer.stall(response)
            await deferLater(reactor, 0.1)
            highest = max(highest, resident() - before)
            consumer.go_on()
        await done
        highest = max(highest, resident() - before)
        assert consumer.taken == self.size
        assert consumer.most <= 1 << 18, consumer.most
        assert highest < 8 << 20, highest

    async def fetch_start(self, url: str, **ways: Any) -> None:
        """A first answer, given up at once, so that what is made only once is there."""
        response = await self.send(url, **ways)
        done = treq.collect(response, lambda data: response.stopProducing())
        await self.refused(done, CutShort)

    @run
    async def test_plain(self) -> None:
        """Memory does not grow with what a stalled reader leaves unread."""
        await self.stream(f"http://127.0.0.1:{self.flood()}/")

    @run
    async def test_tls(self) -> None:
        """Nor does it with TLS."""
        path = self.mktemp()
        Path(path).write_bytes(AUTHORITY.issue("127.0.0.1"))
        await self.stream(f"https://127.0.0.1:{self.flood(path)}/")
