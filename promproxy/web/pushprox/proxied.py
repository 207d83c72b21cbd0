"""Requests in absolute form: what Prometheus sends when we are its ``proxy_url``."""

from __future__ import annotations

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

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """The client's answer. HEAD comes here too."""
        request.notifyFinish().addCallbacks(
            lambda _: self._metrics.proxied(request.code), lambda _: None
        )
        uri = read_absolute(request.uri)
        if uri is None:
            return plain_answer(
                request, 400, "no URL of a client, such as http://host:9100/metrics"
            )
        client = self._tunnel.find(uri.host)
        if client is None:
            missing = self._registry.pending_sources(self.rules.source)
            if missing:
                return not_ready_answer(request, missing)
            return plain_answer(request, 404, f"no client is called {uri.host}; see /clients")
        if not self.rules.allows(uri.port, uri.path):
            return plain_answer(
                request, 403, f"port {uri.port} with {uri.path} is not allowed (see allow)"
            )
        self._scrapes.proxy(self._target(client.name, uri), request)
        return NOT_DONE_YET

    def _target(self, name: str, uri: AbsoluteUri) -> Target:
        """The listed target that is the same, else one that only this request knows."""
        wanted = requested_target(
            self.rules.source, name, uri.port, uri.path, uri.query, uri.scheme
        )
        listed = self._registry.snapshot.by_id.get(listed_id(wanted))
        return listed if listed is not None and is_same_place(listed, wanted) else wanted
