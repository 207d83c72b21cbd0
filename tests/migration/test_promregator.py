"""Tests of promproxy.migration: what becomes of a configuration of Promregator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text
from promproxy.config.schema import Config
from promproxy.daemon.service import make_daemon
from promproxy.errors import ConfigError
from promproxy.migration.promregator import Imported, import_promregator
from promproxy.migration.promregator_options import OPTIONS, option_for
from promproxy.migration.report import report
from promproxy.migration.secrets import Secrets
from promproxy.migration.spring import Settings
from promproxy.migration.spring_files import settings_from as settings_of
from tests.integration.certificates import Authority

HERE = Path(__file__).parent
FULL = (HERE / "promregator.yml").read_text()
SECRETS = re.findall("hunter2-[a-z]+", FULL)
# Each rule chooses routes as Promregator does.
IN_ORDER = {"internal_routes": "in_order"}
SMALL = """
cf: {api_host: api.example.org, username: u, password: p}
promregator:
  targets: [{orgName: acme}]
"""


def settings_from(text: str) -> Settings:
    return settings_of(text, Path("promregator.yml"))


def imported_from(text: str, folder: Path | None = None) -> Imported:
    return import_promregator(settings_from(text), Secrets(folder))


def with_line(text: str) -> str:
    """The small configuration with something more below its top."""
    return f"{SMALL}{text}\n"


class AnyVariable(dict[str, str]):
    """An environment that has every variable."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "a-secret"


class WholeFileTests(SynchronousTestCase):
    """A configuration with nearly everything."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def check(self, text: str) -> Config:
        """What `promproxy check` does."""
        config = config_from_text(text, self.folder / "promproxy.yml", AnyVariable())
        make_daemon(config, MemoryReactorClock())
        return config

    def test_the_document(self) -> None:
        """Compared as a whole: the file beside this one is an example to read."""
        expected = yaml.safe_load((HERE / "promregator-expected.yml").read_text())
        self.assertEqual(imported_from(FULL).document, expected)

    def test_the_report_is_a_configuration_that_passes_the_check(self) -> None:
        """Once the certificates are where it says that they have to be put."""
        text = report(imported_from(FULL), settings_from(FULL), "promregator.yml")
        pem = Authority().issue("example.org")
        for name in re.findall(r"_file: (\S+\.pem)", text):
            (self.folder / name).write_bytes(pem)
        config = self.check(text)
        self.assertEqual(len(config.sources[0].profiles), 4)

    def test_secrets_in_files(self) -> None:
        """Each that stands in the file, and none that the environment is left with."""
        secrets = Secrets(self.folder)
        document = import_promregator(settings_from(FULL), secrets).document
        self.assertEqual(secrets.variables, [])
        self.assertEqual(secrets.missing_files, [])
        self.assertEqual(
            {path.name: content for path, content in secrets.files.items()},
            {
                "cf-password": "hunter2-cf",
                "promregator-authenticator-basic-password": "hunter2-basic",
                "promregator-targetauthenticators-0-oauth2xsuaabasic-client-secret": (
                    "hunter2-oauth"
                ),
                "promregator-targetauthenticators-2-oauth2xsuaacertificate-client-certificates.pem"
                "": "CERTIFICATE",
                "promregator-targetauthenticators-2-oauth2xsuaacertificate-client-key.pem": (
                    "hunter2-key"
                ),
            },
        )
        password_file = document["sources"][0]["cloud_foundry"]["password_file"]
        self.assertEqual(password_file, str(self.folder / "cf-password"))

    def test_no_secret_is_shown(self) -> None:
        """Neither in the file nor in its comments, nor by repr()."""
        self.assertEqual(len(SECRETS), 5)
        for folder in (None, self.folder):
            imported = imported_from(FULL, folder)
            text = report(imported, settings_from(FULL), "promregator.yml")
            text += repr(settings_from(FULL))
            for secret in SECRETS:
                self.assertNotIn(secret, text)

    def test_every_setting_is_told_of(self) -> None:
        """With its line, and what became of it; all of them are known."""
        text = report(imported_from(FULL), settings_from(FULL), "promregator.yml")
        comment = " ".join(re.findall("^# *(.*)$", text, re.M))
        for setting in settings_from(FULL):
            self.assertIn(f"{setting.name} ({setting.line})", comment)
        self.assertNotIn("LEFT OUT", comment)
        for told in (
            "- sources[].cloud_foundry.api_url: cf.api_host (3), cf.apiPort (4) -",
            "- left out (refreshes that fail are tried again after 5s, 10s, 20s, ...): "
            "cf.request.backoff (13) -",
        ):
            self.assertIn(told, comment)

    def test_what_is_left_to_do(self) -> None:
        """Secrets, inbound users, and credentials that go to anyone."""
        to_do = "\n".join(imported_from(FULL).to_do)
        for text in (
            "variable CF_PASSWORD of",
            "variable PROMREGATOR_AUTHENTICATOR_BASIC_PASSWORD of",
            "client-key.pem",
            "name the user 'prometheus' in basic_auth_users",
            "promregator.targets[3] sends credentials",
        ):
            self.assertIn(text, to_do)
        self.assertNotIn("targets[1] sends", to_do)

    def test_every_mapped_setting_makes_a_difference(self) -> None:
        """Without it the document is another one, or there is an error."""
        settings = settings_from(FULL)
        whole = import_promregator(settings, Secrets()).document
        without_effect = []
        for key, setting in settings._found.items():
            option = option_for(setting.name)
            assert option is not None, setting
            found = {k: s for k, s in settings._found.items() if k != key}
            try:
                changed = import_promregator(Settings(found), Secrets()).document != whole
            except ConfigError:
                changed = True
            if changed != bool(option.becomes):
                without_effect.append(setting.name)
        # The rest is said elsewhere in the file too, or is what is the case anyway.
        self.assertEqual(
            without_effect,
            [
                "cf.password",
                "cf.cache.timeout.route",
                "cf.cache.timeout.process",
                "cf.cache.timeout.resolver",
                "promregator.authenticator.basic.password",
                "promregator.targetAuthenticators[0].oauth2xsuaaBasic.client_secret",
                "promregator.targetAuthenticators[1].type",
                "promregator.targetAuthenticators[2].oauth2xsuaaCertificate.client_certificates",
                "promregator.targetAuthenticators[2].oauth2xsuaaCertificate.client_key",
                "promregator.endpoint.auth",
                "promregator.cache.invalidate.auth",
            ],
        )


class OptionsTests(SynchronousTestCase):
    """The table of options."""

    def test_every_option_says_one_thing(self) -> None:
        """What it becomes, or why it becomes nothing."""
        for option in OPTIONS:
            self.assertNotEqual(bool(option.becomes), bool(option.why), option)

    def test_every_option_is_met(self) -> None:
        """None of them is hidden by one before it."""
        for option in OPTIONS:
            name = option.name.replace("[]", "[7]").replace("*", "anything")
            self.assertIs(option_for(name), option, name)

    def test_names_in_any_spelling(self) -> None:
        """As Spring takes them; what is no option is none."""
        for name in ("cf.api-host", "CF.apiHost", "cf.api_host"):
            option = option_for(name)
            assert option is not None
            self.assertEqual(option.name, "cf.api_host")
        for name in ("cf", "cf.nonsense", "promregator.targets", "other.port", "cf.password.x"):
            self.assertIsNone(option_for(name), name)


class SettingTests(SynchronousTestCase):
    """Single settings, which promregator.yml says otherwise or not at all."""

    def source(self, text: str) -> dict[str, Any]:
        (source,) = imported_from(text).document["sources"]
        return dict(source)

    def test_small_file(self) -> None:
        """What is nowhere said is not written either."""
        imported = imported_from(SMALL)
        self.assertEqual(
            imported.document,
            {
                "listen": ["tcp:8080"],
                "discovery": {"promregator_labels": True},
                "sources": [
                    {
                        "name": "cf",
                        "cloud_foundry": {
                            "api_url": "https://api.example.org",
                            "username": "u",
                            "password": "${CF_PASSWORD}",
                            "select": [{"org": "acme", **IN_ORDER}],
                        },
                    }
                ],
            },
        )
        self.assertEqual(
            imported.to_do, ["put the secret into the variable CF_PASSWORD of the environment"]
        )

    def test_dotted_keys_and_older_names(self) -> None:
        """As they are found in the wild."""
        source = self.source(
            "cf.api-host: a\ncf.username: u\ncf.proxyHost: p\ncf.proxyPort: 1\n"
            "promregator.targets[0].org-name: acme\npromregator.targets[0].space-name: prod\n"
        )
        foundation = source["cloud_foundry"]
        self.assertEqual(foundation["proxy_url"], "http://p:1")
        self.assertEqual(foundation["select"], [{"org": "acme", "space": "prod", **IN_ORDER}])

    def test_refresh_interval(self) -> None:
        """Any of the four caches of what changes often; the shortest one."""
        for kind in ("application", "route", "process", "resolver"):
            source = self.source(with_line(f"cf.cache.timeout.{kind}: 45"))
            self.assertEqual(source["refresh_interval"], "45s")

    def test_refresh_interval_beside_defaults(self) -> None:
        """What a file does not say is 300 s with Promregator."""
        source = self.source(with_line("cf.cache.timeout.resolver: 86400"))
        self.assertEqual(source["refresh_interval"], "300s")
        self.assertNotIn("refresh_interval", self.source(SMALL))

    def test_addresses(self) -> None:
        """An address to listen on, of either kind; a port from the environment."""
        for line, expected in (
            ("server.address: 0.0.0.0", "tcp:8080"),
            ("server.address: '::1'", r"tcp6:8080:interface=\:\:1"),
            ("server.port: ${PORT:8080}", "tcp:${PORT:-8080}"),
        ):
            self.assertEqual(imported_from(with_line(line)).document["listen"], [expected])

    def test_discovery_address(self) -> None:
        """The host with the port that was given, or that is listened on; not a port alone."""
        for line, expected in (
            ("promregator.discovery.hostname: h", "h:8080"),
            ("promregator.discovery: {hostname: h, port: 81}", "h:81"),
            ("promregator.discovery.port: 81", None),
        ):
            imported = imported_from(with_line(line))
            self.assertEqual(imported.document["discovery"].get("address"), expected)
        self.assertIn("set discovery.address", imported.to_do[0])

    def test_placeholders(self) -> None:
        """Those of Spring stay, with their defaults, but for secrets; other dollars are none."""
        text = SMALL.replace("username: u", "username: '${USER:me}$x$$'").replace(
            "password: p", "password: '${SECRET:hunter2}'"
        )
        imported = imported_from(text)
        foundation = imported.document["sources"][0]["cloud_foundry"]
        self.assertEqual(foundation["username"], "${USER:-me}$$x$$$$")
        self.assertEqual(foundation["password"], "${SECRET}")
        self.assertNotIn("hunter2", repr(imported))
        self.assertEqual(
            imported.to_do,
            [
                "cf.password (line 2) has a default, which is a secret too and is left out: set "
                "the variable SECRET of the environment"
            ],
        )

    def test_placeholders_that_no_shell_can_export(self) -> None:
        """Spring looks for them under other names, and so does promproxy; told where they stand."""
        text = SMALL.replace("username: u", "username: '${my.user-name.os}'").replace(
            "api_host: api.example.org", "api_host: '${CF_API:api.cf.example.org}'"
        )
        imported = imported_from(text)
        foundation = imported.document["sources"][0]["cloud_foundry"]
        self.assertEqual(foundation["username"], "${MY_USERNAME_OS}")
        self.assertEqual(foundation["api_url"], "https://${CF_API:-api.cf.example.org}")
        self.assertIn(
            "cf.username (line 2): set the variable MY_USERNAME_OS of the environment",
            imported.to_do,
        )
        self.assertNotIn("CF_API", "".join(imported.to_do))

    def test_default_that_depends_on_another_variable(self) -> None:
        text = SMALL.replace("username: u", "username: '${A:${B:c}}'")
        imported = imported_from(text)
        self.assertEqual(imported.document["sources"][0]["cloud_foundry"]["username"], "${A}")
        self.assertIn("cf.username (line 2) has a default that depends", "".join(imported.to_do))

    def test_encrypted_values(self) -> None:
        """Never taken for what they are the cipher of; also not written to files."""
        text = SMALL.replace("username: u, password: p", "username: u, password: '{cipher}d93d'")
        for folder in (None, Path("/etc/promproxy")):
            secrets = Secrets(folder)
            imported = import_promregator(settings_from(text), secrets)
            foundation = imported.document["sources"][0]["cloud_foundry"]
            self.assertEqual(foundation["password"], "${CF_PASSWORD}")
            self.assertEqual((secrets.files, secrets.variables), ({}, []))
            self.assertEqual(
                imported.to_do,
                [
                    "cf.password (line 2) is encrypted: decrypt it, and put the result into the "
                    "variable CF_PASSWORD of the environment"
                ],
            )
            told = report(imported, settings_from(text), "promregator.yml")
            self.assertNotIn("d93d", told)

    def test_encrypted_values_that_are_no_passwords(self) -> None:
        """Of a user; and of a key, which must be in a file."""
        text = SMALL.replace("username: u", "username: '{cipher}d93d'") + (
            "  authenticator:\n    type: OAuth2XSUAACertificate\n    oauth2xsuaaCertificate:\n"
            "      {client_id: c, tokenServiceCertURL: 'https://u', client_key: '{cipher}d93d',"
            " client_certificates: C}\n"
        )
        secrets = Secrets(Path("/etc/promproxy"))
        imported = import_promregator(settings_from(text), secrets)
        foundation = imported.document["sources"][0]["cloud_foundry"]
        self.assertEqual(foundation["username"], "${CF_USERNAME}")
        self.assertNotIn("d93d", repr((imported, secrets.files)))
        self.assertEqual(len(secrets.missing_files), 1)

    def test_documented_names_of_variables(self) -> None:
        """Those of OAuth 2 have an underscore that the options have not."""
        text = SMALL + (
            "  authenticator:\n    type: OAuth2XSUAABasic\n    oauth2xsuaaBasic:\n"
            "      {client_id: c, tokenServiceURL: 'https://u'}\n"
        )
        profile = imported_from(text).document["outbound"]["promregator"]
        self.assertEqual(
            profile["oauth2"]["client_secret"],
            "${PROMREGATOR_AUTHENTICATOR_OAUTH2XSUAA_BASIC_CLIENT_SECRET}",
        )

    def test_unknown_part_of_a_rule_is_left_to_do(self) -> None:
        """Without it the rule may select more."""
        imported = imported_from(SMALL.replace("orgName: acme", "orgNam: acme"))
        self.assertIn(
            "promregator.targets[0].orgNam (line 4) is left out: see whether the rule selects too "
            "much without it",
            imported.to_do,
        )

    def test_scheme_of_discovery(self) -> None:
        for line, expected in (
            ("promregator.discovery: {hostname: h, scheme: https}", "https"),
            ("promregator.discovery: {hostname: h, port: 443, scheme: http}", "http"),
        ):
            document = imported_from(with_line(line)).document
            self.assertEqual(document["discovery"]["scheme"], expected)

    def test_overridden_route_with_a_port(self) -> None:
        text = SMALL.replace("orgName: acme", "overrideRouteAndPath: my.api.example.org:8443/foo/")
        (rule,) = self.source(text)["cloud_foundry"]["select"]
        self.assertEqual(rule, {"override_route_and_path": "my.api.example.org:8443/foo/metrics"})

    def test_pages_without_a_password(self) -> None:
        """Nothing asks for one by default; what was opened by name stays open."""
        self.assertNotIn("open_pages", imported_from(SMALL).document)
        document = imported_from(with_line("promregator.cache.invalidate.auth: NONE")).document
        self.assertEqual(document["open_pages"], ["healthy", "ready", "invalidate"])

    def test_no_credentials_for_a_target_that_must_not_get_them(self) -> None:
        """Also where there is no proxy that would make a profile of it."""
        text = SMALL.replace("orgName: acme", "orgName: acme, authenticatorId: x") + (
            "  authenticator: {type: basic, basic: {username: a, password: b}}\n"
            "  targetAuthenticators: [{id: x, type: none}]\n"
        )
        document = imported_from(text).document
        self.assertEqual(document["outbound"]["none"], {})
        (rule,) = document["sources"][0]["cloud_foundry"]["select"]
        self.assertEqual(rule, {"org": "acme", "outbound": "none", **IN_ORDER})

    def test_several_foundations(self) -> None:
        """One source for each, with the targets that name it."""
        text = """
            cf:
              api:
                North_1: {host: n.example.org, username: n, password: p}
                south: {host: s.example.org, port: 444, username: s, password: p}
            promregator:
              targets:
                - {api: North_1, orgName: a}
                - {api: south, orgName: b}
        """
        document = imported_from(text).document
        found = {
            source["name"]: (
                source["cloud_foundry"]["api_url"],
                source["cloud_foundry"]["password"],
                source["cloud_foundry"]["select"],
            )
            for source in document["sources"]
        }
        self.assertEqual(
            found,
            {
                "north1": (
                    "https://n.example.org",
                    "${CF_API_NORTH1_PASSWORD}",
                    [{"org": "a", **IN_ORDER}],
                ),
                "south": (
                    "https://s.example.org:444",
                    "${CF_API_SOUTH_PASSWORD}",
                    [{"org": "b", **IN_ORDER}],
                ),
            },
        )

    def test_unknown_settings_are_named(self) -> None:
        """A misspelt one was without effect before, which one may want to know."""
        text = with_line("promregator.targetz: 1")
        told = report(imported_from(text), settings_from(text), "a\nb.yml")
        self.assertIn("have such options: promregator.targetz (5)", told)
        self.assertIn("# Made from a?b.yml by", told)


class ErrorTests(SynchronousTestCase):
    """What cannot be imported."""

    def test_messages(self) -> None:
        """Each says where, and what to do."""
        target = "promregator.targets[0]"
        for text, message in (
            ("", "promregator.yml: there are no settings in it"),
            ("[]", "expected a mapping with 'cf' and 'promregator'"),
            ("cf: &a {b: *a}", "promregator.yml: nested too deeply"),
            ("cf: {username: u}", "cf.api_host is missing"),
            ("cf: {api_host: a}", "promregator.targets: none of them is for cf"),
            (SMALL.replace("orgName: acme", "orgRegex: '(?<x>a)(?'"), f"{target}.orgRegex: this"),
            (SMALL.replace("orgName: acme", "orgRegex: '[a-z&&[^x]]'"), "is none of Python's"),
            (
                SMALL.replace("orgName: acme", "authenticatorId: x"),
                f"{target}.authenticatorId: no targetAuthenticator is called 'x'",
            ),
            (
                with_line("promregator.authenticator.type: kerberos"),
                "promregator.authenticator.type: promproxy knows no authenticator like this one",
            ),
            (
                with_line("promregator.targetAuthenticators: [{type: basic}]"),
                "promregator.targetAuthenticators[0]: has no id",
            ),
            (with_line("cf.request.rateLimit: many"), "cf.request.rateLimit: expected a number"),
            (with_line("cf.request.rateLimit: 1e999"), "cf.request.rateLimit: expected a number"),
            (with_line("cf.request.rateLimit: nan"), "cf.request.rateLimit: expected a number"),
        ):
            error = self.assertRaises(ConfigError, imported_from, text)
            self.assertIn(message, str(error))

    @given(
        st.recursive(
            st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["cf", "api", "targets", "a.b"]), inner, max_size=3
                )
            ),
        )
    )
    def test_any_document(self, document: Any) -> None:
        """It is imported or refused, never anything else."""
        text = yaml.safe_dump({"promregator": document, "cf": document})
        try:
            imported = imported_from(text)
        except ConfigError:
            return
        report(imported, settings_from(text), "x.yml")
