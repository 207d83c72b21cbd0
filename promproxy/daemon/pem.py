"""Certificates and keys from PEM files, for both directions. Errors name the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from OpenSSL import SSL, crypto
from twisted.internet.ssl import Certificate

from promproxy.errors import ConfigError

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@frozen
class KeyPair:
    """A key, its certificate, and the certificates between that one and the authority's."""

    key: crypto.PKey
    certificate: crypto.X509
    chain: Sequence[crypto.X509]


def certificates_in(file: Path) -> list[Certificate]:
    """All of a file, of which there must be one at least. Raises ConfigError."""
    try:
        found = [Certificate.loadPEM(pem) for pem in _CERTIFICATE.findall(_read(file))]
    except (crypto.Error, ValueError) as error:
        raise ConfigError(f"{file}: holds a broken certificate") from error
    if not found:
        raise ConfigError(f"{file}: holds no certificate in PEM")
    return found


def key_pair_in(cert_file: Path, key_file: Path) -> KeyPair:
    """A certificate, first in its file, and the key that belongs to it. Raises ConfigError."""
    certificate, *chain = (found.original for found in certificates_in(cert_file))
    try:
        # An empty passphrase, else OpenSSL would ask for one at the terminal.
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, _read(key_file), b"")
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.check_privatekey()
    except (crypto.Error, SSL.Error, ValueError) as error:
        raise ConfigError(
            f"{key_file}: holds no key in PEM, without a passphrase, that belongs to {cert_file}"
        ) from error
    return KeyPair(key, certificate, chain)


def _read(file: Path) -> Any:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
