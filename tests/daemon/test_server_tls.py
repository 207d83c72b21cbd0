"""Tests of promproxy.daemon.server_tls and promproxy.server.tls, by handshakes in memory.

What real clients see is in `tests.integration.test_web_file`.
"""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from OpenSSL import SSL, crypto
from twisted.trial.unittest import SynchronousTestCase

from promproxy.daemon import server_tls
from promproxy.daemon.server_tls import make_server_context
from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.server.settings import TlsServer
from promproxy.server.tls import ServerContext, sans_of
from tests.integration.certificates import Authority


class FolderTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority()
        self.ca = self.write("ca.pem", self.authority.pem)
        self.own = self.write("server.pem", self.authority.issue("localhost"))

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def make(self, **settings: object) -> ServerContext:
        return make_server_context(
            TlsServer(**{"cert_file": self.own, "key_file": self.own, **settings})
        )


class BadFilesTests(FolderTestCase):
    """What cannot be used is named."""

    def check(self, message: str, **settings: object) -> None:
        error = self.assertRaises(ConfigError, self.make, **settings)
        self.assertEqual(str(error), message.replace("FOLDER", str(self.folder)))

    def test_missing(self) -> None:
        """With the system's reason."""
        nothing = self.folder / "none.pem"
        message = "cannot read FOLDER/none.pem: No such file or directory"
        self.check(message, cert_file=nothing)
        self.check(message, key_file=nothing)
        settings = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": nothing}
        self.check(message, **settings)

    def test_not_what_it_should_be(self) -> None:
        """Text, or the key of another certificate."""
        text = self.write("text", b"text")
        self.check("FOLDER/text: holds no certificate in PEM", cert_file=text)
        why = ": holds no key in PEM, without a passphrase, that belongs to FOLDER/server.pem"
        self.check(f"FOLDER/text{why}", key_file=text)
        other = self.write("other.pem", self.authority.issue("other"))
        self.check(f"FOLDER/other.pem{why}", key_file=other)
        settings = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": text}
        self.check("FOLDER/text: holds no certificate in PEM", **settings)

    def test_key_with_a_passphrase(self) -> None:
        """Nobody is asked for it at the terminal."""
        key = ec.generate_private_key(ec.SECP256R1())
        encryption = BestAvailableEncryption(b"x")
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        locked = self.write("locked.pem", pem)
        self.check(
            "FOLDER/locked.pem: holds no key in PEM, without a passphrase, that belongs to "
            "FOLDER/server.pem",
            key_file=locked,
        )


class HandshakeTests(FolderTestCase):
    """A client and a server whose bytes the test carries."""

    def connect(
        self, server: SSL.Context, certificate: bytes = b"", *chain: bytes
    ) -> tuple[SSL.Connection, SSL.Connection]:
        """Both ends after the handshake. Raises SSL.Error where the server refuses."""
        context = SSL.Context(SSL.TLS_METHOD)
        if certificate:
            own = self.write("client.pem", certificate)
            context.use_certificate_file(str(own))
            context.use_privatekey_file(str(own))
            for pem in chain:
                context.add_extra_chain_cert(crypto.load_certificate(crypto.FILETYPE_PEM, pem))
        ours, theirs = SSL.Connection(server, None), SSL.Connection(context, None)
        ours.set_accept_state()
        theirs.set_connect_state()
        for _ in range(4):
            for end, other in ((theirs, ours), (ours, theirs)):
                with contextlib.suppress(SSL.WantReadError):
                    end.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(end.bio_read(65536))
        return ours, theirs

    def test_certificate_that_nobody_verifies_harms_no_other_connection(self) -> None:
        """OpenSSL's errors are the thread's, and would be those of whoever reads next."""
        other, _ = self.connect(self.make())
        server = self.make(client_auth_type="RequireAnyClientCert")
        namesake = Authority()  # of the same name, but another key: no signature is right
        ours, _ = self.connect(server, namesake.issue("x"), self.authority.pem)
        for connection in (other, ours):
            self.assertRaises(SSL.WantReadError, connection.recv, 100)

    def test_certificate_in_the_configuration_itself(self) -> None:
        """And the authorities of callers."""
        pem, ca = self.own.read_text(), self.authority.pem.decode()
        server = make_server_context(
            TlsServer(
                cert=pem, key=Secret(pem), client_ca=ca, client_auth_type="VerifyClientCertIfGiven"
            )
        )
        self.connect(server, self.authority.issue("x"))
        self.assertRaises(SSL.Error, self.connect, server, Authority().issue("x"))
        error = self.assertRaises(
            ConfigError, make_server_context, TlsServer(cert="x", key=Secret(pem))
        )
        self.assertEqual(str(error), "tls_server_config.cert: holds no certificate in PEM")

    def test_authorities_of_the_system(self) -> None:
        """Where the file names none, as for Go's server."""
        server = self.make(client_auth_type="VerifyClientCertIfGiven")
        self.connect(server)
        self.assertRaises(SSL.Error, self.connect, server, self.authority.issue("x"))

    def test_bug_in_a_check_refuses(self) -> None:
        """It does not let anybody in."""
        server = self.make(
            client_auth_type="RequireAnyClientCert", client_allowed_sans=("a.example",)
        )
        good = self.authority.issue("a.example")
        self.connect(server, good)

        def fail(certificate: object) -> frozenset[str]:
            raise RuntimeError("a bug")

        self.patch(server_tls, "sans_of", fail)
        self.assertRaises((SSL.Error, RuntimeError), self.connect, server, good)


class NamesTests(SynchronousTestCase):
    """What counts as a name of a certificate."""

    def certificate(self, *names: x509.GeneralName) -> x509.Certificate:
        builder = Authority()._begin(x509.Name([]), ec.generate_private_key(ec.SECP256R1()))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())

    def test_all_kinds(self) -> None:
        """As Go writes them; but not a name of another kind."""
        found = sans_of(
            self.certificate(
                x509.DNSName("a.example"),
                x509.RFC822Name("a@example.org"),
                x509.UniformResourceIdentifier("spiffe://example.org/a"),
                x509.IPAddress(ip_address("10.0.0.1")),
                x509.IPAddress(ip_address("2001:db8::1")),
                x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            )
        )
        expected = {"a.example", "a@example.org", "spiffe://example.org/a", "10.0.0.1"}
        self.assertEqual(found, expected | {"2001:db8::1"})

    def test_none(self) -> None:
        """The common name is none."""
        self.assertEqual(sans_of(self.certificate()), frozenset())
