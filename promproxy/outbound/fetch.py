"""One request to an HTTP API, its whole answer in memory: for discovery, not for scrapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from urllib.parse import urlencode

from attrs import field, frozen
from hyperlink import URL
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import (
    ContentDecoderAgent,
    FileBodyProducer,
    GzipDecoder,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from promproxy.errors import BadUpstream, DeadlinePassed
from promproxy.http.collector import BodyCollector


@frozen
class Answer:
    """A status, its headers and the whole body, no longer compressed."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The last value of a header, ``""`` where it is missing."""
        values = self.headers.getRawHeaders(name.encode("ascii")) or [b""]
        return values[-1].decode("latin-1")


@frozen(kw_only=True)
class Fetcher:
    """Asks an HTTP API within a time and a size. Follows no redirects, keeps no cookies.

    ``authorization`` is the value of an ``Authorization`` header for every request;
    ``reset_backoff`` ends a pause, such as after a failure of the token server.
    """

    agent: IAgent
    clock: IReactorTime
    timeout: float
    max_size: int
    authorization: bytes | None = field(default=None, repr=False)
    reset_backoff: Callable[[], None] = field(default=lambda: None, repr=False)

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
        sent = Headers({name: [value] for name, value in headers.items()})
        if self.authorization is not None:
            sent.setRawHeaders(b"Authorization", [self.authorization])
        form = None
        if data is not None:
            sent.setRawHeaders(b"Content-Type", [b"application/x-www-form-urlencoded"])
            form = FileBodyProducer(BytesIO(urlencode(data).encode()))
        # Not by treq, whose URLs refuse or change hosts that IDNA 2008 forbids.
        agent = ContentDecoderAgent(self.agent, [(b"gzip", GzipDecoder)])
        response = await agent.request(method.encode(), ascii_url(url), sent, form)
        body = _Body(self.max_size)
        try:
            response.deliverBody(body)
        except ResponseFailed as error:
            body.give_up()
            raise BadUpstream("the answer is not valid gzip") from error
        return Answer(response.code, response.headers, await body.whole)


def ascii_url(url: str) -> bytes:
    """A URL as it is sent: one in ASCII as it is, other letters encoded."""
    return (url if url.isascii() else URL.from_text(url).to_uri().to_text()).encode("ascii")


class _Body(BodyCollector):
    def __init__(self, max_size: int) -> None:
        super().__init__(max_size, BadUpstream(f"the answer is larger than {max_size} bytes"))

    def broken_off(self, reason: Failure) -> Exception:
        error = BadUpstream("the answer broke off")
        error.__cause__ = reason.value
        return error
