"""Selection rules: which apps of a foundation are scraped, and how. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from promproxy.sources.cloud_foundry.label_selector import LabelSelector
from promproxy.sources.cloud_foundry.resources import App, Organization, Space

SCRAPE_ANNOTATION = "prometheus.io/scrape"
PATH_ANNOTATION = "prometheus.io/path"
PORT_ANNOTATION = "prometheus.io/port"
SCHEME_ANNOTATION = "prometheus.io/scheme"


@frozen(kw_only=True)
class Selector:
    """Which apps are meant: every condition that is given must hold.

    Names compare as the Cloud Controller's database does, without regard to case; a pattern must
    match the whole name.
    """

    org: str = ""
    org_regex: re.Pattern[str] | None = None
    org_guid: str = ""
    space: str = ""
    space_regex: re.Pattern[str] | None = None
    space_guid: str = ""
    app: str = ""
    app_regex: re.Pattern[str] | None = None
    label_selector: LabelSelector | None = None

    def matches(self, app: App, space: Space, org: Organization) -> bool:
        """Whether the app is meant."""
        return (
            self.means_space(space, org)
            and _is_named(app.name, self.app, self.app_regex)
            and (self.label_selector is None or self.label_selector.matches(app.labels))
        )

    def means_space(self, space: Space, org: Organization) -> bool:
        """Whether apps in this space can be meant."""
        return (
            _is_named(org.name, self.org, self.org_regex)
            and self.org_guid in ("", org.guid)
            and _is_named(space.name, self.space, self.space_regex)
            and self.space_guid in ("", space.guid)
        )


def _is_named(name: str, exact: str, pattern: re.Pattern[str] | None) -> bool:
    if exact and exact.lower() != name.lower():
        return False
    return pattern is None or pattern.fullmatch(name) is not None


@frozen(kw_only=True)
class Rule:
    """How the apps that a selector means are scraped.

    ``paths`` may carry a query each. ``annotations``: only apps that ask for it by annotation.
    ``preferred_routes`` must match a whole route (``host.domain/path``) and are tried in turn.
    ``internal_port``: use internal routes, before others, on this port. ``override``: a route and
    path in place of the app's own. ``labels`` are templates over `TEMPLATE_FIELDS`.
    ``may_be_http``: an annotation may ask for http.
    """

    selector: Selector = Selector()
    paths: tuple[str, ...] = ("/metrics",)
    scheme: str = "https"
    annotations: bool = False
    preferred_routes: tuple[re.Pattern[str], ...] = ()
    internal_port: int | None = None
    process_types: tuple[str, ...] = ("web",)
    override: str = ""
    outbound: str = ""
    labels: Mapping[str, str] = {}
    may_be_http: bool = True


@frozen(kw_only=True)
class Endpoint:
    """How one metrics endpoint of an app is to be scraped: a rule, and what annotations change.

    ``port`` is the port of the container, None for any.
    """

    rule: Rule
    path: str
    scheme: str
    port: int | None = None


def endpoints_of(
    app: App, space: Space, org: Organization, rules: tuple[Rule, ...]
) -> list[Endpoint] | str:
    """The app's metrics endpoints: the union over the rules by path, the first rule winning.

    Where there is none, the reason why.
    """
    endpoints: dict[str, Endpoint] = {}
    reason = "not_selected"
    for rule in rules:
        if not rule.selector.matches(app, space, org):
            continue
        found = _endpoints(app, rule)
        if isinstance(found, str):
            reason = found
            continue
        for endpoint in found:
            endpoints.setdefault(endpoint.path, endpoint)
    return list(endpoints.values()) or reason


def _endpoints(app: App, rule: Rule) -> list[Endpoint] | str:
    if not rule.annotations:
        return [Endpoint(rule=rule, path=path, scheme=rule.scheme) for path in rule.paths]
    if app.annotations.get(SCRAPE_ANNOTATION) != "true":
        return "not_annotated"
    path = app.annotations.get(PATH_ANNOTATION)
    port = app.annotations.get(PORT_ANNOTATION)
    scheme = app.annotations.get(SCHEME_ANNOTATION) or rule.scheme
    if port and not _is_port(port):
        return "annotation_port"
    if scheme not in ("http", "https"):
        return "annotation_scheme"
    if scheme == "http" and rule.scheme == "https" and not rule.may_be_http:
        return "annotation_http"
    paths = rule.paths if not path else (path if path.startswith("/") else f"/{path}",)
    return [
        Endpoint(rule=rule, path=path, scheme=scheme, port=int(port) if port else None)
        for path in paths
    ]


def _is_port(text: str) -> bool:
    # Bounded, since Python refuses to convert thousands of digits.
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 65536
