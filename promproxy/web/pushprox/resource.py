"""Pages for clients of PushProx: what they share, ``/push`` and ``/clients``; `poll` has ``/poll``.

Source: PushProx, cmd/client/main.go and cmd/proxy/main.go.
"""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from promproxy.errors import BadUpstream, CutShort, UnknownScrape
from promproxy.server.answers import plain_answer
from promproxy.server.request import CallerRequest
from promproxy.tunnel.agent import TunnelAgent
from promproxy.web.pushprox.metrics import TunnelMetrics


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

    def answering(self, request: CallerRequest, answer: Deferred[None]) -> int:
        """The answer comes later, when this fires; a failure is a bug."""
        answer.addErrback(request.processingFailed)
        return NOT_DONE_YET

    def count(self, request: CallerRequest) -> None:
        """Count the answer once it has been sent."""
        began = self.clock.seconds()
        request.notifyFinish().addCallbacks(
            lambda _: self.metrics.answered(self.path, request.code, self.clock.seconds() - began),
            lambda _: None,
        )

    def finish(self, request: CallerRequest, status: int, text: str) -> None:
        """Answer with a line of text."""
        request.write(plain_answer(request, status, text))
        request.finish()

    def render_HEAD(self, request: Request) -> bytes:
        """Twisted would look for a `render_GET`."""
        raise UnsupportedMethod((b"POST",))


class PushResource(TunnelResource):
    """``POST /push``: a client brings an answer, which passes through as it arrives."""

    path = "/push"

    def render_POST(self, request: CallerRequest) -> int:
        """200 once it has gone on; 500 and why where nobody waits for it, or it is no answer."""
        self.count(request)
        return self.answering(request, Deferred.fromCoroutine(self._answer(request)))

    async def _answer(self, request: CallerRequest) -> None:
        if request.body is None:
            self.finish(request, 500, "nothing was pushed")
            return
        pushed = self.tunnel.pushed(request.caller.identity)
        request.body.deliver(pushed)
        refused = ""
        try:
            await pushed.done
        except (UnknownScrape, BadUpstream, CutShort) as error:
            refused = str(error)
        if request.is_gone:
            return
        if refused:
            self.finish(request, 400 if request.body.is_malformed else 500, refused)
        else:
            request.setHeader(b"Content-Length", b"0")
            request.finish()


class ClientsResource(TunnelResource):
    """``GET /clients``: all clients, in the format of file_sd."""

    path = "/clients"
    page = "clients"
    _version = -1
    _document = b""

    def render_GET(self, request: CallerRequest) -> bytes:
        """A JSON array, of which each client is a group."""
        self.count(request)
        request.setHeader(b"Content-Type", b"application/json")
        self.tunnel.expire()
        if self._version != self.tunnel.version:
            groups = [{"targets": [name], "labels": None} for name in self.tunnel.names()]
            self._document = json.dumps(groups, separators=(",", ":")).encode() + b"\n"
            self._version = self.tunnel.version
        return self._document

    def render_HEAD(self, request: Request) -> bytes:
        """As GET."""
        return self.render_GET(request)  # type: ignore[arg-type]
