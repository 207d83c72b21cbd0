"""Tests of promproxy.migration.spring_files: every form in which Promregator takes settings."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.migration.spring import Settings
from promproxy.migration.spring_files import settings_from


def read(text: str, name: str = "promregator.yml") -> Settings:
    return settings_from(text, Path(name))


def values(text: str, name: str = "promregator.yml") -> dict[str, str]:
    """What is set, by name."""
    return {setting.name: setting.value for setting in read(text, name)}


class YamlTests(SynchronousTestCase):
    """YAML, as Spring reads it."""

    def test_merge_keys(self) -> None:
        """What stands beside them counts; of several the first."""
        text = """
            base: &base {orgName: acme, path: /m}
            more: &more {orgName: other, spaceName: prod}
            promregator:
              targets:
                - {<<: *base, path: /own}
                - <<: [*base, *more]
        """
        found = values(text)
        self.assertEqual(found["promregator.targets[0].orgName"], "acme")
        self.assertEqual(found["promregator.targets[0].path"], "/own")
        self.assertEqual(found["promregator.targets[1].orgName"], "acme")
        self.assertEqual(found["promregator.targets[1].spaceName"], "prod")

    def test_null_is_no_text(self) -> None:
        """It would be the name of an org."""
        found = read("promregator.targets: [{orgName: null, spaceName: ~, path: }]")
        self.assertEqual([setting.value for setting in found], ["", "", ""])

    def test_several_documents(self) -> None:
        """The last one counts, and its lists as a whole."""
        text = """
cf: {api_host: a, username: u}
promregator: {targets: [{orgName: one}, {orgName: two}]}
---
---
cf: {api_host: b}
promregator: {targets: [{orgName: three}]}
"""
        self.assertEqual(
            values(text),
            {"cf.api_host": "b", "cf.username": "u", "promregator.targets[0].orgName": "three"},
        )

    def test_document_of_a_profile(self) -> None:
        """Counts where the profile is active; else it is left out, and said."""
        for key in ("spring.config.activate.on-profile", "spring.profiles"):
            text = f"cf.api_host: a\n---\n{key}: prod\ncf.api_host: b\n"
            settings = read(text)
            self.assertEqual(settings.text("cf.api_host"), "a")
            (note,) = settings.notes
            self.assertIn("line 3 is for the profile 'prod'", note)
            settings = read(f"spring.profiles.active: test, prod\n{text}")
            self.assertEqual(settings.text("cf.api_host"), "b")

    def test_further_files(self) -> None:
        (note,) = read("spring.config.import: file:/etc/more.yml").notes
        self.assertIn("spring.config.import (line 1) makes Promregator read other files", note)


class PropertiesTests(SynchronousTestCase):
    """Files of properties."""

    TEXT = r"""
# a comment
! another one
cf.api_host = api.example.org
cf.username:u\u00fc
cf.password p\=\
    q
promregator.targets[0].orgName=acme
promregator.targets[0].preferredRouteRegex[0]=a\\.b
empty
"""

    def test_as_java_reads_them(self) -> None:
        self.assertEqual(
            values(self.TEXT, "application.properties"),
            {
                "cf.api_host": "api.example.org",
                "cf.username": "uü",
                "cf.password": "p=q",
                "promregator.targets[0].orgName": "acme",
                "promregator.targets[0].preferredRouteRegex[0]": r"a\.b",
                "empty": "",
            },
        )

    def test_lines_are_those_where_a_setting_begins(self) -> None:
        settings = read(self.TEXT, "application.properties")
        self.assertEqual([s.line for s in settings], [4, 5, 6, 8, 9, 10])

    def test_by_their_look(self) -> None:
        """Whatever the file is called."""
        self.assertEqual(values("cf.api_host=a\ncf.username=u", "x")["cf.username"], "u")


class EnvironmentTests(SynchronousTestCase):
    """The environment that Promregator is started with, as ``env`` prints it."""

    def test_options(self) -> None:
        """With or without the underscores of the options themselves; others are passed over."""
        text = """
PATH=/usr/bin
CF_API_HOST=api.example.org
CF_SKIPSSLVALIDATION=true
CF_APIPORT=8443
export CF_PASSWORD='a b'
CF_API_NORTH_HOST=n.example.org
CF_INSTANCE_GUID=x
PROMREGATOR_TARGETS_0_ORGNAME=acme
PROMREGATOR_TARGETS_12_PREFERREDROUTEREGEX_0=".*"
PROMREGATOR_AUTHENTICATOR_OAUTH2XSUAA_BASIC_CLIENT_SECRET=s
SERVER_PORT=81
"""
        self.assertEqual(
            values(text, "promregator.env"),
            {
                "cf.api_host": "api.example.org",
                "cf.skipSslValidation": "true",
                "cf.apiPort": "8443",
                "cf.password": "a b",
                "cf.api.north.host": "n.example.org",
                "CF_INSTANCE_GUID": "x",
                "promregator.targets[0].orgName": "acme",
                "promregator.targets[12].preferredRouteRegex[0]": ".*",
                "promregator.authenticator.oauth2xsuaaBasic.client_secret": "s",
                "server.port": "81",
            },
        )


class PlaceholderTests(SynchronousTestCase):
    """Placeholders for what stands in the same file."""

    def test_other_settings(self) -> None:
        """In any spelling, also several steps on; what is not there stays."""
        text = """
            my: {host-name: "api.${my.domain}", domain: example.org, loop: "${my.loop}x"}
            cf: {api_host: "${my.hostName}", username: "${my.user:${my.domain}}", password: "${p}"}
        """
        settings = read(text)
        found = {name: settings.get(name) for name in ("cf.api_host", "cf.username", "cf.password")}
        self.assertEqual(
            {name: setting and setting.value for name, setting in found.items()},
            {
                "cf.api_host": "api.example.org",
                "cf.username": "${my.user:example.org}",
                "cf.password": "${p}",
            },
        )

    def test_billions(self) -> None:
        """A value does not grow without end."""
        lines = [f"a{n}: '${{a{n + 1}}}${{a{n + 1}}}'" for n in range(40)]
        for setting in read("\n".join(lines)):
            self.assertLess(len(setting.value), 10_000)


class OtherTests(SynchronousTestCase):
    """What is something else."""

    def test_messages(self) -> None:
        for text, message in (
            ("", "x: there are no settings in it"),
            ("# only a comment", "x: there are no settings in it"),
            ("[]", "x: expected a mapping"),
            ("just text", "x: expected a mapping"),
            ("a: {b", "x:1: invalid YAML"),
            ("cf: &a {b: *a}", "x: nested too deeply"),
        ):
            error = self.assertRaises(ConfigError, read, text, "x")
            self.assertIn(message, str(error))

    @given(
        st.text(alphabet="a=:\\\n #!${}[].-<*&\"'\tuA0_"), st.sampled_from([".yml", ".properties"])
    )
    def test_any_text(self, text: str, suffix: str) -> None:
        """It is read or refused, never anything else."""
        try:
            read(text, f"x{suffix}")
        except ConfigError as error:
            self.assertIn("x", str(error))
