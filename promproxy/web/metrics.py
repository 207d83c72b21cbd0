"""``/metrics``: our own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.web.resource import Resource
from twisted.web.server import Request


class MetricsResource(Resource):
    """All of a collector registry, in the format that the caller prefers."""

    isLeaf = True
    page = "metrics"

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: Request) -> bytes:
        accept = (request.getHeader(b"Accept") or b"").decode("latin-1")
        encode, content_type = choose_encoder(accept)
        request.setHeader(b"Content-Type", content_type.encode())
        body: bytes = encode(self._registry)
        return body
