"""Opens connections, within a time limit, and names what went wrong."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

from attrs import define, field
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import (
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from promproxy.errors import PromproxyError, Unreachable
from promproxy.outbound.connection import ConnectionOwner, UpstreamConnection
from promproxy.outbound.guard import GuardedEndpoint, refuse_denied
from promproxy.outbound.hostname import NamedEndpoint
from promproxy.outbound.http_proxy import QuietFactory, TunnelEndpoint, connect_request
from promproxy.outbound.networks import Networks
from promproxy.outbound.origin import Origin, is_address
from promproxy.outbound.tls import SessionCache, TLSProfile

#: For how many origins a TLS session is kept (a few kilobytes each).
MAX_SESSIONS = 4096

_REASONS = {
    ConnectionRefusedError: "connection refused",
    DNSLookupError: "name not found",
    ValueError: "name not found",  # NamedEndpoint's answer to one with a label too long or empty
    TimeoutError: "connect timed out",
    TCPTimedOutError: "connect timed out",
    NoRouteError: "no route to host",
    ConnectionClosed: "TLS handshake failed",  # before it was made: only TLS can say that
}


def reason_of(error: BaseException) -> str:
    """A short phrase for why a connection could not be made."""
    if isinstance(error, SSL.Error):
        # OpenSSL's errors are (library, function, reason) each; libraries give no codes.
        if "certificate verify failed" in str(error):
            return "TLS certificate not accepted"
        return "TLS handshake failed"
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    # Twisted has a class of its own only for an unreachable network.
    if getattr(error, "osError", None) == errno.EHOSTUNREACH:
        return "no route to host"
    return "connection failed"


@contextmanager
def _map_errors() -> Generator[None, None, None]:
    try:
        yield
    except PromproxyError:
        raise
    except Exception as error:
        raise Unreachable(reason_of(error)) from error


def _timed_out(_result: object, _seconds: float) -> NoReturn:
    raise Unreachable("connect timed out")


def _with_plain_cancel(
    attempt: Deferred[UpstreamConnection],
) -> Deferred[UpstreamConnection]:
    """The same attempt, but cancelling it fails with CancelledError only.

    Endpoints have errors of their own for it; a cancelled look-up says "name not found".
    """

    def cancel(made: Deferred[UpstreamConnection]) -> None:
        made.errback(CancelledError())
        attempt.cancel()

    def hand_over(result: Any) -> None:
        if not made.called:
            made.callback(result)

    made: Deferred[UpstreamConnection] = Deferred(cancel)
    attempt.addBoth(hand_over)
    return made


@define
class Connector:
    """Makes the connections of one agent.

    A connection counts as made once the TCP connection, the proxy's tunnel and the TLS
    handshake are there; all of that, and the look-up of the name, has ``timeout_seconds``.
    """

    _reactor: Any
    _tls: TLSProfile
    _timeout_seconds: float
    _sessions: SessionCache = field(factory=lambda: SessionCache(MAX_SESSIONS), init=False)

    def connect(self, origin: Origin, owner: ConnectionOwner) -> Deferred[UpstreamConnection]:
        """Fires with a connection ready for its first exchange.

        Fails with :class:`Unreachable`; cancelling gives up the attempt.
        """
        attempt = Deferred.fromCoroutine(self._connect(origin, owner))
        attempt.addTimeout(self._timeout_seconds, self._reactor, _timed_out)
        return _with_plain_cancel(attempt)

    def keep_session(self, connection: UpstreamConnection) -> None:
        """Remember the TLS session of a connection that has just served."""
        if connection.encrypted:
            handle = connection.transport.getHandle()
            self._sessions.keep(connection.key, handle.get_session())

    async def _connect(self, origin: Origin, owner: ConnectionOwner) -> UpstreamConnection:
        with _map_errors():
            connection = UpstreamConnection(
                owner, origin.key, allow_unclean_close=self._tls.allow_unclean_close
            )
            await self._endpoint(origin).connect(QuietFactory.forProtocol(lambda: connection))
            if origin.tls:
                await self._secure(connection, origin)
            return connection

    async def _secure(self, connection: UpstreamConnection, origin: Origin) -> None:
        await connection.secured()
        try:
            self._tls.check_name(connection.transport.getHandle(), origin.host)
        except Unreachable:
            connection.abort()
            raise

    def _endpoint(self, origin: Origin) -> IStreamClientEndpoint:
        if origin.proxy:
            endpoint = self._tcp_endpoint(origin.proxy.host, origin.proxy.port, None)
        else:
            endpoint = self._tcp_endpoint(*origin.peer, origin.denied)
        if origin.tunnel:
            endpoint = TunnelEndpoint(endpoint, connect_request(origin))
        if origin.tls:
            creator = self._tls.creator(origin.host, self._sessions.get(origin.key))
            endpoint = wrapClientTLS(creator, endpoint)
        return endpoint

    def _tcp_endpoint(self, host: str, port: int, denied: Networks | None) -> IStreamClientEndpoint:
        seconds = self._timeout_seconds
        if not is_address(host):
            if denied is not None:
                return GuardedEndpoint(self._reactor, host, port, seconds, denied)
            return NamedEndpoint(self._reactor, host, port, timeout=seconds)
        if denied is not None:
            refuse_denied(host, denied)
        # The reactor would look up an address too, in its thread pool.
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        return kind(self._reactor, host, port, timeout=seconds)
