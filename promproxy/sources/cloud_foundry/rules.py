"""Selection rules: which apps of a foundation are scraped, and how. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from attrs import frozen

from promproxy.sources.cloud_foundry.resources import App, Organization, Space
from promproxy.sources.cloud_foundry.settings import Rule

SCRAPE_ANNOTATION = "prometheus.io/scrape"
PATH_ANNOTATION = "prometheus.io/path"
PORT_ANNOTATION = "prometheus.io/port"
SCHEME_ANNOTATION = "prometheus.io/scheme"


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
    app: App,
    space: Space,
    org: Organization,
    rules: Iterable[Rule],
    may_be_http: Callable[[Rule], bool],
) -> list[Endpoint] | str:
    """The app's metrics endpoints: the union over the rules by path, the first rule winning.

    Where there is none, the reason why. ``may_be_http`` says of a rule whether an annotation may
    turn its https into http.
    """
    endpoints: dict[str, Endpoint] = {}
    reason = "not_selected"
    for rule in rules:
        if not rule.matches(app, space, org):
            continue
        found = _endpoints(app, rule, may_be_http(rule))
        if isinstance(found, str):
            reason = found
            continue
        for endpoint in found:
            endpoints.setdefault(endpoint.path, endpoint)
    return list(endpoints.values()) or reason


def _endpoints(app: App, rule: Rule, may_be_http: bool) -> list[Endpoint] | str:
    if not rule.annotations:
        return [Endpoint(rule=rule, path=path, scheme=rule.scheme) for path in rule.metrics_paths]
    if app.annotations.get(SCRAPE_ANNOTATION) != "true":
        return "not_annotated"
    path = app.annotations.get(PATH_ANNOTATION)
    port = app.annotations.get(PORT_ANNOTATION)
    scheme = app.annotations.get(SCHEME_ANNOTATION) or rule.scheme
    if port and not _is_port(port):
        return "annotation_port"
    if scheme not in ("http", "https"):
        return "annotation_scheme"
    if scheme == "http" and rule.scheme == "https" and not may_be_http:
        return "annotation_http"
    paths = rule.metrics_paths if not path else (path if path.startswith("/") else f"/{path}",)
    return [
        Endpoint(rule=rule, path=path, scheme=scheme, port=int(port) if port else None)
        for path in paths
    ]


def _is_port(text: str) -> bool:
    # Bounded, since Python refuses to convert thousands of digits.
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 65536
