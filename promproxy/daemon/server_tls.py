"""TLS toward callers, built from what the web configuration file says of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto

from promproxy.daemon.pem import Pem, certificates_of, key_pair_of, pem_in
from promproxy.server.settings import TlsServer
from promproxy.server.tls import ServerContext, sans_of

# OpenSSL as Debian sets it speaks no older ones.
_VERSIONS = {
    **dict.fromkeys(("TLS10", "TLS11", "TLS12"), SSL.TLS1_2_VERSION),
    "TLS13": SSL.TLS1_3_VERSION,
}

_REQUIRE = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
_MODES = {
    "NoClientCert": SSL.VERIFY_NONE,
    "RequestClientCert": SSL.VERIFY_PEER,
    "RequireAnyClientCert": _REQUIRE,
    "RequireClientCert": _REQUIRE,
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
    if settings.has_client_ca:
        _use_authorities(context, _pem(settings.client_ca_file, settings.client_ca, "client_ca"))
    else:
        context.set_default_verify_paths()  # the system's, as Go's server has it
    context.set_verify(_MODES[settings.client_auth_type], _verifier(settings))
    context.set_cipher_list(_CIPHERS)
    return context


def _choose_protocol(_connection: object, offered: Sequence[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _use_certificate(context: ServerContext, settings: TlsServer) -> None:
    pair = key_pair_of(
        _pem(settings.cert_file, settings.cert, "cert"),
        _pem(settings.key_file, settings.key.reveal(), "key"),
    )
    context.use_certificate(pair.certificate)
    for certificate in pair.chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(pair.key)
    end = datetime.strptime((pair.certificate.get_notAfter() or b"").decode(), "%Y%m%d%H%M%SZ")
    context.not_after = end.replace(tzinfo=timezone.utc).timestamp()


def _pem(file: Path | None, inline: str, key: str) -> Pem:
    """What the file holds, or else what stands in the configuration itself."""
    return Pem(f"tls_server_config.{key}", inline.encode()) if file is None else pem_in(file)


def _use_authorities(context: SSL.Context, pem: Pem) -> None:
    store = context.get_cert_store()
    for certificate in certificates_of(pem):
        if store is not None:
            store.add_cert(certificate.original)
        context.add_client_ca(certificate.original)


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
