"""The scrape: a path becomes a target, its answer streams through.

Read `ScrapeResource._answer` and what it calls from top to bottom. Whatever goes wrong arrives in
`_failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import treq
from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from promproxy.errors import BadUpstream, Busy, CutShort, DeadlinePassed, ScrapeError
from promproxy.http.bodies import Piece
from promproxy.http.forwarding import (
    LOOP_HEADER,
    TIMEOUT_HEADER,
    CallerHeaders,
    end_to_end_headers,
    is_gorouter_miss,
    is_redirect,
    request_headers,
    response_header_lines,
    timeout_header_line,
)
from promproxy.metrics import Metrics
from promproxy.outbound.client import Outbound
from promproxy.outbound.request import render_headers
from promproxy.outbound.response import Response
from promproxy.registry import Registry
from promproxy.scrape.history import ScrapeHistory, TargetRecord
from promproxy.scrape.limits import Limits, Timeouts
from promproxy.scrape.outcome import outcome_of, status_of
from promproxy.server.answers import not_ready_answer, plain_answer
from promproxy.server.head import Fields
from promproxy.server.request import CallerRequest
from promproxy.targets.document import SCRAPE_PATH
from promproxy.targets.target import Target
from promproxy.timing.deadlines import Deadlines

T = TypeVar("T")

log = Logger()

UNLISTED_RECORDS = 1024
REMEMBERED_CALLERS = 128  # as many as PromproxySite remembers fields

_PREFIX = f"{SCRAPE_PATH}/".encode()
_TIMEOUT_FIELD = TIMEOUT_HEADER.lower().encode()
_LOOP_FIELD = LOOP_HEADER.lower().encode()
_CONTROLS = bytes((*range(0x20), 0x7F))
_CONTROLS_TO_SPACES = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))


@frozen(kw_only=True)
class ScrapeSettings:
    """What the configuration says of scrapes. ``body_size_limit`` 0: no limit."""

    timeouts: Timeouts
    limits: Limits
    body_size_limit: int


@define(eq=False)
class _Scrape:
    """One scrape under way."""

    record: TargetRecord
    settings: ScrapeSettings
    request: CallerRequest
    began: float
    ends: float
    lines_passed_on: Callable[[Fields], bytes]
    status: int = 0  # the target's
    size: int = 0
    has_place: bool = False
    client_gone: bool = False
    deadline_passed: bool = False
    is_unknown_to_router: bool = False

    @property
    def target(self) -> Target:
        return self.record.target


class ScrapeResource(Resource):
    """``/singleTargetMetrics/<id>``.

    ``settings`` may be replaced at any time; a scrape goes on with those that it began with.
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
        self.settings = settings
        self._metrics = metrics
        self._clock = clock
        self.history = ScrapeHistory(registry, outbound)
        self._unlisted = ScrapeHistory(registry, outbound, spare=UNLISTED_RECORDS)
        self._under_way: dict[_Scrape, Deferred[None]] = {}
        self._deadlines: Deadlines[_Scrape] = Deadlines(clock, self._deadline_passed)
        self._idle: list[Deferred[None]] = []
        metrics.in_flight.set_function(lambda: len(self._under_way))

        @lru_cache(REMEMBERED_CALLERS)
        def lines_passed_on(fields: Fields) -> bytes:
            return render_headers(request_headers(caller_headers(fields), process_id))

        def all_lines(fields: Fields) -> bytes:
            loop = request_headers(CallerHeaders(loop=caller_headers(fields).loop), process_id)
            return render_headers([*end_to_end_headers(_cleaned(fields)), *loop])

        self._lines_passed_on = lines_passed_on
        self._all_lines = all_lines

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """Scrape the target that the path names. HEAD comes here too."""
        target_id = request.path[request.path.find(_PREFIX) + len(_PREFIX) :].decode("latin-1")
        target = self._registry.snapshot.by_id.get(target_id)
        if target is None:
            return self._no_target(request)
        return self._scrape(self.history.of(target), request, self._lines_passed_on)

    def proxy(self, target: Target, request: CallerRequest) -> int:
        """Scrape a target, listed or not, for a caller to whom we are its ``proxy_url``."""
        is_listed = self._registry.snapshot.by_id.get(target.id) is target
        record = (self.history if is_listed else self._unlisted).of(target)
        return self._scrape(record, request, self._all_lines)

    def _scrape(
        self,
        record: TargetRecord,
        request: CallerRequest,
        lines_passed_on: Callable[[Fields], bytes],
    ) -> int:
        """``lines_passed_on`` makes the header lines for the target out of those of the caller."""
        began = self._clock.seconds()
        settings = self.settings
        ends = began + settings.timeouts.deadline_in(request.fields.last(_TIMEOUT_FIELD))
        scrape = _Scrape(record, settings, request, began, ends, lines_passed_on)
        scraping = Deferred.fromCoroutine(self._answer(scrape))
        if not scraping.called:
            self._under_way[scrape] = scraping
            self._deadlines.add(scrape, ends)
            request.on_lost = lambda: self._client_left(scrape)
            scraping.addBoth(self._ended, scrape)
        scraping.addErrback(self._broken, scrape)
        return NOT_DONE_YET

    async def _answer(self, scrape: _Scrape) -> None:
        target, limits = scrape.target, scrape.settings.limits
        try:
            try:
                # First, since a loop may itself hold all places.
                passed_on = scrape.lines_passed_on(scrape.request.fields)
                waiting = limits.enter(target)
                if waiting is not None:
                    await waiting
                scrape.has_place = True
                await self._ask(scrape, passed_on)
            finally:
                scrape.request.on_lost = None  # else request and scrape would hold each other
                if scrape.has_place:
                    limits.leave(target)
        except (ScrapeError, CutShort, CancelledError) as error:
            self._failed(scrape, error)
        else:
            scrape.request.finish()
            self._note(scrape, "success" if scrape.status == 200 else "target_error")

    async def _ask(self, scrape: _Scrape, passed_on: bytes) -> None:
        request = scrape.request
        lines = passed_on + timeout_header_line(scrape.ends - self._clock.seconds())
        response = await self._outbound.send(scrape.record.template, request.method, lines)
        scrape.status = response.code
        try:
            self._begin_answer(scrape, response)
            await self._relay(scrape, response)
        except BaseException:
            response.stopProducing()  # unread it would keep its connection
            raise

    def _begin_answer(self, scrape: _Scrape, response: Response) -> None:
        request = scrape.request
        if is_redirect(response.code):
            raise BadUpstream(f"it redirects{_where_to(response)}, which is not followed")
        if 0 < scrape.settings.body_size_limit < _known_length(response):
            raise _too_large(scrape)
        scrape.is_unknown_to_router = is_gorouter_miss(response.code, response.raw_headers)
        request.setResponseCode(response.code, response.phrase)
        request.pass_on(
            response_header_lines(response.raw_headers),
            has_length=response.length is not UNKNOWN_LENGTH,
        )

    async def _relay(self, scrape: _Scrape, response: Response) -> None:
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
            raise _too_large(scrape)

    async def _stream(
        self, scrape: _Scrape, response: Response, write: Callable[[bytes], None]
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

    def _deadline_passed(self, scrape: _Scrape) -> None:
        scrape.deadline_passed = True
        self._under_way[scrape].cancel()

    def _client_left(self, scrape: _Scrape) -> None:
        scrape.client_gone = True
        self._under_way[scrape].cancel()

    def _failed(self, scrape: _Scrape, error: Exception) -> None:
        """Tell the caller, in the one way that is left."""
        if scrape.client_gone:
            self._count(scrape, "client_gone")
            return
        explained = self._explain(scrape, error)
        if scrape.request.startedWriting:
            self._cut_short(scrape)
            self._note(scrape, "cut_short", explained)
        else:
            self._refuse(scrape, explained)
            self._note(scrape, outcome_of(explained), explained)

    def _explain(self, scrape: _Scrape, error: Exception) -> ScrapeError:
        """What went wrong, as the caller may know it."""
        if scrape.deadline_passed and not scrape.has_place:
            return Busy(f"no scrape slot became free within {self._seconds(scrape):.3g} s")
        if isinstance(error, DeadlinePassed):  # whoever was asked knows more of it
            return error
        if scrape.deadline_passed:
            return DeadlinePassed(f"no complete answer within {self._seconds(scrape):.3g} s")
        if isinstance(error, CancelledError):
            return Busy("promproxy is stopping")
        if 0 < scrape.settings.body_size_limit < scrape.size:
            return _too_large(scrape)
        if isinstance(error, ScrapeError):
            return error
        return BadUpstream("its answer broke off")

    def _refuse(self, scrape: _Scrape, error: ScrapeError) -> None:
        target, request = scrape.target, scrape.request
        request.pass_on(b"", has_length=False)  # the target's own no longer hold
        text = f"{target.id}: {target.url}: {error.reason}"
        request.write(plain_answer(request, status_of(error), text))
        request.finish()

    def _cut_short(self, scrape: _Scrape) -> None:
        """Send what has arrived, then end the connection so that the body cannot look whole."""
        request = scrape.request
        request.abort_truncated()
        # A reader that does not take what is left must not hold it for ever.
        left = max(scrape.ends - self._clock.seconds(), 1.0)
        late = self._clock.callLater(left, request.abort)
        request.on_lost = lambda: late.cancel() if late.active() else None

    def _broken(self, failure: Failure, scrape: _Scrape) -> None:
        """A bug of ours; the caller must not take it for an answer."""
        log.failure("scrape of {target} failed", failure, target=scrape.target.id)
        self._count(scrape, "error")
        scrape.request.abort()

    # What is known of all scrapes.

    def _ended(self, result: T, scrape: _Scrape) -> T:
        del self._under_way[scrape]
        self._deadlines.remove(scrape)
        if not self._under_way:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)
        return result

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
        for scraping in reversed(list(self._under_way.values())):  # nobody gets a place by it
            scraping.cancel()
        self._deadlines.stop()

    def _no_target(self, request: CallerRequest) -> bytes:
        missing = self._registry.pending_sources()
        self._metrics.scraped("", "not_ready" if missing else "unknown_target", 0.0, 0)
        if missing:
            return not_ready_answer(request, missing)
        return plain_answer(request, 404, "no such target; /discovery lists them all")

    def _seconds(self, scrape: _Scrape) -> float:
        return self._clock.seconds() - scrape.began

    def _count(self, scrape: _Scrape, outcome: str) -> None:
        self._metrics.scraped(scrape.target.source, outcome, self._seconds(scrape), scrape.size)

    def _note(self, scrape: _Scrape, outcome: str, error: ScrapeError | None = None) -> None:
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


def caller_headers(fields: Fields) -> CallerHeaders:
    """The header fields of a request that matter to targets, fit to be sent."""
    return CallerHeaders(
        accept=_clean(fields.joined(b"accept")),
        accept_encoding=_clean(fields.joined(b"accept-encoding")),
        user_agent=_clean(fields.joined(b"user-agent")),
        loop=_clean(fields.joined(_LOOP_FIELD)),
    )


def _cleaned(fields: Fields) -> Iterator[tuple[bytes, bytes]]:
    for name, values in fields.by_name.items():
        yield from ((name, _clean(value) or b"") for value in values)


def _clean(value: bytes | None) -> bytes | None:
    """A field's value fit to be sent (RFC 9110, section 5.5)."""
    return None if value is None else value.translate(_CONTROLS_TO_SPACES)


def _too_large(scrape: _Scrape) -> BadUpstream:
    return BadUpstream(f"its answer is larger than {scrape.settings.body_size_limit} bytes")


def _known_length(response: Response) -> int:
    return response.length if isinstance(response.length, int) else 0


def _where_to(response: Response) -> str:
    """Where a redirect leads, without what may be secret in it."""
    location = (response.headers.getRawHeaders(b"Location") or [b""])[0]
    try:
        parts = urlsplit(location.decode("ascii"))
    except ValueError:
        return ""
    netloc = parts.netloc.rpartition("@")[2]
    place = urlunsplit((parts.scheme, netloc, parts.path, "", ""))
    return f" to {place[:200]}" if place.isprintable() and place else ""
