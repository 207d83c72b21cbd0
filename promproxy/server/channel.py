"""One connection of a caller: Twisted's HTTPChannel, with our reading of heads and quick sending.

Differences from Twisted's: a request head is read as a whole and by `promproxy.server.head`; a
body is read when its resource asks for it; the pieces of an answer are collected and sent at once;
a caller that is slow with a head or a body is not waited for; and one timer serves all of that,
which is not made anew for every request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IDelayedCall, ISSLTransport, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel

from promproxy.http.direct import writev_now
from promproxy.server.body import RequestBody
from promproxy.server.head import MAX_HEAD, RequestRefused
from promproxy.server.peer import Peer, peer_of

log = Logger()

#: For a whole request head from its first byte on, and for the first one of a connection.
HEAD_SECONDS = 10.0
#: Between two pieces of a body that is read; for all of one that is wanted as a whole.
BODY_SECONDS = 10.0
#: How long a caller whose body is not read may take to read the answer.
LINGER_SECONDS = 2.0
#: How long a connection is given to close in order: to read the rest, and in TLS to say goodbye.
CLOSE_SECONDS = 15.0
#: The same where it is an answer that is still to be read: a document may have many megabytes.
LAST_ANSWER_SECONDS = 60.0


class Channel(HTTPChannel):
    """One connection. Its requests are answered one at a time, in their order.

    What arrives before an answer is out is kept, and read once it is; but what belongs to the body
    of the request under way goes there when it is wanted.
    """

    awaiting_head_since: float | None = None
    site: Any  # given by the site; it is the one of ours
    requests: list[Any]
    requestFactory: Any
    timeOut: float | None  # type: ignore[assignment]
    _received = b""  # and not read so far
    _is_reading_heads = False
    _is_paused = False  # by us, because we have received enough
    _discarding = False  # what arrives is thrown away
    _body: RequestBody | None = None  # that of the request under way, until it has arrived
    _idle_seconds = 0.0
    _timeout_call: IDelayedCall | None = None
    _timeout_at = 0.0
    _host: Any = None
    _peer_address: Any = None
    _peer: Peer | None = None

    #: Called once: with None when the next request begins, or with why the connection ended.
    on_next: Callable[[Failure | None], None] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._unsent: list[bytes | memoryview] = []

    def connectionMade(self) -> None:
        self._idle_seconds = self.timeOut or 0.0
        self.timeOut = HEAD_SECONDS
        super().connectionMade()
        self.awaiting_head_since = self.site.reactor.seconds()
        self.site.connections.add(self)

    # What arrives.

    def dataReceived(self, data: bytes) -> None:
        if self._discarding:
            return
        self._received += data
        if self._body is not None and self._body.is_reading:
            if self._body.extends_timeout:
                self.setTimeout(BODY_SECONDS)
            self._feed_body(self._body)
            return
        if not self.requests:
            self._read_heads()
        if self.requests and len(self._received) > MAX_HEAD:
            self._pause()  # until the answer is out, or the body wanted

    def _read_heads(self) -> None:
        """Answer what has arrived, up to the first request whose answer takes time.

        A caller that asks without taking its answers waits too: they would fill the memory.
        """
        if self._is_reading_heads:
            return
        self._is_reading_heads = True
        while self._received and not (
            self.requests or self._discarding or self._waitingForTransport
        ):
            head, blank_line, rest = self._received.partition(b"\r\n\r\n")
            if len(head) > MAX_HEAD:
                self._refuse(RequestRefused(431, f"a request head has at most {MAX_HEAD} bytes"))
            elif not blank_line:
                if self.awaiting_head_since is None:  # half a head does not buy more time
                    self.awaiting_head_since = self.site.reactor.seconds()
                    self.setTimeout(HEAD_SECONDS)
                break
            else:
                self._received = rest
                self._begin(head)
        self._is_reading_heads = False

    def _begin(self, raw: bytes) -> None:
        """A request head has arrived, here without its blank line."""
        self.awaiting_head_since = None
        self._tell_next(None)
        try:
            head = self.site.read_head(raw)
        except RequestRefused as refused:
            refused.head_only = raw.startswith(b"HEAD ")
            self._refuse(refused)
            return
        request = self.requestFactory(self)
        self.requests.append(request)
        self.persistent = head.keep_alive
        self._handlingRequest = True  # to Twisted: read on while the answer is not taken
        self.setTimeout(None)
        if head.fields.body_length:
            self._body = request.body = RequestBody(head.fields.body_length, self)
        request.begin(head)

    def requestDone(self, request: Any) -> None:
        """The answer is complete: send it before the next request is looked at."""
        self.flush()
        self.requests.remove(request)
        body, self._body = self._body, None
        if body is not None and not body.is_read:  # where it ends may never be known
            self._linger()
        elif not self.persistent:
            self._discarding = True
            self.loseConnection()
            self.setTimeout(LAST_ANSWER_SECONDS)
        else:
            self._handlingRequest = False
            self.setTimeout(self._idle_seconds)
            if self._waitingForTransport:
                self._is_paused = False
                self._networkProducer.pauseProducing()
            else:
                self._resume()
                if self._received:
                    self._read_heads()

    def _pause(self) -> None:
        self._is_paused = True
        if not self._waitingForTransport:
            self._networkProducer.pauseProducing()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()

    def resumeProducing(self) -> None:
        """The transport takes more; Twisted's reads on then, unless a request is under way."""
        super().resumeProducing()
        if self._received and not self.requests:
            self._read_heads()

    # The body of the request under way; its `RequestBody` calls these.

    def read_body(self) -> None:
        """Pass on what has arrived of the body, and read on."""
        body = self._body
        if body is None:
            return
        if self._received:
            self._feed_body(body)
        elif self.requests[0].expects_continue():
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        if body.is_reading:
            self.setTimeout(BODY_SECONDS)
            self._resume()

    def pause_body(self) -> None:
        self.setTimeout(None)
        self._pause()

    def _feed_body(self, body: RequestBody) -> None:
        data, self._received = self._received, b""  # what follows the body is not known yet
        self._received = body.receive(data)
        if not self.requests:  # it was answered meanwhile
            self._read_heads()
        elif body.is_read or body.is_malformed:
            self.setTimeout(None)

    # Callers that are refused.

    def _refuse(self, refused: RequestRefused) -> None:
        """Say why, and close: what follows cannot be told from a body."""
        body = f"{refused.text}\n".encode()
        allow = b"Allow: GET, HEAD, POST\r\n" if refused.status == 405 else b""
        phrase = RESPONSES.get(refused.status, b"Request Header Fields Too Large")
        self.write(
            b"HTTP/1.1 %d %b\r\n%b%bConnection: close\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
            % (refused.status, phrase, self.site.common_header_lines(), allow, len(body))
        )
        if not refused.head_only:
            self.write(body)
        self._linger()

    def _linger(self) -> None:
        """Close for someone who may still be sending.

        Closed at once, the system would answer what comes next by a reset, which can overtake our
        answer.
        """
        self._discarding = True
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

    def write(self, data: bytes | memoryview) -> None:
        """Part of an answer; `flush` sends it."""
        self._unsent.append(data)

    def writeSequence(self, iovec: Any) -> None:
        """Parts of an answer; `flush` sends them."""
        self._unsent.extend(iovec)

    def flush(self) -> None:
        if self._unsent:
            pieces, self._unsent = self._unsent, []
            writev_now(self.transport, pieces)

    def loseConnection(self) -> None:
        """Close once everything is sent, or at once where that takes too long."""
        self.flush()
        self.setTimeout(CLOSE_SECONDS)
        super().loseConnection()

    def abort(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def getHost(self) -> Any:
        """Our own address, which takes a system call, once."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def getPeer(self) -> Any:
        """The caller's address, made once."""
        if self._peer_address is None:
            self._peer_address = super().getPeer()
        return self._peer_address

    @property
    def peer(self) -> Peer:
        """What the connection tells of the caller, found out with its first request."""
        if self._peer is None:
            self._peer = peer_of(self.transport)
        return self._peer

    # What takes too long. Twisted's mixin would make a timer anew for each request.

    @property
    def idle_since(self) -> float | None:
        """Since when there has been nothing to do, None while there is."""
        if self.timeOut is None or self.requests:
            return None
        return self._timeout_at - self.timeOut

    def setTimeout(self, period: float | None) -> float | None:
        """Close unless something arrives within these seconds; None: no limit."""
        before, self.timeOut = self.timeOut, period
        if period is not None:
            self._timeout_at = self.site.reactor.seconds() + period
            if self._timeout_call is None:
                self._timeout_call = self.callLater(period, self._check_late)
            elif self._timeout_at < self._timeout_call.getTime():
                # To move a call forward takes Twisted a search among the calls of all connections.
                self._timeout_call.cancel()
                self._timeout_call = self.callLater(period, self._check_late)
        return before

    def _check_late(self) -> None:
        self._timeout_call = None
        if self.timeOut is None:
            return
        left = self._timeout_at - self.site.reactor.seconds()
        if left > 0:
            self._timeout_call = self.callLater(left, self._check_late)
        else:
            self.timeoutConnection()

    def timeoutConnection(self) -> None:
        """Close, without a line in the log."""
        if self._discarding or self.requests:
            self.abort()
        elif self._received:
            self._refuse(RequestRefused(408, f"a request head has {HEAD_SECONDS:g} s"))
        else:
            self._discarding = True
            self.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if reason.check(SSL.Error):  # such as a handshake that either side has refused
            self.site.gate.refused["tls"] += 1
            log.debug("TLS with {peer} failed: {error}", peer=self.getPeer(), error=reason.value)
        self._unsent.clear()
        self.site.connections.discard(self)
        body, self._body = self._body, None
        super().connectionLost(reason)
        if body is not None and not body.is_read:
            body.broke_off("the caller left in the middle of the body")
        if self._timeout_call is not None:
            self._timeout_call.cancel()
            self._timeout_call = None
        self._tell_next(reason)

    def _tell_next(self, reason: Failure | None) -> None:
        on_next, self.on_next = self.on_next, None
        if on_next is not None:
            on_next(reason)


def _can_half_close(transport: Any) -> bool:
    return ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport)
