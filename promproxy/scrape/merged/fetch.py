"""Scrapes one target of a merged scrape and makes a block of its answer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from promproxy.errors import BadUpstream, Busy, DeadlinePassed, ScrapeError
from promproxy.exposition.openmetrics import to_text
from promproxy.exposition.rewrite import Block, Rewriter
from promproxy.exposition.text import BadExposition
from promproxy.http.forwarding import is_gorouter_miss, is_redirect, timeout_header_line
from promproxy.metrics import Metrics
from promproxy.outbound.client import Outbound
from promproxy.outbound.response import Response
from promproxy.registry import Registry
from promproxy.scrape.history import ScrapeHistory, TargetRecord
from promproxy.scrape.limits import Limits
from promproxy.scrape.merged.blocks import Scraped
from promproxy.scrape.merged.body import TargetBody
from promproxy.scrape.merged.budget import Budget
from promproxy.scrape.merged.selection import Labelled
from promproxy.scrape.outcome import outcome_of
from promproxy.timing.slices import in_slices

T = TypeVar("T")

#: What a target is asked for: never protobuf, OpenMetrics only where there is nothing else.
ACCEPT = (
    b"Accept: text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.2,"
    b"*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
)
#: Of the reactor's turn, for rewriting: a third of what other long work takes, so that single
#: scrapes beside a merged one keep most of their rate.
SLICE_SECONDS = 0.001
#: After each body it rests for so many times what that took, but no longer than this.
REST_SHARE = 3.0
LONGEST_REST_SECONDS = 0.005
#: A target that answers so is a page of ours, asked by way of itself.
_LOOP_STATUS = 508


class _NotOk(Exception):
    """The target answered, but not with 200."""


@frozen(eq=False)
class Terms:
    """What the fetches of one merged answer have in common.

    ``lines`` are header lines beside the usual ones. ``ends``, the clock's, is when a target must
    have answered. A body is at most ``body_size_limit`` bytes, decoded.
    """

    limits: Limits
    budget: Budget
    body_size_limit: int
    lines: bytes
    ends: float


@define(eq=False)
class _Fetch:
    """One target being asked."""

    record: TargetRecord
    began: float
    status: int = 0
    is_late: bool = False
    has_slot: bool = False
    is_openmetrics: bool = False
    is_unknown_to_router: bool = False
    body: TargetBody | None = None

    @property
    def size(self) -> int:
        return 0 if self.body is None else self.body.size

    def expire(self, asking: Deferred[bytes]) -> None:
        self.is_late = True
        asking.cancel()


@define(eq=False)
class Fetcher:
    """Asks targets within the limits of all scrapes, and keeps how that ended like theirs.

    While ``others_wait``, as single scrapes do, it rests between two bodies.
    """

    _registry: Registry
    _outbound: Outbound
    _history: ScrapeHistory
    _metrics: Metrics
    _clock: IReactorTime
    _others_wait: Callable[[], bool] = lambda: False
    _rewriter: Rewriter = field(factory=Rewriter, init=False)
    _known: dict[str, tuple[bytes, ...]] = field(factory=dict, init=False)
    #: One body is rewritten at a time, however many answers are under way.
    _rewriting: DeferredLock = field(factory=DeferredLock, init=False)

    async def fetch(self, labelled: Labelled, terms: Terms) -> tuple[Scraped, TargetBody | None]:
        """Scrape a target. Raises nothing but CancelledError.

        Where that succeeds, the collector that comes along counts the block's bytes until it is
        released.
        """
        fetch = _Fetch(self._history.of(labelled.target, labelled.profiles), self._clock.seconds())
        block: Block | None = None
        error: ScrapeError | None = None
        try:
            body = await self._in_time(fetch, terms)
            block = await self._block(labelled, body, fetch)
            outcome = "success"
        except _NotOk:
            outcome = "loop" if fetch.status == _LOOP_STATUS else "target_error"
        except BadExposition as bad:
            outcome, error = "bad_exposition", BadUpstream(str(bad))
        except ScrapeError as failed:
            outcome, error = outcome_of(failed), failed
        finally:
            if block is None and fetch.body is not None:
                fetch.body.release()
        seconds = self._clock.seconds() - fetch.began
        self._note(fetch, outcome, seconds, error)
        return Scraped(outcome, seconds, block, fetch.size), fetch.body if block else None

    async def _in_time(self, fetch: _Fetch, terms: Terms) -> bytes:
        """The target's whole body, decoded. Raises ScrapeError and _NotOk."""
        left = max(terms.ends - self._clock.seconds(), 0.0)
        asking = Deferred.fromCoroutine(self._ask(fetch, terms))
        late = self._clock.callLater(left, fetch.expire, asking)
        try:
            return await asking
        except CancelledError:
            if not fetch.is_late:
                raise
            if not fetch.has_slot:
                raise Busy(f"no scrape slot became free within {left:.3g} s") from None
            raise DeadlinePassed(f"no complete answer within {left:.3g} s") from None
        finally:
            if late.active():
                late.cancel()

    async def _ask(self, fetch: _Fetch, terms: Terms) -> bytes:
        target = fetch.record.target
        waiting = terms.limits.enter(target)
        if waiting is not None:
            await waiting
        fetch.has_slot = True
        try:
            lines = terms.lines + timeout_header_line(terms.ends - self._clock.seconds())
            response = await self._outbound.send(fetch.record.template, b"GET", lines)
            try:
                return await self._collect(fetch, response, terms)
            except BaseException:
                response.stopProducing()  # unread it would keep its connection
                raise
        finally:
            terms.limits.leave(target)

    async def _collect(self, fetch: _Fetch, response: Response, terms: Terms) -> bytes:
        fetch.status = response.code
        fetch.is_unknown_to_router = is_gorouter_miss(response.code, response.raw_headers)
        if is_redirect(response.code):
            raise BadUpstream("it redirects, which is not followed")
        if response.code != 200:
            raise _NotOk
        fetch.is_openmetrics = _last(response, b"Content-Type").startswith(
            b"application/openmetrics-text"
        )
        is_gzip = _last(response, b"Content-Encoding") in (b"gzip", b"x-gzip")
        fetch.body = TargetBody(terms.body_size_limit, terms.budget, is_gzip=is_gzip)
        response.deliverBody(fetch.body)
        return await fetch.body.whole

    async def _block(self, labelled: Labelled, body: bytes, fetch: _Fetch) -> Block:
        """The body with labels. Raises BadExposition."""
        target_id = labelled.target.id
        await self._rewriting.acquire()
        began = self._clock.seconds()
        try:
            if fetch.is_openmetrics:
                body = await self._run(to_text(body))
            known = self._known.get(target_id, ())
            block = await self._run(self._rewriter.rewrite(body, labelled.labels, known))
            if self._others_wait():
                used = self._clock.seconds() - began
                await deferLater(self._clock, min(REST_SHARE * used, LONGEST_REST_SECONDS))
        finally:
            self._rewriting.release()
        if len(self._known) > 2 * len(self._registry.snapshot.by_id):
            self._known.clear()
        self._known[target_id] = block.known
        assert fetch.body is not None
        fetch.body.held(len(block.text))
        return block

    async def _run(self, work: Generator[None, None, T]) -> T:
        history: list[T] = []

        def kept() -> Generator[None, None, None]:
            history.append((yield from work))

        await in_slices(kept(), self._clock, SLICE_SECONDS)
        return history[0]

    def _note(self, fetch: _Fetch, outcome: str, seconds: float, error: ScrapeError | None) -> None:
        record = fetch.record
        self._metrics.scraped(record.target.source, outcome, seconds, fetch.size)
        if fetch.is_unknown_to_router and record.is_up:
            self._registry.suspect_stale(record.target)
        self._history.record(
            record,
            outcome,
            status=fetch.status,
            began=fetch.began,
            seconds=seconds,
            size=fetch.size,
            error=error,
        )


def _last(response: Response, name: bytes) -> bytes:
    values = response.headers.getRawHeaders(name) or [b""]
    return values[-1].strip().lower()
