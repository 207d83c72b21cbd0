"""TLS profiles toward other servers, built from what the configuration says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from attrs import define, field
from twisted.internet.ssl import (
    TLSVersion,
    platformTrust,
    trustRootFromCertificates,
)

from promproxy.daemon.pem import certificates_of, key_pair_of, pem_in
from promproxy.disk.file_watch import digests_of
from promproxy.outbound.settings import TlsConfig
from promproxy.outbound.tls import TLSProfile, make_tls_profile
from promproxy.settings.files import files_in

MakeTLSProfile = Callable[[TlsConfig], TLSProfile]

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
        pair = key_pair_of(pem_in(tls.cert_file), pem_in(tls.key_file))
        options.update(privateKey=pair.key, certificate=pair.certificate, extraCertChain=pair.chain)
    return make_tls_profile(
        trust_root=_trust_root(tls),
        server_name=tls.server_name or None,
        allow_unclean_close=tls.allow_unclean_close,
        **options,
    )


def _trust_root(tls: TlsConfig) -> Any:
    if tls.insecure_skip_verify:
        return None
    if tls.ca_file is None:
        return platformTrust()
    return trustRootFromCertificates(certificates_of(pem_in(tls.ca_file)))
