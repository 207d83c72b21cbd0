"""The server's side of HTTP: Twisted's, with what this daemon needs otherwise."""

from __future__ import annotations

from typing import Any

from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

KEEP_ALIVE_SECONDS = 300.0  # Prometheus comes back after a minute or so


class Channel(HTTPChannel):
    """One connection. Its requests are answered one at a time, in their order.

    Twisted before 24.7 (but for Debian's patched 22.4) goes on to parse the requests that arrived
    together with one that is not answered yet, and mixes up the answers (CVE-2024-41671). In raw
    mode what arrives early is kept until the answer is out, and `requestDone` plays it back.
    """

    def allContentReceived(self) -> None:
        """The request is complete: whatever follows in the buffer is for later."""
        self.setRawMode()
        super().allContentReceived()

    def _finishRequestBody(self, data: bytes) -> None:
        # In this order, since an answer at once plays back what is kept.
        self._dataBuffer.append(data)
        self.allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Bytes of a body, or of requests that have to wait."""
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        self._dataBuffer.append(data)
        too_much = sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize
        if too_much and not self._waitingForTransport:
            self._networkProducer.pauseProducing()  # until `requestDone`


class PlainRequest(Request):
    """A request whose answer has no content type unless one is set, and may end unfinished."""

    defaultContentType = None

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed already."""
        return self.channel is None

    def abort(self) -> None:
        """Reset the connection; what was not sent yet is lost."""
        if self.channel is not None:
            transport: Any = self.channel.transport
            transport.abortConnection()

    def break_off(self) -> None:
        """Send what was written, then end the connection so that the body cannot look whole."""
        framed = self.chunked or self.responseHeaders.hasHeader(b"Content-Length")
        if framed:
            self.loseConnection()
        else:  # the end of the connection would be the end of the body
            self.abort()


class PromproxySite(Site):
    """Serves a resource tree: HTTP/1.1 only, without an access log."""

    noisy = False
    protocol = Channel  # type: ignore[assignment] # in place of the one that negotiates HTTP/2

    def __init__(self, root: IResource, reactor: Any) -> None:
        super().__init__(
            root, requestFactory=PlainRequest, timeout=KEEP_ALIVE_SECONDS, reactor=reactor
        )

    def acceptableProtocols(self) -> list[bytes]:
        """Not h2, which Twisted would offer wherever the package is installed."""
        return [b"http/1.1"]

    def log(self, request: object) -> None:
        """Nothing is logged per request: a line costs a quarter of a scrape."""
