"""CONNECT through an HTTP proxy, as a Twisted endpoint."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from promproxy.errors import Unreachable
from promproxy.http.framing import ResponseReader
from promproxy.outbound.origin import Origin
from promproxy.outbound.request import render_headers

#: What a 407 means.
PROXY_REFUSED = "HTTP proxy asks for other credentials"


def connect_request(origin: Origin) -> bytes:
    """The CONNECT for this origin, which has a proxy."""
    assert origin.proxy is not None
    peer = origin.peer_authority
    headers = [(b"Host", peer)]
    if origin.proxy.authorization is not None:
        headers.append((b"Proxy-Authorization", origin.proxy.authorization))
    return b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (peer, render_headers(headers))


class QuietFactory(Factory):
    """A factory for one connection that logs nothing."""

    noisy = False


@implementer(IStreamClientEndpoint)
@frozen
class TunnelEndpoint:
    """Connects to what lies behind a proxy; ``request`` is the whole CONNECT."""

    _proxy: IStreamClientEndpoint
    _request: bytes

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fires with the factory's protocol, connected; fails with :class:`Unreachable`."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, inner: IProtocolFactory) -> IProtocol:
        tunnel = _Tunnel()
        await self._proxy.connect(QuietFactory.forProtocol(lambda: tunnel))
        await tunnel.open(self._request)
        return tunnel.carry(inner)


class _Tunnel(Protocol):
    """Speaks to the proxy first, then only hands through."""

    transport: Any

    def __init__(self) -> None:
        self._reader = ResponseReader(head_only=True)
        self._opened: Deferred[None] | None = None
        self._inner: IProtocol | None = None

    def open(self, request: bytes) -> Deferred[None]:
        self._opened = Deferred(self._cancelled)
        self.transport.write(request)
        return self._opened

    def _cancelled(self, _opened: Deferred[None]) -> None:
        self._opened = None
        self.transport.abortConnection()

    def carry(self, factory: IProtocolFactory) -> IProtocol:
        inner = self._inner = factory.buildProtocol(self.transport.getPeer())
        assert inner is not None
        inner.makeConnection(self.transport)
        return inner

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._reader.feed(data)
        head = self._reader.head
        if self._reader.error is not None:
            self._refused("HTTP proxy sent no usable answer")
        elif head is None or self._opened is None:
            return
        elif head.code == 407:
            self._refused(PROXY_REFUSED)
        elif head.code // 100 != 2:
            self._refused("HTTP proxy refused the connection")
        elif self._reader.trailing_data:  # nothing was sent through the tunnel yet
            self._refused("HTTP proxy sent no usable answer")
        else:
            opened, self._opened = self._opened, None
            opened.callback(None)

    def _refused(self, reason: str) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self.transport.abortConnection()
            opened.errback(Unreachable(reason))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            self._refused("HTTP proxy closed the connection")
