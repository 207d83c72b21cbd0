"""``/clients``: who polls.

Source: PushProx, cmd/proxy/main.go.
"""

from __future__ import annotations

import json

from twisted.web.server import Request

from promproxy.server.request import CallerRequest
from promproxy.web.pushprox.resource import TunnelResource


class ClientsResource(TunnelResource):
    """``GET /clients``: all clients, in the format of file_sd."""

    path = "/clients"
    page = "clients"
    _version = -1
    _document = b""

    def render_GET(self, request: CallerRequest) -> bytes:
        """A JSON array, of which each client is a group."""
        self.count(request)
        request.setHeader(b"Content-Type", b"application/json")
        self.tunnel.expire()
        if self._version != self.tunnel.version:
            groups = [{"targets": [name], "labels": None} for name in self.tunnel.names()]
            self._document = json.dumps(groups, separators=(",", ":")).encode() + b"\n"
            self._version = self.tunnel.version
        return self._document

    def render_HEAD(self, request: Request) -> bytes:
        """As GET."""
        return self.render_GET(request)  # type: ignore[arg-type]
