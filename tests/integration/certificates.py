"""A certificate authority for one test run."""

from __future__ import annotations

import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from promproxy.outbound.origin import is_address


class Authority:
    """Signs certificates; ``pem`` is its own.

    They are as authorities make them (RFC 5280, section 4.2.1), key identifiers and usages and
    all, which Python 3.13's ssl insists on; ``plain`` ones have no more than they must.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        certificate = (
            self._begin(self._name, self._key, ca=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names: str, hours: int = 1) -> bytes:
        """Key and certificate, in one PEM, for these names or addresses; it ends in so long."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test server")])
        alternatives = x509.SubjectAlternativeName(
            [
                x509.IPAddress(ip_address(name)) if is_address(name) else x509.DNSName(name)
                for name in names
            ]
        )
        certificate = (
            self._begin(subject, key, hours)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + certificate.public_bytes(serialization.Encoding.PEM)

    def _begin(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        hours: int = 1,
        *,
        ca: bool = False,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=hours))
        )
        if self._plain:
            return builder
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=not ca,
            key_cert_sign=ca,
            crl_sign=ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            builder.add_extension(own, critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(usage, critical=True)
        )
