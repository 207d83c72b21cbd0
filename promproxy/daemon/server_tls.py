"""TLS toward callers, built from what the web configuration file says of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto

from promproxy.daemon.pem import key_pair_in
from promproxy.errors import ConfigError
from promproxy.server.settings import TlsServer
from promproxy.server.tls import ServerContext, sans_of

_VERSIONS = {"TLS12": SSL.TLS1_2_VERSION, "TLS13": SSL.TLS1_3_VERSION}

_REQUIRE = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
_MODES = {
    "NoClientCert": SSL.VERIFY_NONE,
    "RequestClientCert": SSL.VERIFY_PEER,
    "RequireAnyClientCert": _REQUIRE,
    "VerifyClientCertIfGiven": SSL.VERIFY_PEER,
    "RequireAndVerifyClientCert": _REQUIRE,
}


# What TLS 1.2 may use: forward secrecy, and nothing that was broken. TLS 1.3 has no others.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"


def make_server_context(settings: TlsServer) -> ServerContext:
    """What new connections are made with. Raises ConfigError."""
    context = ServerContext(SSL.TLS_METHOD)
    context.verifies = settings.verifies
    context.set_min_proto_version(_VERSIONS[settings.min_version])
    context.set_max_proto_version(_VERSIONS[settings.max_version])
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION
    )
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Callers keep their sessions, in tickets: here they would take memory without a limit.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(os.urandom(16))  # without one, no certificate goes with a ticket
    context.set_alpn_select_callback(_choose_protocol)
    _use_certificate(context, settings)
    if settings.client_ca_file is not None:
        _use_authorities(context, settings.client_ca_file)
    context.set_verify(_MODES[settings.client_auth_type], _verifier(settings))
    context.set_cipher_list(_CIPHERS)
    return context


def _choose_protocol(_connection: object, offered: Sequence[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _use_certificate(context: ServerContext, settings: TlsServer) -> None:
    pair = key_pair_in(settings.cert_file, settings.key_file)
    context.use_certificate(pair.certificate)
    for certificate in pair.chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(pair.key)
    end = datetime.strptime((pair.certificate.get_notAfter() or b"").decode(), "%Y%m%d%H%M%SZ")
    context.not_after = end.replace(tzinfo=timezone.utc).timestamp()


def _use_authorities(context: SSL.Context, file: Path) -> None:
    _check_readable(file)
    try:
        context.load_verify_locations(str(file))
        context.load_client_ca(bytes(file))
    except SSL.Error as error:
        raise ConfigError(f"{file}: holds no certificates in PEM") from error


def _check_readable(*files: Path) -> None:
    """OpenSSL does not say why it could not read one."""
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def _verifier(settings: TlsServer) -> Any:
    """What OpenSSL asks of each certificate in a chain; an exception refuses it."""
    allowed = frozenset(settings.client_allowed_sans)

    def accept(_connection: object, certificate: Any, _error: int, depth: int, is_ok: int) -> bool:
        if not is_ok:
            if settings.verifies:
                return False
            _forget_errors()
        return (
            depth > 0
            or not allowed
            or not allowed.isdisjoint(sans_of(certificate.to_cryptography()))
        )

    return accept


def _forget_errors() -> None:
    """Empty OpenSSL's list of errors, which is the thread's.

    What was wrong with a certificate that is accepted all the same would else be taken, with older
    versions, for an error of the next connection that is read from.
    """
    with contextlib.suppress(crypto.Error):
        crypto.load_privatekey(crypto.FILETYPE_PEM, b"")  # fails, and takes them all out
