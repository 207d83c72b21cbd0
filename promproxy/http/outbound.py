"""The outbound client: one agent per outbound profile, so that profiles share no connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, gatherResults

from promproxy.http.agent import OutboundAgent
from promproxy.http.origin import HttpProxy, Origin, Router
from promproxy.http.request import render_headers, start_request
from promproxy.http.response import Response
from promproxy.target import Target

REMEMBERED_ORIGINS = 16384


@frozen(kw_only=True)
class Profile:
    """How to reach the targets of one outbound profile.

    ``authorization`` is the value of an ``Authorization`` header.
    """

    agent: OutboundAgent
    proxy: HttpProxy | None = None
    authorization: bytes | None = field(default=None, repr=False)


@define(eq=False)
class Outbound:
    """Sends scrapes. The profile ``""`` is the default one and must be among them."""

    _profiles: Mapping[str, Profile]
    _origin: Callable[..., Origin] = field(
        factory=lambda: lru_cache(REMEMBERED_ORIGINS)(_origin), init=False
    )

    def send(
        self, target: Target, method: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Deferred[Response]:
        """Ask a target; fires when the head of its answer is there.

        Fails with ScrapeError; cancelling gives the request up.
        """
        profile = self._profiles[target.outbound]
        origin = self._origin(target.scheme, target.host, target.port, target.router, profile.proxy)
        path = f"{target.path}?{target.query}" if target.query else target.path
        if profile.authorization is not None:
            headers = [*headers, (b"Authorization", profile.authorization)]
        head = start_request(origin, method, path.encode("ascii")) + render_headers(headers)
        return profile.agent.send(origin, head + b"\r\n", head_only=method == b"HEAD")

    def close(self) -> Deferred[list[None]]:
        """Close idle connections; fires when they are closed."""
        return gatherResults([profile.agent.close() for profile in self._profiles.values()])


def _origin(scheme: str, host: str, port: int, router: str, proxy: HttpProxy | None) -> Origin:
    return Origin(scheme=scheme, host=host, port=port, router=router_from(router), proxy=proxy)


def router_from(url: str) -> Router | None:
    """The router that a ``scheme://host:port`` names, None for ``""``."""
    if not url:
        return None
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return Router(scheme=parts.scheme, host=parts.hostname or "", port=parts.port or default)
