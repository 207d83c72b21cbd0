"""Promregator's outbound authentication as outbound profiles. Pure."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from promproxy.errors import ConfigError
from promproxy.migration.secrets import Secrets
from promproxy.migration.spring import Settings

_DEFAULT = "promregator"
_NONE = "none"


@define(eq=False)
class Authenticators:
    """The profiles that they become, and which of them is for targets that name none, if any."""

    _settings: Settings
    _secrets: Secrets
    _proxy: str = field(init=False)
    default: str = field(init=False)
    profiles: dict[str, dict[str, Any]] = field(factory=dict, init=False)
    _by_id: dict[str, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        proxy = self._settings.below("promregator.scraping.proxy")
        host, port = proxy.text("host"), proxy.text("port")
        self._proxy = f"http://{host}:{port}" if host and port else ""
        where = "promregator.authenticator"
        self.default = self._add(_DEFAULT, self._settings.below(where), where)
        for key, one in self._settings.parts("promregator.targetAuthenticators").items():
            where = f"promregator.targetAuthenticators{key}"
            name = one.text("id")
            if not name:
                raise ConfigError(f"{where}: has no id")
            self._by_id[name] = self._add(name, one, where)

    def for_target(self, target: Settings, where: str) -> str:
        """The profile of a target, ``""`` where it has none. Raises ConfigError."""
        name = target.text("authenticatorId")
        if not name:
            return self.default
        if name not in self._by_id:
            raise ConfigError(f"{where}.authenticatorId: no targetAuthenticator is called '{name}'")
        profile = self._by_id[name]
        if not profile and self.default:  # it must not get the default's credentials
            self.profiles[_NONE] = self._with_proxy({})
            return _NONE
        return profile

    def has_credentials(self, profile: str) -> bool:
        """Whether targets of the profile learn a secret."""
        return bool(profile) and self.profiles[profile].keys() - {"proxy_url"} != set()

    def _add(self, name: str, settings: Settings, where: str) -> str:
        """The name, ``""`` where the profile would say nothing."""
        profile = self._with_proxy(self._credentials(settings, where))
        if not profile:
            return ""
        while name in self.profiles:
            name = f"{name}-2"
        self.profiles[name] = profile
        return name

    def _with_proxy(self, profile: dict[str, Any]) -> dict[str, Any]:
        return {**profile, "proxy_url": self._proxy} if self._proxy else profile

    def _credentials(self, settings: Settings, where: str) -> dict[str, Any]:
        kind = settings.text("type", "null").lower()
        if kind in ("null", "none", "~"):
            return {}
        if kind == "basic":
            basic, at = settings.below("basic"), f"{where}.basic"
            password = self._secrets.reference("password", basic, "password", f"{at}.password")
            return {"basic_auth": {"username": basic.text("username"), **password}}
        if kind in ("oauth2xsuaa", "oauth2xsuaabasic"):
            return {"oauth2": self._with_secret(settings, where)}
        if kind == "oauth2xsuaacertificate":
            return {"oauth2": self._with_certificate(settings, where)}
        raise ConfigError(f"{where}.type: promproxy knows no authenticator like this one")

    def _with_secret(self, settings: Settings, where: str) -> dict[str, Any]:
        for kind in ("oauth2xsuaaBasic", "oauth2xsuaa"):
            if settings.parts(kind):
                break
        oauth2, at = settings.below(kind), f"{where}.{kind}"
        return _oauth2(
            oauth2,
            "tokenServiceURL",
            self._secrets.reference(
                "client_secret", oauth2, "client_secret", f"{at}.client_secret"
            ),
        )

    def _with_certificate(self, settings: Settings, where: str) -> dict[str, Any]:
        kind = "oauth2xsuaaCertificate"
        oauth2, at = settings.below(kind), f"{where}.{kind}"
        tls = {
            "cert_file": self._secrets.pem_file(
                oauth2, "client_certificates", f"{at}.client_certificates"
            ),
            "key_file": self._secrets.pem_file(oauth2, "client_key", f"{at}.client_key"),
        }
        return _oauth2(oauth2, "tokenServiceCertURL", {"tls_config": tls})


def _oauth2(settings: Settings, url: str, proof: dict[str, Any]) -> dict[str, Any]:
    oauth2 = {"client_id": settings.text("client_id"), **proof, "token_url": settings.text(url)}
    scopes = settings.texts("scopes")
    return {**oauth2, "scopes": scopes} if scopes else oauth2
