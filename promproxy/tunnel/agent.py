"""The agent of all tunnelled targets: it asks nobody, but waits until a client asks.

Source of the protocol: PushProx, cmd/client/main.go and cmd/proxy/coordinator.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from uuid import uuid4

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from promproxy.errors import Busy, DeadlinePassed, ScrapeError, Unreachable
from promproxy.http.forwarding import TIMEOUT_HEADER, timeout_header_line
from promproxy.outbound.origin import Origin
from promproxy.outbound.response import Response
from promproxy.tunnel.exchange import Client, Exchange, ExchangeLimits, Poll, Scrape, is_same_name
from promproxy.tunnel.pushed import PushedAnswer

log = Logger()

_TIME_LEFT = re.compile(rb"%b: ([0-9.]+)\r\n" % TIMEOUT_HEADER.encode())

STOPPING = "promproxy is stopping"

#: How long a scrape that may not have reached its client waits for an answer before the next poll
#: gets it: an exporter answers within this time, and a redelivery should not cost the scrape.
HOLD_SECONDS = 1.0


@define(eq=False)
class HeldPoll(Poll):
    """A poll whose answer is still open. One of the two is called, once.

    ``give`` gets a whole request; ``refuse`` gets why there will be none.
    """

    give: Callable[[bytes], None] = field(kw_only=True)
    refuse: Callable[[str], None] = field(kw_only=True)


@define(eq=False)
class PendingScrape(Scrape):
    """A scrape and its request, but for what is only known when it is given to a client."""

    request: bytes
    ends: float
    head_only: bool
    answer: Deferred[Response]

    def rendered(self, now: float) -> bytes:
        """The request as its client gets it."""
        own = b"Id: %b\r\n%b\r\n" % (self.id.encode(), timeout_header_line(self.ends - now))
        return self.request + own


@define(eq=False)
class TunnelAgent:
    """Scrapes on one side, polls and pushes on the other, the exchange in between.

    ``on_change`` is called when the list of clients may have changed. ``redelivered`` counts the
    scrapes that a poll was given whose connection then turned out to be dead.
    """

    _clock: IReactorTime
    _make_id: Callable[[], str] = lambda: str(uuid4())
    on_change: Callable[[], None] = field(default=lambda: None, init=False)
    redelivered: int = field(default=0, init=False)
    is_restored: bool = field(default=False, init=False)
    _began: float | None = field(default=None, init=False)
    _exchange: Exchange[HeldPoll, PendingScrape] = field(factory=Exchange, init=False)
    _version: int = field(default=0, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _doubtful: dict[HeldPoll, IDelayedCall] = field(factory=dict, init=False)
    _hold_ends: float = field(default=0.0, init=False)
    _early: list[PendingScrape] = field(factory=list, init=False)  # their client was not there yet
    _early_end: IDelayedCall | None = field(default=None, init=False)

    # For those who scrape.

    def send(self, origin: Origin, head: bytes, *, head_only: bool = False) -> Deferred[Response]:
        """As `promproxy.outbound.agent.OutboundAgent.send`; the origin's host is the client's name.

        The request must have a time-out header, which becomes the time that is left when a client
        fetches the request. Cancelling gives the scrape up.
        """
        time_left = _TIME_LEFT.search(head)
        assert time_left is not None, "a scrape has a deadline"
        now = self._clock.seconds()
        answer: Deferred[Response] = Deferred(lambda _: self._given_up(scrape))
        scrape = PendingScrape(
            self._make_id(),
            origin.host,
            request=(head[: time_left.start()] + head[time_left.end() :]).removesuffix(b"\r\n"),
            ends=now + float(time_left[1]),
            head_only=head_only,
            answer=answer,
        )
        try:
            if self._is_stopping:
                raise Busy(STOPPING)
            poll = self._exchange.scrape(scrape, now)
        except Unreachable as error:
            if not self.is_starting:
                return fail(error)
            self._wait_for_first_poll(scrape)
            return answer
        except ScrapeError as error:
            return fail(error)
        if poll is not None:
            self._give(poll, scrape)
        return answer

    def _wait_for_first_poll(self, scrape: PendingScrape) -> None:
        """Soon after a start its client may be about to come back."""
        self._early.append(scrape)
        if self._early_end is None:
            left = self._hold_ends - self._clock.seconds()
            self._early_end = self._clock.callLater(left, self._end_early)

    def _end_early(self) -> None:
        self._early_end = None
        early, self._early = self._early, []
        for scrape in early:
            scrape.answer.errback(Unreachable("its client has not come back since the start"))

    def _give_early(self, poll: HeldPoll) -> None:
        """A client has come: its scrapes that were there before it."""
        mine = [s for s in self._early if is_same_name(s.name, poll.name)]
        self._early = [s for s in self._early if s not in mine]
        for scrape in mine:
            try:
                given = self._exchange.scrape(scrape, self._clock.seconds())
            except ScrapeError as error:
                scrape.answer.errback(error)
                continue
            if given is not None:
                self._give(given, scrape)

    def _given_up(self, scrape: PendingScrape) -> None:
        if scrape in self._early:
            self._early.remove(scrape)
            scrape.answer.errback(DeadlinePassed("its client has not polled since the start"))
        elif self._exchange.ended(scrape):
            scrape.answer.errback(DeadlinePassed("its client has not polled for it in time"))

    # For clients.

    def hold(self, poll: HeldPoll) -> None:
        """A client waits for a scrape. Raises PollRefused."""
        if self._is_stopping:
            poll.refuse(STOPPING)
            return
        met = self._exchange.poll(poll, self._clock.seconds())
        self._check_version()
        if met.superseded is not None:
            met.superseded.refuse("a newer poll of the same name took its place")
        if met.scrape is not None:
            self._give(poll, met.scrape)
        if self._early:
            self._give_early(poll)

    def left(self, poll: HeldPoll) -> None:
        """A poll is over that was neither given anything nor refused."""
        self._exchange.left(poll, self._clock.seconds())

    def requeue(self, poll: HeldPoll) -> None:
        """The connection broke over which a poll was given a request.

        The client may have got it all the same: a load balancer resets connections that it needs
        no more, whatever it has passed on. So the answer has `HOLD_SECONDS` to come.
        """
        scrape = poll.scrape
        if poll in self._doubtful or not self._exchange.awaits_answer(poll):
            return
        assert isinstance(scrape, PendingScrape)
        time_left = scrape.ends - self._clock.seconds()
        wait = max(0.0, min(HOLD_SECONDS, time_left / 4))
        self._doubtful[poll] = self._clock.callLater(wait, self._redeliver, poll)

    def _redeliver(self, poll: HeldPoll) -> None:
        del self._doubtful[poll]
        lost = self._exchange.requeue(poll)
        if lost is None:
            return
        log.debug("a poll of {client} was dead, its scrape goes to the next", client=poll.name)
        self.redelivered += 1
        scrape, next_poll = lost
        if next_poll is not None:
            self._give(next_poll, scrape)

    def pushed(self, identity: str) -> PushedAnswer:
        """What the body of a push is delivered to, from a client of that identity."""

        def take(scrape_id: str) -> PendingScrape:
            return self._exchange.answered(scrape_id, identity, self._clock.seconds())

        return PushedAnswer(take)

    def _give(self, poll: HeldPoll, scrape: PendingScrape) -> None:
        poll.give(scrape.rendered(self._clock.seconds()))

    # The clients.

    @property
    def version(self) -> int:
        """Grows whenever the list of clients changes."""
        return self._exchange.version

    def begin(self) -> float:
        """When this was called first: from then on clients can be expected to come."""
        if self._began is None:
            self._began = self._clock.seconds()
        return self._began

    @property
    def is_starting(self) -> bool:
        """Whether clients may be about to come back after a start."""
        return self._clock.seconds() < self._hold_ends and not self._is_stopping

    def use(self, limits: ExchangeLimits, startup_hold: float = 0.0) -> None:
        """Other limits from now on; the hold counts from `begin`."""
        self._exchange.limits = limits
        self._hold_ends = self.begin() + startup_hold

    def names(self) -> list[str]:
        """The clients, in the order of their names."""
        return self._exchange.names(self._clock.seconds())

    def find(self, name: str) -> Client[HeldPoll, PendingScrape] | None:
        return self._exchange.find(name, self._clock.seconds())

    def restore(self, names: Iterable[str]) -> None:
        """These were clients when we were stopped, and count as such until they should be back."""
        self._exchange.restore(names, self._clock.seconds())
        self.is_restored = True
        self._check_version()

    def expire(self) -> None:
        """Forget the clients that are gone for too long."""
        self._exchange.expire(self._clock.seconds())
        self._check_version()

    def held(self) -> int:
        """How many polls wait."""
        return len(self._exchange.polls())

    def waiting(self) -> int:
        """How many scrapes wait for a poll."""
        return len(self._exchange.waiting())

    def stop(self) -> None:
        """Send all clients away, and give up the scrapes that none of them has fetched."""
        self._is_stopping = True
        for call in self._doubtful.values():
            call.cancel()
        self._doubtful.clear()
        self._send_away(STOPPING)

    def dismiss(self, why: str) -> None:
        """The same, and forget the clients. They may come again."""
        self._send_away(why)
        self._exchange.forget()
        self._began = None

    def _send_away(self, why: str) -> None:
        for poll in self._exchange.polls():
            self.left(poll)
            poll.refuse(why)
        for scrape in self._exchange.waiting():
            self._exchange.ended(scrape)
            scrape.answer.errback(Busy(why))
        early, self._early = self._early, []
        for scrape in early:
            scrape.answer.errback(Busy(why))
        if self._early_end is not None:
            self._early_end.cancel()
            self._early_end = None

    def _check_version(self) -> None:
        if self._version != self._exchange.version:
            self._version = self._exchange.version
            self.on_change()
