"""One connection of a caller: Twisted's HTTPChannel, with our reading of heads and quick sending.

Differences from Twisted's: a request head is read as a whole and by `promproxy.web.head`, the
pieces of an answer are collected and sent at once, and the timer for idle connections is not
made anew for every request.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel

from promproxy.http.direct import send
from promproxy.web.head import MAX_HEAD, RequestRefused


class Channel(HTTPChannel):
    """One connection. Its requests are answered one at a time, in their order.

    What arrives before an answer is out is kept (Twisted calls that raw mode), and `requestDone`
    plays it back. Requests have no bodies: a head that announces one is refused.
    """

    # A "line" is a whole head here.
    delimiter = b"\r\n\r\n"
    MAX_LENGTH = MAX_HEAD

    _refused = False
    site: Any  # given by the site; it is the one of ours
    requests: list[Any]
    requestFactory: Any
    timeOut: float | None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self._unsent: list[bytes] = []
        self._idle_call: IDelayedCall | None = None
        self._idle_until = 0.0
        self._host: Any = None

    # What arrives.

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the caller."""
        if not self._refused:
            # Past Twisted's, which only resets the timer: half a head does not buy more time.
            super(HTTPChannel, self).dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """A request head, without its blank line."""
        try:
            head = self.site.read_head(line)
        except RequestRefused as refused:
            self._refuse(refused)
            return
        request = self.requestFactory(self)
        self.requests.append(request)
        self.persistent = head.stays_open
        self._savedTimeOut = self.setTimeout(None)
        self._handlingRequest = True
        self.setRawMode()
        request.begin(head)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A head without an end."""
        self._refuse(RequestRefused(431, f"a request head has at most {MAX_HEAD} bytes"))

    def rawDataReceived(self, data: bytes) -> None:
        """Requests that have to wait for an answer."""
        self._dataBuffer.append(data)
        too_much = sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize
        if too_much and not self._waitingForTransport:
            self._networkProducer.pauseProducing()  # until `requestDone`

    def _refuse(self, refused: RequestRefused) -> None:
        """Say why, and close: what follows cannot be told from a body."""
        self._refused = True
        body = f"{refused.text}\n".encode()
        allow = b"Allow: GET, HEAD, POST\r\n" if refused.status == 405 else b""
        phrase = RESPONSES.get(refused.status, b"Request Header Fields Too Large")
        self.write(
            b"HTTP/1.1 %d %b\r\n%b%bConnection: close\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
            % (refused.status, phrase, self.site.standing_fields(), allow, len(body), body)
        )
        self.loseConnection()

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
        super().requestDone(request)

    def loseConnection(self) -> None:
        """Close once everything is sent."""
        self.flush()
        super().loseConnection()

    def getHost(self) -> Any:
        """Our own address, which takes a system call, once."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    # Idle connections. Twisted's mixin would make a timer anew for each request.

    def setTimeout(self, period: float | None) -> float | None:
        """The connection may be idle for so many seconds from now on; None: it is not idle."""
        before, self.timeOut = self.timeOut, period
        if period is not None:
            self._idle_until = self.site.reactor.seconds() + period
            if self._idle_call is None:
                self._idle_call = self.callLater(period, self._check_idle)
        return before

    def _check_idle(self) -> None:
        self._idle_call = None
        if self.timeOut is None:
            return
        left = self._idle_until - self.site.reactor.seconds()
        if left > 0:
            self._idle_call = self.callLater(left, self._check_idle)
        else:
            self.timeoutConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The caller is gone."""
        self._unsent.clear()
        super().connectionLost(reason)
        if self._idle_call is not None:
            self._idle_call.cancel()
            self._idle_call = None
