"""The agent of one outbound profile: pool, connector and retry joined.

Scrapes use :meth:`OutboundAgent.send` with a request rendered beforehand; API calls go through
``treq.client.HTTPClient(agent)``, which uses :meth:`OutboundAgent.request`.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from promproxy.outbound.connect import Connector
from promproxy.outbound.connection import ConnectionOwner, StaleConnection, UpstreamConnection
from promproxy.outbound.origin import HttpProxy, Origin, split_url
from promproxy.outbound.pool import Pool, PoolLimits
from promproxy.outbound.request import render_headers, start_request
from promproxy.outbound.response import ClientRequest, Response
from promproxy.outbound.tls import TLSProfile

#: Bytes of a request body; API calls and token requests stay far below.
MAX_REQUEST_BODY = 1 << 20

#: Idle connections are looked at this many times within the idle time-out.
_SWEEPS = 8


class ConnectionFactory(TypingProtocol):
    """What the agent needs of a connector."""

    def connect(self, origin: Origin, owner: ConnectionOwner) -> Deferred[UpstreamConnection]:
        """A connection to an origin, new."""

    def keep_session(self, connection: UpstreamConnection) -> None:
        """The connection has served: its TLS session may be resumed."""


def make_agent(
    reactor: Any,
    *,
    tls: TLSProfile,
    proxy: HttpProxy | None = None,
    limits: PoolLimits | None = None,
    connect_timeout_seconds: float = 10.0,
) -> OutboundAgent:
    """An agent with its own connections.

    ``reactor`` provides ``IReactorTime``, ``IReactorTCP`` and ``IReactorPluggableNameResolver``.
    ``connect_timeout_seconds`` covers name, TCP, tunnel and TLS handshake. ``proxy`` is for
    :meth:`OutboundAgent.request`; for ``send`` the origin says it.
    """
    connector = Connector(reactor, tls, connect_timeout_seconds)
    return OutboundAgent(reactor, connector, limits or PoolLimits(), proxy)


@implementer(IAgent)
class OutboundAgent:
    """Sends requests over kept-alive connections.

    Both ways of asking fail with :class:`promproxy.errors.Unreachable` or
    :class:`promproxy.errors.BadUpstream`; cancelling gives up the connection attempt or aborts
    the connection. Redirects are not followed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        connector: ConnectionFactory,
        limits: PoolLimits,
        proxy: HttpProxy | None,
    ) -> None:
        self._clock = clock
        self._connector = connector
        self._proxy = proxy
        self._pool: Pool[UpstreamConnection] = Pool(limits)
        self._sweep_interval = limits.idle_seconds / _SWEEPS
        self._sweeping: IDelayedCall | None = None
        self._closing: dict[UpstreamConnection, float] = {}  # and since when
        self._closed = False
        self._waiting_for_close: list[Deferred[None]] = []

    def send(self, origin: Origin, head: bytes, *, head_only: bool = False) -> Deferred[Response]:
        """Send a whole request as rendered; fires when the answer's head is there.

        ``head_only`` must be true for a HEAD. A GET or HEAD that finds its kept connection
        closed is sent once more on a new one.
        """
        connection = self._pool.take(origin.key)
        if connection is None:
            return Deferred.fromCoroutine(self._send_fresh(origin, head, head_only))
        answer = connection.send(head, head_only=head_only)
        return answer.addErrback(self._retry, origin, head, head_only)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """``IAgent``: the body, at most :data:`MAX_REQUEST_BODY` bytes, is read before sending.

        Fails with :class:`ValueError` for a request that cannot be written.
        """
        return Deferred.fromCoroutine(self._request(method, uri, headers, bodyProducer))

    def close(self) -> Deferred[None]:
        """Close the idle connections; fires when they are gone.

        Requests under way go on, and their connections close after them.
        """
        self._closed = True
        for connection in self._pool.clear():
            self._close(connection)
        gone: Deferred[None] = Deferred()
        self._waiting_for_close.append(gone)
        self._check_closed()
        return gone

    async def _send_fresh(self, origin: Origin, head: bytes, head_only: bool) -> Response:
        connection = await self._connector.connect(origin, self)
        return await connection.send(head, head_only=head_only)

    def _retry(
        self, failure: Failure, origin: Origin, head: bytes, head_only: bool
    ) -> Deferred[Response]:
        if isinstance(failure.value, StaleConnection) and head.startswith((b"GET ", b"HEAD ")):
            return Deferred.fromCoroutine(self._send_fresh(origin, head, head_only))
        return fail(failure)

    async def _request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        producer: IBodyProducer | None,
    ) -> IResponse:
        origin, path = split_url(uri.decode("ascii"), proxy=self._proxy)
        headers = headers or Headers()
        lines = [
            (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
            if name.lower() not in (b"host", b"content-length")
        ]
        body = b"" if producer is None else await _read_body(producer)
        if producer is not None or method in (b"POST", b"PUT", b"PATCH"):
            lines.append((b"Content-Length", b"%d" % len(body)))
        head = start_request(origin, method, path) + render_headers(lines) + b"\r\n"
        response = await self.send(origin, head + body, head_only=method == b"HEAD")
        response.request = ClientRequest(method, uri, headers)
        return response

    # What connections tell.

    def released(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """A connection's exchange is over."""
        if connection.exchanges == 1:
            self._connector.keep_session(connection)
        if not reusable or self._closed:
            self._close(connection)
            return
        for surplus in self._pool.put(connection.key, connection, self._clock.seconds()):
            self._close(surplus)
        self._sweep_later()

    def lost(self, connection: UpstreamConnection) -> None:
        """A connection is closed, or of no more use."""
        self._pool.discard(connection)
        if self._closing.pop(connection, None) is not None:
            self._check_closed()

    def _sweep_later(self) -> None:
        if self._sweeping is None and (self._pool or self._closing):
            self._sweeping = self._clock.callLater(self._sweep_interval, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self._clock.seconds()
        limit = now - self._sweep_interval
        overdue = [one for one, since in self._closing.items() if since <= limit]
        for connection in self._pool.expire(now):
            self._close(connection)
        for connection in overdue:
            connection.abort()
        self._sweep_later()

    def _close(self, connection: UpstreamConnection) -> None:
        self._closing[connection] = self._clock.seconds()
        connection.close()
        self._sweep_later()

    def _check_closed(self) -> None:
        if self._closed and not self._closing:
            if self._sweeping is not None:
                self._sweeping.cancel()
                self._sweeping = None
            waiting, self._waiting_for_close = self._waiting_for_close, []
            for gone in waiting:
                gone.callback(None)


class _Body:
    """Collects what a body producer writes, up to the limit."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_REQUEST_BODY:
            raise ValueError("request body too large")
        self._pieces.append(data)

    def value(self) -> bytes:
        return b"".join(self._pieces)


async def _read_body(producer: Any) -> bytes:
    body = _Body()
    # Of our own: a producer's Deferred need not fire once it was stopped, and treq's does not.
    done: Deferred[None] = Deferred(lambda _: producer.stopProducing())
    producer.startProducing(body).chainDeferred(done)
    await done
    return body.value()
