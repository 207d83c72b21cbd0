"""Every example in the manual: each language that they are in has its check."""

from __future__ import annotations

import configparser
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.docs.pages import Example, all_pages
from tests.docs.shell_examples import check_shell
from tests.docs.yaml_examples import check_promql, check_yaml
from tests.integration.peers import need


def check_json(text: str, _folder: Path) -> None:
    json.loads(text)


def check_ini(text: str, _folder: Path) -> None:
    """Also the files of systemd, which may have a key several times."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=False)
    parser.read_string(text)


def check_haproxy(text: str, folder: Path) -> None:
    file = folder / "haproxy.cfg"
    file.write_text(text)
    command = [need("haproxy", "haproxy"), "-c", "-q", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode and not done.stderr, done.stderr


def check_nothing(_text: str, _folder: Path) -> None:
    """Output, a log, a diagram: for people alone."""


CHECKS: dict[str, Callable[[str, Path], None]] = {
    "yaml": check_yaml,
    "promql": check_promql,
    "sh": check_shell,
    "json": check_json,
    "ini": check_ini,
    "haproxy": check_haproxy,
    "text": check_nothing,
}


class ExamplesTests(SynchronousTestCase):
    def test_all_examples(self) -> None:
        """None of them is wrong."""
        examples = [example for page in all_pages().values() for example in page.examples()]
        self.assertGreater(len(examples), 10)
        wrong, unchecked = [], []
        for example in examples:
            try:
                wrong += mistakes(example, Path(self.mktemp()))
            except SkipTest as skipped:
                unchecked.append(f"{example.place}: {skipped}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        if unchecked:
            raise SkipTest("\n".join(unchecked))


def mistakes(example: Example, folder: Path) -> list[str]:
    """What is wrong with an example; the folder is made for what it needs."""
    check = CHECKS.get(example.language)
    if check is None:
        known = ", ".join(CHECKS)
        return [f"{example.place}: the language {example.language!r} is none of {known}"]
    folder.mkdir(parents=True)
    try:
        check(example.text, folder.absolute())
    except SkipTest:
        raise
    except Exception as error:
        return [f"{example.place}: {error}"]
    return []


class MistakesTests(SynchronousTestCase):
    """What is wrong is found."""

    def check(self, language: str, good: list[str], bad: list[str]) -> None:
        for text in (*good, *bad):
            example = Example("a.md", 1, language, text)
            found = mistakes(example, Path(self.mktemp()))
            self.assertEqual(bool(found), text in bad, f"{text}: {found}")

    def test_yaml(self) -> None:
        """Ours, Prometheus's, target files, rules, and nothing that is not known."""
        self.check(
            "yaml",
            [
                "listen: ['tcp:${PORT}']",
                "outbound: {a: {basic_auth: {username: u, password_file: /etc/promproxy/pw}}}",
                "outbound: {a: {tls_config: {ca_file: /a.pem, cert_file: b.pem, key_file: b.key}}}",
                "- {targets: ['a:1'], labels: {b: c}}",
                "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'http://a/discovery'}]}]",
                "http_sd_configs: [{url: 'http://a/discovery'}]",
                "groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]",
                "basic_auth_users: {}",
                "basic_auth: {username: u, password_file: /etc/promproxy/pw}",
            ],
            [
                "listen: tcp:8080",
                "listen: ['tcp:http']",
                "scrape: {default_timeout: 5}",
                "outbound: {a: {tls_config: {cert_file: b.pem}}}",
                "- {targets: ['a/b'], labels: {b: c}}",
                "scrape_configs: [{job_name: a, http_sd_configs: [{uri: 'http://a'}]}]",
                "http_sd_configs: [{uri: 'http://a/discovery'}]",
                "groups: [{name: a, rules: [{alert: A, expr: up ==}]}]",
                "basic_auth: {user: u, password_file: /etc/promproxy/pw}",
                "something: else",
                "a: [",
            ],
        )

    def test_promql(self) -> None:
        self.check("promql", ["up == 0", "up\n\nsum by (a) (b)"], ["up ==", "up\n\nsum by a"])

    def test_shell(self) -> None:
        """Our own commands are parsed, others only as far as they concern us."""
        self.check(
            "sh",
            [
                "promproxy check FILE",
                "sudo A=b /usr/bin/promproxy discover \\\n FILE --explain | head > x # comment",
                "promproxy --version && promproxy check FILE; promproxy simulate --orgs 3 &",
                "twistd3 --nodaemon promproxy --config FILE",
                "make demo",
                "make bench BENCH=--quick",
                ".venv/bin/python -m bench.soak --seconds 600",
                "curl -s http://127.0.0.1:8080/-/ready http://other.example.org/x",
            ],
            [
                "promproxy chek FILE",
                "ls | promproxy discover FILE --all",
                "true && promproxy check",
                "twistd3 promproxy --conf",
                "twistd3 --nodaemon other",
                "make nothing",
                "python3 -m bench.nothing",
                "curl -s http://127.0.0.1:8080/nothing",
                "curl https://promproxy.example.org/target",
                "if true",
            ],
        )

    def test_others(self) -> None:
        """JSON and the files of systemd; an example says what language it is in."""
        self.check("json", ["[]"], ["[", "[1,]"])
        self.check("ini", ["[Service]\nA=b\nA=c"], ["A=b", "[Service]\nA"])
        self.check("", [], ["anything"])
        self.check("yml", [], ["a: b"])
