"""The Twisted protocol of one upstream connection: one exchange at a time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from promproxy.errors import BadUpstream, CutShort, PromproxyError, UncleanClose
from promproxy.http.bodies import Piece
from promproxy.http.direct import write_now
from promproxy.http.framing import ResponseReader
from promproxy.outbound.response import Response


class StaleConnection(BadUpstream):
    """A connection that had served before ended without a byte of this answer.

    Most likely the upstream had closed it while it was idle, so asking again is reasonable.
    """


NO_GOODBYE = (
    "the connection ended without TLS's close_notify, so its answer may be cut; if it always does, "
    "see allow_unclean_close"
)


class ConnectionOwner(TypingProtocol):
    """Is notified of what happens to a connection."""

    def released(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """Its exchange is over; the owner may reuse it, if it is reusable, or closes it."""

    def lost(self, connection: UpstreamConnection) -> None:
        """It is closed, or is about to be and must not be used."""


@implementer(IHandshakeListener)
class UpstreamConnection(Protocol):
    """One connection to an upstream.

    ``key`` is the origin's; ``exchanges`` counts the answers that arrived whole.
    """

    transport: Any

    def __init__(
        self, owner: ConnectionOwner, key: Hashable, *, allow_unclean_close: bool = False
    ) -> None:
        self.key = key
        self._allow_unclean_close = allow_unclean_close
        self.exchanges = 0
        self._owner = owner
        self._secured: Deferred[None] | None = None
        self._reader: ResponseReader | None = None
        self._answer: Deferred[Response] | None = None
        self._response: Response | None = None
        self._heard = False  # a byte of the current answer has come
        self._paused = False
        self._aborted = False  # closed or aborted by us
        self._gone = False

    # Before the first exchange.

    @property
    def encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return bool(ISSLTransport.providedBy(self.transport))

    def secured(self) -> Deferred[None]:
        """Fires when the TLS handshake is through, or fails with what ended it."""
        self._secured = Deferred(self._cancelled)
        return self._secured

    def handshakeCompleted(self) -> None:
        """Twisted tells that the TLS handshake is through."""
        secured, self._secured = self._secured, None
        if secured is not None:
            secured.callback(None)

    # An exchange.

    def send(self, request: bytes, *, head_only: bool = False) -> Deferred[Response]:
        """Send a whole request; fires with its answer once the head is there.

        Cancelling aborts the connection. Fails with :class:`BadUpstream`.
        """
        self._reader = ResponseReader(head_only=head_only)
        self._heard = False
        answer: Deferred[Response] = Deferred(self._cancelled)
        self._answer = answer
        write_now(self.transport, request)
        return answer

    def _cancelled(self, _waiting: Deferred[Any]) -> None:
        self._answer = self._secured = None
        self.abort()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of an answer, or unsolicited ones."""
        reader = self._reader
        if self._aborted:
            return
        if reader is None:
            # Unsolicited: no request may ever get it as its answer.
            self._owner.lost(self)
            self.abort()
            return
        self._heard = True
        body = reader.feed(data)
        response = self._response
        if response is None:
            if reader.head is None:
                if reader.error is not None:
                    self._fail(reader.error)
                return
            response = self._begin(reader, body)
        elif body:
            response.deliver(body)
        if self._response is not response or self._aborted:
            return
        if reader.error is not None:
            self._fail(reader.error)
        elif reader.done:
            self._complete(response, reusable=reader.reusable)
        elif response.unread:
            self.pause()

    def _begin(self, reader: ResponseReader, body: Piece) -> Response:
        """The head is there, and perhaps some of the body: hand the answer out."""
        assert reader.head is not None and self._answer is not None
        response = self._response = Response(reader.head, self)
        answer, self._answer = self._answer, None
        if body:
            response.deliver(body)
        if reader.done:
            self._complete(response, reusable=reader.reusable)
        answer.callback(response)
        return response

    def _complete(self, response: Response, *, reusable: bool) -> None:
        """The answer is whole: let go of everything, then let the next exchange begin."""
        self._reader = self._response = None
        self.exchanges += 1
        self.resume()
        self._owner.released(self, reusable=reusable)
        response.finish()

    def _fail(self, error: PromproxyError) -> None:
        """No good can come of this connection any more."""
        answer, response = self._answer, self._response
        self._reader = self._answer = self._response = None
        self.abort()
        if response is not None:
            response.finish(error)
        elif answer is not None:
            answer.errback(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whatever was under way has ended."""
        self._gone = True
        self._owner.lost(self)
        if self._secured is not None:
            secured, self._secured = self._secured, None
            secured.errback(reason)
        reader, response = self._reader, self._response
        if reader is None:
            return
        is_clean = not self._aborted and isinstance(reason.value, ConnectionDone)
        lacks_goodbye = not self._aborted and not is_clean and self.encrypted
        reader.end(clean=is_clean or (lacks_goodbye and self._allow_unclean_close))
        if lacks_goodbye and response is not None and reader.is_close_delimited:
            reader.error = UncleanClose(NO_GOODBYE)
        if response is not None and reader.done:
            self._reader = self._response = None
            response.finish()
        elif self._aborted:
            self._fail(CutShort("the reader stopped reading"))
        elif reader.error is not None:
            error = reader.error
            if not self._heard and self.exchanges:
                error = StaleConnection("connection closed without an answer")
            error.__cause__ = reason.value
            self._fail(error)

    # What the answer and the owner may ask for.

    def pause(self) -> None:
        """Stop reading; what was read already may still be delivered."""
        if not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def close(self) -> None:
        """Close a connection without an exchange in order; it may take the upstream's time."""
        self._aborted = True
        self.transport.loseConnection()
        if self.encrypted:
            # Twisted would wait for the upstream's close alert without a limit.
            self.transport.transport.loseConnection()

    def abort(self) -> None:
        """Close at once; what is under way is lost."""
        self._aborted = True
        if not self._gone:
            self.transport.abortConnection()
