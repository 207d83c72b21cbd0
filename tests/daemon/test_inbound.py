"""Tests of promproxy.daemon.inbound."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path

from cryptography import x509
from twisted.internet.address import IPv4Address
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from promproxy.config.load import config_from_text
from promproxy.config.schema import Config
from promproxy.daemon.inbound import build_inbound, inbound_warnings, make_access, make_tokens
from promproxy.daemon.service import Daemon, make_daemon
from promproxy.disk.file_watch import LOOK_SECONDS
from promproxy.errors import ConfigError
from promproxy.server.access import ADMIN, SCRAPE
from promproxy.server.bearer_tokens import Tokens
from promproxy.server.settings import WebFile
from promproxy.server.tls import TlsFactory
from promproxy.settings.load import section_from_text
from tests.daemon.test_service import ServiceTestCase
from tests.fakes import Answer, Caller, Wire, settle
from tests.integration.certificates import Authority
from tests.server.test_passwords import basic
from tests.server.test_settings import HASH

CALLER_TLS = (
    "tls_server_config: {cert_file: a, key_file: a, client_ca_file: a, client_auth_type: %s}\n"
)
VERIFIED = CALLER_TLS % "RequireAndVerifyClientCert"
USERS = f"basic_auth_users: {{alice: {HASH}}}\n"
ROLE = "roles: [{users: [alice], client_sans: [a.example], permissions: [scrape]}]\n"
TOKEN_ROLE = "roles: [{tokens: [{name: a, token: hunter2}], permissions: [scrape]}]\n"


def config(text: str) -> Config:
    return config_from_text(text, Path("/p.yml"), {})


def web(text: str) -> WebFile:
    return section_from_text(WebFile, text, Path("/web.yml"), None)


class AccessTests(SynchronousTestCase):
    """What both files together mean."""

    def test_nothing_configured(self) -> None:
        """All is open, but administration."""
        access = make_access(config(""), web(""))
        assert access.is_open and not access.open_admin
        self.assertEqual(access.open_pages, {"healthy", "ready"})

    def test_users(self) -> None:
        """What is open all the same."""
        access = make_access(config("open_pages: [discovery]"), web(USERS))
        assert access.has_users and not access.needs_certificate
        self.assertEqual(access.open_pages, {"discovery"})

    def test_certificates(self) -> None:
        """Which must be needed and verified to be enough."""
        for kind, needed in (
            ("RequireAndVerifyClientCert", True),
            ("VerifyClientCertIfGiven", False),
            ("RequireAnyClientCert", False),
        ):
            access = make_access(config(""), web(CALLER_TLS % kind))
            self.assertEqual(access.needs_certificate, needed)
            self.assertEqual(access.is_open, not needed)

    def test_roles(self) -> None:
        """Hold with users, and with certificates that are verified."""
        for text in (USERS, VERIFIED, CALLER_TLS % "VerifyClientCertIfGiven"):
            access = make_access(config(ROLE), web(text))
            assert access.caller("alice").may(SCRAPE)
            assert access.caller(sans=frozenset(("a.example",))).may(SCRAPE)
            assert not access.caller("alice").may(ADMIN)

    def test_roles_that_nobody_can_have(self) -> None:
        """Are an error, since all would be refused, or thought to be."""
        for text in ("", CALLER_TLS % "RequireAnyClientCert"):
            error = self.assertRaises(ConfigError, make_access, config(ROLE), web(text))
            self.assertIn("roles: no caller can have one", str(error))
            self.assertIn("--web-config-file", str(error))

    def test_tokens_are_enough(self) -> None:
        """Where there is no web configuration file."""
        access = make_access(config(TOKEN_ROLE), web(""))
        assert access.has_tokens and not access.has_users
        assert access.caller(token="a").may(SCRAPE)
        assert not access.caller(is_local=True).may(SCRAPE)


class TokensTests(SynchronousTestCase):
    """The tokens of all roles."""

    def test_names(self) -> None:
        """Each has its own."""
        text = "roles: [{tokens: %s, permissions: [scrape]}, {tokens: %s, permissions: [admin]}]"
        first, second = "[{name: a, token: x}, {name: b, token: y}]", "[{name: c, token: z}]"
        tokens = make_tokens(config(text % (first, second)), Tokens())
        names = [tokens.name_in(f"Bearer {token}".encode()) for token in "xyzw"]
        self.assertEqual(names, ["a", "b", "c", ""])

    def test_same_token_twice(self) -> None:
        """Is an error, for who would it be?"""
        both = config(TOKEN_ROLE.replace("}]", "}, {name: b, token: hunter2}]", 1))
        error = self.assertRaises(ConfigError, make_tokens, both, Tokens())
        self.assertEqual(str(error), "roles: the tokens 'a' and 'b' are the same")


class RemarksTests(SynchronousTestCase):
    """What is said at the start."""

    def test_nothing(self) -> None:
        self.assertEqual(list(inbound_warnings(config(ROLE), web(USERS + VERIFIED))), [])
        self.assertEqual(list(inbound_warnings(config(TOKEN_ROLE), web(""))), [])

    def test_what_does_not_fit(self) -> None:
        """Each in a line."""
        more = "http_server_config: {http2: true}\n"
        found = list(inbound_warnings(config(ROLE.replace("alice", "alcie")), web(USERS + more)))
        self.assertEqual(
            found,
            [
                "the web configuration file's http_server_config.http2 has no meaning here and is "
                "ignored",
                "roles: client_sans without a client_auth_type that verifies certificates",
                "roles: there is no user 'alcie' in the web configuration file",
            ],
        )


TOKEN = "roles: [{{tokens: [{{name: a, token_file: {file}}}], permissions: [scrape]}}]"
TLS = "tls_server_config: {cert_file: own.pem, key_file: own.pem}\n"
REMOTE = IPv4Address("TCP", "192.0.2.1", 5)


def end_of(pem: bytes) -> float:
    """When a certificate ends, in seconds of the epoch."""
    certificate = x509.load_pem_x509_certificate(pem)
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc.timestamp()
    return certificate.not_valid_after.replace(tzinfo=timezone.utc).timestamp()


class InboundTestCase(ServiceTestCase):
    """A daemon with a web configuration file, whose passwords are checked at once."""

    def start_with(self, web: str | None, text: str = "") -> Daemon:
        super().make()  # for its folder and its reactor
        self.folder = self.folder.absolute()
        self.web_file = self.folder / "web.yml"
        self.text = text
        for name in ("own.pem", "web.yml"):
            (self.folder / name).touch(mode=0o600)
        (self.folder / "own.pem").write_bytes(Authority().issue("localhost"))
        if web is not None:
            self.write(web)
        daemon = make_daemon(
            self.load(),
            self.reactor,
            load=self.load,
            web_file=None if web is None else self.web_file,
        )
        daemon.privilegedStartService()
        daemon.startService()
        self.addCleanup(daemon.stopService)
        settle(self.reactor)
        return daemon

    def write(self, web: str) -> None:
        self.web_file.write_text(web)

    def look(self) -> list[str]:
        """Let it look at the file; what it has to say of it."""
        with capturedLogs() as events:
            self.reactor.advance(LOOK_SECONDS)
        return [event["log_format"].format(**event) for event in events if "log_format" in event]

    def ask(self, path: str, method: str = "GET", password: str = "", token: str = "") -> Answer:
        site = self.reactor.tcpServers[0][1]
        caller = Caller(
            site.wrappedFactory if isinstance(site, TlsFactory) else site,
            self.reactor,
            wire=Wire(peerAddress=REMOTE),
        )
        headers = {"Authorization": basic("alice", password).decode()} if password else {}
        if token:
            headers = {"Authorization": f"Bearer {token}"}
        caller.send(method, path, **headers)
        settle(self.reactor)
        return caller.answer()


class StartTests(InboundTestCase):
    """What is said at the start, once."""

    def warnings(self, web: str | None, text: str = "") -> list[str]:
        sources = "sources: [{name: vms, files: {paths: [targets.json]}}]"  # else there is another
        with capturedLogs() as events:
            self.start_with(web, f"{sources}\n{text}")
        found = [event for event in events if event["log_level"].name == "warn"]
        return [event["log_format"].format(**event) for event in found]

    def test_no_users(self) -> None:
        """One warning says what that means."""
        for web in (None, "", "http_server_config: {headers: {X-Frame-Options: deny}}"):
            (warning,) = self.warnings(web)
            self.assertIn("no users are configured: every caller can read", warning)
            self.assertIn("and callers on this host can reload it", warning)
        (warning,) = self.warnings(None, "open_admin: true")
        self.assertIn("and every caller can reload it", warning)

    def test_users(self) -> None:
        """No warning, but what is ignored is named."""
        self.assertEqual(self.warnings(USERS), [])
        (warning,) = self.warnings(f"{USERS}http_server_config: {{http2: true}}")
        self.assertIn("http_server_config.http2 has no meaning here", warning)

    def test_tls(self) -> None:
        """Stands before the site where it is configured."""
        self.start_with(USERS)
        self.assertIsInstance(self.reactor.tcpServers[0][1], Site)
        self.start_with(TLS)
        self.assertIsInstance(self.reactor.tcpServers[0][1], TlsFactory)

    def test_end_of_the_certificate(self) -> None:
        """Is a metric, where there is one; a renewed one changes it."""
        name = b"promproxy_tls_certificate_not_after_timestamp_seconds "
        self.start_with("")
        self.assertNotIn(name, self.ask("/metrics").body)
        self.start_with(TLS)
        for hours in (1, 2):
            pem = Authority().issue("localhost", hours=hours)
            (self.folder / "own.pem").write_bytes(pem)
            self.look()
            value = float(self.ask("/metrics").body.partition(b"\n" + name)[2].split()[0])
            self.assertEqual(value, end_of(pem))

    def test_too_many_connections(self) -> None:
        """Are closed before their handshake."""
        daemon = self.start_with(TLS)
        factory = self.reactor.tcpServers[0][1]
        self.assertIsNotNone(factory.buildProtocol(REMOTE))
        daemon.site.connections.limit = 0
        self.assertIsNone(factory.buildProtocol(REMOTE))


class ChangeTests(InboundTestCase):
    """The file changes."""

    def test_users(self) -> None:
        """They come, go, and change; it is logged once."""
        self.start_with("")
        self.assertEqual(self.ask("/metrics").status, 200)
        self.look()
        self.assertEqual(self.look(), [])
        self.write(USERS)
        self.assertEqual(
            self.look(), ["the web configuration file, or a file that it names, was read anew"]
        )
        self.assertEqual(self.ask("/metrics").status, 401)
        self.write("")
        (_, warning) = self.look()
        self.assertIn("no users are configured", warning)
        self.assertEqual(self.ask("/metrics").status, 200)

    def test_broken_one_keeps_the_old(self) -> None:
        """It is reported once, by a metric, and what is put right is used."""
        self.start_with(USERS)
        self.look()
        self.write("basic_auth_user: {}")
        (error,) = self.look()
        self.assertIn(
            f"web configuration not reloaded, keeping the old one: {self.web_file}:1: basic_au",
            error,
        )
        self.assertEqual(self.look(), [])
        self.assertEqual(self.ask("/metrics").status, 401)
        self.write("")
        self.assertEqual(len(self.look()), 2)
        self.assertEqual(self.ask("/metrics").status, 200)

    def test_file_that_a_broken_one_names(self) -> None:
        """Is watched too: it may be what is put right."""
        self.start_with(TLS)
        self.look()
        self.write(TLS.replace("own", "new"))
        (error,) = self.look()
        self.assertIn(f"cannot read {self.folder}/new.pem", error)
        (self.folder / "own.pem").rename(self.folder / "new.pem")
        self.assertEqual(len(self.look()), 1)
        self.assertEqual(self.look(), [])

    def test_tls_does_not_come_or_go(self) -> None:
        """Nobody should speak in clear text for a slip of the pen; nor be cut off."""
        self.start_with(USERS)
        self.look()
        self.write(TLS + USERS)
        (error,) = self.look()
        self.assertIn("to begin or to end with TLS takes a restart", error)

    def test_roles_need_users(self) -> None:
        self.start_with(USERS, "roles: [{users: [alice], permissions: [scrape]}]")
        self.look()
        self.write("")
        (error,) = self.look()
        self.assertIn("roles: no caller can have one", error)
        self.assertEqual(self.ask("/metrics").status, 401)

    def test_token_file(self) -> None:
        """Is taken up by itself, without a web configuration file too; a broken one is not."""
        for web in (None, USERS):
            super().make()
            token = self.folder.absolute() / "token"
            token.write_text("first")
            self.start_with(web, TOKEN.format(file=token))
            self.look()
            self.assertEqual(self.ask("/metrics", token="first").status, 200)
            token.write_text("second")
            self.assertEqual(self.look(), ["the tokens of roles have changed"])
            self.assertEqual(self.look(), [])
            token.write_text("")
            (error,) = self.look()
            self.assertIn(
                f"web configuration not reloaded, keeping the old one: {token} is empty", error
            )
            self.assertEqual(self.ask("/metrics", token="first").status, 401)
            answer = self.ask("/metrics", token="second")
            self.assertIn(b"\npromproxy_web_config_last_reload_successful 0.0\n", answer.body)

    def test_headers(self) -> None:
        """Hold for the next second's answers."""
        self.start_with("")
        self.look()
        self.write("http_server_config: {headers: {X-Frame-Options: deny}}")
        self.look()
        self.assertEqual(self.ask("/metrics").headers["X-Frame-Options"], "deny")


class ReloadTests(InboundTestCase):
    """SIGHUP, and POST /-/reload, read both files."""

    def test_both_are_read(self) -> None:
        """The roles of one, the users of the other."""
        daemon = self.start_with("")
        self.write(USERS)
        self.text = "open_pages: [metrics]"
        daemon.reload()
        self.assertEqual(self.ask("/metrics").status, 200)
        self.assertEqual(self.ask("/discovery").status, 401)

    def test_tokens_of_roles(self) -> None:
        """Come and go with them, and their files are watched from then on."""
        daemon = self.start_with(None)
        token = self.folder / "token"
        token.write_text("first")
        self.text = TOKEN.format(file=token)
        daemon.reload()
        self.assertEqual(self.ask("/metrics").status, 401)
        self.assertEqual(self.ask("/metrics", token="first").status, 200)
        self.look()
        token.write_text("second")
        self.look()
        self.assertEqual(self.ask("/metrics", token="second").status, 200)
        self.text = ""
        daemon.reload()
        self.assertEqual(self.ask("/metrics").status, 200)

    def test_either_may_be_broken(self) -> None:
        daemon = self.start_with("")
        self.text = "open_pages: [metrics]\n"
        for web, text in (("basic_auth_user: {}", self.text), (USERS, "open_page: []")):
            self.write(web)
            self.text = text
            with capturedLogs() as events:
                daemon.reload()
            self.assertIn("reload failed", str(events[-1]))
            self.assertEqual(self.ask("/discovery").status, 200)


class PrepareTests(InboundTestCase):
    """What is an error before anything runs."""

    def test_tls_in_tls(self) -> None:
        """An endpoint of its own TLS does not go with the file's."""
        super().make()
        (self.folder / "own.pem").write_bytes(Authority().issue("localhost"))
        (self.folder / "web.yml").write_text(TLS)
        self.text = f"listen: ['ssl:8443:privateKey={self.folder}/own.pem']"
        error = self.assertRaises(
            ConfigError, make_daemon, self.load(), self.reactor, web_file=self.folder / "web.yml"
        )
        self.assertIn("would be TLS in TLS; write tcp: here", str(error))

    def test_what_is_prepared(self) -> None:
        """Is taken over where nothing has changed."""
        self.text = ""
        super().make()
        first = build_inbound(self.load(), WebFile())
        self.assertIs(build_inbound(self.load(), WebFile(), first).web, first.web)
