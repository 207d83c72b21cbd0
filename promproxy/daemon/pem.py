"""Certificates and keys from PEM files, for both directions. Errors name the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen
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


@frozen
class Pem:
    """A text in PEM. ``place`` is the file, or the setting, that it stands in."""

    place: str
    content: bytes = field(repr=False)


def pem_in(file: Path) -> Pem:
    """A file's content. Raises ConfigError."""
    try:
        return Pem(str(file), file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def certificates_of(pem: Pem) -> list[Certificate]:
    """All of a text, of which there must be one at least. Raises ConfigError."""
    try:
        found = [Certificate.loadPEM(text) for text in _CERTIFICATE.findall(pem.content)]
    except (crypto.Error, ValueError) as error:
        raise ConfigError(f"{pem.place}: holds a broken certificate") from error
    if not found:
        raise ConfigError(f"{pem.place}: holds no certificate in PEM")
    return found


def key_pair_of(certificates: Pem, key: Pem) -> KeyPair:
    """A certificate, first in its text, and the key that belongs to it. Raises ConfigError."""
    certificate, *chain = (found.original for found in certificates_of(certificates))
    try:
        # An empty passphrase, else OpenSSL would ask for one at the terminal.
        private = crypto.load_privatekey(crypto.FILETYPE_PEM, key.content, b"")
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(certificate)
        context.use_privatekey(private)
        context.check_privatekey()
    except (crypto.Error, SSL.Error, ValueError) as error:
        raise ConfigError(
            f"{key.place}: holds no key in PEM, without a passphrase, that belongs to "
            f"{certificates.place}"
        ) from error
    return KeyPair(private, certificate, chain)
