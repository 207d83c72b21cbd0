"""Pages for clients of PushProx: what they share, ``/push`` and ``/clients``; `poll` has ``/poll``.

Source: PushProx, cmd/client/main.go and cmd/proxy/main.go.
"""

from __future__ import annotations

import json

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from promproxy.errors import BadUpstream, CutShort, UnknownScrape
from promproxy.server.answers import for_pushprox, plain_answer
from promproxy.server.request import CallerRequest
from promproxy.tunnel.agent import TunnelAgent
from promproxy.web.pushprox.metrics import TunnelMetrics

_NO_BODY = b"Content-Length: 0\r\n"


class TunnelResource(Resource):
    """Something that clients ask for. Each answer is counted under ``path``."""

    isLeaf = True
    page = "tunnel"
    path = ""

    def __init__(self, tunnel: TunnelAgent, metrics: TunnelMetrics, clock: IReactorTime) -> None:
        super().__init__()
        self.tunnel = tunnel
        self.metrics = metrics
        self.clock = clock

    def finish(self, request: CallerRequest, began: float, status: int, text: str) -> None:
        """Answer with a line of text a request that came at that moment of the clock."""
        request.write(plain_answer(request, status, for_pushprox(request.path, text)))
        request.finish()
        self.count(status, began)

    def count(self, status: int, began: float) -> None:
        """A request that came at that moment has been answered."""
        self.metrics.answered(self.path, status, self.clock.seconds() - began)

    def render_HEAD(self, request: Request) -> bytes:
        """Twisted would look for a `render_GET`."""
        raise UnsupportedMethod((b"POST",))


class PushResource(TunnelResource):
    """``POST /push``: a client brings an answer, which passes through as it arrives."""

    path = "/push"

    def render_POST(self, request: CallerRequest) -> int:
        """200 once it is passed on; 500 and why if no scrape waits for it, or it is malformed."""
        began = self.clock.seconds()
        if request.body is None:
            self.finish(request, began, 500, "nothing was pushed")
            return NOT_DONE_YET
        pushed = self.tunnel.pushed(request.caller.identity)
        request.body.deliver(pushed)
        pushed.done.addCallbacks(
            self._passed_on, self._refused, (request, began), {}, (request, began)
        )
        pushed.done.addErrback(request.processingFailed)
        return NOT_DONE_YET

    def _passed_on(self, _result: None, request: CallerRequest, began: float) -> None:
        if not request.is_gone:
            request.pass_on(_NO_BODY, has_length=True)
            request.finish()
            self.count(200, began)

    def _refused(self, failure: Failure, request: CallerRequest, began: float) -> None:
        failure.trap(UnknownScrape, BadUpstream, CutShort)
        if not request.is_gone:
            is_malformed = request.body is not None and request.body.is_malformed
            self.finish(request, began, 400 if is_malformed else 500, str(failure.value))


class ClientsResource(TunnelResource):
    """``GET /clients``: all clients, in the format of file_sd."""

    path = "/clients"
    page = "clients"
    _version = -1
    _document = b""

    def render_GET(self, request: CallerRequest) -> bytes:
        """A JSON array, of which each client is a group."""
        began = self.clock.seconds()
        request.setHeader(b"Content-Type", b"application/json")
        self.tunnel.expire()
        if self._version != self.tunnel.version:
            groups = [{"targets": [name], "labels": None} for name in self.tunnel.names()]
            self._document = json.dumps(groups, separators=(",", ":")).encode() + b"\n"
            self._version = self.tunnel.version
        self.count(200, began)
        return self._document

    def render_HEAD(self, request: Request) -> bytes:
        """As GET."""
        return self.render_GET(request)  # type: ignore[arg-type]
