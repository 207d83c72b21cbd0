"""Tests of promproxy.daemon.access."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text, section_from_text
from promproxy.config.schema import Config
from promproxy.config.web_file import WebFile
from promproxy.daemon.access import inbound_warnings, make_access, make_tokens
from promproxy.errors import ConfigError
from promproxy.server.access import ADMIN, SCRAPE
from promproxy.server.bearer_tokens import Tokens
from tests.config.test_web_file import HASH

TLS = "tls_server_config: {cert_file: a, key_file: a, client_ca_file: a, client_auth_type: %s}\n"
VERIFIED = TLS % "RequireAndVerifyClientCert"
USERS = f"basic_auth_users: {{alice: {HASH}}}\n"
ROLE = "roles: [{users: [alice], client_sans: [a.example], permissions: [scrape]}]\n"
TOKEN = "roles: [{tokens: [{name: a, token: hunter2}], permissions: [scrape]}]\n"


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
        """And what is open all the same."""
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
            access = make_access(config(""), web(TLS % kind))
            self.assertEqual(access.needs_certificate, needed)
            self.assertEqual(access.is_open, not needed)

    def test_roles(self) -> None:
        """Hold with users, and with certificates that are verified."""
        for text in (USERS, VERIFIED, TLS % "VerifyClientCertIfGiven"):
            access = make_access(config(ROLE), web(text))
            assert access.caller("alice").may(SCRAPE)
            assert access.caller(sans=frozenset(("a.example",))).may(SCRAPE)
            assert not access.caller("alice").may(ADMIN)

    def test_roles_that_nobody_can_have(self) -> None:
        """Are an error, since all would be refused, or thought to be."""
        for text in ("", TLS % "RequireAnyClientCert"):
            error = self.assertRaises(ConfigError, make_access, config(ROLE), web(text))
            self.assertIn("roles: nobody can have one", str(error))
            self.assertIn("--web-config-file", str(error))

    def test_tokens_are_enough(self) -> None:
        """Where there is no web configuration file."""
        access = make_access(config(TOKEN), web(""))
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
        both = config(TOKEN.replace("}]", "}, {name: b, token: hunter2}]", 1))
        error = self.assertRaises(ConfigError, make_tokens, both, Tokens())
        self.assertEqual(str(error), "roles: the tokens 'a' and 'b' are the same")


class RemarksTests(SynchronousTestCase):
    """What is said at the start."""

    def test_nothing(self) -> None:
        """Where all fits."""
        self.assertEqual(list(inbound_warnings(config(ROLE), web(USERS + VERIFIED))), [])
        self.assertEqual(list(inbound_warnings(config(TOKEN), web(""))), [])

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
