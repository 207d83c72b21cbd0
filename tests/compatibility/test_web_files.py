"""Web configuration files: what promproxy loads, against ``promtool check web-config``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import load_web_file
from promproxy.daemon.inbound import make_web
from promproxy.errors import ConfigError
from tests.compatibility.configs import good_web_configs
from tests.integration.certificates import Authority

HASH = "$2y$10$qRTBuFoULoYNA7AQ/F3ck.trZBPyjV64.oA4ZsSBCIWvXuvQlQTuu"
CERT = "cert_file: server.pem, key_file: server.pem"
CA = "client_ca_file: ca.pem"

#: Files by what they are about. Certificates stand beside them.
FILES = {
    # Shapes
    "empty": "",
    "comment": "# nothing\n",
    "braces": "{}",
    "null": "~",
    "list": "[]",
    "text": "text",
    "no-yaml": "tls_server_config: [",
    "unknown-key": "tls_server_confg: {}",
    "key-twice": "basic_auth_users: {}\nbasic_auth_users: {}\n",
    "null-sections": "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n",
    "empty-sections": "tls_server_config: {}\nhttp_server_config: {}\nbasic_auth_users: {}\n",
    "list-for-section": "tls_server_config: []",
    "text-for-section": "http_server_config: text",
    "document-mark": "---\nbasic_auth_users: {}\n",
    # Certificates
    "tls": f"tls_server_config: {{{CERT}}}",
    "tls-quoted": "tls_server_config: {cert_file: 'server.pem', key_file: \"server.pem\"}",
    "tls-no-key": "tls_server_config: {cert_file: server.pem}",
    "tls-no-cert": "tls_server_config: {key_file: server.pem}",
    "tls-empty-paths": "tls_server_config: {cert_file: '', key_file: ''}",
    "tls-missing-file": "tls_server_config: {cert_file: none.pem, key_file: server.pem}",
    "tls-missing-key-file": "tls_server_config: {cert_file: server.pem, key_file: none.pem}",
    "tls-folder": "tls_server_config: {cert_file: ., key_file: server.pem}",
    "tls-other-key": "tls_server_config: {cert_file: server.pem, key_file: other.pem}",
    "tls-text-as-cert": "tls_server_config: {cert_file: text, key_file: server.pem}",
    "tls-text-as-key": "tls_server_config: {cert_file: server.pem, key_file: text}",
    "tls-chain": "tls_server_config: {cert_file: chain.pem, key_file: server.pem}",
    "tls-unknown-key": f"tls_server_config: {{{CERT}, cert_fil: x}}",
    "tls-inline": "tls_server_config: {cert: INLINE, key: INLINE}",
    # Client certificates
    **{
        f"client-{kind}{'-ca' if ca else ''}": (
            f"tls_server_config: {{{CERT}, client_auth_type: {kind}{f', {CA}' if ca else ''}}}"
        )
        for kind in (
            *("NoClientCert", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert"),
            *("VerifyClientCertIfGiven", "RequireAndVerifyClientCert", "Nonsense"),
            *("noclientcert", "''", "~"),
        )
        for ca in (False, True)
    },
    "client-ca-alone": f"tls_server_config: {{{CERT}, {CA}}}",
    "client-ca-missing": (
        f"tls_server_config: {{{CERT}, client_auth_type: RequireAndVerifyClientCert, "
        "client_ca_file: none.pem}"
    ),
    "client-ca-text": (
        f"tls_server_config: {{{CERT}, client_auth_type: RequireAndVerifyClientCert, "
        "client_ca_file: text}"
    ),
    "client-sans": (
        f"tls_server_config: {{{CERT}, client_auth_type: RequireAndVerifyClientCert, {CA}, "
        "client_allowed_sans: [a.example]}"
    ),
    # Versions and ciphers
    **{
        f"version-{low}-{high}": (
            f"tls_server_config: {{{CERT}, min_version: {low}, max_version: {high}}}"
        )
        for low, high in (
            *(("TLS10", "TLS13"), ("TLS11", "TLS13"), ("TLS12", "TLS12"), ("TLS13", "TLS13")),
            *(("TLS10", "TLS11"), ("TLS13", "TLS12"), ("SSL30", "TLS13"), ("TLS12", "TLS14")),
            *(("tls12", "TLS13"), ("'TLS12'", "TLS13"), ("1.2", "TLS13")),
        )
    },
    "version-alone": "tls_server_config: {min_version: TLS13}",
    "cipher": (
        f"tls_server_config: {{{CERT}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}"
    ),
    "ciphers-none": f"tls_server_config: {{{CERT}, cipher_suites: []}}",
    "cipher-unknown": f"tls_server_config: {{{CERT}, cipher_suites: [TLS_NONSENSE]}}",
    "curves": f"tls_server_config: {{{CERT}, curve_preferences: [CurveP256, CurveP521, X25519]}}",
    "curve-unknown": f"tls_server_config: {{{CERT}, curve_preferences: [CurveP257]}}",
    "prefer": f"tls_server_config: {{{CERT}, prefer_server_cipher_suites: false}}",
    "prefer-text": f"tls_server_config: {{{CERT}, prefer_server_cipher_suites: maybe}}",
    # HTTP
    **{
        f"http2-{number}": f"http_server_config: {{http2: {value}}}"
        for number, value in enumerate(("true", "false", "yes", "off", "maybe", "~"))
    },
    **{
        f"header-{number}": f"http_server_config: {{headers: {{{header}}}}}"
        for number, header in enumerate(
            (
                "X-Frame-Options: deny",
                "X-Frame-Options: sameorigin",
                "X-Frame-Options: allow-from x",
                "X-Content-Type-Options: nosniff",
                "X-Content-Type-Options: sniff",
                "X-XSS-Protection: 1",
                "X-XSS-Protection: '1; mode=block'",
                "X-XSS-Protection: 0",
                "X-XSS-Protection: true",
                "X-XSS-Protection: 1.50",
                "Strict-Transport-Security: max-age=31536000; includeSubDomains",
                "Content-Security-Policy: \"default-src 'self'\"",
                "Content-Security-Policy: ''",
                "Content-Security-Policy: ~",
                "Server: x",
                "x-frame-options: deny",
                "X-XSS-Protection: [1]",
            )
        )
    },
    "headers-null": "http_server_config: {headers: ~}",
    "http-unknown": "http_server_config: {http3: true}",
    # Users
    **{
        f"cost-{cost:02}": f"basic_auth_users: {{a: '{HASH.replace('$10$', f'${cost:02}$')}'}}"
        for cost in (3, 4, 10, 17, 18, 31, 32)
    },
    **{
        f"hash-{kind}": f"basic_auth_users: {{a: '{HASH.replace('2y', kind)}'}}"
        for kind in ("2a", "2b", "2y", "2x", "3a", "1")
    },
    "user-number": f"basic_auth_users: {{5: {HASH}}}",
    "user-two": f"basic_auth_users: {{a: {HASH}, b: {HASH}}}",
    "user-twice": f"basic_auth_users:\n  a: {HASH}\n  a: {HASH}\n",
    "user-plain": "basic_auth_users: {a: secret}",
    "user-null": "basic_auth_users: {a: ~}",
    "user-empty": "basic_auth_users: {a: ''}",
    "user-colon": f"basic_auth_users: {{'a:b': {HASH}}}",
    "user-no-name": f"basic_auth_users: {{'': {HASH}}}",
    "hash-short": f"basic_auth_users: {{a: {HASH[:-1]}}}",
    "hash-shorter": f"basic_auth_users: {{a: {HASH[:-2]}}}",
    "hash-long": f"basic_auth_users: {{a: {HASH}xyz}}",
    "hash-odd": f"basic_auth_users: {{a: '{HASH[:-5]}!!!!!'}}",
    # Newer toolkits
    "rate-limit": "rate_limit: {interval: 1s, burst: 20}",
}

#: Prometheus 2.42 refuses these, and newer ones take them.
NEWER = {"tls-inline", "client-sans", "rate-limit"}

#: Prometheus refuses these.
TAKES_MORE = {
    "cipher-unknown": "ciphers are promproxy's own, whatever the file says; a warning tells",
    "curve-unknown": "curves are promproxy's own, whatever the file says; a warning tells",
    "prefer-text": "ciphers are promproxy's own, whatever the file says; a warning tells",
    "http2-4": "HTTP/1.1 is spoken whatever the file says; a warning tells",
}

_NEVER = "it can never work: Prometheus takes the file and then refuses every such caller"
_PLAIN = "Prometheus serves plain HTTP then, although the file speaks of TLS"

#: Prometheus takes these.
REFUSED = {
    "tls-empty-paths": _PLAIN,
    "version-alone": _PLAIN,
    "client-ca-text": _NEVER,
    "version-TLS13-TLS12": _NEVER,
    "version-TLS10-TLS11": "TLS 1.2 is the oldest version that is spoken",
    "hash-2x": "only an old PHP with a bug wrote such hashes",
    "hash-1": "nothing writes such hashes",
    "null": "an empty file is taken, one of null looks cut short",
    "hash-short": _NEVER,
    "hash-long": _NEVER,
    "hash-odd": _NEVER,
    "user-colon": _NEVER,
    "user-no-name": "a caller without a name is not a user",
}


class WebFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        authority = Authority()
        server = authority.issue("localhost")
        for name, content in (
            ("server.pem", server),
            ("other.pem", authority.issue("localhost")),
            ("ca.pem", authority.pem),
            ("chain.pem", server + authority.pem),
            ("text", b"text"),
        ):
            (self.folder / name).write_bytes(content)
        self.inline = repr(server.decode()).replace("'", '"')

    def is_good(self, file: Path) -> bool:
        """Whether the daemon would start with it."""
        try:
            make_web(load_web_file(file))
        except ConfigError:
            return False
        return True

    def test_files(self) -> None:
        """Both take a file or both refuse it, but for the differences that are meant."""
        texts = {f"{n}.yml": t.replace("INLINE", self.inline) for n, t in FILES.items()}
        theirs = good_web_configs(texts, self.folder)
        ours = {name for name in texts if self.is_good(self.folder / name)}
        newer = {f"{name}.yml" for name in NEWER}
        self.assertEqual(newer - ours, set())
        self.assertEqual(ours - theirs - newer, {f"{name}.yml" for name in TAKES_MORE})
        self.assertEqual(theirs - ours, {f"{name}.yml" for name in REFUSED})
