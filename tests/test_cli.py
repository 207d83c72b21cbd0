"""Tests of promproxy.cli: what needs no running reactor."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy import __version__
from promproxy.cli import main


class CommandTestCase(SynchronousTestCase):
    """The command, called as a function."""

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status and what it printed on its two streams."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
        return status, out.getvalue(), err.getvalue()


class CheckTests(CommandTestCase):
    """`promproxy check`."""

    def check(self, content: str) -> tuple[int, str, str]:
        self.file = Path(self.mktemp()).absolute()
        self.file.write_text(content)
        return self.run_command("check", str(self.file))

    def test_good_file(self) -> None:
        """One line, and success."""
        status, out, err = self.check("sources: [{name: vms, files: {paths: ['*.yml']}}]")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith(f"{self.file}: ok, 1 source"), out)

    def test_bad_file(self) -> None:
        """One line with the place, as twistd would say it, and a failure."""
        status, out, err = self.check("\nlisten: 7\n")
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith(f"promproxy: {self.file}:2: listen"), err)
        self.assertEqual(err.count("\n"), 1)

    def test_what_only_building_shows(self) -> None:
        """Endpoints and certificates."""
        for content, message in (
            ("listen: ['nonsense:1']", "listen: 'nonsense:1' is no endpoint"),
            ("outbound: {x: {tls_config: {ca_file: /nowhere/ca.pem}}}", "/nowhere/ca.pem"),
        ):
            status, _, err = self.check(content)
            self.assertEqual(status, 1)
            self.assertIn(message, err)

    def test_missing_file(self) -> None:
        """It is named."""
        status, _, err = self.run_command("check", "/nowhere/p.yml")
        self.assertEqual(status, 1)
        self.assertEqual(err, "promproxy: cannot read /nowhere/p.yml: No such file or directory\n")


class UsageTests(CommandTestCase):
    """The command line."""

    def test_version(self) -> None:
        """Of the package."""
        self.assertEqual(self.run_command("--version"), (0, f"promproxy {__version__}\n", ""))

    def test_mistakes_show_the_usage(self) -> None:
        """No command, an unknown one, a missing argument."""
        for arguments in (
            (),
            ("chekc", "x"),
            ("check",),
            ("demo", "--port", "99999"),
            ("simulate", "--apps", "-1"),
        ):
            status, _, err = self.run_command(*arguments)
            self.assertEqual(status, 2)
            self.assertIn("usage: promproxy", err)
