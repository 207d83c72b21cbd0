"""Tests of docs.reference."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docs.reference import SectionReference, Setting, kinds, sections
from promproxy.config.load import config_from_text


def section(place: str) -> SectionReference:
    return next(section for section in sections() if place in section.places)


def setting(place: str, name: str) -> Setting:
    return next(setting for setting in section(place).settings if setting.name == name)


class ReferenceTests(SynchronousTestCase):
    def test_begins_with_the_file_itself(self) -> None:
        """As a reader does."""
        self.assertEqual(sections()[0].places, ("",))
        self.assertEqual(sections()[0].settings[0].name, "listen")

    def test_places(self) -> None:
        """A section that may stand in several places is there once."""
        found = section("outbound.<name>.tls_config")
        self.assertIn("sources[].http_sd.tls_config", found.places)
        self.assertEqual(len(sections()), len({section.places[0] for section in sections()}))

    def test_a_setting(self) -> None:
        """All that the manual says of it."""
        self.assertEqual(
            setting("scrape", "default_timeout"),
            Setting(
                name="default_timeout",
                kind="<positive_duration>",
                section="",
                default="10s",
                doc="deadline of requests without a timeout header",
                has_file=False,
            ),
        )

    def test_defaults(self) -> None:
        """As one would write them, and none where there is nothing to write."""
        for place, name, default in (
            ("discovery", "own_metrics", "true"),
            ("discovery", "address", ""),
            ("discovery", "startup_grace", "0s"),
            ("scrape", "body_size_limit", "0B"),
            ("sources[].http_sd", "max_size", "64MB"),
            ("sources[].http_sd", "url", None),
            ("sources[].cloud_foundry.select[]", "process_types", "[web]"),
            ("sources[].cloud_foundry.select[]", "org_regex", ""),
            ("", "discovery", ""),
        ):
            self.assertEqual(setting(place, name).default, default, (place, name))

    def test_defaults_can_be_read(self) -> None:
        """Those of the file as a whole and of its first sections."""
        for place in ("", "discovery", "scrape"):
            for found in section(place).settings:
                text = f"{found.name}: {found.default}"
                text = f"{place}: {{{text}}}" if place else text
                if found.default:
                    config = config_from_text(text, Path("/p.yml"), {})
                    self.assertEqual(config, config_from_text("{}", Path("/p.yml"), {}), text)

    def test_kinds(self) -> None:
        """In words; what one cannot guess is explained once."""
        for place, name, kind in (
            ("", "listen", "list of <endpoint>"),
            ("", "outbound", "mapping of names to section"),
            ("discovery", "scheme", "``http`` or ``https``"),
            ("discovery", "path_prefix", "a path such as /promproxy"),
        ):
            self.assertEqual(setting(place, name).kind, kind)
        self.assertIn("500ms", kinds()["duration"])
        named = {s.kind for found in sections() for s in found.settings if s.kind.startswith("<")}
        self.assertEqual({name.strip("<>") for name in named} - set(kinds()), set())

    def test_secrets_may_be_in_files(self) -> None:
        """The manual tells of it."""
        assert setting("outbound.<name>.basic_auth", "password").has_file
        assert not setting("outbound.<name>.basic_auth", "username").has_file

    def test_everything_is_documented(self) -> None:
        """Every section, every setting and every kind of value."""
        for found in sections():
            self.assertNotEqual(found.doc, "", found.places)
            for one in found.settings:
                self.assertNotEqual(one.doc, "", (found.places, one.name))
        for name, doc in kinds().items():
            self.assertNotEqual(doc, "", name)

    def test_links_lead_somewhere(self) -> None:
        """A setting names the section that it holds."""
        places = {found.places[0] for found in sections()}
        for found in sections():
            for one in found.settings:
                self.assertIn(one.section, places, one)
