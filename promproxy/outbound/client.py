"""The outbound client: one agent per outbound profile, so that profiles share no connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, gatherResults

from promproxy.errors import Unreachable
from promproxy.outbound.agent import OutboundAgent
from promproxy.outbound.guard import NOTHING_DENIED, Guard
from promproxy.outbound.http_proxy import PROXY_REFUSED
from promproxy.outbound.networks import Networks
from promproxy.outbound.origin import HttpProxy, Origin, Router
from promproxy.outbound.request import render_headers, start_request
from promproxy.outbound.response import Response
from promproxy.outbound.tokens import Tokens
from promproxy.targets.netloc import DEFAULT_PORTS, bracketed
from promproxy.targets.target import Target

REMEMBERED_ORIGINS = 16384
_METHODS = (b"GET", b"HEAD")
_AUTHORIZATION = b"Authorization: %b\r\n"
#: What asks a client of PushProx to scrape by https (its cmd/client/main.go).
TUNNELLED_HTTPS = "_scheme=https"


@frozen(kw_only=True)
class Profile:
    """How to reach the targets of one outbound profile.

    ``authorization`` is the value of an ``Authorization`` header; ``tokens`` has one that changes,
    for which ``token_agent`` asks.
    """

    agent: OutboundAgent
    proxy: HttpProxy | None = None
    authorization: bytes | None = field(default=None, repr=False)
    tokens: Tokens | None = None
    token_agent: OutboundAgent | None = None

    @property
    def agents(self) -> tuple[OutboundAgent, ...]:
        """The agent for targets, and the one for tokens."""
        return (self.agent,) if self.token_agent is None else (self.agent, self.token_agent)

    def reset_backoff(self) -> None:
        """Forget a pause after a failure of the token server."""
        if self.tokens is not None:
            self.tokens.reset_backoff()

    def close(self) -> Deferred[list[None]]:
        """Close idle connections; fires when they are closed."""
        return gatherResults([agent.close() for agent in self.agents])


class Sender(Protocol):
    """An agent, as far as scrapes need one."""

    def send(self, origin: Origin, head: bytes, *, head_only: bool = False) -> Deferred[Response]:
        """As `promproxy.outbound.agent.OutboundAgent.send`."""


@frozen(eq=False)
class RequestTemplate:
    """The constant part of a target's requests: where they go, and how they begin."""

    agent: Sender
    origin: Origin
    get: bytes = field(repr=False)
    head: bytes = field(repr=False)
    tokens: Tokens | None = None


@frozen(eq=False)
class Profiles:
    """All outbound profiles of one configuration. The profile ``""`` is the default one and must be
    among them. Without a ``tunnel``, no target may be tunnelled.
    """

    by_name: Mapping[str, Profile] = field(factory=dict)
    guard: Guard = NOTHING_DENIED
    tunnel: Sender | None = None
    _origin: Callable[..., Origin] = field(
        factory=lambda: lru_cache(REMEMBERED_ORIGINS)(_origin), init=False
    )

    def template_for(self, target: Target) -> RequestTemplate:
        """What all scrapes of a target have in common, for `Outbound.send`; worth keeping."""
        if target.is_tunnelled:
            return self._tunnelled_template(target)
        profile = self.by_name[target.outbound]
        denied = self.guard.denied_for(target)
        origin = self._origin(
            target.scheme, target.host, target.port, target.router, profile.proxy, denied
        )
        path = f"{target.path}?{target.query}" if target.query else target.path
        headers = [(name.encode(), value.encode()) for name, value in target.headers]
        if profile.authorization is not None:
            headers.append((b"Authorization", profile.authorization))
        lines = render_headers(headers)
        starts = (start_request(origin, method, path.encode("ascii")) for method in _METHODS)
        get, head = (start + lines for start in starts)
        return RequestTemplate(profile.agent, origin, get, head, profile.tokens)

    def _tunnelled_template(self, target: Target) -> RequestTemplate:
        """In absolute form, in which the client is told to use https by a parameter."""
        assert self.tunnel is not None
        query = [target.query] if target.query else []
        if target.scheme == "https":
            query.append(TUNNELLED_HTTPS)
        origin = self._origin("http", target.host, target.port, "", None, None)
        url = f"http://{bracketed(target.host)}:{target.port}{target.path}{'?' if query else ''}"
        uri = (url + "&".join(query)).encode("ascii")
        get, head = (start_request(origin, method, uri) for method in _METHODS)
        return RequestTemplate(self.tunnel, origin, get, head)


@define(eq=False)
class Outbound:
    """Sends scrapes. ``profiles`` are the newest; ``tunnel`` is the agent of tunnelled targets.

    Which profiles a target has is the registry's to say: see `promproxy.registry.Registry`.
    """

    profiles: Profiles = field(factory=Profiles)
    tunnel: Sender | None = field(default=None, kw_only=True)

    def use(self, by_name: Mapping[str, Profile], guard: Guard = NOTHING_DENIED) -> None:
        """Replace the profiles; dropped ones close their connections.

        Where nothing has changed, ``profiles`` stays the same object.
        """
        if (by_name, guard) == (self.profiles.by_name, self.profiles.guard):
            return
        kept = {profile.agent for profile in by_name.values()}
        for profile in self.profiles.by_name.values():
            if profile.agent not in kept:
                profile.close()
        self.profiles = Profiles(by_name, guard, self.tunnel)

    def send(self, template: RequestTemplate, method: bytes, lines: bytes) -> Deferred[Response]:
        """Ask a target by GET or HEAD; fires when the head of its answer is there.

        ``lines`` are more header lines, each with its line end. Fails with ScrapeError;
        cancelling gives the request up.
        """
        if template.tokens is None:
            return self._send(template, method, lines)
        return self._send_with_token(template, template.tokens, method, lines)

    def _send(self, template: RequestTemplate, method: bytes, lines: bytes) -> Deferred[Response]:
        head_only = method == b"HEAD"
        start = template.head if head_only else template.get
        request = b"%b%b\r\n" % (start, lines)
        origin = template.origin
        sending = template.agent.send(origin, request, head_only=head_only)
        if origin.proxy is not None and not origin.tunnel:
            sending.addCallback(_unless_proxy_refused)
        return sending

    def _send_with_token(
        self, template: RequestTemplate, tokens: Tokens, method: bytes, lines: bytes
    ) -> Deferred[Response]:
        """Send at once where there is a token; where the target refuses it, once more."""
        value = tokens.value
        if value is None:
            return tokens.get().addCallback(
                lambda _value: self._send_with_token(template, tokens, method, lines)
            )

        def unless_refused(response: Response) -> Response | Deferred[Response]:
            if response.code != 401 or not tokens.refused(value):
                return response
            response.stopProducing()
            return tokens.get(other_than=value).addCallback(
                lambda another: self._send(template, method, _AUTHORIZATION % another + lines)
            )

        return self._send(template, method, _AUTHORIZATION % value + lines).addCallback(
            unless_refused
        )

    def close(self) -> Deferred[list[list[None]]]:
        """Ask for no more tokens, and close idle connections; fires when they are closed."""
        for profile in self.profiles.by_name.values():
            if profile.tokens is not None:
                profile.tokens.stop()
        return gatherResults([profile.close() for profile in self.profiles.by_name.values()])


def _unless_proxy_refused(response: Response) -> Response:
    """Of a plain request only the status tells that the proxy, and not the target, answered."""
    if response.code == 407:
        response.stopProducing()
        raise Unreachable(PROXY_REFUSED)
    return response


def _origin(
    scheme: str,
    host: str,
    port: int,
    router_url: str,
    proxy: HttpProxy | None,
    denied: Networks | None,
) -> Origin:
    router = router_from(router_url)
    peer = (router.host, router.port) if router else (host, port)
    return Origin(
        scheme=scheme,
        host=host,
        port=port,
        router=router,
        proxy=proxy.toward(*peer) if proxy else None,
        denied=denied,
    )


def router_from(url: str) -> Router | None:
    """The router that a ``scheme://host:port`` names, None for ``""``."""
    if not url:
        return None
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return Router(scheme=parts.scheme, host=parts.hostname or "", port=port)
