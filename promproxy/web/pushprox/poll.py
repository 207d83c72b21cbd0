"""``/poll``: a client asks for something to scrape, and waits for it.

Source: PushProx, cmd/client/main.go and cmd/proxy/main.go.
"""

from __future__ import annotations

from functools import partial

from attrs import define, field
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from promproxy.errors import CutShort, NameTaken, PollRefused, TooManyClients
from promproxy.server.access import Caller
from promproxy.server.body import BodyTooLarge
from promproxy.server.request import CallerRequest
from promproxy.targets.labels import shown
from promproxy.timing.deadlines import Deadlines
from promproxy.tunnel.agent import HeldPoll, TunnelAgent
from promproxy.tunnel.exchange import is_host_name
from promproxy.web.pushprox.metrics import TunnelMetrics
from promproxy.web.pushprox.peer_watch import expect_to_be_heard, watch_peer
from promproxy.web.pushprox.resource import TunnelResource

MAX_NAME = 1024  # bytes of a poll's body, white space and all
MOST_NAMES = 100  # of clients whose refusal was logged
NO_NAME = "the body of a poll is the name or the address of a host"
_FIELDS = b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"

log = Logger()


@define(eq=False)
class _Held(HeldPoll):
    """A poll, the request that it came by, and when."""

    request: CallerRequest = field(kw_only=True)
    began: float = field(kw_only=True)


class PollResource(TunnelResource):
    """``POST /poll``: a client asks for something to scrape, and waits for it.

    ``max_age`` may be replaced at any time: after so many seconds a poll is sent away, and comes
    again; 0 holds it without an end.
    """

    path = "/poll"

    def __init__(
        self, tunnel: TunnelAgent, metrics: TunnelMetrics, clock: IReactorTime, max_age: float
    ) -> None:
        super().__init__(tunnel, metrics, clock)
        self.max_age = max_age
        self._deadlines: Deadlines[_Held] = Deadlines(clock, self._too_old)
        self._refused: set[str] = set()

    def render_POST(self, request: CallerRequest) -> int:
        """200 and a whole request to make; 408 where there is none, and the client polls again."""
        began = self.clock.seconds()
        if request.body is None:
            self.finish(request, began, 400, NO_NAME)
            return NOT_DONE_YET
        reading = request.body.read_all(MAX_NAME)
        reading.addCallbacks(self._named, self._nameless, (request, began), {}, (request, began))
        reading.addErrback(request.processingFailed)
        return NOT_DONE_YET

    def _nameless(self, failure: Failure, request: CallerRequest, began: float) -> None:
        if failure.trap(BodyTooLarge, CutShort) is BodyTooLarge:
            self.finish(request, began, 413, str(failure.value))
        elif request.body is not None and request.body.is_malformed:
            self.finish(request, began, 400, "the chunks of the body make no sense")

    def _named(self, name: bytes, request: CallerRequest, began: float) -> None:
        fqdn = name.strip().decode("latin-1")
        if not is_host_name(fqdn):
            self._log_refused(fqdn, NO_NAME)
            self.finish(request, began, 400, NO_NAME)
        elif not request.caller.may_claim(fqdn):
            why = f"you may not be the client {fqdn}"
            self._log_refused(fqdn, why)
            self.finish(request, began, 403, why)
        else:
            self._hold(request, began, fqdn, request.caller)

    def _log_refused(self, name: str, why: str) -> None:
        """Once per name, as a client comes again for ever."""
        if len(self._refused) < MOST_NAMES and name not in self._refused:
            self._refused.add(name)
            log.warn("the client {name} is refused: {why}", name=shown(name), why=why)

    def _hold(self, request: CallerRequest, began: float, fqdn: str, caller: Caller) -> None:
        watch_peer(request.channel.transport)
        poll = _Held(
            fqdn,
            caller.identity,
            give=lambda scrape: self._give(poll, scrape),
            refuse=lambda why: self._refuse(poll, why),
            request=request,
            began=began,
        )
        request.on_lost = lambda: self._left(poll)
        if self.max_age:
            self._deadlines.add(poll, began + self.max_age)
        try:
            self.tunnel.hold(poll)
        except PollRefused as error:
            self._deadlines.remove(poll)
            request.on_lost = None
            self._log_refused(fqdn, str(error))
            self.finish(request, began, _status_of(error), str(error))

    def _give(self, poll: _Held, scrape: bytes) -> None:
        """What the poll was for."""
        request = self._over(poll)
        request.pass_on(_FIELDS % len(scrape), has_length=True)
        channel = request.channel
        expect_to_be_heard(channel.transport)
        channel.on_next = partial(self._after, poll)
        request.cork()
        request.write(scrape)
        request.finish()
        self.count(200, poll.began)

    def _after(self, poll: _Held, reason: Failure | None) -> None:
        """The connection is closed, or brings the next request: then the scrape has arrived."""
        if reason is not None and not reason.check(ConnectionDone):
            self.tunnel.requeue(poll)

    def _refuse(self, poll: _Held, why: str) -> None:
        self.finish(self._over(poll), poll.began, 408, why)

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
