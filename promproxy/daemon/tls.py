"""TLS profiles toward other servers, built from what the configuration says of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from attrs import define, field
from OpenSSL import SSL, crypto
from twisted.internet.ssl import (
    Certificate,
    TLSVersion,
    platformTrust,
    trustRootFromCertificates,
)

from promproxy.config.files import files_in
from promproxy.config.http_client import TlsConfig
from promproxy.disk.file_watch import digests_of
from promproxy.errors import ConfigError
from promproxy.outbound.tls import TLSProfile, make_tls_profile

MakeTLSProfile = Callable[[TlsConfig], TLSProfile]

_PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
_VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}


@define(eq=False)
class TLSProfiles:
    """One profile for equal settings and equal files, as long as anyone has it.

    Each costs a megabyte and 10 ms where the system's authorities are trusted. A hundred reloads
    that changed a password took 60 MB: OpenSSL's memory does not hurry Python's garbage collector.
    """

    _made: WeakValueDictionary[object, TLSProfile] = field(factory=WeakValueDictionary, init=False)

    def get(self, tls: TlsConfig) -> TLSProfile:
        """The profile for these settings. Raises ConfigError."""
        key = (tls, tuple(digests_of(files_in(tls)).items()))
        profile = self._made.get(key)
        if profile is None:
            profile = self._made[key] = load_tls_profile(tls)
        return profile


def load_tls_profile(tls: TlsConfig) -> TLSProfile:
    """One profile, from the files that the settings name. Raises ConfigError."""
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
    chain = [certificate.original for certificate in _certificates(cert_file)]
    try:
        # An empty passphrase, else OpenSSL would ask for one at the terminal.
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, _read(key_file), b"")
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(chain[0])
        context.use_privatekey(key)
        context.check_privatekey()
    except (crypto.Error, SSL.Error, ValueError) as error:
        raise ConfigError(
            f"{key_file}: holds no key in PEM, without a passphrase, that belongs to {cert_file}"
        ) from error
    return {"privateKey": key, "certificate": chain[0], "extraCertChain": chain[1:]}


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
