"""``/poll``: a client asks for something to scrape, and waits for it.

Source: PushProx, cmd/client/main.go and cmd/proxy/main.go.
"""

from __future__ import annotations

from functools import partial

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from promproxy.errors import CutShort, NameTaken, PollRefused, TooManyClients
from promproxy.server.access import Caller
from promproxy.server.body import BodyTooLarge
from promproxy.server.request import CallerRequest
from promproxy.timing.deadlines import Deadlines
from promproxy.tunnel.agent import HeldPoll, TunnelAgent
from promproxy.tunnel.exchange import is_host_name
from promproxy.web.pushprox.metrics import TunnelMetrics
from promproxy.web.pushprox.peer_watch import expect_to_be_heard, watch_peer
from promproxy.web.pushprox.resource import TunnelResource

MAX_NAME = 1024  # bytes of a poll's body, white space and all


@define(eq=False)
class _Held(HeldPoll):
    """A poll and the request that it came by."""

    request: CallerRequest = field(kw_only=True)


class PollResource(TunnelResource):
    """``POST /poll``: a client asks for something to scrape, and waits for it.

    ``max_age`` may be replaced at any time: after so many seconds a poll is sent away, and comes
    again.
    """

    path = "/poll"

    def __init__(
        self, tunnel: TunnelAgent, metrics: TunnelMetrics, clock: IReactorTime, max_age: float
    ) -> None:
        super().__init__(tunnel, metrics, clock)
        self.max_age = max_age
        self._deadlines: Deadlines[_Held] = Deadlines(clock, self._too_old)

    def render_POST(self, request: CallerRequest) -> int:
        """200 and a whole request to make; 408 where there is none, and the client polls again."""
        self.count(request)
        return self.answering(request, Deferred.fromCoroutine(self._answer(request)))

    async def _answer(self, request: CallerRequest) -> None:
        try:
            name = b"" if request.body is None else await request.body.read_all(MAX_NAME)
        except BodyTooLarge as error:
            self.finish(request, 413, str(error))
            return
        except CutShort:
            if request.body is not None and request.body.is_malformed:
                self.finish(request, 400, "the chunks of the body make no sense")
            return
        fqdn = name.strip().decode("latin-1")
        if not is_host_name(fqdn):
            self.finish(request, 400, "the body of a poll is the name of a host (RFC 1123)")
        elif not request.caller.may_claim(fqdn):
            self.finish(request, 403, f"you may not be the client {fqdn}")
        else:
            self._hold(request, fqdn, request.caller)

    def _hold(self, request: CallerRequest, fqdn: str, caller: Caller) -> None:
        watch_peer(request.channel.transport)
        poll = _Held(
            fqdn,
            caller.identity,
            give=lambda scrape: self._give(poll, scrape),
            refuse=lambda why: self._refuse(poll, why),
            request=request,
        )
        request.on_lost = lambda: self._left(poll)
        self._deadlines.add(poll, self.clock.seconds() + self.max_age)
        try:
            self.tunnel.hold(poll)
        except PollRefused as error:
            self._deadlines.remove(poll)
            request.on_lost = None
            self.finish(request, _status_of(error), str(error))

    def _give(self, poll: _Held, scrape: bytes) -> None:
        """What the poll was for."""
        request = self._over(poll)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"Content-Length", b"%d" % len(scrape))
        channel = request.channel
        expect_to_be_heard(channel.transport)
        channel.on_next = partial(self._after, poll)
        request.write(scrape)
        request.finish()

    def _after(self, poll: _Held, reason: Failure | None) -> None:
        """The connection is closed, or brings the next request: then the scrape has arrived."""
        if reason is not None and not reason.check(ConnectionDone):
            self.tunnel.requeue(poll)

    def _refuse(self, poll: _Held, why: str) -> None:
        self.finish(self._over(poll), 408, why)

    def _too_old(self, poll: _Held) -> None:
        self.tunnel.left(poll)
        self._refuse(poll, "nothing to scrape so far; poll again")

    def _left(self, poll: _Held) -> None:
        self._deadlines.remove(poll)
        self.tunnel.left(poll)

    def _over(self, poll: _Held) -> CallerRequest:
        self._deadlines.remove(poll)
        poll.request.on_lost = None
        return poll.request

    def stop(self) -> None:
        """Leave no timer; all polls must have been sent away."""
        self._deadlines.stop()


def _status_of(error: PollRefused) -> int:
    statuses = {NameTaken: 409, TooManyClients: 503}
    return statuses[type(error)]
