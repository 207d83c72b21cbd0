"""One connection of a caller: Twisted's HTTPChannel, with our reading of heads and quick sending.

Differences from Twisted's: a request head is read as a whole and by `promproxy.web.head`; a body is
read when its resource asks for it; the pieces of an answer are collected and sent at once; a caller
that is slow with a head or a body is not waited for; and one timer serves all of that, which is not
made anew for every request.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, ISSLTransport, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel

from promproxy.http.direct import send
from promproxy.web.body import RequestBody
from promproxy.web.head import MAX_HEAD, RequestRefused

#: A caller has so many seconds for a whole request head, from its first byte on, and for the first
#: one from the beginning of the connection.
HEAD_SECONDS = 10.0
#: So many seconds may pass without a byte of a body that somebody waits for.
BODY_SECONDS = 10.0
#: How long a caller that sends what nobody reads may take to see the answer to it.
LINGER_SECONDS = 2.0
#: How long an idle connection is given to close in order.
CLOSE_SECONDS = 15.0


class Channel(HTTPChannel):
    """One connection. Its requests are answered one at a time, in their order.

    What arrives before an answer is out is kept (Twisted calls that raw mode), and `requestDone`
    plays it back; but what belongs to the body of the request goes there.
    """

    # A "line" is a whole head here.
    delimiter = b"\r\n\r\n"
    MAX_LENGTH = MAX_HEAD

    waits_since: float | None = None
    site: Any  # given by the site; it is the one of ours
    requests: list[Any]
    requestFactory: Any
    timeOut: float | None  # type: ignore[assignment]
    _idle_seconds = 0.0
    _is_deaf = False  # what arrives is thrown away
    _body: RequestBody | None = None  # that of the request under way, until it has arrived

    def __init__(self) -> None:
        super().__init__()
        self._unsent: list[bytes] = []
        self._late_call: IDelayedCall | None = None
        self._late_at = 0.0
        self._host: Any = None

    def connectionMade(self) -> None:
        """A caller is there."""
        self._idle_seconds = self.timeOut or 0.0
        self.timeOut = HEAD_SECONDS
        super().connectionMade()
        self.waits_since = self.site.reactor.seconds()
        self.site.connections.add(self)

    # What arrives.

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the caller."""
        if self._is_deaf:
            return
        # Past Twisted's, which only resets the timer: half a head does not buy more time.
        super(HTTPChannel, self).dataReceived(data)
        if self._buffer and self.line_mode and self.waits_since is None:
            self.waits_since = self.site.reactor.seconds()
            self.setTimeout(HEAD_SECONDS)

    def lineReceived(self, line: bytes) -> None:
        """A request head, without its blank line."""
        self.waits_since = None
        try:
            head = self.site.read_head(line)
        except RequestRefused as refused:
            self._refuse(refused)
            return
        request = self.requestFactory(self)
        self.requests.append(request)
        self.persistent = head.stays_open
        self._savedTimeOut = self._idle_seconds
        self.setTimeout(None)
        self._handlingRequest = True
        self.setRawMode()
        if head.fields.body_length:
            self._body = request.body = RequestBody(head.fields.body_length, self)
        request.begin(head)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A head without an end."""
        self._refuse(RequestRefused(431, f"a request head has at most {MAX_HEAD} bytes"))

    def rawDataReceived(self, data: bytes) -> None:
        """Some of the body, or requests that have to wait for an answer."""
        if self._body is not None and self._body.is_wanted:
            self.setTimeout(BODY_SECONDS)
            self._feed_body(self._body, data)
            return
        self._dataBuffer.append(data)
        too_much = sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize
        if too_much and not self._waitingForTransport:
            self._networkProducer.pauseProducing()  # until `requestDone`, or `read_body`

    # The body of the request under way; its `RequestBody` calls these.

    def read_body(self) -> None:
        """Hand over what has arrived of it, and read on."""
        body = self._body
        if body is None:
            return
        self.setTimeout(BODY_SECONDS)
        held = b"".join(self._dataBuffer)
        self._dataBuffer.clear()
        if held:
            self._feed_body(body, held)
        elif not self._buffer and self.requests[0].expects_to_be_asked():
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        if body.is_wanted and not self._waitingForTransport:
            self._networkProducer.resumeProducing()

    def pause_body(self) -> None:
        """Read no further."""
        self.setTimeout(None)
        if not self._waitingForTransport:
            self._networkProducer.pauseProducing()

    def _feed_body(self, body: RequestBody, data: bytes) -> None:
        piece = body.take(data)
        if body.surplus:
            self._dataBuffer.append(body.surplus)
        if body.is_over:
            self._body = None
            self.setTimeout(None)
        body.pass_on(piece)

    # Callers that are refused.

    def _refuse(self, refused: RequestRefused) -> None:
        """Say why, and close: what follows cannot be told from a body."""
        body = f"{refused.text}\n".encode()
        allow = b"Allow: GET, HEAD, POST\r\n" if refused.status == 405 else b""
        phrase = RESPONSES.get(refused.status, b"Request Header Fields Too Large")
        self.write(
            b"HTTP/1.1 %d %b\r\n%b%bConnection: close\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
            % (refused.status, phrase, self.site.standing_fields(), allow, len(body), body)
        )
        self._linger()

    def _linger(self) -> None:
        """Close for someone who may still be sending.

        Closed at once, the system would answer what comes next by a reset, which can overtake our
        answer.
        """
        self._is_deaf = True
        self.flush()
        transport: Any = self.transport
        if not _can_half_close(transport):
            self.loseConnection()
            return
        transport.unregisterProducer()
        transport.resumeProducing()
        transport.loseWriteConnection()
        self.setTimeout(LINGER_SECONDS)

    # What is sent.

    def write(self, data: bytes) -> None:
        """Part of an answer; `flush` sends it."""
        self._unsent.append(data)

    def writeSequence(self, iovec: Any) -> None:
        """Parts of an answer; `flush` sends them."""
        self._unsent.extend(iovec)

    def flush(self) -> None:
        """Send what was written."""
        if self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            send(self.transport, data)

    def requestDone(self, request: Any) -> None:
        """The answer is complete: send it before the next request is looked at."""
        self.flush()
        if self._body is not None:  # nobody wants the rest of it
            self._body = None
            self.requests.remove(request)
            self._linger()
        else:
            super().requestDone(request)

    def loseConnection(self) -> None:
        """Close once everything is sent."""
        self.flush()
        super().loseConnection()

    def abort(self) -> None:
        """Close at once."""
        transport: Any = self.transport
        transport.abortConnection()

    def getHost(self) -> Any:
        """Our own address, which takes a system call, once."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    # What takes too long. Twisted's mixin would make a timer anew for each request.

    @property
    def idle_since(self) -> float | None:
        """Since when there has been nothing to do, None while there is."""
        if self.timeOut is None or self.requests:
            return None
        return self._late_at - self.timeOut

    def setTimeout(self, period: float | None) -> float | None:
        """Something has to come within so many seconds from now on; None: nothing has to."""
        before, self.timeOut = self.timeOut, period
        if period is not None:
            self._late_at = self.site.reactor.seconds() + period
            if self._late_call is None:
                self._late_call = self.callLater(period, self._check_late)
            elif self._late_at < self._late_call.getTime():
                self._late_call.reset(period)
        return before

    def _check_late(self) -> None:
        self._late_call = None
        if self.timeOut is None:
            return
        left = self._late_at - self.site.reactor.seconds()
        if left > 0:
            self._late_call = self.callLater(left, self._check_late)
        else:
            self.timeoutConnection()

    def timeoutConnection(self) -> None:
        """Close. It is no news for the log."""
        if self._is_deaf or self.requests:
            self.abort()
        elif self._buffer:
            self._refuse(RequestRefused(408, f"a request head has {HEAD_SECONDS:g} s"))
        else:
            self._is_deaf = True
            self.loseConnection()
            self.setTimeout(CLOSE_SECONDS)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The caller is gone."""
        self._unsent.clear()
        self.site.connections.discard(self)
        body, self._body = self._body, None
        super().connectionLost(reason)
        if body is not None:
            body.broke_off("the caller left in the middle of the body")
        if self._late_call is not None:
            self._late_call.cancel()
            self._late_call = None


def _can_half_close(transport: Any) -> bool:
    return ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport)
