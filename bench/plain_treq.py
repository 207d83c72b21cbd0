"""A peer of the benchmarks: the proxy that one would write first, with treq and Twisted's Site.

Usage: plain_treq.py PORT TARGET_URL
"""

from __future__ import annotations

import sys

import treq
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

HEADERS = (b"content-type", b"content-length")


class Proxy(Resource):
    """Answers every path with what the target has there."""

    isLeaf = True

    def __init__(self, client: HTTPClient, target: str) -> None:
        super().__init__()
        self._client = client
        self._target = target

    def render_GET(self, request: Request) -> int:
        """Stream the target's answer."""
        Deferred.fromCoroutine(self._pass_on(request)).addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _pass_on(self, request: Request) -> None:
        url = self._target + request.uri.decode("ascii")
        headers = Headers({"Accept": [request.getHeader("accept") or "*/*"]})
        response = await self._client.get(url, headers=headers, unbuffered=True)
        request.setResponseCode(response.code)
        for name in HEADERS:
            values = response.headers.getRawHeaders(name)
            if values is not None:
                request.responseHeaders.setRawHeaders(name, values)
        await treq.collect(response, request.write)
        request.finish()

    def _failed(self, failure: Failure, request: Request) -> None:
        request.setResponseCode(502)
        request.finish()


def main(clock: object, port: str, target: str) -> Deferred[None]:
    """Serve until a signal comes."""
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = 64  # the default of 2 would make it reconnect all the time
    client = HTTPClient(Agent(reactor, pool=pool))
    endpoint = TCP4ServerEndpoint(reactor, int(port), interface="127.0.0.1")
    endpoint.listen(Site(Proxy(client, target)))
    return Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
