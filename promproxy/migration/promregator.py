"""A configuration of Promregator as one of promproxy. Pure.

`promregator_options` says of every option what becomes of it; here it does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from attrs import define, evolve, field, frozen

from promproxy.errors import ConfigError
from promproxy.migration.authenticators import Authenticators
from promproxy.migration.placeholders import placeholders, variable_of
from promproxy.migration.promregator_options import option_for
from promproxy.migration.rules import rule_of
from promproxy.migration.secrets import Secrets
from promproxy.migration.spring import Setting, Settings, spelling

_DEFAULT_API = "__default__"
_AUTH_PAGES = {
    "discovery": "discovery",
    "endpoint": "scrape",
    "metrics": "metrics",
    "cache.invalidate": "invalidate",
}
_TARGETS = ("promregator", "targets")
_CIPHER = "{cipher}"
_SECRETS = ("password", "clientsecret", "clientkey")
# Those of Promregator where a file says nothing.
_DEFAULT_INTERVAL = 300.0
_INTERVALS = ("application", "route", "process", "resolver")


@frozen
class Imported:
    """A document for promproxy.yml, and what the operator still has to do."""

    document: dict[str, Any]
    to_do: list[str]


def import_promregator(settings: Settings, secrets: Secrets) -> Imported:
    """The equivalent configuration. Raises ConfigError at what promproxy cannot do."""
    plain, encrypted = _without_ciphers(settings)
    importer = _Importer(plain, secrets)
    document = importer.document()
    to_do = [*settings.notes, *encrypted, *importer.to_do, *_left_to_do(settings)]
    return Imported(document, to_do)


def _without_ciphers(settings: Settings) -> tuple[Settings, list[str]]:
    """Settings in which what Spring Cloud encrypted is left to the environment, and what to do."""
    found, to_do = dict(settings.by_key), []
    for key, setting in settings.by_key.items():
        if setting.value.startswith(_CIPHER):
            variable = variable_of(setting.name)
            found[key] = evolve(setting, value=f"${{{variable}}}")
            if _is_used(setting):
                to_do.append(
                    f"{setting.name} (line {setting.line}) is encrypted: decrypt it, and put the "
                    f"result into the variable {variable} of the environment"
                )
    return Settings(found, settings.notes), to_do


def _is_used(setting: Setting) -> bool:
    option = option_for(setting.name)
    return option is not None and bool(option.becomes)


def _left_to_do(settings: Settings) -> Iterator[str]:
    """Variables that values stand for, and parts of rules that nothing is known of."""
    for setting in settings:
        where = f"{setting.name} (line {setting.line})"
        for placeholder in placeholders(setting.value) if _is_used(setting) else ():
            if placeholder.is_nested:
                yield (
                    f"{where} has a default that depends on another variable, which is left out: "
                    f"set the variable {placeholder.variable} of the environment"
                )
            elif placeholder.default is not None and spelling(setting.name)[-1] in _SECRETS:
                yield (
                    f"{where} has a default, which is a secret too and is left out: set the "
                    f"variable {placeholder.variable} of the environment"
                )
            elif placeholder.default is None:
                yield f"{where}: set the variable {placeholder.variable} of the environment"
        if spelling(setting.name)[:2] == _TARGETS and option_for(setting.name) is None:
            yield f"{where} is left out: see whether the rule selects too much without it"


@define(eq=False)
class _Importer:
    _settings: Settings
    _secrets: Secrets
    to_do: list[str] = field(factory=list, init=False)

    def document(self) -> dict[str, Any]:
        profiles = Authenticators(self._settings, self._secrets)
        sources = [
            self._source(name, where, cf, profiles) for name, where, cf in self._foundations()
        ]
        document = {
            "listen": [self._listen()],
            "discovery": self._discovery(),
            "scrape": self._scrape(),
            "open_pages": self._open_pages(),
            "outbound": profiles.profiles,
            "sources": sources,
        }
        self._tell_of_secrets()
        return {key: value for key, value in document.items() if value}

    def _foundations(self) -> list[tuple[str, str, Settings]]:
        """A name, the key below which it stands, and its settings, of each foundation."""
        found = [
            (name, f"cf.api.{name}", foundation)
            for name, foundation in self._settings.parts("cf.api").items()
        ]
        cf = self._settings.below("cf")
        if cf.get("api_host") is not None:
            found.insert(0, (_DEFAULT_API, "cf", cf))
        if not found:
            raise ConfigError(
                "cf.api_host is missing; if Promregator takes it from the environment, add it, and "
                "else see whether this is a configuration of Promregator"
            )
        return found

    def _source(
        self, name: str, where: str, cf: Settings, profiles: Authenticators
    ) -> dict[str, Any]:
        port = self._settings.text("promregator.defaultInternalRoutePort")
        rules = [
            rule_of(target, f"promregator.targets{key}", port, profiles, self.to_do)
            for key, target in self._settings.parts("promregator.targets").items()
            if _in_keys(target.text("api", _DEFAULT_API)) == _in_keys(name)
        ]
        if not rules:
            raise ConfigError(f"promregator.targets: none of them is for {where}")
        shared = self._settings.below("cf")
        foundation: dict[str, Any] = {
            "api_url": _api_url(cf),
            "username": cf.text("username"),
            **self._secrets.reference("password", cf, "password", f"{where}.password"),
            "select": rules,
        }
        if cf.is_true("skipSslValidation"):
            foundation["tls_config"] = {"insecure_skip_verify": True}
        proxy = proxy_url(cf.below("proxy"), "host", "port") or proxy_url(
            shared, "proxyHost", "proxyPort"
        )
        if proxy:
            foundation["proxy_url"] = proxy
        rate = shared.get("request.rateLimit")
        if rate is not None:
            foundation["max_requests_per_second"] = math.ceil(rate.number)
        source: dict[str, Any] = {"name": "cf" if name == _DEFAULT_API else _source_name(name)}
        timeouts = [shared.get(f"cache.timeout.{kind}") for kind in _INTERVALS]
        seconds = [_DEFAULT_INTERVAL if timeout is None else timeout.number for timeout in timeouts]
        if any(timeouts):
            source["refresh_interval"] = f"{max(1, round(min(seconds)))}s"
        if profiles.default:
            source["outbound"] = profiles.default
        return {**source, "cloud_foundry": foundation}

    def _listen(self) -> str:
        port = self._settings.text("server.port", "8080")
        address = self._settings.text("server.address", "0.0.0.0")
        if address == "0.0.0.0":
            return f"tcp:{port}"
        if ":" in address:
            escaped = address.replace(":", r"\:")
            return f"tcp6:{port}:interface={escaped}"
        return f"tcp:{port}:interface={address}"

    def _discovery(self) -> dict[str, Any]:
        discovery: dict[str, Any] = {"promregator_labels": True}
        below = self._settings.below("promregator.discovery")
        host = below.text("hostname")
        port = below.text("port")
        if host:
            default = self._settings.text("server.port", "8080")
            discovery["address"] = f"{host}:{port or default}"
        elif port:
            self.to_do.append(
                "promregator.discovery.port stands without a hostname: set discovery.address to "
                "the host:port at which Prometheus reaches promproxy"
            )
        scheme = below.text("scheme", "https" if port == "443" else "")
        if scheme:
            discovery["scheme"] = scheme
        if not below.is_true("ownMetricsEndpoint", True):
            discovery["own_metrics"] = False
        return discovery

    def _scrape(self) -> dict[str, Any]:
        for group in ("scraping", "endpoint"):
            limit = self._settings.get(f"promregator.{group}.maxProcessingTime")
            if limit is not None:
                return {"max_timeout": f"{round(limit.number)}ms"}
        return {}

    def _open_pages(self) -> list[str]:
        modes = {
            page: self._settings.text(f"promregator.{group}.auth", "NONE").upper()
            for group, page in _AUTH_PAGES.items()
        }
        if "BASIC" not in modes.values():
            if self._settings.get("promregator.cache.invalidate.auth") is not None:
                return ["healthy", "ready", "invalidate"]
            return []
        user = self._settings.text("promregator.authentication.basic.username", "promregator")
        self.to_do.append(
            f"Prometheus has to give a password: name the user '{user}' in basic_auth_users of a "
            "web configuration file, with the hash that promproxy hash-password makes, and start "
            "with --web-config-file"
        )
        return ["healthy", "ready", *(page for page, mode in modes.items() if mode != "BASIC")]

    def _tell_of_secrets(self) -> None:
        for variable in self._secrets.variables:
            self.to_do.append(f"put the secret into the variable {variable} of the environment")
        for path in self._secrets.missing_files:
            self.to_do.append(f"put the PEM into the file {path}")


def proxy_url(settings: Settings, host: str, port: str) -> str:
    """The URL of a proxy, which takes both; ``""`` where there is none."""
    name, number_text = settings.text(host), settings.text(port)
    return f"http://{name}:{number_text}" if name and number_text else ""


def _in_keys(name: str) -> str:
    """A foundation's name as keys in a file are compared."""
    return "".join(spelling(name))


def _api_url(cf: Settings) -> str:
    host = re.sub("^https?://", "", cf.text("api_host") or cf.text("host"))
    port = cf.text("apiPort") or cf.text("port", "443")
    return f"https://{host}" if port == "443" else f"https://{host}:{port}"


def _source_name(name: str) -> str:
    return re.sub("[^a-z0-9-]", "-", name.lower())[:31].lstrip("0123456789-") or "cf"
