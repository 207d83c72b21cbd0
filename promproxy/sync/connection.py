"""The connection to the server, renewed when its settings or their files change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from promproxy.daemon.generation import referenced_digests
from promproxy.daemon.profiles import make_fetcher, make_profile
from promproxy.errors import ConfigError, SourceError
from promproxy.outbound.client import Profile
from promproxy.outbound.document import DocumentClient
from promproxy.outbound.fetch import Fetcher
from promproxy.outbound.settings import HttpClient


@define(eq=False, kw_only=True)
class Connection:
    """Yields the client for the next attempt. ``settings`` reads them anew."""

    reactor: Any
    settings: Callable[[], HttpClient]
    url: str
    interval: float
    timeout: float
    max_size: int
    _made_of: object = field(default=None, init=False)
    _profile: Profile | None = field(default=None, init=False)
    _client: DocumentClient | None = field(default=None, init=False)

    def client(self) -> DocumentClient:
        """The same as before, as long as nothing has changed. Raises SourceError."""
        try:
            return self._newest()
        except ConfigError as error:
            raise SourceError(str(error)) from error

    def check(self) -> None:
        """Raises ConfigError where there can be no client."""
        self._newest()

    def _newest(self) -> DocumentClient:
        http = self.settings()
        made_of = (http, referenced_digests(http))
        if self._client is None or made_of != self._made_of:
            profile = make_profile(self.reactor, http)
            if self._profile is not None:
                self._profile.close()
            self._client = DocumentClient(self.url, self.interval, self._fetcher(profile))
            self._profile, self._made_of = profile, made_of
        return self._client

    def _fetcher(self, profile: Profile) -> Fetcher:
        return make_fetcher(self.reactor, profile, self.timeout, self.max_size)
