"""Tests of docs.manpages."""

from __future__ import annotations

import re
import shutil
import subprocess

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from docs.manpages import command_page, configuration_page
from docs.reference import kinds, sections
from promproxy.cli import COMMANDS


class ManpagesTests(SynchronousTestCase):
    """promproxy(1) and promproxy.yml(5)."""

    def setUp(self) -> None:
        self.pages = {
            name: "\n".join(lines) + "\n"
            for name, lines in (("1", command_page()), ("5", configuration_page()))
        }

    def terms(self, page: str) -> list[str]:
        """What the page explains, without roff's escapes."""
        found = re.findall(r"^\.TP\n(.*)$", self.pages[page], re.MULTILINE)
        return [re.sub(r"\\f[BR]", "", term).replace("\\-", "-") for term in found]

    def test_every_command_and_its_options(self) -> None:
        """Those of the daemon."""
        for command in COMMANDS:
            name = command.__name__.rpartition(".")[2].replace("_", "\\-")
            self.assertIn(f"\n.SS promproxy {name}\n", self.pages["1"])
        for term in ("-c, --config <config>", "--explain", "--source NAME", "FILE", "SIGHUP"):
            self.assertIn(term, self.terms("1"))

    def test_every_setting_and_kind(self) -> None:
        terms = self.terms("5")
        for section in sections():
            for setting in section.settings:
                names = f"{setting.name}, {setting.name}_file" if setting.has_file else setting.name
                self.assertIn(f"{names}: {setting.kind}".replace("``", ""), terms)
        for name in kinds():
            self.assertIn(f"<{name}>", terms)

    def test_texts_become_roff(self) -> None:
        """Backslashes, hyphens and code; no line is taken for a request."""
        self.assertIn("/singleTargetMetrics/", self.pages["1"])
        for page in self.pages.values():
            self.assertNotIn("``", page)
            requests = set(re.findall(r"^[.'](\w*)", page, re.MULTILINE))
            self.assertLessEqual(requests, {"TH", "SH", "SS", "PP", "TP", "B", "BR", "br"})

    def test_groff_has_nothing_to_say(self) -> None:
        """With all of its warnings on, but those of long words in narrow columns."""
        if shutil.which("groff") is None:
            raise SkipTest("groff is missing. The manual pages are NOT checked by it.")
        for page in self.pages.values():
            command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-Wbreak", "-z"]
            done = subprocess.run(
                command, input=page, capture_output=True, text=True, timeout=60, check=False
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))
