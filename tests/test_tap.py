"""Tests of promproxy.tap and of the plugin."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from promproxy import __version__
from promproxy.daemon.service import Daemon
from promproxy.tap import Options, makeService


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def parse(self, content: str) -> Options:
        self.file = Path(self.mktemp()).absolute()
        self.file.write_text(content)
        options = Options()
        options.parseOptions(["--config", str(self.file)])
        return options

    def test_good_configuration_is_read_at_once(self) -> None:
        options = self.parse("listen: ['tcp:8081']\n")
        self.assertEqual(options.config.listen, ("tcp:8081",))
        self.assertIsInstance(makeService(options), Daemon)

    def test_version_is_ours(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            end = self.assertRaises(SystemExit, Options().parseOptions, ["--version"])
        self.assertEqual((end.code, out.getvalue()), (0, f"promproxy {__version__}\n"))

    def test_bad_configuration_ends_with_one_message(self) -> None:
        """With the file, the line and the key."""
        error = self.assertRaises(SystemExit, self.parse, "\nlisten: 7\n")
        self.assertTrue(str(error).startswith(f"promproxy: {self.file}:2: listen"), str(error))

    def test_missing_file_ends_with_one_message(self) -> None:
        error = self.assertRaises(SystemExit, Options().parseOptions, ["-c", "/nowhere/p.yml"])
        self.assertEqual(
            str(error), "promproxy: cannot read /nowhere/p.yml: No such file or directory"
        )

    def test_bad_command_line_is_a_usage_error(self) -> None:
        """That is Twisted's to report."""
        self.assertRaises(UsageError, Options().parseOptions, ["--confg", "x"])

    def test_default_file(self) -> None:
        """Where the package puts it."""
        self.assertEqual(Options()["config"], "/etc/promproxy/promproxy.yml")

    def test_what_only_building_shows_ends_with_one_line(self) -> None:
        """An endpoint of a plugin, for example."""
        options = self.parse("listen: ['systemd:nonsense']")
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertTrue(str(error).startswith("promproxy: 'systemd:nonsense' is not an endpoint"))


class PluginTests(SynchronousTestCase):
    """What makes `twistd promproxy` work."""

    def test_twisted_finds_the_plugin(self) -> None:
        """Just one of the name; it leads to our options and service."""
        (plugin,) = [p for p in getPlugins(IServiceMaker) if p.tapname == "promproxy"]
        self.assertIs(plugin.options, Options)
        self.assertIs(plugin.makeService, makeService)
