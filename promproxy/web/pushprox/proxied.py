"""Requests in absolute form: what Prometheus sends when we are its ``proxy_url``."""

from __future__ import annotations

from functools import lru_cache

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from promproxy.registry import Registry
from promproxy.scrape.resource import ScrapeResource
from promproxy.server.absolute import AbsoluteUri, read_absolute
from promproxy.server.answers import not_ready_answer, plain_answer
from promproxy.server.request import CallerRequest
from promproxy.sources.pushprox.targets import (
    ClientRules,
    is_same_place,
    listed_id,
    requested_target,
)
from promproxy.targets.target import Target
from promproxy.tunnel.agent import TunnelAgent
from promproxy.web.pushprox.metrics import TunnelMetrics

REMEMBERED = 4096


class ProxiedResource(Resource):
    """Scrapes a client, at a port and path that the request chooses and ``rules`` allow."""

    isLeaf = True
    page = "scrape"

    def __init__(
        self,
        tunnel: TunnelAgent,
        registry: Registry,
        scrapes: ScrapeResource,
        metrics: TunnelMetrics,
        rules: ClientRules,
    ) -> None:
        super().__init__()
        self._tunnel = tunnel
        self._registry = registry
        self._scrapes = scrapes
        self._metrics = metrics
        self.rules = rules
        # A Prometheus asks for the same again and again.
        self._read = lru_cache(REMEMBERED)(read_absolute)
        self._wanted = lru_cache(REMEMBERED)(self._requested)

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """The client's answer. HEAD comes here too."""
        request.notifyFinish().addCallbacks(
            lambda _: self._metrics.proxied(request.code), lambda _: None
        )
        uri = self._read(request.uri)
        if uri is None:
            return plain_answer(
                request, 400, "no URL of a client, such as http://host:9100/metrics"
            )
        client = self._tunnel.find(uri.host)
        if client is None and not self._tunnel.is_starting:
            missing = self._registry.pending_sources(self.rules.source)
            if missing:
                return not_ready_answer(request, missing)
            return plain_answer(request, 404, f"no client is called {uri.host}; see /clients")
        if not self.rules.allows(uri.port, uri.path):
            return plain_answer(
                request, 403, f"port {uri.port} with {uri.path} is not allowed (see allow)"
            )
        self._scrapes.proxy(self._target(uri.host if client is None else client.name, uri), request)
        return NOT_DONE_YET

    def _target(self, name: str, uri: AbsoluteUri) -> Target:
        """The listed target with this URL, else a target for this request only."""
        wanted, id_if_listed = self._wanted(name, uri)
        listed = self._registry.snapshot.by_id.get(id_if_listed)
        return listed if listed is not None and is_same_place(listed, wanted) else wanted

    def _requested(self, name: str, uri: AbsoluteUri) -> tuple[Target, str]:
        """The requested target, and the id that it would have in the list."""
        wanted = requested_target(
            self.rules.source, name, uri.port, uri.path, uri.query, uri.scheme
        )
        return wanted, listed_id(wanted)
