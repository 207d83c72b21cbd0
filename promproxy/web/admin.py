"""``POST /-/refresh``, ``GET /cache/invalidate``: look at the sources now. ``POST /-/reload``."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from promproxy.errors import ConfigError
from promproxy.registry import Registry
from promproxy.server.answers import no_source_answer, plain_answer, source_asked_for
from promproxy.server.request import CallerRequest


class RefreshResource(Resource):
    """Asks for an early refresh of all sources, or of ``?source=NAME``."""

    isLeaf = True
    page = "refresh"

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def render_POST(self, request: Request) -> bytes:
        """202: the refresh begins now; it is done when `/metrics` and `/` say so."""
        name = source_asked_for(request)
        if name is not None and name not in self._registry.states:
            return no_source_answer(request, self._registry.states)
        self._registry.refresh_soon(name)
        what = "all sources" if name is None else name
        return plain_answer(request, 202, f"refreshing {what}")

    def render_HEAD(self, request: Request) -> bytes:
        """No more than GET; Twisted would look for a `render_GET`."""
        raise UnsupportedMethod((b"POST",))


class ReloadResource(Resource):
    """Reads the configuration again. ``reload`` yields what could not be applied, in words."""

    isLeaf = True
    page = "reload"

    def __init__(self, reload: Callable[[], Deferred[list[str]]]) -> None:
        super().__init__()
        self._reload = reload

    def render_POST(self, request: CallerRequest) -> int:
        """200 once it is in force; 500 and the reason where it cannot be, and nothing changed."""
        Deferred.fromCoroutine(self._answer(request)).addErrback(request.processingFailed)
        return NOT_DONE_YET

    async def _answer(self, request: CallerRequest) -> None:
        try:
            warnings = await self._reload()
        except ConfigError as error:
            status, lines = 500, [f"reload failed, keeping the running configuration: {error}"]
        else:
            status, lines = 200, ["reloaded", *warnings]
        if not request.is_gone:
            request.write(plain_answer(request, status, "\n".join(lines)))
            request.finish()

    def render_HEAD(self, request: Request) -> bytes:
        """No more than GET; Twisted would look for a `render_GET`."""
        raise UnsupportedMethod((b"POST",))


class InvalidateResource(Resource):
    """Promregator's name for a refresh; its parameters are ignored."""

    isLeaf = True
    page = "invalidate"

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: Request) -> bytes:
        self._registry.refresh_soon()
        request.setResponseCode(204)
        return b""
