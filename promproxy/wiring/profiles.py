"""Outbound profiles built from what the configuration says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from OpenSSL import crypto
from OpenSSL.SSL import Error as SslError
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    TLSVersion,
    platformTrust,
    trustRootFromCertificates,
)

from promproxy.config.http_client import HttpClient, TlsConfig
from promproxy.errors import ConfigError
from promproxy.http.agent import make_agent
from promproxy.http.origin import HttpProxy, basic_credentials
from promproxy.http.outbound import Outbound, Profile
from promproxy.http.tls import TLSProfile, make_tls_profile

_PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
_VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}


def make_outbound(reactor: Any, profiles: Mapping[str, HttpClient]) -> Outbound:
    """The client for all profiles, and for targets that name none. Raises ConfigError."""
    return Outbound(
        {name: make_profile(reactor, http) for name, http in {"": HttpClient(), **profiles}.items()}
    )


def make_profile(reactor: Any, http: HttpClient) -> Profile:
    """One profile, with an agent and so with connections of its own. Raises ConfigError."""
    proxy = _proxy(http.proxy_url)
    agent = make_agent(reactor, tls=_tls_profile(http.tls_config), proxy=proxy)
    return Profile(agent=agent, proxy=proxy, authorization=authorization_header(http))


def authorization_header(http: HttpClient) -> bytes | None:
    """The value of the ``Authorization`` header, None where there is to be none."""
    if http.basic_auth is not None:
        return basic_credentials(http.basic_auth.username, http.basic_auth.password.reveal())
    if http.authorization is not None:
        return f"{http.authorization.type} {http.authorization.credentials.reveal()}".encode()
    return None


def _proxy(url: str) -> HttpProxy | None:
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ConfigError(f"proxy_url: {url}: only http:// proxies are supported")
    return HttpProxy(host=parts.hostname or "", port=parts.port or 80)


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
