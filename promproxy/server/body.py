"""The body of a request: read only on demand, and no faster than its reader takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as TypingProtocol
from typing import cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from promproxy.errors import CutShort, PromproxyError
from promproxy.http.bodies import ChunkedBody, ContentLengthBody
from promproxy.http.collector import BodyCollector
from promproxy.http.head import CHUNKED

# Twisted has no types for this.
_failure: Callable[[Exception], Failure] = Failure


class BodyTooLarge(PromproxyError):
    """A request has a larger body than is wanted."""


class Connection(TypingProtocol):
    """The connection of a body, as far as it needs one."""

    def read_body(self) -> None:
        """Hand over what has arrived, and read on."""

    def pause_body(self) -> None:
        """Stop reading."""

    def abort(self) -> None:
        """Close at once."""


@implementer(IPushProducer)
class RequestBody:
    """Nothing of it is read before `deliver` or `read_all`, of which one may be called, once.

    It is the transport, and so the push producer, of the protocol that it is delivered to.
    ``length`` is None where only the end will tell. An answer that is given before the body was
    read to its end ends the connection.
    """

    def __init__(self, length: int, connection: Connection) -> None:
        self.length = None if length == CHUNKED else length
        self._framing = ChunkedBody() if length == CHUNKED else ContentLengthBody(length)
        self._connection = connection
        self._protocol: IProtocol | None = None
        self.is_reading = False  # it is to be read now
        self.extends_timeout = True  # each piece of it does; else all of it must come in time

    @property
    def is_read(self) -> bool:
        """Whether all of it has arrived."""
        return self._framing.done

    def deliver(self, protocol: IProtocol) -> None:
        """Send it to this protocol.

        Its ``connectionLost`` gets :class:`twisted.web.client.ResponseDone` when the body is
        whole, :class:`promproxy.errors.CutShort` when it broke off.
        """
        self._protocol = protocol
        self.is_reading = True
        # Body protocols use no more of a transport than the producer and the closing verbs.
        protocol.makeConnection(cast(ITransport, self))
        if self.is_reading:
            self._connection.read_body()

    def read_all(self, max_size: int) -> Deferred[bytes]:
        """All of it, which must not take long.

        Fails with BodyTooLarge, or with CutShort where it broke off.
        """
        too_large = BodyTooLarge(f"the body may have at most {max_size} bytes")
        if self.length is not None and self.length > max_size:
            return fail(too_large)
        self.extends_timeout = False
        collector = _Collector(max_size, too_large)
        self.deliver(collector)
        return collector.whole

    # What its protocol may ask for.

    def pauseProducing(self) -> None:
        self.is_reading = False
        self._connection.pause_body()

    def resumeProducing(self) -> None:
        if self._protocol is not None:
            self.is_reading = True
            self._connection.read_body()

    def stopProducing(self) -> None:
        """Abort the connection: what follows on it could not be told from the body."""
        if not self.is_read:
            self._connection.abort()

    loseConnection = abortConnection = stopProducing

    # What the connection tells.

    def receive(self, data: bytes) -> bytes:
        """Pass on what has arrived, the end included; returns the bytes after the body.

        The protocol may answer the request at once.
        """
        piece = self._framing.feed(data)
        if piece and self._protocol is not None:
            self._protocol.dataReceived(piece)
        if self._framing.broken:
            self.broke_off(self._framing.broken)
        elif self._framing.done:
            self._end(_failure(ResponseDone()))
        return self._framing.trailing_data

    @property
    def is_malformed(self) -> bool:
        """Whether its chunks make no sense, so that where it ends cannot be told."""
        return self._framing.broken != ""

    def broke_off(self, why: str) -> None:
        """No more of it will come."""
        self._end(_failure(CutShort(why)))

    def _end(self, reason: Failure) -> None:
        self.is_reading = False
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)


class _Collector(BodyCollector):
    def fail(self, error: Exception) -> None:
        self.transport.pauseProducing()  # closed, it could not be answered
        self.whole.errback(error)

    def broken_off(self, reason: Failure) -> Failure:
        return reason  # CutShort already
