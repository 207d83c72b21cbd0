"""The server's side of HTTP: Twisted's, with what this daemon needs otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.web.http import datetimeToString
from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import Request, Site, version

from promproxy.server.absolute import is_own, split_absolute
from promproxy.server.answers import plain_answer
from promproxy.server.channel import Channel
from promproxy.server.connections import Connections
from promproxy.server.gate import Gate
from promproxy.server.head import (
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    RequestHead,
    parse_request_head,
    read_fields,
    split_head,
    take_credentials,
)
from promproxy.server.request import CallerRequest

KEEP_ALIVE_SECONDS = 300.0  # Prometheus comes back after a minute or so
MAX_CONNECTIONS = 16384  # some 10 kB of memory each
#: A Prometheus sends few different ones, by job and time-out; to a proxy, one for each host.
HEADER_CACHE_SIZE = 512


class PromproxySite(Site):
    """Serves a resource tree: HTTP/1.1 only, without an access log.

    ``gate`` decides whom a page is for; by default it is for everyone, but for administration.
    ``takes_body`` says of which paths the request may have a body, which then waits until the
    resource asks for it. ``header_lines`` are header fields of every answer. ``proxy`` answers
    requests in absolute form, as a proxy gets them, but for those to our own ``address``
    (host:port). All of these may be replaced at any time.
    """

    noisy = False
    protocol = Channel  # type: ignore[assignment] # in place of the one that negotiates HTTP/2

    def __init__(
        self,
        root: IResource,
        reactor: Any,
        *,
        max_connections: int = MAX_CONNECTIONS,
        takes_body: Callable[[bytes], bool] = lambda path: False,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(
            root, requestFactory=CallerRequest, timeout=KEEP_ALIVE_SECONDS, reactor=reactor
        )
        self.connections = Connections(max_connections)
        self.takes_body = takes_body
        self.proxy: IResource = NoProxyResource()
        self.address = ""
        self.gate = gate or Gate()
        self._read_fields = lru_cache(HEADER_CACHE_SIZE)(read_fields)
        self._second = -1
        self._common_header_lines = b""
        self.header_lines = b""

    def read_head(self, head: bytes) -> RequestHead:
        """A request head without its blank line. Raises RequestRefused."""
        request_line, lines = split_head(head)
        wanted = PROXY_AUTHORIZATION if b"://" in request_line else AUTHORIZATION
        lines, credentials = take_credentials(lines, wanted)
        return parse_request_head(
            request_line, self._read_fields(lines), self.takes_body, credentials
        )

    def proxied(self, request: CallerRequest) -> IResource | None:
        """What answers a request in absolute form; None where it is one to ourselves after all."""
        authority, path = split_absolute(request.uri)
        host = request.channel.getHost()
        if not is_own(authority, self.address, getattr(host, "host", ""), getattr(host, "port", 0)):
            return self.proxy
        request.set_target(path)
        return None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel for a new connection; None, which closes it, where there are too many."""
        return super().buildProtocol(addr) if self.connections.evict() else None

    def common_header_lines(self) -> bytes:
        """The header fields of every answer: Server, Date and those configured.

        They hold for a second.
        """
        second = int(self.reactor.seconds())
        if second != self._second:
            self._second = second
            date = datetimeToString(second)
            lines = b"Server: %b\r\nDate: %b\r\n%b"
            self._common_header_lines = lines % (version, date, self.header_lines)
        return self._common_header_lines

    def getResourceFor(self, request: Any) -> IResource:
        """The resource for a request's path. Twisted's remembers more for it."""
        found: IResource = getChildForRequest(self.resource, request)
        return found

    def acceptableProtocols(self) -> list[bytes]:
        """Not h2, which Twisted would offer wherever the package is installed."""
        return [b"http/1.1"]

    def log(self, request: object) -> None:
        """Nothing is logged per request: a line costs a quarter of a scrape."""


class NoProxyResource(Resource):
    """Answers requests in absolute form without a tunnel."""

    isLeaf = True
    page = "scrape"

    def render(self, request: Request) -> bytes:
        """404: no other host's pages are served here."""
        return plain_answer(request, 404, "promproxy is a proxy for the clients of pushprox only")
