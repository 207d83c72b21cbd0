"""Tests of promproxy.daemon.profiles: what the configuration says is what a server sees."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from promproxy.config.load import config_from_text
from promproxy.config.schema import Config
from promproxy.daemon.profiles import (
    authorization_header,
    guard_of,
    make_outbound,
    make_profile,
)
from promproxy.errors import ConfigError, ScrapeError, Unreachable
from promproxy.outbound.fetch import Answer, Fetcher
from promproxy.outbound.no_proxy import NoProxy
from promproxy.outbound.settings import Authorization, BasicAuth, HttpClient, OAuth2, TlsConfig
from promproxy.secret import Secret
from tests.integration.certificates import Authority


class Page(Resource):
    """Answers with the request's target, or with a token, and keeps the last request."""

    isLeaf = True
    last: Request

    def render_GET(self, request: Request) -> bytes:
        self.last = request
        return b"served " + request.uri

    def render_POST(self, request: Request) -> bytes:
        self.last = request
        return b'{"access_token": "t-1", "expires_in": 3600}'


class HeaderTests(SynchronousTestCase):
    """The Authorization header."""

    def test_each_kind(self) -> None:
        """RFC 7617 and RFC 6750."""
        basic = BasicAuth(username="u", password=Secret("p"))
        bearer = Authorization(credentials=Secret("t0ken"))
        self.assertEqual(authorization_header(HttpClient(basic_auth=basic)), b"Basic dTpw")
        self.assertEqual(authorization_header(HttpClient(authorization=bearer)), b"Bearer t0ken")
        self.assertIsNone(authorization_header(HttpClient()))


class GuardTests(SynchronousTestCase):
    """Whose hosts come from outside."""

    def test_sources_that_discover(self) -> None:
        """Target files are as trusted as the configuration, and so is a route that it names."""
        text = """
        deny_addresses: [10.0.0.0/8]
        sources:
          - {name: vms, files: {paths: [x.yml]}}
          - {name: branch, http_sd: {url: "http://a/"}}
          - name: prod
            cloud_foundry:
              api_url: https://api
              username: u
              password: p
              select: [{org: a}, {org: b, override_route_and_path: metrics.example/x}]
        """
        guard = guard_of(config_from_text(text, Path("p.yml"), {}))
        self.assertEqual(guard.sources, {"branch", "prod"})
        self.assertIn("metrics.example", guard.own_hosts)
        self.assertTrue(guard.denied.has("10.0.0.1"))
        self.assertFalse(guard.denied.has("169.254.169.254"))


class MistakeTests(SynchronousTestCase):
    """Files and URLs that cannot be used."""

    def mistake(self, **settings: Any) -> str:
        error = self.assertRaises(
            ConfigError, make_outbound, reactor, Config(outbound={"x": HttpClient(**settings)})
        )
        return str(error)

    def test_files_are_named(self) -> None:
        """Missing ones, empty ones, broken ones."""
        folder = Path(self.mktemp())
        folder.mkdir()
        good = folder / "good.pem"
        good.write_bytes(Authority().issue("a"))
        for content, why in (
            (None, "cannot read"),
            (b"", "holds no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "broken certificate"),
        ):
            file = folder / "odd.pem"
            if content is not None:
                file.write_bytes(content)
            message = self.mistake(tls_config=TlsConfig(ca_file=file))
            self.assertIn(str(file), message)
            self.assertIn(why, message)
        key = folder / "odd.pem"
        tls = TlsConfig(cert_file=good, key_file=key)
        locked = subprocess.run(
            ["openssl", "pkey", "-in", str(good), "-aes256", "-passout", "pass:x"],
            check=True,
            capture_output=True,
        ).stdout
        assert b"ENCRYPTED" in locked
        for content in (b"", b"nonsense", Authority().issue("b"), locked):
            key.write_bytes(content)
            expected = f"{key}: holds no key in PEM, without a passphrase, that belongs to {good}"
            self.assertEqual(self.mistake(tls_config=tls), expected)

    def test_secret_that_does_not_fit_into_a_header(self) -> None:
        """It is not shown; in a Basic header any does."""
        for secret in ("two\nlines", "nul\0"):
            auth = Authorization(credentials=Secret(secret))
            message = self.mistake(authorization=auth)
            self.assertEqual(message, "authorization: the credentials hold a control character")
            basic = BasicAuth(username="u", password=Secret(secret))
            self.assertIsNotNone(authorization_header(HttpClient(basic_auth=basic)))

    def test_proxy_over_tls(self) -> None:
        """Is not there yet, which is said at the start."""
        self.assertIn("only http:// proxies", self.mistake(proxy_url="https://proxy:1"))


class ConnectionTests(TestCase):
    """Real sockets on loopback."""

    timeout = 20

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority()
        self.ca_file = self.write("ca.pem", self.authority.pem)
        pem = self.authority.issue("127.0.0.1")
        callers = Certificate.loadPEM(self.authority.pem)  # who signs the callers' certificates
        options = PrivateCertificate.loadPEM(pem).options(callers)
        self.page = Page()
        site = Site(self.page)
        self.tls = reactor.listenSSL(0, site, options, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.plain = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        for port in (self.tls, self.plain):
            self.addCleanup(port.stopListening)

    def write(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    async def fetch(self, url: str, **settings: Any) -> Answer:
        profile = make_profile(reactor, HttpClient(**settings))
        self.addCleanup(profile.agent.close)
        fetcher = Fetcher(agent=profile.agent, clock=reactor, timeout=10, max_size=10_000)  # type: ignore[arg-type]
        return await fetcher.fetch("GET", url, {})

    def test_client_certificate(self) -> Deferred[None]:
        """The server takes us with it, and not without."""
        url = f"https://127.0.0.1:{self.tls.getHost().port}/x"

        async def case() -> None:
            pem = self.write("own.pem", self.authority.issue("client"))
            tls = TlsConfig(ca_file=self.ca_file, cert_file=pem, key_file=pem)
            answer = await self.fetch(url, tls_config=tls)
            self.assertEqual((answer.status, answer.body), (200, b"served /x"))
            without = Deferred.fromCoroutine(
                self.fetch(url, tls_config=TlsConfig(ca_file=self.ca_file))
            )
            # With TLS 1.3 the server's refusal comes after our side of the handshake.
            await self.assertFailure(without, ScrapeError)

        return Deferred.fromCoroutine(case())

    def test_authority_of_another(self) -> Deferred[None]:
        """Is not accepted; with insecure_skip_verify anyone is."""
        url = f"https://127.0.0.1:{self.tls.getHost().port}/x"
        pem = self.write("own.pem", self.authority.issue("client"))
        other = self.write("other.pem", Authority().pem)

        async def case() -> None:
            tls = TlsConfig(ca_file=other, cert_file=pem, key_file=pem)
            refused = Deferred.fromCoroutine(self.fetch(url, tls_config=tls))
            error = await self.assertFailure(refused, Unreachable)
            self.assertEqual(error.reason, "TLS certificate not accepted")
            tls = TlsConfig(insecure_skip_verify=True, cert_file=pem, key_file=pem)
            self.assertEqual((await self.fetch(url, tls_config=tls)).status, 200)

        return Deferred.fromCoroutine(case())

    def test_proxy(self) -> Deferred[None]:
        """It is asked for the whole URL, of a host that only it need know."""
        proxy = f"http://127.0.0.1:{self.plain.getHost().port}"

        async def case() -> None:
            answer = await self.fetch("http://only-there.invalid/x?y", proxy_url=proxy)
            self.assertEqual(answer.body, b"served http://only-there.invalid/x?y")

        return Deferred.fromCoroutine(case())

    def test_proxy_is_passed_by(self) -> None:
        """Where no_proxy says so; the credentials for it go to no one else."""
        auth = BasicAuth(username="u", password=Secret("p"))
        settings = {"proxy_url": "http://127.0.0.1:9", "proxy_basic_auth": auth}
        url = f"http://127.0.0.1:{self.plain.getHost().port}/x"

        async def case() -> None:
            answer = await self.fetch(url, no_proxy=NoProxy("127.0.0.0/8"), **settings)
            self.assertEqual(answer.body, b"served /x")
            self.assertIsNone(self.page.last.getHeader("Proxy-Authorization"))
            through = Deferred.fromCoroutine(self.fetch(url, no_proxy=NoProxy("a.b"), **settings))
            await self.assertFailure(through, Unreachable)

        return Deferred.fromCoroutine(case())

    def test_proxy_learns_its_credentials(self) -> None:
        """In a header of their own."""
        proxy = f"http://127.0.0.1:{self.plain.getHost().port}"
        auth = BasicAuth(username="u", password=Secret("p"))

        async def case() -> None:
            await self.fetch("http://a.invalid/", proxy_url=proxy, proxy_basic_auth=auth)
            self.assertEqual(self.page.last.getHeader("Proxy-Authorization"), "Basic dTpw")
            self.assertIsNone(self.page.last.getHeader("Authorization"))

        return Deferred.fromCoroutine(case())

    def test_tokens_are_asked_for_over_a_connection_of_their_own(self) -> None:
        """With the client certificate that only the token server is to see."""
        pem = self.write("own.pem", self.authority.issue("client"))
        oauth2 = OAuth2(
            client_id="scraper",
            token_url=f"https://127.0.0.1:{self.tls.getHost().port}/oauth/token",
            tls_config=TlsConfig(ca_file=self.ca_file, cert_file=pem, key_file=pem),
        )
        profile = make_profile(reactor, HttpClient(oauth2=oauth2))
        for agent in profile.agents:
            self.addCleanup(agent.close)

        async def case() -> None:
            assert profile.tokens is not None
            self.assertEqual(await profile.tokens.get(), b"Bearer t-1")
            self.assertEqual(self.page.last.args[b"client_id"], [b"scraper"])
            self.assertEqual(self.page.last.args[b"grant_type"], [b"client_credentials"])

        return Deferred.fromCoroutine(case())
