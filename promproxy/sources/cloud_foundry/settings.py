"""The settings of a source ``cloud_foundry``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

from attrs import frozen

from promproxy.outbound.settings import HttpClient
from promproxy.secret import Secret
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import (
    boolean,
    integer,
    list_of,
    mapping_of,
    matching,
    one_of,
    port,
    positive_duration,
    regex,
    secret,
    section,
    setting,
    size,
    text,
    url,
)
from promproxy.sources.cloud_foundry.label_selector import LabelSelector, parse_label_selector
from promproxy.sources.cloud_foundry.resources import App, Organization, Space
from promproxy.targets.labels import check_own_names

TEMPLATE_FIELDS = (
    "org_name",
    "org_guid",
    "space_name",
    "space_guid",
    "app_name",
    "app_guid",
    "instance_index",
    "process_type",
    "process_guid",
    "route",
    "metrics_path",
)

metrics_path = matching(r"/[!-\"$-~]*(?<!\?)", "a path such as /metrics")


def label_selector(node: ConfigNode) -> LabelSelector:
    """A label selector such as ``monitoring=prometheus,!legacy``, as the API writes it."""
    try:
        return parse_label_selector(text(node))
    except ValueError as error:
        node.fail(str(error))


def template(node: ConfigNode) -> str:
    """A text with fields of a target in braces, such as ``{org_name}-{app_name}``."""
    value = text(node)
    try:
        for _literal, name, spec, conversion in Formatter().parse(value):
            if name is not None and (name not in TEMPLATE_FIELDS or spec or conversion):
                node.expected(f"fields among {', '.join(TEMPLATE_FIELDS)}, not {{{name}}}")
    except ValueError as error:
        node.fail(f"invalid template: {error}")
    return value


@frozen(kw_only=True)
class Selector:
    """Selects apps: every given condition must hold.

    Names compare as the Cloud Controller's database does, without regard to case; a pattern must
    match the whole name.
    """

    org: str = setting(text, default="", doc="org name, in any case")
    org_regex: re.Pattern[str] | None = setting(
        regex, default=None, doc="pattern for the whole org name, in any case"
    )
    org_guid: str = setting(text, default="", doc="org guid")
    space: str = setting(text, default="", doc="space name, in any case")
    space_regex: re.Pattern[str] | None = setting(
        regex, default=None, doc="pattern for the whole space name, in any case"
    )
    space_guid: str = setting(text, default="", doc="space guid")
    app: str = setting(text, default="", doc="app name, in any case")
    app_regex: re.Pattern[str] | None = setting(
        regex, default=None, doc="pattern for the whole app name, in any case"
    )
    label_selector: LabelSelector | None = setting(
        label_selector, default=None, doc="labels that the app must have, in the API's syntax"
    )

    def __attrs_post_init__(self) -> None:
        for name in ("org", "space", "app"):
            if getattr(self, name) and getattr(self, f"{name}_regex"):
                raise ValueError(f"give either {name} or {name}_regex")

    def matches(self, app: App, space: Space, org: Organization) -> bool:
        """Whether it selects the app."""
        return (
            self.means_space(space, org)
            and is_named(app.name, self.app, self.app_regex)
            and (self.label_selector is None or self.label_selector.matches(app.labels))
        )

    def means_space(self, space: Space, org: Organization) -> bool:
        """Whether it can select apps in this space."""
        return (
            is_named(org.name, self.org, self.org_regex)
            and self.org_guid in ("", org.guid)
            and is_named(space.name, self.space, self.space_regex)
            and self.space_guid in ("", space.guid)
        )


def is_named(name: str, exact: str, pattern: re.Pattern[str] | None) -> bool:
    """Whether a name is the exact one and matches the pattern, as far as these are given."""
    if exact and exact.lower() != name.lower():
        return False
    return pattern is None or pattern.fullmatch(name) is not None


@frozen
class Override:
    """An address in place of an app's route; ``path`` is ``""`` where the rule's own counts."""

    host: str
    port: int | None
    path: str


@frozen(kw_only=True)
class Rule(Selector):
    """One rule: which apps, and how they are scraped."""

    path: str = setting(metrics_path, default="", doc="path of the metrics; by default /metrics")
    paths: tuple[str, ...] = setting(
        list_of(metrics_path), default=(), doc="several paths; each is a target"
    )
    scheme: str = setting(
        one_of("http", "https"), default="https", doc="scheme of requests to routes"
    )
    annotations: bool = setting(
        boolean, default=False, doc='only apps annotated with prometheus.io/scrape: "true"'
    )
    preferred_route_regex: tuple[re.Pattern[str], ...] = setting(
        list_of(regex), default=(), doc="patterns for the whole route; the first match wins"
    )
    internal_routes: str = setting(
        one_of("never", "first", "in_order"),
        default="",
        doc="first: before other routes; in_order: like them, as Promregator does; never by "
        "default, first with internal_route_port",
    )
    internal_route_port: int | None = setting(
        port, default=None, doc="the port on which internal routes are asked; 8080 by default"
    )
    process_types: tuple[str, ...] = setting(
        list_of(text), default=("web",), doc="process types to scrape"
    )
    override_route_and_path: str = setting(
        matching(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[!-~]*)?", "host/path or host:port/path"),
        default="",
        doc="an address, with the path, in place of the app's route",
    )
    outbound: str = setting(text, default="", doc="outbound profile, instead of the source's")
    labels: Mapping[str, str] = setting(
        mapping_of(template), default={}, doc="extra labels, from templates such as {org_name}"
    )
    trust_all_orgs: bool = setting(
        boolean, default=False, doc="let the profile's credentials go to apps of every org"
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.path and self.paths:
            raise ValueError("give either path or paths")
        if self.internal_routes == "never" and self.internal_route_port is not None:
            raise ValueError("internal_routes: never leaves nothing to do for internal_route_port")
        if self.override is not None and self.override.port not in (None, *range(1, 65536)):
            raise ValueError("override_route_and_path: no port has this number")
        if not self.process_types:
            raise ValueError("process_types: name at least one, such as web")
        check_own_names(self.labels)

    @property
    def internal_choice(self) -> str:
        """Whether internal routes are used: ``never``, ``first`` or ``in_order``."""
        default = "never" if self.internal_route_port is None else "first"
        return self.internal_routes or default

    @property
    def override(self) -> Override | None:
        """What `override_route_and_path` says, if anything."""
        if not self.override_route_and_path:
            return None
        netloc, slash, path = self.override_route_and_path.partition("/")
        host, _, number = netloc.partition(":")
        return Override(host, int(number) if number else None, slash + path)

    @property
    def metrics_paths(self) -> tuple[str, ...]:
        """Where the metrics are; each may have a query."""
        return self.paths or (self.path or "/metrics",)


@frozen(kw_only=True)
class CloudFoundry(HttpClient):
    """Targets from a Cloud Foundry foundation, by its API."""

    api_url: str = setting(url, doc="URL of the Cloud Controller")
    username: str = setting(text, default="", doc="user that can see the apps")
    password: Secret | None = setting(secret, default=None, doc="its password")
    client_id: str = setting(text, default="", doc="OAuth client, instead of a user")
    client_secret: Secret | None = setting(secret, default=None, doc="its secret")
    router: str = setting(
        url, default="", doc="URL of the router to connect to, instead of resolving route names"
    )
    select: tuple[Rule, ...] = setting(
        list_of(section(Rule)), doc="which apps are scraped, and how"
    )
    exclude: tuple[Selector, ...] = setting(
        list_of(section(Selector)), default=(), doc="apps to leave out, whatever the rules select"
    )
    instance_routing: str = setting(
        one_of("app", "process"),
        default="app",
        doc="which header addresses an instance; process needs routing-release 0.332.0",
    )
    timeout: float = setting(
        positive_duration, default=30.0, doc="limit for one request to the API"
    )
    max_requests_per_second: int = setting(
        integer, default=10, doc="limit for the API; 0: no limit"
    )
    max_page_size: int = setting(size, default=256 * 1024**2, doc="a larger answer is refused")
    max_loss_percent: int = setting(
        integer,
        default=50,
        doc="a refresh that loses more targets counts only if the next one confirms it",
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.basic_auth or self.authorization or self.oauth2:
            raise ValueError("the API takes username or client_id, no other credentials")
        if bool(self.username) == bool(self.client_id):
            raise ValueError("give either username and password, or client_id and client_secret")
        if self.username and self.password is None:
            raise ValueError("'password' or 'password_file' is missing")
        if self.client_id and self.client_secret is None:
            raise ValueError("'client_secret' or 'client_secret_file' is missing")
        if not self.select:
            raise ValueError("select: name at least one rule; {} selects every app")
        if self.instance_routing == "app" and any(len(r.process_types) > 1 for r in self.select):
            raise ValueError(
                "select: process_types: instances of several types have the same numbers, which "
                "takes instance_routing: process"
            )
