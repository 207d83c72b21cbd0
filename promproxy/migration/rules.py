"""A target of Promregator's configuration as a selection rule. Pure."""

from __future__ import annotations

import re
import warnings
from typing import Any

from promproxy.errors import ConfigError
from promproxy.migration.authenticators import Authenticators
from promproxy.migration.placeholders import ours, placeholders
from promproxy.migration.spring import Settings

_NAMES = (
    ("org", "orgName", "orgRegex"),
    ("space", "spaceName", "spaceRegex"),
    ("app", "applicationName", "applicationRegex"),
)


def rule_of(
    target: Settings, where: str, default_port: str, profiles: Authenticators, to_do: list[str]
) -> dict[str, Any]:
    """The rule; ``where`` is the target's name in messages. Raises ConfigError.

    ``default_port`` is that of internal routes, ``""`` where none is given. Promregator takes an
    internal route like any other, so that is said of each rule that lets a route be chosen.
    """
    path = "/" + target.text("path", "/metrics").lstrip("/")
    rule = {**_selector(target, where), **_address(target, where, path)}
    if "override_route_and_path" not in rule:
        rule["internal_routes"] = "in_order"
    port = target.text("internalRoutePort", default_port)
    if port:
        rule["internal_route_port"] = int(port) if port.isdigit() else port
    profile = profiles.for_target(target, where)
    if profile != profiles.default:
        rule["outbound"] = profile
    if profiles.has_credentials(profile) and "org" not in rule:
        rule["trust_all_orgs"] = True
        to_do.append(
            f"{where} sends credentials to apps of whatever org it selects; where you can, name "
            "the org in place of trust_all_orgs"
        )
    return rule


def _selector(target: Settings, where: str) -> dict[str, Any]:
    rule = {}
    for key, name, regex in _NAMES:
        pattern = target.get(regex)  # which wins where there is a name too
        if pattern is not None:
            check_regex(pattern.value, f"{where}.{regex}")
            rule[f"{key}_regex"] = ours(pattern.value)
        elif target.get(name) is not None:
            rule[key] = target.text(name)
    return rule


def _address(target: Settings, where: str, path: str) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if path != "/metrics":
        rule["path"] = path
    if target.text("protocol", "https") != "https":
        rule["scheme"] = target.text("protocol")
    if target.is_true("kubernetesAnnotations"):
        rule["annotations"] = True
    routes = target.texts("preferredRouteRegex")
    for route in routes:
        check_regex(route.replace("$$", "$"), f"{where}.preferredRouteRegex")
    if routes:
        rule["preferred_route_regex"] = routes
    override = target.text("overrideRouteAndPath")
    if override:  # Promregator puts the path behind it
        rule["override_route_and_path"] = override.rstrip("/") + path
    return rule


def check_regex(text: str, where: str) -> None:
    """Raises ConfigError where Python does not read a regular expression, or not as Java does."""
    if placeholders(text):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # [a-z&&[^x]], a set of sets
            re.compile(text)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{where}: this regular expression of Java's is none of Python's: {error}; write it "
            "another way"
        ) from error
