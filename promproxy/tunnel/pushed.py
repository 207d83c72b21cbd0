"""The body of a push: a whole answer, of which no more than the head is ever held."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from promproxy.errors import BadUpstream, CutShort, PromproxyError, UnknownScrape
from promproxy.http.framing import MAX_HEAD, ResponseReader
from promproxy.outbound.response import Response

_ID = re.compile(rb"\r\nid:[ \t]*([!-~]{1,100})[ \t]*\r\n", re.IGNORECASE)
#: Go writes this version where a client could not scrape, and made the answer up itself.
_NO_VERSION = b"HTTP/0.0 "
_OLD_VERSION = b"HTTP/1.0 "


class Awaited(TypingProtocol):
    """A scrape that waits for an answer."""

    @property
    def head_only(self) -> bool:
        """Whether it is a HEAD, whose answer has no body."""

    @property
    def answer(self) -> Deferred[Response]:
        """Fires with the answer."""


class PushedAnswer(Protocol):
    """Hands an answer to the scrape that waits for it as soon as its head has arrived.

    ``take`` finds the scrape of an id, and raises UnknownScrape. ``done`` fires when all of the
    answer was passed on; it fails with UnknownScrape where nobody wants it (any more), with
    BadUpstream where it is no answer, and with CutShort where the push broke off.
    """

    transport: Any

    def __init__(self, take: Callable[[str], Awaited]) -> None:
        self.done: Deferred[None] = Deferred()
        self._take = take
        self._partial = b""
        self._reader: ResponseReader | None = None
        self._response: Response | None = None
        self._is_paused = False

    # What the body of the push tells.

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        reader, response = self._reader, self._response
        if reader is None or response is None:
            self._look_for_head(data)
            return
        body = reader.feed(data)
        if body:
            response.deliver(body)
        self._look_for_end(reader, response)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All of it has arrived, or nothing more will."""
        if self.done.called:
            return
        reader, response = self._reader, self._response
        if reader is None or response is None:
            self._refuse(BadUpstream("a push ends before the head of its answer"))
            return
        reader.end(clean=reason.check(ResponseDone) is not None)
        self._look_for_end(reader, response)

    def _look_for_head(self, data: bytes) -> None:
        self._partial += data
        end = self._partial.find(b"\r\n\r\n") + 4
        if end == 3:
            if len(self._partial) > MAX_HEAD:
                self._refuse(BadUpstream("the head of a pushed answer is too large"))
            return
        raw, self._partial = self._partial, b""
        found = _ID.search(raw, 0, end)
        try:
            if found is None:
                raise UnknownScrape("the pushed answer has no Id")
            scrape = self._take(found[1].decode())
        except UnknownScrape as error:
            self._refuse(error)
            return
        self._begin(raw, scrape)

    def _begin(self, raw: bytes, scrape: Awaited) -> None:
        if raw.startswith(_NO_VERSION):
            raw = _OLD_VERSION + raw[len(_NO_VERSION) :]
        reader = self._reader = ResponseReader(head_only=scrape.head_only)
        body = reader.feed(raw)
        if reader.head is None:
            error = reader.error or BadUpstream("its answer is an interim one")
            scrape.answer.errback(error)
            self._refuse(error)
            return
        response = self._response = Response(reader.head, self)
        if body:
            response.deliver(body)
        if reader.done:  # before anybody is told: then all of it leaves at once
            response.finish()
        scrape.answer.callback(response)
        self._look_for_end(reader, response)

    def _look_for_end(self, reader: ResponseReader, response: Response) -> None:
        if self.done.called:  # the scrape ended while it was given this
            return
        if reader.error is not None:
            response.finish(reader.error)
            self._refuse(reader.error)
        elif reader.done:
            if not response.is_whole:
                response.finish()
            self.done.callback(None)
        elif response.unread:
            self.pause()

    def _refuse(self, error: PromproxyError) -> None:
        self._partial = b""
        self.done.errback(error)

    # What the answer asks for.

    def pause(self) -> None:
        if not self._is_paused and not self.done.called:
            self._is_paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        if self._is_paused and not self.done.called:
            self._is_paused = False
            self.transport.resumeProducing()

    def abort(self) -> None:
        response, self._response = self._response, None
        if response is not None and not self.done.called:
            self._refuse(UnknownScrape("the scrape is over"))
            response.finish(CutShort("the reader stopped reading"))
