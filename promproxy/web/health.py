"""``/-/healthy`` and ``/-/ready``, for probes."""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy.registry import Registry
from promproxy.server.access import Caller
from promproxy.server.answers import plain_answer
from promproxy.server.permissions import SCRAPE
from promproxy.server.request import CallerRequest


class HealthyResource(Resource):
    """The process is alive: always 200."""

    isLeaf = True
    page = "healthy"

    def render_GET(self, request: Request) -> bytes:
        return plain_answer(request, 200, "promproxy is healthy.")


class ReadyResource(Resource):
    """200 once ``/discovery`` can be served; before that 503, and which sources are missing.

    It is open to probes, so only callers who may scrape see why a source is missing.
    """

    isLeaf = True
    page = "ready"

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: CallerRequest) -> bytes:
        """One line per missing source, or ``ready``."""
        missing = self._registry.pending_sources()
        if not missing:
            return plain_answer(request, 200, "promproxy is ready.")
        lines = [f"{name}{self._why(name, request.caller)}" for name in missing]
        return plain_answer(request, 503, "not ready, sources missing:\n" + "\n".join(lines))

    def _why(self, name: str, caller: Caller) -> str:
        if not caller.may(SCRAPE):
            return ""
        return f": {self._registry.states[name].last_error or 'its first refresh is under way'}"
