"""The status page as a resource."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from promproxy.registry import Registry
from promproxy.scrape.history import ScrapeHistory
from promproxy.server.answers import RETRY_AFTER_SECONDS, plain_answer
from promproxy.server.request import CallerRequest
from promproxy.timing.slices import in_slices
from promproxy.timing.threads import InThread
from promproxy.web.status.html import Html
from promproxy.web.status.page import STYLE, Status, configuration_page, status_page
from promproxy.web.status.query import CONFIGURATION, Query, Selection
from promproxy.web.status.tables import source_rows

MOST_WAITING = 16  # callers for whom a page is not begun yet

_STYLE_HASH = b64encode(sha256(STYLE.encode()).digest())
# No script, nothing from elsewhere, in no frame.
_POLICY = (
    b"default-src 'none'; style-src 'sha256-%b'; img-src data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'" % _STYLE_HASH
)
_HEADERS = {
    b"Content-Security-Policy": _POLICY,
    b"Referrer-Policy": b"same-origin",
    b"Cache-Control": b"no-store",
}


@define(eq=False)
class ConfigurationText:
    """The configuration as text, rendered once, in a thread, on demand."""

    _in_thread: InThread
    _write: Callable[[], str]
    _text: str | None = field(default=None, init=False)

    async def get(self) -> str:
        if self._text is None:
            self._text = await self._in_thread(self._write)
        return self._text


class StatusResource(Resource):
    """Renders one page at a time, in slices: scrapes come first."""

    page = "status"

    def __init__(
        self,
        registry: Registry,
        history: ScrapeHistory,
        configuration: ConfigurationText,
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._registry = registry
        self._history = history
        self._configuration = configuration
        self._clock = clock
        self._one_at_a_time = DeferredLock()

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """The page. HEAD comes here too."""
        if not request.path.endswith(b"/"):  # below a path prefix: the links need the slash
            request.setHeader(b"Location", b"./%b/" % request.path.rpartition(b"/")[2])
            return plain_answer(request, 302, "redirecting to add the trailing slash")
        if len(self._one_at_a_time.waiting) >= MOST_WAITING:
            request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER_SECONDS)
            return plain_answer(request, 503, "status page busy, retry later")
        query = Query.from_args(request.args)
        answering: Deferred[None] = self._one_at_a_time.run(
            lambda: Deferred.fromCoroutine(self._answer(request, query))
        )
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(self._broken, request)
        return NOT_DONE_YET

    async def _answer(self, request: CallerRequest, query: Query) -> None:
        is_configuration = query.view == CONFIGURATION
        page = await (self._configuration_page(query) if is_configuration else self._status(query))
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        request.write(plain_answer(request, 200, page, "text/html"))
        request.finish()

    async def _configuration_page(self, query: Query) -> Html:
        return configuration_page(query, await self._configuration.get())

    async def _status(self, query: Query) -> Html:
        registry = self._registry
        snapshot = registry.snapshot
        selection = Selection(query, self._history.last)
        await in_slices(selection.look_at(snapshot.targets()), self._clock)
        rows = source_rows(registry.states, snapshot.listings, selection.healths)
        return status_page(
            Status(rows, registry.pending_sources(), selection, self._clock.seconds())
        )

    def _broken(self, failure: Any, request: CallerRequest) -> None:
        if not request.is_gone:
            request.processingFailed(failure)
