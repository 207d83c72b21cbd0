"""Outbound profiles built from what the configuration says of them."""

from __future__ import annotations

import random
import re
import resource
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve
from OpenSSL import crypto
from OpenSSL.SSL import Error as SslError
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    TLSVersion,
    platformTrust,
    trustRootFromCertificates,
)

from promproxy.config.http_client import BasicAuth, Connection, HttpClient, OAuth2, TlsConfig
from promproxy.config.schema import Config
from promproxy.errors import ConfigError
from promproxy.http.agent import OutboundAgent, make_agent
from promproxy.http.fetch import Fetcher
from promproxy.http.oauth2 import ClientCredentials, TokenAgent, Tokens
from promproxy.http.origin import HttpProxy, basic_credentials
from promproxy.http.outbound import Guard, Outbound, Profile
from promproxy.http.pool import PoolLimits
from promproxy.http.request import render_headers
from promproxy.http.tls import TLSProfile, make_tls_profile
from promproxy.networks import Networks

TOKEN_SECONDS = 30.0
MAX_TOKEN_ANSWER = 1 << 20

_PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
_VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}


def make_outbound(reactor: Any, config: Config) -> Outbound:
    """The client for all profiles, and for targets that name none. Raises ConfigError."""
    profiles = {"": HttpClient(), **config.outbound}
    return Outbound(
        {name: make_profile(reactor, http) for name, http in profiles.items()}, guard_of(config)
    )


def guard_of(config: Config) -> Guard:
    """Which sources' hosts come from outside, and where they must not lead."""
    rules = [rule for s in config.sources if s.cloud_foundry for rule in s.cloud_foundry.select]
    return Guard(
        denied=Networks(config.deny_addresses),
        sources=frozenset(s.name for s in config.sources if s.cloud_foundry or s.http_sd),
        own_hosts=frozenset(rule.override_route_and_path.partition("/")[0] for rule in rules),
    )


def make_profile(reactor: Any, http: HttpClient) -> Profile:
    """One profile, with an agent and so with connections of its own. Raises ConfigError."""
    proxy = _proxy(http)
    agent = _agent(reactor, http)
    profile = Profile(agent=agent, proxy=proxy, authorization=authorization_header(http))
    if http.oauth2 is None:
        return profile
    token_agent = _agent(reactor, http.oauth2)
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
    )


def _agent(reactor: Any, connection: Connection) -> OutboundAgent:
    tls = _tls_profile(connection.tls_config)
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

    Raises ConfigError where a secret cannot stand in a header.
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


def _tls_profile(tls: TlsConfig) -> TLSProfile:
    options: dict[str, Any] = {"raiseMinimumTo": _VERSIONS[tls.min_version]}
    if tls.cert_file is not None and tls.key_file is not None:
        options.update(_client_certificate(tls.cert_file, tls.key_file))
    return make_tls_profile(
        trust_root=_trust_root(tls), server_name=tls.server_name or None, **options
    )


def _trust_root(tls: TlsConfig) -> Any:
    if tls.insecure_skip_verify:
        return None
    if tls.ca_file is None:
        return platformTrust()
    return trustRootFromCertificates(_certificates(tls.ca_file))


def _client_certificate(cert_file: Path, key_file: Path) -> dict[str, Any]:
    chain = _certificates(cert_file)
    try:
        own = PrivateCertificate.loadPEM(chain[0].dumpPEM() + b"\n" + _read(key_file))
    except (crypto.Error, SslError, ValueError) as error:
        raise ConfigError(f"{key_file}: no key in PEM") from error
    return {
        "privateKey": own.privateKey.original,
        "certificate": own.original,
        "extraCertChain": [certificate.original for certificate in chain[1:]],
    }


def _certificates(file: Path) -> list[Any]:
    try:
        found = [Certificate.loadPEM(pem) for pem in _PEM_CERTIFICATE.findall(_read(file))]
    except (crypto.Error, ValueError) as error:
        raise ConfigError(f"{file}: holds a broken certificate") from error
    if not found:
        raise ConfigError(f"{file}: holds no certificate in PEM")
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
