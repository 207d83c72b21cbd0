"""``/push``: a client brings an answer.

Source: PushProx, cmd/client/main.go and cmd/proxy/main.go.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from promproxy.errors import BadUpstream, CutShort, UnknownScrape
from promproxy.server.request import CallerRequest
from promproxy.web.pushprox.resource import TunnelResource


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
