"""The source kind ``http_sd``: target groups from a URL.

Source: Prometheus documentation, "HTTP service discovery": 200, JSON, always the whole list.
"""

from __future__ import annotations

from hashlib import sha256

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import ScrapeError, SourceError
from promproxy.http.fetch import Answer, Fetcher
from promproxy.json_array import json_array_elements
from promproxy.sources.building import deliver
from promproxy.target import Delivery
from promproxy.target_groups import GroupRules, targets_from_groups


@define
class HttpSdSource:
    """Asks for the document; an unchanged one, by 304 or by its bytes, changes nothing."""

    name: str
    interval: float
    _url: str
    _rules: GroupRules
    _fetcher: Fetcher
    _clock: IReactorTime
    _etag: str = field(default="", init=False)
    _body_hash: bytes = field(default=b"", init=False)
    _delivery: Delivery = field(default=Delivery(()), init=False)

    async def targets(self) -> Delivery:
        """See `promproxy.sources.Source.targets`."""
        headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval:g}",
        }
        if self._etag:
            headers["If-None-Match"] = self._etag
        try:
            answer = await self._fetcher.fetch("GET", self._url, headers)
        except ScrapeError as error:
            raise self._failed(error.reason) from error
        if answer.status == 304 and self._etag:
            return self._delivery
        if answer.status != 200:
            raise self._failed(f"status {answer.status}, expected 200")
        body_hash = sha256(answer.body).digest()
        if body_hash != self._body_hash:
            self._delivery = await self._read(answer)
            self._body_hash = body_hash
        etag = answer.header("ETag")
        self._etag = etag if etag.isascii() and etag.isprintable() else ""
        return self._delivery

    async def _read(self, answer: Answer) -> Delivery:
        media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise self._failed(f"content type {media_type!r}, expected application/json")
        try:
            groups = json_array_elements(answer.body.decode("utf-8-sig"))
            return await deliver(targets_from_groups(groups, self._rules), self._clock)
        except SourceError as error:
            raise self._failed(str(error)) from error
        except ValueError as error:  # no UTF-8, no JSON
            raise self._failed(f"the answer is no JSON array: {error}") from error

    def _failed(self, why: str) -> SourceError:
        # A query may hold a token.
        return SourceError(f"GET {self._url.partition('?')[0]}: {why}")
