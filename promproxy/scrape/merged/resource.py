"""``/mergedMetrics``: the labelled metrics of all targets, or of a selection, in one answer."""

from __future__ import annotations

from typing import TypeVar

from attrs import define
from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from promproxy.errors import LoopDetected, TooLarge
from promproxy.http.forwarding import TIMEOUT_HEADER, CallerHeaders, request_headers
from promproxy.outbound.request import render_headers
from promproxy.registry import Registry
from promproxy.scrape.caller import caller_headers
from promproxy.scrape.merged.answer import Form, MergedAnswer
from promproxy.scrape.merged.budget import Budget
from promproxy.scrape.merged.fetch import ACCEPT, Fetcher, Terms
from promproxy.scrape.merged.metrics import MergedMetrics
from promproxy.scrape.merged.selection import (
    Plan,
    Selection,
    in_order,
    plan_for,
    selection_from,
)
from promproxy.scrape.merged.settings import MergedSettings
from promproxy.scrape.resource import ScrapeResource
from promproxy.server.answers import (
    RETRY_AFTER_SECONDS,
    accepts_gzip,
    no_source_answer,
    not_ready_answer,
    plain_answer,
)
from promproxy.server.request import CallerRequest

T = TypeVar("T")

MAX_ANSWERS = 2
MOST_NAMED = 5
#: How much of an answer's time targets have, and the most that is kept for the rest.
TARGETS_SHARE = 0.75
MAX_RESERVE_SECONDS = 5.0
#: How long a caller of an answer that broke off has to read what was written.
LAST_SECONDS = 1.0
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_TIMEOUT_FIELD = TIMEOUT_HEADER.lower().encode()

log = Logger()


@define(eq=False)
class _Merged:
    """One merged scrape under way."""

    request: CallerRequest
    plan: Plan
    began: float
    answer: MergedAnswer | None = None
    client_gone: bool = False
    is_late: bool = False


class MergedResource(Resource):
    """``?source=NAME``, ``?match=LABEL=VALUE``, ``?shard=I&of=N``, ``?grouped=1``.

    ``settings`` may be replaced at any time, and ``promregator``, which adds Promregator's labels
    to metrics of ours. Limits and deadlines are those of ``scrapes``.
    """

    isLeaf = True
    page = "merged"

    def __init__(
        self,
        registry: Registry,
        scrapes: ScrapeResource,
        fetcher: Fetcher,
        settings: MergedSettings,
        promregator: bool,
        own_metrics: CollectorRegistry,
        clock: IReactorTime,
        process_id: bytes,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.promregator = promregator
        self._registry = registry
        self._scrapes = scrapes
        self._fetcher = fetcher
        self._own_metrics = own_metrics
        self._metrics = MergedMetrics(own_metrics)
        self._clock = clock
        self._process_id = process_id
        self._under_way: dict[_Merged, Deferred[None]] = {}
        self._duplicates: tuple[str, ...] = ()

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """The answer, or why there is none. HEAD comes here too, and asks no target."""
        try:
            selection = selection_from(request.args)
            caller = caller_headers(request.fields)
            caller = CallerHeaders(user_agent=caller.user_agent, loop=caller.loop)
            lines = ACCEPT + render_headers(request_headers(caller, self._process_id))
        except ValueError as error:
            return self._refuse(request, 400, "bad_request", str(error))
        except LoopDetected as error:
            return self._refuse(request, 508, "loop", error.reason)
        if selection.source is not None and selection.source not in self._registry.states:
            self._metrics.refused("unknown_source")
            return no_source_answer(request, self._registry.states)
        missing = self._registry.pending_sources(selection.source)
        if missing:
            self._metrics.refused("not_ready")
            return not_ready_answer(request, missing)
        if len(self._under_way) >= MAX_ANSWERS:
            request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER_SECONDS)
            text = f"{MAX_ANSWERS} merged scrapes are under way already"
            return self._refuse(request, 503, "busy", text)
        request.setHeader(b"Content-Type", CONTENT_TYPE)
        if request.method == b"HEAD":
            return b""
        self._begin(request, selection, lines)
        return NOT_DONE_YET

    def _refuse(self, request: CallerRequest, status: int, outcome: str, text: str) -> bytes:
        self._metrics.refused(outcome)
        return plain_answer(request, status, text)

    def _begin(self, request: CallerRequest, selection: Selection, lines: bytes) -> None:
        settings = self.settings
        plan = plan_for(
            self._registry.snapshot, selection, settings.labels, honor_labels=settings.honor_labels
        )
        self._tell_duplicates(plan)
        merged = _Merged(request, plan, self._clock.seconds())
        timeout = self._scrapes.settings.deadline_in(request.fields.last(_TIMEOUT_FIELD))
        merged.answer = self._answer(merged, settings, timeout, lines)
        answering = Deferred.fromCoroutine(self._run(merged, settings))
        if not answering.called:
            self._under_way[merged] = answering
            request.on_lost = lambda: self._client_left(merged)
            late = self._clock.callLater(timeout, self._deadline_passed, merged)
            answering.addBoth(self._ended, merged, late)
        answering.addErrback(self._broken, merged)

    def _answer(
        self, merged: _Merged, settings: MergedSettings, timeout: float, lines: bytes
    ) -> MergedAnswer:
        request, scrapes = merged.request, self._scrapes.settings
        gzip = accepts_gzip(request.getHeader(b"Accept-Encoding"))
        if gzip:
            request.setHeader(b"Content-Encoding", b"gzip")
        request.setHeader(b"Vary", b"Accept-Encoding")
        targets = in_order(merged.plan.targets, self._scrapes.history.last)
        reserve = min(timeout * (1 - TARGETS_SHARE), MAX_RESERVE_SECONDS)
        return MergedAnswer(
            request,
            iter(targets),
            len(targets),
            Form(
                gzip=gzip,
                grouped=request.args.get(b"grouped", [b"0"])[-1] not in (b"0", b"", b"false"),
                promregator=self.promregator,
                max_grouped=settings.buffer,
            ),
            self._fetcher,
            Terms(
                limits=self._scrapes.limits,
                budget=Budget(settings.buffer),
                body_size_limit=min(scrapes.body_size_limit or settings.buffer, settings.buffer),
                lines=lines,
                ends=merged.began + timeout - reserve,
            ),
            self._metrics,
            self._clock,
        )

    async def _run(self, merged: _Merged, settings: MergedSettings) -> None:
        request, answer = merged.request, merged.answer
        assert answer is not None
        own_metrics = generate_latest(self._own_metrics) if settings.own_metrics else b""
        try:
            await answer.run(settings.concurrency, own_metrics)
        except TooLarge as error:
            request.responseHeaders.removeHeader(b"Content-Encoding")
            request.write(plain_answer(request, 503, str(error)))
            request.finish()
            self._count(merged, "too_large")
        except CancelledError:
            self._cut_short(merged)
        else:
            request.on_lost = None
            request.finish()
            self._count(merged, "success")

    def _cut_short(self, merged: _Merged) -> None:
        """Make sure that what was written cannot look whole."""
        if merged.client_gone:
            self._count(merged, "client_gone")
            return
        self._count(merged, "timeout" if merged.is_late else "stopping")
        request = merged.request
        request.abort_truncated()
        late = self._clock.callLater(LAST_SECONDS, request.abort)
        request.on_lost = lambda: late.cancel() if late.active() else None

    def _broken(self, failure: Failure, merged: _Merged) -> None:
        """A bug of ours; the caller must not take it for an answer."""
        log.failure("merged scrape failed", failure)
        self._count(merged, "error")
        merged.request.abort()

    # What may end a merged scrape early.

    def _deadline_passed(self, merged: _Merged) -> None:
        merged.is_late = True
        self._under_way[merged].cancel()

    def _client_left(self, merged: _Merged) -> None:
        merged.client_gone = True
        self._under_way[merged].cancel()

    def cancel_all(self) -> None:
        """Break off every answer under way: the daemon stops."""
        for answering in list(self._under_way.values()):
            answering.cancel()

    # What is known of all of them.

    def _ended(self, result: T, merged: _Merged, late: IDelayedCall) -> T:
        del self._under_way[merged]
        if late.active():
            late.cancel()
        return result

    def _count(self, merged: _Merged, outcome: str) -> None:
        seconds = self._clock.seconds() - merged.began
        sent = 0 if merged.answer is None else merged.answer.sent
        self._metrics.request(outcome, seconds, sent, len(merged.plan.duplicates))

    def _tell_duplicates(self, plan: Plan) -> None:
        if plan.duplicates and plan.duplicates != self._duplicates:
            log.warn(
                "merged scrape leaves out {count} targets whose labels others have too: {some}",
                count=len(plan.duplicates),
                some=", ".join(plan.duplicates[:MOST_NAMED]),
            )
        self._duplicates = plan.duplicates
