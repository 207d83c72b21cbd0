"""The scrape: a path becomes a target, its answer streams through.

Read `ScrapeResource._scrape` from top to bottom. Whatever goes wrong arrives in `_failed`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import treq
from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from promproxy.discovery import SCRAPE_PATH
from promproxy.errors import BadUpstream, Busy, CutShort, DeadlinePassed, ScrapeError
from promproxy.forwarding import (
    LOOP_HEADER,
    TIMEOUT_HEADER,
    CallerHeaders,
    Timeouts,
    is_redirect,
    passed_back,
    request_headers,
    says_unknown_to_router,
)
from promproxy.http.outbound import Outbound
from promproxy.http.response import Response
from promproxy.limits import Limits
from promproxy.metrics import Metrics
from promproxy.registry import Registry
from promproxy.target import Target
from promproxy.web.answers import outcome_of, plain_answer, status_of
from promproxy.web.site import PlainRequest

log = Logger()

_PREFIX = f"{SCRAPE_PATH}/".encode()
_CONTROLS = bytes((*range(0x20), 0x7F))
_CONTROLS_TO_SPACES = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))


@define(eq=False)
class _Scrape:
    """One scrape under way."""

    target: Target
    request: PlainRequest
    began: float
    ends: float
    size: int = 0
    has_place: bool = False
    client_gone: bool = False
    is_unknown_to_router: bool = False


class ScrapeResource(Resource):
    """``/singleTargetMetrics/<id>``."""

    isLeaf = True

    def __init__(
        self,
        registry: Registry,
        outbound: Outbound,
        timeouts: Timeouts,
        limits: Limits,
        body_size_limit: int,
        metrics: Metrics,
        clock: IReactorTime,
        process_id: bytes,
    ) -> None:
        super().__init__()
        self._registry = registry
        self._outbound = outbound
        self._timeouts = timeouts
        self._limits = limits
        self._body_size_limit = body_size_limit
        self._metrics = metrics
        self._clock = clock
        self._process_id = process_id
        self._under_way: dict[_Scrape, Deferred[None]] = {}
        self._idle: list[Deferred[None]] = []
        # How the last scrape of a target ended: failures are logged once per change.
        self._last: dict[str, str] = {}

    def render_GET(self, request: PlainRequest) -> bytes | int:
        """Scrape the target that the path names. HEAD comes here too."""
        target_id = request.path[request.path.find(_PREFIX) + len(_PREFIX) :].decode("latin-1")
        target = self._registry.snapshot.by_id.get(target_id)
        if target is None:
            return self._no_target(request)
        began = self._clock.seconds()
        seconds = self._timeouts.deadline_in(request.getHeader(TIMEOUT_HEADER.encode()))
        scrape = _Scrape(target, request, began, began + seconds)
        self._metrics.in_flight.inc()
        scraping = Deferred.fromCoroutine(self._scrape(scrape))
        self._under_way[scrape] = scraping
        scraping.addTimeout(seconds, self._clock)
        request.notifyFinish().addErrback(self._client_left, scrape, scraping)
        scraping.addCallbacks(
            self._succeeded, self._failed, callbackArgs=(scrape,), errbackArgs=(scrape,)
        )
        scraping.addErrback(self._broken, scrape)
        scraping.addCallback(self._ended, scrape)
        return NOT_DONE_YET

    async def _scrape(self, scrape: _Scrape) -> None:
        await self._limits.enter(scrape.target)
        scrape.has_place = True
        try:
            await self._ask(scrape)
        finally:
            self._limits.leave(scrape.target)

    async def _ask(self, scrape: _Scrape) -> None:
        target, request = scrape.target, scrape.request
        headers = request_headers(
            target,
            _caller_headers(request),
            seconds_left=scrape.ends - self._clock.seconds(),
            process_id=self._process_id,
        )
        response = await self._outbound.send(target, request.method, headers)
        if is_redirect(response.code):
            response.stopProducing()
            raise BadUpstream(f"it redirects{_where_to(response)}, which is not followed")
        if 0 < self._body_size_limit < _known_length(response):
            response.stopProducing()
            raise self._too_large()
        scrape.is_unknown_to_router = says_unknown_to_router(response.raw_headers)
        request.setResponseCode(response.code, response.phrase)
        for name, value in passed_back(response.raw_headers):
            request.responseHeaders.addRawHeader(name, value)
        await self._relay(scrape, response)

    async def _relay(self, scrape: _Scrape, response: Response) -> None:
        """Pass the body on as fast as the caller takes it."""
        request = scrape.request
        limit = self._body_size_limit

        def write(data: bytes) -> None:
            scrape.size += len(data)
            if limit and scrape.size > limit:
                response.stopProducing()
            else:
                request.write(data)

        request.registerProducer(response, True)
        try:
            await treq.collect(response, write)
        except CancelledError:
            response.stopProducing()
            raise
        finally:
            # Not where the caller left: its channel is gone, and has stopped the response.
            if not scrape.client_gone:
                request.unregisterProducer()
        if 0 < limit < scrape.size:  # all of it had arrived before it could be stopped
            raise self._too_large()

    def _succeeded(self, _result: None, scrape: _Scrape) -> None:
        scrape.request.finish()
        self._note(scrape, "success" if scrape.request.code == 200 else "target_error")

    def _client_left(self, _failure: Failure, scrape: _Scrape, scraping: Deferred[None]) -> None:
        scrape.client_gone = True
        scraping.cancel()

    def _failed(self, failure: Failure, scrape: _Scrape) -> None:
        """Tell the caller, in the one way that is left."""
        if scrape.client_gone:
            self._count(scrape, "client_gone")
            return
        error = self._explain(failure, scrape)
        if scrape.request.startedWriting:
            self._cut_short(scrape)
            self._note(scrape, "cut_short", error)
        else:
            self._refuse(scrape, error)
            self._note(scrape, outcome_of(error), error)

    def _explain(self, failure: Failure, scrape: _Scrape) -> ScrapeError:
        """What went wrong, as the caller may know it; what is a bug of ours is raised again."""
        if failure.check(DeferredTimeout) and not scrape.has_place:
            return Busy(f"no place for it came free within {self._seconds(scrape):.3g} s")
        if failure.check(DeferredTimeout):
            return DeadlinePassed(f"no complete answer within {self._seconds(scrape):.3g} s")
        if failure.check(CancelledError):
            return Busy("promproxy is stopping")
        if 0 < self._body_size_limit < scrape.size:
            return self._too_large()
        if failure.check(CutShort):
            return BadUpstream("its answer broke off")
        failure.trap(ScrapeError)
        assert isinstance(failure.value, ScrapeError)  # says the same to mypy
        return failure.value

    def _too_large(self) -> BadUpstream:
        return BadUpstream(f"its answer is larger than {self._body_size_limit} bytes")

    def _refuse(self, scrape: _Scrape, error: ScrapeError) -> None:
        target, request = scrape.target, scrape.request
        # What the target's head may have set already goes.
        for name in (b"Content-Type", b"Content-Encoding", b"Content-Length"):
            request.responseHeaders.removeHeader(name)
        text = f"{target.id}: {target.url}: {error.reason}"
        request.write(plain_answer(request, status_of(error), text))
        request.finish()

    def _cut_short(self, scrape: _Scrape) -> None:
        """Send what has arrived, then end the connection so that the body cannot look whole."""
        request = scrape.request
        request.break_off()
        # A reader that does not take what is left must not hold it for ever.
        left = max(scrape.ends - self._clock.seconds(), 1.0)
        late = self._clock.callLater(left, request.abort)
        request.notifyFinish().addErrback(_cancel_call, late)

    def _broken(self, failure: Failure, scrape: _Scrape) -> None:
        """A bug of ours; the caller must not take it for an answer."""
        log.failure("scrape of {target} failed", failure, target=scrape.target.id)
        self._count(scrape, "error")
        scrape.request.abort()

    def _ended(self, _result: object, scrape: _Scrape) -> None:
        del self._under_way[scrape]
        self._metrics.in_flight.dec()
        if not self._under_way:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

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
        for scraping in list(self._under_way.values()):
            scraping.cancel()

    def _no_target(self, request: PlainRequest) -> bytes:
        missing = self._registry.missing()
        self._metrics.scraped("", "not_ready" if missing else "unknown_target", 0.0, 0)
        if missing:
            request.setHeader(b"Retry-After", b"5")
            text = f"not ready: waiting for the first targets of {', '.join(missing)}"
            return plain_answer(request, 503, text)
        return plain_answer(request, 404, "no such target; /discovery lists them all")

    def _seconds(self, scrape: _Scrape) -> float:
        return self._clock.seconds() - scrape.began

    def _count(self, scrape: _Scrape, outcome: str) -> None:
        self._metrics.scraped(scrape.target.source, outcome, self._seconds(scrape), scrape.size)

    def _note(self, scrape: _Scrape, outcome: str, error: ScrapeError | None = None) -> None:
        """Remember how a scrape ended, and tell of it where that is news."""
        self._count(scrape, outcome)
        target = scrape.target
        before, self._last[target.id] = self._last.get(target.id), outcome
        if len(self._last) > 2 * len(self._registry.snapshot.by_id):
            self._forget_former_targets()
        if scrape.is_unknown_to_router and before == "success":
            self._registry.suspect_stale(target)
        if error is not None and before != outcome:
            log.warn(
                "target {target}: {url}: {reason} ({cause})",
                target=target.id,
                url=target.url,
                reason=error.reason,
                cause=repr(error.__cause__),
            )
        elif error is None and before not in (None, "success", "target_error"):
            log.info("target {target} answers again", target=target.id)

    def _forget_former_targets(self) -> None:
        by_id = self._registry.snapshot.by_id
        self._last = {id_: outcome for id_, outcome in self._last.items() if id_ in by_id}


def _cancel_call(_failure: Failure, call: IDelayedCall) -> None:
    if call.active():
        call.cancel()


def _caller_headers(request: PlainRequest) -> CallerHeaders:
    return CallerHeaders(
        accept=_joined(request, b"Accept"),
        accept_encoding=_joined(request, b"Accept-Encoding"),
        user_agent=_joined(request, b"User-Agent"),
        loop=_joined(request, LOOP_HEADER.encode()),
    )


def _joined(request: PlainRequest, name: bytes) -> bytes | None:
    """A header that may be spread over several lines, fit to be sent (RFC 9110, 5.3 and 5.5)."""
    values = request.requestHeaders.getRawHeaders(name)
    return b", ".join(values).translate(_CONTROLS_TO_SPACES) if values else None


def _known_length(response: Response) -> int:
    return response.length if isinstance(response.length, int) else 0


def _where_to(response: Response) -> str:
    """Where a redirect leads, without what may be secret in it."""
    location = (response.headers.getRawHeaders(b"Location") or [b""])[0]
    try:
        parts = urlsplit(location.decode("ascii"))
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    place = f"{parts.scheme}://{netloc}{parts.path}" if netloc else parts.path
    return f" to {place[:200]}" if place.isprintable() and place else ""
