"""Tests of promproxy.cli: what needs no running reactor."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import bcrypt
from twisted.trial.unittest import SynchronousTestCase

from promproxy import __version__
from promproxy.cli import main, make_parser
from promproxy.server.settings import WebFile
from promproxy.settings.load import section_from_text
from promproxy.tap import Options


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


class HelpTests(CommandTestCase):
    def test_defaults(self) -> None:
        """Each option says what it is without it."""
        subcommands = next(a for a in make_parser()._actions if isinstance(a.choices, dict))
        assert isinstance(subcommands.choices, dict)
        for name, parser in subcommands.choices.items():
            for action in parser._actions:
                if action.option_strings and action.default not in (None, False, "==SUPPRESS=="):
                    shown = str(action.default).removesuffix(".0")
                    self.assertTrue((action.help or "").endswith(f"; {shown}"), (name, action.dest))


class CheckTests(CommandTestCase):
    """`promproxy check`."""

    def check(self, content: str) -> tuple[int, str, str]:
        self.file = Path(self.mktemp()).absolute()
        self.file.write_text(content)
        return self.run_command("check", str(self.file))

    def test_good_file(self) -> None:
        """One line, and success."""
        targets = Path(self.mktemp()).absolute().with_suffix(".json")
        targets.write_text("[]")
        status, out, err = self.check(f"sources: [{{name: vms, files: {{paths: [{targets}]}}}}]")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, f"{self.file}: ok, 1 source\n")

    def test_paths_that_match_nothing(self) -> None:
        """The commonest mistake of beginners; files may come later, so it is a warning."""
        status, _, err = self.check("sources: [{name: vms, files: {paths: ['x/*.yml']}}]")
        folder = self.file.parent
        self.assertEqual(status, 0)
        self.assertEqual(
            err,
            f"{self.file}: warning: vms: paths: {folder}/x/*.yml: no such folder: {folder}/x\n",
        )

    def test_file_without_sources(self) -> None:
        """Is one to begin with, or was cut short: it says so."""
        status, out, err = self.check("")
        self.assertEqual(status, 0)
        self.assertIn("warning: no sources: only promproxy itself", out + err)

    def test_bad_file(self) -> None:
        """One line with the place, as twistd would say it, and a failure."""
        status, out, err = self.check("\nlisten: 7\n")
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith(f"promproxy: {self.file}:2: listen"), err)
        self.assertEqual(err.count("\n"), 1)

    def test_endpoint(self) -> None:
        """Its place is told, and what to write."""
        for text in ("nonsense:1", "8080", "0.0.0.0:65536"):
            status, _, err = self.check(f"\nlisten: ['{text}']")
            self.assertEqual(status, 1)
            expected = f"promproxy: {self.file}:2: listen[0]: '{text}' is not an endpoint such as "
            self.assertTrue(err.startswith(f"{expected}tcp:8080, 127.0.0.1:8080"), err)

    def test_what_only_building_shows(self) -> None:
        for content, message in (
            ("outbound: {x: {tls_config: {ca_file: /nowhere/ca.pem}}}", "/nowhere/ca.pem"),
        ):
            status, _, err = self.check(content)
            self.assertEqual(status, 1)
            self.assertIn(message, err)

    def test_web_configuration_file(self) -> None:
        """Is checked too, and that both fit together."""
        web = Path(self.mktemp()).absolute()
        for content, message in (
            ("basic_auth_user: {}", f"{web}:1: basic_auth_user: unknown key"),
            (
                "tls_server_config: {cert_file: no.pem, key_file: no.pem}",
                f"cannot read {web.parent}/no.pem: ",
            ),
            ("", "roles: no caller can have one: there are no tokens, no"),
        ):
            web.write_text(content)
            self.file = Path(self.mktemp()).absolute()
            self.file.write_text("roles: [{users: [a], permissions: [scrape]}]")
            arguments = ("check", str(self.file), "--web-config-file", str(web))
            status, _, err = self.run_command(*arguments)
            self.assertEqual(status, 1)
            self.assertIn(message, err)

    def test_takes_the_options_of_the_daemon(self) -> None:
        """As they may stand behind ``ARGS`` for the service, which is checked before a reload."""
        options = {f"--{names[0]}" for names in Options.optParameters} - {"--config"}
        _, out, _ = self.run_command("check", "--help")
        self.assertEqual({option for option in options if option not in out}, set())

    def test_missing_file(self) -> None:
        status, _, err = self.run_command("check", "/nowhere/p.yml")
        self.assertEqual(status, 1)
        self.assertEqual(err, "promproxy: cannot read /nowhere/p.yml: No such file or directory\n")


class UsageTests(CommandTestCase):
    """The command line."""

    def test_version(self) -> None:
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


class SyncTests(CommandTestCase):
    """`promproxy sync`: what is wrong is said before anything is asked."""

    def test_mistakes_on_the_command_line(self) -> None:
        """Each with the words that say what was expected; a password in the URL is not shown."""
        url, file = "http://h:1/discovery", "targets.json"
        for arguments, message in (
            ((url, "targets.yml"), "'targets.yml' must end in .json, as Prometheus wants it"),
            (("ftp://h/", file), "expected a URL that begins with http:// or https://"),
            (("http://u:swordfish@h/", file), "credentials do not belong in a URL"),
            (("--interval", "60", url, file), "expected a duration such as 30s, 500ms or 1h30m"),
            (("--timeout", "0s", url, file), "expected more than 0"),
            (("--max-size", "x", url, file), "expected a size such as 512KB or 10MB"),
            (("--mode", "rw", url, file), "'rw' is not a mode such as 644 or 640"),
            (("--metrics-file", "x.txt", url, file), "'x.txt' must end in .prom, as node_exporter"),
        ):
            status, _, err = self.run_command("sync", *arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn(message, err)
            self.assertNotIn("swordfish", err)

    def test_what_cannot_go_together(self) -> None:
        """A process that ends at once serves no metrics."""
        status, _, err = self.run_command(
            "sync", "--once", "--metrics-listen", "tcp:0", "http://h:1/", "x.json"
        )
        self.assertEqual(status, 1)
        self.assertIn("--metrics-listen does not go with --once; --metrics-file does", err)

    def test_http_config_file(self) -> None:
        """Read as strictly as the configuration."""
        file = Path(self.mktemp()).absolute()
        file.write_text("proxy_urls: x\n")
        for path, message in (
            (file, f"{file}:1: proxy_urls: unknown key; did you mean 'proxy_url'?"),
            (Path("/nowhere/http.yml"), "cannot read /nowhere/http.yml: No such file"),
        ):
            status, _, err = self.run_command(
                "sync", "--once", "--http-config-file", str(path), "http://h:1/", "x.json"
            )
            self.assertEqual(status, 1)
            self.assertIn(message, err)


class HashPasswordTests(CommandTestCase):
    """`promproxy hash-password`."""

    def hash(self, typed: bytes, *arguments: str) -> tuple[int, str, str]:
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        return self.run_command("hash-password", "--cost", "4", *arguments)

    def test_hash(self) -> None:
        """Of the first line, whatever its bytes mean; each time another one."""
        for typed in (b"secret\n", b"secret", b"secret\r\nmore\n"):
            status, out, err = self.hash(typed)
            self.assertEqual((status, err), (0, ""))
            assert bcrypt.checkpw(b"secret", out.strip().encode())
        self.assertNotEqual(self.hash(b"secret\n")[1], out)
        assert bcrypt.checkpw(b"\xfc", self.hash(b"\xfc\n")[1].strip().encode())

    def test_web_configuration_file_takes_it(self) -> None:
        _, out, _ = self.hash(b"secret\n")
        text = f"basic_auth_users:\n  alice: {out}"
        web = section_from_text(WebFile, text, Path("/web.yml"), None)
        self.assertEqual(web.basic_auth_users["alice"].reveal(), out.strip())

    def test_what_bcrypt_does_not_take_as_it_is(self) -> None:
        """Nothing, too much, a NUL."""
        for typed in (b"\n", b"x" * 73, b"a\0b"):
            status, out, err = self.hash(typed)
            self.assertEqual((status, out), (1, ""))
            self.assertIn("a password has from 1 to 72 bytes", err)

    def test_costs(self) -> None:
        """The more, the longer it takes."""
        self.assertEqual(self.hash(b"secret\n", "--cost", "5")[1][:7], "$2b$05$")
        for cost in ("3", "18", "x"):
            self.assertEqual(self.hash(b"secret\n", "--cost", cost)[0], 2)
