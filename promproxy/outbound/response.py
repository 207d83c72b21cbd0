"""The answer: ``IResponse`` for treq, and itself the ``IPushProducer`` of its body.

Register it as the push producer of whatever the body is written to, then stream it:
``treq.collect(response, request.write)``. It never holds more than what was already on its way
when reading was paused: one read of the socket.

An answer that is not read to its end must be stopped (:meth:`Response.stopProducing`), or its
connection stays open and paused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as TypingProtocol
from typing import cast

from attrs import frozen
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from promproxy.errors import PromproxyError
from promproxy.http.bodies import Piece
from promproxy.http.head import Head

# Twisted has no types for this.
_failure: Callable[[Exception], Failure] = Failure

_DONE = _failure(ResponseDone())


class BodySource(TypingProtocol):
    """What an answer needs of the connection it comes from."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """Close at once."""


@implementer(IClientRequest)
@frozen
class ClientRequest:
    """The request, as ``IAgent`` callers expect it on a response."""

    method: bytes
    absoluteURI: bytes
    headers: Headers


@implementer(IResponse, IPushProducer)
class Response:
    """One answer.

    Besides what ``IResponse`` has, ``raw_headers`` are the headers as received: order, spelling
    and repetitions kept. ``length`` is 0 wherever no body can follow (HEAD, 204, 304).

    The body protocol's ``connectionLost`` gets :class:`twisted.web.client.ResponseDone` when the
    body is whole, :class:`promproxy.errors.CutShort` when it is not.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_end",
        "_headers",
        "_held",
        "_held_back",
        "_source",
        "code",
        "length",
        "phrase",
        "previousResponse",
        "raw_headers",
        "request",
        "version",
    )

    def __init__(self, head: Head, source: BodySource) -> None:
        self.version = (b"HTTP", 1, head.minor)
        self.code = head.code
        self.phrase = head.phrase
        self.raw_headers = head.headers
        self.length: int | str = head.length if head.length >= 0 else UNKNOWN_LENGTH
        self.request: IClientRequest | None = None
        self.previousResponse: IResponse | None = None
        self._headers: Headers | None = None
        self._source: BodySource | None = source
        self._asked = False  # for the body
        self._body: IProtocol | None = None
        self._held: list[Piece] = []
        self._held_back = False  # the consumer asked for a pause
        self._end: Failure | None = None

    @property
    def headers(self) -> Headers:
        """The headers as Twisted has them, made when first asked for."""
        if self._headers is None:
            self._headers = Headers()
            for name, value in self.raw_headers:
                self._headers.addRawHeader(name, value)
        return self._headers

    def setPreviousResponse(self, response: IResponse) -> None:
        """Remember the redirect that led here."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """Send the body to this protocol; may be called once."""
        if self._asked:
            raise RuntimeError("the body was asked for before")
        self._asked = True
        self._body = protocol
        # Body protocols use no more of a transport than the producer and the closing verbs.
        protocol.makeConnection(cast(ITransport, self))
        for data in self._take():
            protocol.dataReceived(bytes(data))
        if self._end is not None:
            self._tell_end(self._end)
        elif self._source is not None and not self._held_back:
            self._source.resume()

    def whole_body(self) -> list[Piece]:
        """All of it, where it `is_whole`; in place of `deliverBody`, which takes a twentieth of a
        scrape.
        """
        self._asked = True
        return self._take()

    def _take(self) -> list[Piece]:
        held, self._held = self._held, []
        return held

    # What the consumer of the body, and the body protocol by its transport, may ask for.

    def pauseProducing(self) -> None:
        """The consumer has enough for now."""
        self._held_back = True
        if self._source is not None:
            self._source.pause()

    def resumeProducing(self) -> None:
        self._held_back = False
        if self._source is not None and self._asked:
            self._source.resume()

    def stopProducing(self) -> None:
        """The rest is not wanted: abort the connection, unless all of the body has arrived."""
        if self._source is not None:
            self._source.abort()

    def loseConnection(self) -> None:
        """The same, by the name that body protocols use."""
        self.stopProducing()

    def abortConnection(self) -> None:
        """The same, by the name that body protocols use."""
        self.stopProducing()

    # What the connection tells.

    @property
    def is_whole(self) -> bool:
        """Has all of the body arrived?"""
        return self._end is _DONE

    @property
    def unread(self) -> bool:
        """Is the body still to be asked for?"""
        return not self._asked

    def deliver(self, data: Piece) -> None:
        """These bytes of the body arrived."""
        if self._body is None:
            self._held.append(data)
        else:
            self._body.dataReceived(bytes(data))

    def finish(self, error: PromproxyError | None = None) -> None:
        """The body is whole, or broke off with this error; nothing more comes."""
        self._source = None
        self._end = _DONE if error is None else _failure(error)
        self._tell_end(self._end)

    def _tell_end(self, end: Failure) -> None:
        # Let go of the body protocol: it holds us as its transport, which would be a cycle.
        body, self._body = self._body, None
        if body is not None:
            body.connectionLost(end)
