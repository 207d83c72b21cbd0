"""Outbound profiles built from what the configuration says of them."""

from __future__ import annotations

import random
import resource
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from promproxy.config.schema import Config
from promproxy.daemon.tls import MakeTLSProfile, load_tls_profile
from promproxy.errors import ConfigError
from promproxy.outbound.agent import OutboundAgent, make_agent
from promproxy.outbound.client import Outbound, Profile, Profiles
from promproxy.outbound.fetch import Fetcher
from promproxy.outbound.guard import Guard
from promproxy.outbound.networks import Networks
from promproxy.outbound.oauth2 import ClientCredentials
from promproxy.outbound.origin import HttpProxy, basic_credentials
from promproxy.outbound.pool import PoolLimits
from promproxy.outbound.request import render_headers
from promproxy.outbound.settings import BasicAuth, Connection, HttpClient, OAuth2
from promproxy.outbound.tokens import TokenAgent, Tokens

TOKEN_SECONDS = 30.0
MAX_TOKEN_ANSWER = 1 << 20


def make_outbound(reactor: Any, config: Config) -> Outbound:
    """The client for all profiles, and for targets that name none. Raises ConfigError."""
    profiles = {"": HttpClient(), **config.outbound}
    by_name = {name: make_profile(reactor, http) for name, http in profiles.items()}
    return Outbound(Profiles(by_name, guard_of(config)))


def guard_of(config: Config) -> Guard:
    """Which sources' hosts come from outside, and where they must not lead."""
    rules = [rule for s in config.sources if s.cloud_foundry for rule in s.cloud_foundry.select]
    return Guard(
        denied=Networks(config.deny_addresses),
        sources=frozenset(s.name for s in config.sources if s.cloud_foundry or s.http_sd),
        own_hosts=frozenset(rule.override.host for rule in rules if rule.override is not None),
    )


def make_profile(
    reactor: Any, http: HttpClient, tls_profile: MakeTLSProfile = load_tls_profile
) -> Profile:
    """One profile, with an agent and so with connections of its own. Raises ConfigError."""
    proxy = _proxy(http)
    agent = _agent(reactor, http, tls_profile)
    profile = Profile(agent=agent, proxy=proxy, authorization=authorization_header(http))
    if http.oauth2 is None:
        return profile
    token_agent = _agent(reactor, http.oauth2, tls_profile)
    tokens = _tokens(reactor, http.oauth2, token_agent)
    return evolve(profile, tokens=tokens, token_agent=token_agent)


def make_fetcher(reactor: Any, profile: Profile, timeout: float, max_size: int) -> Fetcher:
    """What asks an API, or for a document, by a profile; seconds and bytes for one answer."""
    agent = profile.agent
    return Fetcher(
        agent=agent if profile.tokens is None else TokenAgent(agent, profile.tokens),
        clock=reactor,
        timeout=timeout,
        max_size=max_size,
        authorization=profile.authorization,
        reset_backoff=profile.reset_backoff,
    )


def _agent(reactor: Any, connection: Connection, tls_profile: MakeTLSProfile) -> OutboundAgent:
    tls = tls_profile(connection.tls_config)
    return make_agent(reactor, tls=tls, proxy=_proxy(connection), limits=_pool_limits())


def _pool_limits() -> PoolLimits:
    """At most a quarter of the files that may be open are connections that wait unused."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = PoolLimits()
    return evolve(limits, total=min(limits.total, hard // 4))


def _tokens(reactor: Any, oauth2: OAuth2, agent: OutboundAgent) -> Tokens:
    fetcher = Fetcher(agent=agent, clock=reactor, timeout=TOKEN_SECONDS, max_size=MAX_TOKEN_ANSWER)
    credentials = ClientCredentials(
        fetcher=fetcher,
        token_url=oauth2.token_url,
        client_id=oauth2.client_id,
        client_secret=oauth2.client_secret,
        scopes=oauth2.scopes,
        params=oauth2.endpoint_params,
    )
    return Tokens(credentials.ask, reactor, random.random)


def authorization_header(http: HttpClient) -> bytes | None:
    """The value of the ``Authorization`` header, None where there is none that stays.

    Raises ConfigError if a secret does not fit into a header.
    """
    if http.basic_auth is not None:
        return _basic(http.basic_auth)
    if http.authorization is not None:
        kind, secret = http.authorization.type, http.authorization.credentials.reveal()
        return _header_value(f"{kind} {secret}".encode())
    return None


def _basic(auth: BasicAuth) -> bytes:
    return basic_credentials(auth.username, auth.password.reveal())


def _header_value(value: bytes) -> bytes:
    try:
        render_headers([(b"Authorization", value)])
    except ValueError as error:
        raise ConfigError("authorization: the credentials hold a control character") from error
    return value


def _proxy(connection: Connection) -> HttpProxy | None:
    if not connection.proxy_url:
        return None
    parts = urlsplit(connection.proxy_url)
    if parts.scheme != "http":
        raise ConfigError(f"proxy_url: {connection.proxy_url}: only http:// proxies are supported")
    auth = connection.proxy_basic_auth
    return HttpProxy(
        host=parts.hostname or "",
        port=parts.port or 80,
        authorization=None if auth is None else _basic(auth),
        no_proxy=connection.no_proxy,
    )
