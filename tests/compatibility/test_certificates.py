"""Certificates of targets: accepted or not, by Prometheus directly and through promproxy.

All of it on 127.0.0.1, shown for the name that both are told to expect (`server_name`).
"""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.integration.case import PeersTestCase
from tests.integration.peers import HOST, eventually, prometheus, promproxy

NAME = "web-1.example.org"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension = tuple[x509.ExtensionType, bool]  # and whether it is critical

#: Why promproxy is meant to judge these otherwise. Nothing else may differ.
DIFFERENCES = {
    "for any use": "OpenSSL wants the use for TLS servers by name where uses are listed",
    "for certificates only": "OpenSSL takes no key that may sign certificates and nothing else",
}


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def dns(*names: str) -> x509.GeneralName:
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


@define
class Certificate:
    """One to be made; days are counted from now."""

    extensions: list[Extension] = field(factory=list)
    subject: str = "test"
    first_day: float = -1.0
    last_day: float = 1.0
    key: Callable[[], Key] = lambda: ec.generate_private_key(ec.SECP256R1())
    issuer: str = "root"
    digest: hashes.HashAlgorithm = field(factory=hashes.SHA256)
    sends_intermediate: bool = True


def good(*names: str, **others: object) -> Certificate:
    """For these names."""
    return Certificate([(dns(*names), False)], **others)  # type: ignore[arg-type]


def with_extension(value: x509.ExtensionType, critical: bool = False) -> Certificate:
    return Certificate([(dns(NAME), False), (value, critical)])


def usage(**used: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def unknown(critical: bool) -> Certificate:
    odd = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    return with_extension(odd, critical)


CASES: dict[str, Certificate] = {
    "the name": good(NAME),
    "in capitals": good(NAME.upper()),
    "another name": good("web-2.example.org"),
    "among others": good("a.example.org", NAME, "b.example.org"),
    "among many": good(*(f"web-{n}.example.org" for n in range(200))),
    "wildcard": good("*.example.org"),
    "wildcard of the domain above": good("*.org"),
    "wildcard of the domain below": good("*.web-1.example.org"),
    "wildcard alone": good("*"),
    "wildcard in the middle": good("web-1.*.org"),
    "wildcard as a part": good("web-*.example.org"),
    "two wildcards": good("*.*.org"),
    "odd names beside": good("127.0.0.1", "*.lan", "*", "a.*.example.org", NAME),
    "an address as a name beside": good("10.0.0.1", NAME),
    "a name with an underscore beside": good("a_b.example.org", NAME),
    "a name with a blank beside": good("a b", NAME),
    "an empty name beside": good("", NAME),
    "a dot at the end": good(f"{NAME}."),
    "a dot in front": good(f".{NAME}"),
    "only a dot": good("."),
    "no names": Certificate(),
    "only a common name": Certificate(subject=NAME),
    "common name, and other names": good("x.example.org", subject=NAME),
    "an address beside": Certificate(
        [
            (
                x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST)), x509.DNSName(NAME)]),
                False,
            )
        ]
    ),
    "a URI and a mail address beside": Certificate(
        [
            (
                x509.SubjectAlternativeName(
                    [
                        x509.UniformResourceIdentifier("spiffe://example.org/x"),
                        x509.RFC822Name("a@example.org"),
                        x509.DNSName(NAME),
                    ]
                ),
                False,
            )
        ]
    ),
    "another kind of name beside": Certificate(
        [
            (
                x509.SubjectAlternativeName(
                    [
                        x509.OtherName(ObjectIdentifier("1.2.3"), b"\x0c\x01a"),
                        x509.DirectoryName(named("x")),
                        x509.RegisteredID(ObjectIdentifier("1.2.3.4")),
                        x509.DNSName(NAME),
                    ]
                ),
                False,
            )
        ]
    ),
    "names are critical": Certificate([(dns(NAME), True)]),
    "expired": good(NAME, first_day=-3.0, last_day=-1.0),
    "not yet valid": good(NAME, first_day=1.0, last_day=3.0),
    "for fifty years": good(NAME, last_day=18000.0),
    "RSA": good(NAME, key=lambda: rsa.generate_private_key(65537, 2048)),
    "P-384": good(NAME, key=lambda: ec.generate_private_key(ec.SECP384R1())),
    "SHA-512": good(NAME, digest=hashes.SHA512()),
    "by an intermediate": good(NAME, issuer="intermediate"),
    "by an intermediate that is not sent": good(
        NAME, issuer="intermediate", sends_intermediate=False
    ),
    "by an intermediate that is no authority": good(NAME, issuer="no authority"),
    "by an unknown authority": good(NAME, issuer="unknown"),
    "by itself": good(NAME, issuer=""),
    "an authority's own": with_extension(x509.BasicConstraints(True, None), True),
    "not an authority": with_extension(x509.BasicConstraints(False, None), True),
    "for servers": with_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
    "for clients only": with_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
    "for any use": with_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    ),
    "for signatures": with_extension(usage(digital_signature=True), True),
    "for encryption of keys": with_extension(usage(key_encipherment=True), True),
    "for certificates only": with_extension(usage(key_cert_sign=True, crl_sign=True), True),
    "unknown extension": unknown(False),
    "unknown extension that is critical": unknown(True),
    "other key identifier": with_extension(x509.SubjectKeyIdentifier(b"\0" * 20)),
    "other authority's key identifier": with_extension(
        x509.AuthorityKeyIdentifier(b"\1" * 20, None, None)
    ),
}


class _Authorities:
    """A root without any identifiers, what it has signed, and one that nobody knows."""

    def __init__(self) -> None:
        self.keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in self.NAMES}
        self.certificates = {name: self._make(name) for name in self.NAMES}

    NAMES = ("root", "unknown", "intermediate", "no authority")

    def _make(self, name: str) -> x509.Certificate:
        issuer = name if name in ("root", "unknown") else "root"
        builder = _builder(name, issuer, self.keys[name].public_key(), -1.0, 10.0)
        is_authority = name != "no authority"
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        return builder.sign(self.keys[issuer], hashes.SHA256())

    def issue(self, wanted: Certificate) -> bytes:
        """Key and chain, in PEM."""
        key = wanted.key()
        issuer = wanted.issuer or wanted.subject
        signing = self.keys[wanted.issuer] if wanted.issuer else key
        builder = _builder(
            wanted.subject, issuer, key.public_key(), wanted.first_day, wanted.last_day
        )
        for extension, critical in wanted.extensions:
            builder = builder.add_extension(extension, critical)
        chain = [builder.sign(signing, wanted.digest)]  # type: ignore[arg-type]
        if wanted.issuer in ("intermediate", "no authority") and wanted.sends_intermediate:
            chain.append(self.certificates[wanted.issuer])
        pem = serialization.Encoding.PEM
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + b"".join(one.public_bytes(pem) for one in chain)


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, *days: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    first, last = (now + datetime.timedelta(days=day) for day in days)
    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
    )


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"up 1\n")

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Makes the handshake in the thread of the connection; most of them fail, on purpose."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__((HOST, 0), _Handler)
        self._context = context

    def finish_request(self, request: object, client_address: object) -> None:
        try:
            with self._context.wrap_socket(request, server_side=True) as secured:  # type: ignore[call-overload]
                super().finish_request(secured, client_address)
        except OSError:
            pass


class CertificatesTests(PeersTestCase):
    timeout = 120

    def serve_each(self, authorities: _Authorities) -> dict[str, str]:
        """The address of a server for each case."""
        addresses = {}
        for number, (name, wanted) in enumerate(CASES.items()):
            file = self.folder / f"{number}.pem"
            file.write_bytes(authorities.issue(wanted))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            server = _Server(context)
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
            thread.start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            addresses[name] = f"{HOST}:{server.server_port}"
        return addresses

    def test_prometheus_judges_the_same(self) -> None:
        authorities = _Authorities()
        ca = Path(self.folder / "ca.pem")
        pem = serialization.Encoding.PEM
        ca.write_bytes(authorities.certificates["root"].public_bytes(pem))
        groups = [
            {"targets": [address], "labels": {"__scheme__": "https", "instance": name}}
            for name, address in self.serve_each(authorities).items()
        ]
        self.target_file.write_text(json.dumps(groups))
        self.discovery_file.write_text("[]")
        tls = {"ca_file": str(ca), "server_name": NAME}
        daemon = promproxy(
            self.folder,
            f"[{{name: vms, outbound: tls, files: {{paths: ['{self.target_file}']}}}}]",
            f"outbound: {{tls: {{tls_config: {json.dumps(tls)}}}}}\n",
        )
        self.start(daemon)
        self.await_ready(daemon)
        direct = {
            "job_name": "direct",
            "tls_config": tls,
            "file_sd_configs": [{"files": [str(self.target_file)]}],
        }
        url = f"http://{daemon.address}/discovery?source=vms"
        oracle = prometheus(self.folder, url, self.discovery_file, more_jobs=[direct])
        self.start(oracle)

        def agrees() -> None:
            directly, through = (
                oracle.query(f'up{{job="{job}"}}') for job in ("direct", "http_sd")
            )
            self.assertEqual((len(directly), len(through)), (len(CASES), len(CASES)))
            found = {
                name: f"directly {directly[name]}, through promproxy {through[name]}"
                for name in CASES
                if directly[name] != through[name]
            }
            self.assertEqual(set(found), set(DIFFERENCES), found)
            self.assertEqual((directly["the name"], directly["another name"]), (1.0, 0.0))

        eventually(agrees, 40.0)
