"""``POST /-/refresh``, ``GET /cache/invalidate``: look at the sources now. ``POST /-/reload``."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from promproxy.errors import ConfigError
from promproxy.registry import Registry
from promproxy.web.answers import no_source_answer, plain_answer, source_asked_for
from promproxy.web.request import PlainRequest


class _AdminResource(Resource):
    """Only for callers on this host, unless ``is_open``."""

    isLeaf = True

    def __init__(self, registry: Registry, *, is_open: bool) -> None:
        super().__init__()
        self._registry = registry
        self._is_open = is_open

    def _refuse(self, request: Request, source: str | None) -> bytes | None:
        if not self._is_open and not is_local(request):
            return plain_answer(request, 403, "only for callers on this host (see open_admin)")
        if source is not None and source not in self._registry.states:
            return no_source_answer(request, self._registry.states)
        return None


class RefreshResource(_AdminResource):
    """Asks for an early refresh of all sources, or of ``?source=NAME``."""

    def render_POST(self, request: Request) -> bytes:
        """202: the refresh begins now; it is done when `/metrics` and `/` say so."""
        name = source_asked_for(request)
        refused = self._refuse(request, name)
        if refused is not None:
            return refused
        self._registry.refresh_soon(name)
        what = "all sources" if name is None else name
        return plain_answer(request, 202, f"refreshing {what}")

    def render_HEAD(self, request: Request) -> bytes:
        """No more than GET; Twisted would look for a `render_GET`."""
        raise UnsupportedMethod((b"POST",))


class ReloadResource(_AdminResource):
    """Reads the configuration again. ``reload`` yields what could not be applied, in words."""

    def __init__(
        self,
        registry: Registry,
        reload: Callable[[], Deferred[list[str]]],
        *,
        is_open: bool,
    ) -> None:
        super().__init__(registry, is_open=is_open)
        self._reload = reload

    def render_POST(self, request: PlainRequest) -> bytes | int:
        """200 once it is in force; 500 and the reason where it cannot be, and nothing changed."""
        refused = self._refuse(request, None)
        if refused is not None:
            return refused
        Deferred.fromCoroutine(self._answer(request)).addErrback(request.processingFailed)
        return NOT_DONE_YET

    async def _answer(self, request: PlainRequest) -> None:
        try:
            warnings = await self._reload()
        except ConfigError as error:
            status, lines = 500, [f"cannot reload, all stays as it was: {error}"]
        else:
            status, lines = 200, ["reloaded", *warnings]
        if not request.is_gone:
            request.write(plain_answer(request, status, "\n".join(lines)))
            request.finish()

    def render_HEAD(self, request: Request) -> bytes:
        """No more than GET; Twisted would look for a `render_GET`."""
        raise UnsupportedMethod((b"POST",))


class InvalidateResource(_AdminResource):
    """Promregator's name for it. Which of its caches is meant makes no difference here."""

    def render_GET(self, request: Request) -> bytes:
        """204, as there."""
        refused = self._refuse(request, None)
        if refused is not None:
            return refused
        self._registry.refresh_soon()
        request.setResponseCode(204)
        return b""


def is_local(request: Request) -> bool:
    """Whether the caller is on this host; a socket in the file system is."""
    host = getattr(request.getClientAddress(), "host", None)
    if host is None:
        return True
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
