"""One request to an HTTP API, its whole answer in memory: for discovery, not for scrapes."""

from __future__ import annotations

from collections.abc import Mapping

import treq
from attrs import field, frozen
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from promproxy.errors import BadUpstream, DeadlinePassed


@frozen
class Answer:
    """A status, its headers and the whole body, no longer compressed."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The last value of a header, ``""`` where it is missing."""
        values = self.headers.getRawHeaders(name) or [""]
        return values[-1]


@frozen(kw_only=True)
class Fetcher:
    """Asks an HTTP API within a time and a size. Follows no redirects, keeps no cookies.

    ``authorization`` is the value of an ``Authorization`` header for every request.
    """

    agent: IAgent
    clock: IReactorTime
    timeout: float
    max_size: int
    authorization: bytes | None = field(default=None, repr=False)

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status. ``data`` is sent as a form. Raises ScrapeError."""
        asked = Deferred.fromCoroutine(self._fetch(method, url, headers, data))
        asked.addTimeout(self.timeout, self.clock)
        try:
            return await asked
        except DeferredTimeout as error:
            raise DeadlinePassed(f"no complete answer within {self.timeout:g} s") from error

    async def _fetch(
        self, method: str, url: str, headers: Mapping[str, str], data: Mapping[str, str] | None
    ) -> Answer:
        pieces: list[bytes] = []
        size = 0

        def keep(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size <= self.max_size:
                pieces.append(piece)

        sent = Headers({name: [value] for name, value in headers.items()})
        if self.authorization is not None:
            sent.setRawHeaders(b"Authorization", [self.authorization])
        # A client for each request, since the jar of cookies belongs to the client.
        response = await HTTPClient(self.agent).request(
            method,
            url,
            headers=sent,
            data=None if data is None else dict(data),
            allow_redirects=False,
            unbuffered=True,
        )
        try:
            await treq.collect(response, keep)
        except ResponseFailed as error:
            raise BadUpstream("the answer broke off") from error
        if size > self.max_size:
            raise BadUpstream(f"the answer is larger than {self.max_size} bytes")
        return Answer(response.code, response.headers, b"".join(pieces))
