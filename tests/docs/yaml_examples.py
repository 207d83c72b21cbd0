"""What an example in YAML is, by its keys, and whether it is right. A wrong one raises an error."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import yaml
from twisted.internet.testing import MemoryReactorClock

from promproxy.config.load import config_from_text
from promproxy.config.schema import Config
from promproxy.daemon.profiles import make_profile
from promproxy.daemon.service import make_daemon
from promproxy.outbound.settings import HttpClient
from promproxy.settings.load import section_from_text
from promproxy.sources.groups import GroupRules, targets_from_groups
from promproxy.targets.target import Target
from tests.integration.certificates import Authority
from tests.integration.peers import need

_FILE = re.compile(
    r"""(\w*(?:cert|key|ca|password|secret|credentials|token)_file: *)(["']?)"""
    r"""((?:\$\{\w+\}|[^\s"',}])+)\2"""
)
_HASH = "$2y$04$5rdACMvvyGetEHjb6lq/Ve5nrL2AoTYAph6/DHO7T7uzeOmGgIGbS"


def check_yaml(text: str, folder: Path) -> None:
    """An example; ``folder`` is empty, for the files that it names."""
    document = yaml.safe_load(text)
    _check_for(document)(text, folder)


def _check_for(document: Any) -> Callable[[str, Path], None]:
    keys = set(document) if isinstance(document, dict) else None
    if keys is None:
        return _target_groups
    for known, check in _KINDS:
        if keys <= set(known):
            return check
    raise AssertionError(f"no kind of file that is known here has the keys {sorted(keys)}")


def _target_groups(text: str, _folder: Path) -> None:
    rules = GroupRules(source="a", outbound="", honor_job=False)
    for found in targets_from_groups(yaml.safe_load(text), rules):
        assert isinstance(found, Target), found


def _configuration(text: str, folder: Path) -> None:
    config = config_from_text(with_files(text, folder), folder / "p.yml", _AnyVariable())
    web_file = folder / "web.yml"  # the users that it has roles for
    users = {user for role in config.roles for user in role.users} or {"anybody"}
    web_file.write_text(yaml.safe_dump({"basic_auth_users": dict.fromkeys(users, _HASH)}))
    make_daemon(config, MemoryReactorClock(), web_file=web_file)


def _web_configuration(text: str, folder: Path) -> None:
    _by_promtool("web-config")(text, folder)
    web_file = folder / "example.yml"
    make_daemon(Config(), MemoryReactorClock(), web_file=web_file)


class _AnyVariable(dict[str, str]):
    """An environment that has every variable."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "8080"


def with_files(text: str, folder: Path) -> str:
    """The text with the files that it names below the folder, where they are made."""

    def replace(match: re.Match[str]) -> str:
        file = folder / Path(match[3]).name
        if not file.exists():
            is_pem = re.search("(cert|key|ca)_file", match[1])
            file.write_bytes(_pem() if is_pem else file.name.encode())  # no two alike
        return f"{match[1]}{file}"

    return _FILE.sub(replace, text)


@lru_cache(1)
def _pem() -> bytes:
    return Authority().issue("example.org")


def promtool(*arguments: str) -> None:
    """Run Prometheus's own check."""
    program = need("promtool", "prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _by_promtool(*arguments: str) -> Callable[[str, Path], None]:
    def check(text: str, folder: Path) -> None:
        file = folder / "example.yml"
        file.write_text(with_files(text, folder), encoding="utf-8")
        promtool("check", *arguments, str(file))

    return check


def _http_client(text: str, folder: Path) -> None:
    """What `promproxy sync` is told by --http-config-file."""
    settings = section_from_text(
        HttpClient, with_files(text, folder), folder / "http.yml", _AnyVariable()
    )
    make_profile(MemoryReactorClock(), settings)


def _part_of_prometheus(text: str, folder: Path) -> None:
    """Some settings of one of its jobs."""
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    whole = f"scrape_configs:\n  - job_name: promproxy\n{lines}\n"
    _by_promtool("config", "--syntax-only")(whole, folder)


def _plain(_text: str, _folder: Path) -> None:
    """YAML it is; there is nothing here that could tell more."""


_KINDS: tuple[tuple[Iterable[str], Callable[[str, Path], None]], ...] = (
    ([field.name for field in attrs.fields(Config)], _configuration),
    (
        ("global", "scrape_configs", "rule_files", "alerting", "remote_write"),
        _by_promtool("config", "--syntax-only"),
    ),
    (("groups",), _by_promtool("rules")),
    (
        (
            *("relabel_configs", "metric_relabel_configs", "http_sd_configs", "file_sd_configs"),
            *("scrape_interval", "scrape_timeout", "honor_labels"),
        ),
        _part_of_prometheus,
    ),
    (("tls_server_config", "http_server_config", "basic_auth_users"), _web_configuration),
    ([field.name for field in attrs.fields(HttpClient)], _http_client),
    (("version", "applications"), _plain),  # a manifest of Cloud Foundry
)


def check_promql(text: str, folder: Path) -> None:
    """One expression of PromQL, or several with empty lines in between."""
    expressions: list[Mapping[str, str]] = [
        {"record": "example:a", "expr": expression}
        for expression in re.split(r"\n\s*\n", text.strip())
    ]
    rules = {"groups": [{"name": "a", "rules": expressions}]}
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump(rules), encoding="utf-8")
    promtool("check", "rules", "--lint=none", str(file))
