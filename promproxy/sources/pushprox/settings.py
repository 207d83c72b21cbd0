"""The settings of a source ``pushprox``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

from attrs import frozen

from promproxy.settings.readers import (
    duration,
    list_of,
    mapping_of,
    one_of,
    port,
    positive,
    positive_duration,
    regex,
    section,
    setting,
    text,
)
from promproxy.sources.cloud_foundry.settings import metrics_path
from promproxy.targets.labels import check_own_names

#: What a label's template may name, beside the named groups of its rule's ``fqdn_regex``.
TEMPLATE_FIELDS = ("fqdn", "host", "domain", "port", "path")


@frozen(kw_only=True)
class TargetRule:
    """What to scrape on clients."""

    port: int = setting(port, default=9100, doc="the port")
    path: str = setting(metrics_path, default="/metrics", doc="where the metrics are")
    scheme: str = setting(
        one_of("http", "https"), default="http", doc="scheme by which the client scrapes"
    )
    fqdn_regex: re.Pattern[str] | None = setting(
        regex, default=None, doc="pattern for the whole name of the clients; any by default"
    )
    labels: Mapping[str, str] = setting(
        mapping_of(text),
        default={},
        doc="extra labels, from templates such as {host}: fqdn, host, domain, port, path, and the "
        "named groups of fqdn_regex",
    )

    def __attrs_post_init__(self) -> None:
        fields = (*TEMPLATE_FIELDS, *(self.fqdn_regex.groupindex if self.fqdn_regex else ()))
        check_own_names(self.labels)
        for template in self.labels.values():
            _check_template(template, fields)


def _check_template(template: str, fields: tuple[str, ...]) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"labels: {template!r} is not a template: {error}") from error
    for _literal, name, spec, conversion in parts:
        if name is not None and (name not in fields or spec or conversion):
            raise ValueError(f"labels: expected fields among {', '.join(fields)}, not {{{name}}}")


@frozen(kw_only=True)
class AllowRule:
    """Which requests in absolute form are allowed."""

    port: int | None = setting(port, default=None, doc="the port; any by default")
    path_regex: re.Pattern[str] | None = setting(
        regex, default=None, doc="pattern for the whole path; any by default"
    )

    def allows(self, port: int, path: str) -> bool:
        """Whether it allows such a request; ``path`` is without a query."""
        fits = self.path_regex is None or self.path_regex.fullmatch(path) is not None
        return fits and self.port in (None, port)


@frozen(kw_only=True)
class PushProx:
    """Targets behind PushProx clients, which poll for their scrapes."""

    targets: tuple[TargetRule, ...] = setting(
        list_of(section(TargetRule)),
        default=(TargetRule(),),
        doc="what to scrape on each client; by default node_exporter's port 9100",
    )
    allow: tuple[AllowRule, ...] = setting(
        list_of(section(AllowRule)),
        default=(),
        doc="what proxy_url may request; empty: every port and path",
    )
    registration_timeout: float = setting(
        positive_duration, default=300.0, doc="how long a client stays listed without a poll"
    )
    startup_hold: float = setting(
        duration,
        default=10.0,
        doc="how long to wait for clients after a start",
    )
    poll_max_age: float = setting(
        duration,
        default=0.0,
        doc="a poll is answered after this time at the latest, 0: never without a scrape; make it "
        "shorter than the idle time-out of a load balancer on the way",
    )
    max_clients: int = setting(positive, default=10_000, doc="most clients")
    max_waiting: int = setting(
        positive, default=1024, doc="most scrapes that wait for one client's poll"
    )
