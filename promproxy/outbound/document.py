"""An http_sd document of another server, asked for again and again.

Source: Prometheus documentation, "HTTP service discovery": 200, JSON, always the whole list.
"""

from __future__ import annotations

import re
from hashlib import sha256

from attrs import define, field, frozen

from promproxy.errors import ScrapeError, SourceError
from promproxy.outbound.fetch import Answer, Fetcher

_TYPE = re.compile(r"(text|application|image|multipart)/[a-z+.-]{1,40}")


@frozen(kw_only=True)
class Document:
    """An answer that is an http_sd document by its status and content type."""

    body: bytes = field(repr=False)
    etag: str
    body_hash: bytes = field(repr=False)


@define(eq=False)
class DocumentClient:
    """Asks for the document at a URL, and tells whether it has changed, by 304 or by its bytes.

    ``interval`` are the seconds after which one asks again, which the server is told.
    """

    _url: str = field(repr=False)
    _interval: float
    _fetcher: Fetcher
    _etag: str = field(default="", init=False)
    _body_hash: bytes = field(default=b"", init=False)

    def reset_backoff(self) -> None:
        """Forget a pause, such as after a failure of the token server."""
        self._fetcher.reset_backoff()

    async def changed(self) -> Document | None:
        """The document, or None if it equals the one kept last. Raises SourceError."""
        headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self._interval:g}",
        }
        if self._etag:
            headers["If-None-Match"] = self._etag
        try:
            answer = await self._fetcher.fetch("GET", self._url, headers)
        except ScrapeError as error:
            raise self.failed(error.reason) from error
        if answer.status == 304 and self._etag:
            return None
        if answer.status != 200:
            raise self.failed(f"status {answer.status}, expected 200")
        document = _document(answer)
        if document.body_hash == self._body_hash:
            self.keep(document)
            return None
        media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
        if media_type != "application/json":
            # What looks like no type may repeat what we have sent.
            shown = repr(media_type) if _TYPE.fullmatch(media_type) else "unknown"
            raise self.failed(f"content type {shown}, expected application/json")
        return document

    def keep(self, document: Document) -> None:
        """Remember it: only a different one counts as changed."""
        self._etag, self._body_hash = document.etag, document.body_hash

    def forget(self) -> None:
        """Forget what was kept: the next document counts as changed."""
        self._etag, self._body_hash = "", b""

    def failed(self, why: str) -> SourceError:
        """The error for what is wrong with the document."""
        # A query may hold a token.
        return SourceError(f"GET {self._url.partition('?')[0]}: {why}")


def _document(answer: Answer) -> Document:
    etag = answer.header("ETag")
    return Document(
        body=answer.body,
        etag=etag if etag.isascii() and etag.isprintable() else "",
        body_hash=sha256(answer.body).digest(),
    )
