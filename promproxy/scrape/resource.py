"""The scrape: a path becomes a target, its answer streams through.

Read `ScrapeResource._answer` and what it calls from top to bottom. Whatever goes wrong arrives in
`_failed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from promproxy.errors import BadUpstream, CutShort, ScrapeError
from promproxy.http.bodies import Piece
from promproxy.http.forwarding import (
    TIMEOUT_HEADER,
    is_gorouter_miss,
    is_redirect,
    public_url,
    response_header_lines,
    timeout_header_line,
)
from promproxy.metrics import Metrics
from promproxy.outbound.client import Outbound
from promproxy.outbound.response import Response
from promproxy.registry import Registry
from promproxy.scrape.attempt import Scrape, explain, too_large
from promproxy.scrape.caller import RequestLines, lines_for_proxy, lines_for_scrapes
from promproxy.scrape.history import ScrapeHistory, TargetRecord
from promproxy.scrape.limits import Limits
from promproxy.scrape.outcome import outcome_of, status_of
from promproxy.scrape.settings import ScrapeSettings
from promproxy.server.answers import not_ready_answer, plain_answer
from promproxy.server.request import CallerRequest
from promproxy.targets.document import SCRAPE_PATH
from promproxy.targets.target import Target
from promproxy.timing.deadlines import Deadlines

T = TypeVar("T")

log = Logger()

UNLISTED_RECORDS = 1024

_PREFIX = f"{SCRAPE_PATH}/".encode()
_TIMEOUT_FIELD = TIMEOUT_HEADER.lower().encode()


class ScrapeResource(Resource):
    """``/singleTargetMetrics/<id>``.

    Another `use` concerns new scrapes; one under way goes on with what it began with.
    """

    isLeaf = True
    page = "scrape"

    def __init__(
        self,
        registry: Registry,
        outbound: Outbound,
        settings: ScrapeSettings,
        metrics: Metrics,
        clock: IReactorTime,
        process_id: bytes,
    ) -> None:
        super().__init__()
        self._registry = registry
        self._outbound = outbound
        self.use(settings)
        self._metrics = metrics
        self._clock = clock
        self.history = ScrapeHistory(registry)
        self._unlisted = ScrapeHistory(registry, spare=UNLISTED_RECORDS)
        #: Knows targets that can be scraped already although their source has not delivered yet.
        self.find_unlisted: Callable[[str], Target | None] = lambda target_id: None
        self._under_way: dict[Scrape, Deferred[None]] = {}
        self._deadlines: Deadlines[Scrape] = Deadlines(clock, self._deadline_passed)
        self._idle: list[Deferred[None]] = []
        metrics.in_flight.set_function(lambda: len(self._under_way))

        self._lines_for_scrapes = lines_for_scrapes(process_id)
        self._lines_for_proxy = lines_for_proxy(process_id)

    def use(self, settings: ScrapeSettings) -> None:
        """Use these settings for new scrapes, with fresh limits."""
        self.settings = settings
        self.limits = Limits(
            settings.max_concurrent,
            settings.max_concurrent_per_host,
            settings.max_concurrent_per_target,
        )

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """Scrape the target that the path names. HEAD comes here too."""
        target_id = request.path[request.path.find(_PREFIX) + len(_PREFIX) :].decode("latin-1")
        target = self._registry.snapshot.by_id.get(target_id) or self.find_unlisted(target_id)
        if target is None:
            return self._no_target(request)
        return self._scrape(self._record(target), request, self._lines_for_scrapes)

    def proxy(self, target: Target, request: CallerRequest) -> int:
        """Scrape a target, listed or not, for a caller to whom we are its ``proxy_url``."""
        return self._scrape(self._record(target), request, self._lines_for_proxy)

    def _record(self, target: Target) -> TargetRecord:
        snapshot = self._registry.snapshot
        if snapshot.by_id.get(target.id) is target:
            return self.history.of(target, snapshot.profiles_of(target))
        assert target.is_tunnelled  # so it gets no credentials of ours
        return self._unlisted.of(target, self._outbound.profiles)

    def _scrape(
        self,
        record: TargetRecord,
        request: CallerRequest,
        request_lines: RequestLines,
    ) -> int:
        began = self._clock.seconds()
        settings = self.settings
        ends = began + settings.deadline_in(request.fields.last(_TIMEOUT_FIELD))
        scrape = Scrape(record, settings, self.limits, request, began, ends, request_lines)
        scraping = Deferred.fromCoroutine(self._answer(scrape))
        if not scraping.called:
            self._under_way[scrape] = scraping
            self._deadlines.add(scrape, ends)
            request.on_lost = lambda: self._client_left(scrape)
            scraping.addBoth(self._ended, scrape)
        scraping.addErrback(self._broken, scrape)
        return NOT_DONE_YET

    async def _answer(self, scrape: Scrape) -> None:
        target, limits = scrape.target, scrape.limits
        try:
            try:
                # First, since a loop may itself hold all slots.
                lines = scrape.request_lines(scrape.request.fields)
                waiting = limits.enter(target)
                if waiting is not None:
                    await waiting
                scrape.has_slot = True
                await self._ask(scrape, lines)
            finally:
                scrape.request.on_lost = None  # else request and scrape would hold each other
                if scrape.has_slot:
                    limits.leave(target)
        except (ScrapeError, CutShort, CancelledError) as error:
            self._failed(scrape, error)
        else:
            scrape.request.finish()
            self._note(scrape, "success" if scrape.status == 200 else "target_error")

    async def _ask(self, scrape: Scrape, lines: bytes) -> None:
        request = scrape.request
        lines += timeout_header_line(scrape.ends - self._clock.seconds())
        response = await self._outbound.send(scrape.record.template, request.method, lines)
        scrape.status = response.code
        try:
            self._begin_answer(scrape, response)
            await self._relay(scrape, response)
        except BaseException:
            response.stopProducing()  # unread it would keep its connection
            raise

    def _begin_answer(self, scrape: Scrape, response: Response) -> None:
        request = scrape.request
        if is_redirect(response.code):
            raise BadUpstream(f"it redirects{_shown_location(response)}, which is not followed")
        if 0 < scrape.settings.body_size_limit < _known_length(response):
            raise too_large(scrape)
        scrape.is_unknown_to_router = is_gorouter_miss(response.code, response.raw_headers)
        request.setResponseCode(response.code, response.phrase)
        request.pass_on(
            response_header_lines(response.raw_headers),
            has_length=response.length is not UNKNOWN_LENGTH,
        )

    async def _relay(self, scrape: Scrape, response: Response) -> None:
        """Pass the body on as fast as the caller takes it."""
        request = scrape.request
        limit = scrape.settings.body_size_limit

        def write(data: Piece) -> None:
            scrape.size += len(data)
            if limit and scrape.size > limit:
                response.stopProducing()
            else:
                request.write(data)

        request.cork()  # what has arrived already leaves at once, with the head
        if response.is_whole:
            for piece in response.whole_body():
                write(piece)
        else:
            await self._stream(scrape, response, write)
        if 0 < limit < scrape.size:  # all of it had arrived before it could be stopped
            raise too_large(scrape)

    async def _stream(
        self, scrape: Scrape, response: Response, write: Callable[[bytes], None]
    ) -> None:
        request = scrape.request
        request.registerProducer(response, True)
        try:
            collecting = treq.collect(response, write)
            request.uncork()
            await collecting
        finally:
            # Not where the caller left: its channel is gone, and has stopped the response.
            if not scrape.client_gone:
                request.unregisterProducer()

    # What may end a scrape early.

    def _deadline_passed(self, scrape: Scrape) -> None:
        scrape.deadline_passed = True
        self._under_way[scrape].cancel()

    def _client_left(self, scrape: Scrape) -> None:
        scrape.client_gone = True
        self._under_way[scrape].cancel()

    def _failed(self, scrape: Scrape, error: Exception) -> None:
        """Tell the caller, in the one way that is left."""
        if scrape.client_gone:
            self._count(scrape, "client_gone")
            return
        explained = explain(scrape, error, self._seconds(scrape))
        if scrape.request.startedWriting:
            self._cut_short(scrape)
            self._note(scrape, "cut_short", explained)
        else:
            self._refuse(scrape, explained)
            self._note(scrape, outcome_of(explained), explained)

    def _refuse(self, scrape: Scrape, error: ScrapeError) -> None:
        target, request = scrape.target, scrape.request
        request.pass_on(b"", has_length=False)  # the target's own no longer hold
        text = f"{target.id}: {target.url}: {error.reason}"
        request.write(plain_answer(request, status_of(error), text))
        request.finish()

    def _cut_short(self, scrape: Scrape) -> None:
        """Send what has arrived, then end the connection so that the body cannot look whole."""
        request = scrape.request
        request.abort_truncated()
        # A reader that does not take what is left must not hold it for ever.
        left = max(scrape.ends - self._clock.seconds(), 1.0)
        late = self._clock.callLater(left, request.abort)
        request.on_lost = lambda: late.cancel() if late.active() else None

    def _broken(self, failure: Failure, scrape: Scrape) -> None:
        """A bug of ours; the caller must not take it for an answer."""
        log.failure("scrape of {target} failed", failure, target=scrape.target.id)
        self._count(scrape, "error")
        scrape.request.abort()

    # What is known of all scrapes.

    def _ended(self, result: T, scrape: Scrape) -> T:
        del self._under_way[scrape]
        self._deadlines.remove(scrape)
        if not self._under_way:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)
        return result

    @property
    def is_busy(self) -> bool:
        """Whether scrapes are under way."""
        return bool(self._under_way)

    def when_idle(self) -> Deferred[None]:
        """Fires when no scrape is under way."""
        idle: Deferred[None] = Deferred()
        if self._under_way:
            self._idle.append(idle)
        else:
            idle.callback(None)
        return idle

    def cancel_all(self) -> None:
        """End every scrape under way: the daemon stops."""
        for scraping in reversed(list(self._under_way.values())):  # frees no slot for the next
            scraping.cancel()
        self._deadlines.stop()

    def _no_target(self, request: CallerRequest) -> bytes:
        missing = self._registry.pending_sources()
        self._metrics.scraped("", "not_ready" if missing else "unknown_target", 0.0, 0)
        if missing:
            return not_ready_answer(request, missing)
        return plain_answer(request, 404, "no such target; /discovery lists them all")

    def _seconds(self, scrape: Scrape) -> float:
        return self._clock.seconds() - scrape.began

    def _count(self, scrape: Scrape, outcome: str) -> None:
        self._metrics.scraped(scrape.target.source, outcome, self._seconds(scrape), scrape.size)

    def _note(self, scrape: Scrape, outcome: str, error: ScrapeError | None = None) -> None:
        """Count a scrape, and keep how it ended for its target."""
        self._count(scrape, outcome)
        if scrape.is_unknown_to_router and scrape.record.is_up:
            self._registry.suspect_stale(scrape.target)
        self.history.record(
            scrape.record,
            outcome,
            status=scrape.status,
            began=scrape.began,
            seconds=self._seconds(scrape),
            size=scrape.size,
            error=error,
        )


def _known_length(response: Response) -> int:
    return response.length if isinstance(response.length, int) else 0


def _shown_location(response: Response) -> str:
    location = response.headers.getRawHeaders(b"Location") or [b""]
    shown = public_url(location[0])
    return f" to {shown}" if shown else ""
