"""What the pages for clients of PushProx have in common."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

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
