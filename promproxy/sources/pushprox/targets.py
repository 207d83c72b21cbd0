"""The targets on a client, listed and requested ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlencode

from attrs import frozen

from promproxy.sources.pushprox.settings import AllowRule, TargetRule
from promproxy.targets.ids import safe_id, short_hash
from promproxy.targets.labels import passed_labels
from promproxy.targets.netloc import bracketed
from promproxy.targets.target import Dropped, Target

#: Asks the client to scrape by https, as in cmd/client/main.go of PushProx.
SCHEME_PARAMETER = "_scheme"

_CLIENT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]+(?:[/~].*)?")


@frozen(kw_only=True)
class ClientRules:
    """What the configuration says of all clients. Without ``allow`` everything is allowed."""

    source: str
    targets: tuple[TargetRule, ...] = (TargetRule(),)
    allow: tuple[AllowRule, ...] = ()
    honor_job: bool = False

    def allows(self, port: int, path: str) -> bool:
        """Whether a request in absolute form may go to this port and path of a client."""
        return not self.allow or any(rule.allows(port, path) for rule in self.allow)


def targets_of_client(fqdn: str, rules: ClientRules) -> Iterator[Target | Dropped]:
    """Its targets, and the labels that had to be dropped. Of two with one id the first counts."""
    ids = set()
    for rule in rules.targets:
        match = rule.fqdn_regex.fullmatch(fqdn) if rule.fqdn_regex is not None else None
        if rule.fqdn_regex is not None and match is None:
            continue
        path, _, query = rule.path.partition("?")
        target_id = _id(rules.source, fqdn, rule.port, path, query)
        if target_id in ids:
            continue
        ids.add(target_id)
        groups = match.groupdict("") if match is not None else {}
        labels, dropped = passed_labels(
            _labels(rule, fqdn, groups), honor_job=rules.honor_job, where=f"client {fqdn}"
        )
        yield from dropped
        shown_path = "" if path == "/metrics" else path
        suffix = f"~{short_hash(query)}" if query else ""
        yield Target(
            id=target_id,
            source=rules.source,
            scheme=rule.scheme,
            host=fqdn,
            port=rule.port,
            path=path,
            query=query,
            instance=f"{bracketed(fqdn)}:{rule.port}{shown_path}{suffix}",
            labels=labels,
            is_tunnelled=True,
        )


def requested_target(
    source: str, fqdn: str, port: int, path: str, query: str, scheme: str = "http"
) -> Target:
    """The target that a request in absolute form means. Its id is never one of a listed target."""
    parameters = parse_qsl(query, keep_blank_values=True)
    if (SCHEME_PARAMETER, "https") in parameters:
        scheme = "https"
        query = urlencode([pair for pair in parameters if pair[0] != SCHEME_PARAMETER])
    name = f"{scheme}:{bracketed(fqdn)}:{port}{path}" + (f"~{short_hash(query)}" if query else "")
    return Target(
        id=safe_id(f"{source}/{name}"),
        source=source,
        scheme=scheme,
        host=fqdn,
        port=port,
        path=path,
        query=query,
        instance=f"{bracketed(fqdn)}:{port}",
        is_tunnelled=True,
    )


def client_in_id(target_id: str, source: str) -> str | None:
    """The client whose target of a source has this id; None where it is none."""
    match = _CLIENT.fullmatch(target_id.removeprefix(f"{source}/"))
    return match[1].strip("[]") if match is not None and target_id.startswith(source) else None


def listed_id(target: Target) -> str:
    """The id that such a target has where it is listed."""
    return _id(target.source, target.host, target.port, target.path, target.query)


def is_same_place(one: Target, other: Target) -> bool:
    """Whether scrapes of both are the same request."""
    return (one.url, one.query, one.is_tunnelled) == (other.url, other.query, other.is_tunnelled)


def _id(source: str, fqdn: str, port: int, path: str, query: str) -> str:
    suffix = f"~{short_hash(query)}" if query else ""
    return safe_id(f"{source}/{bracketed(fqdn)}:{port}{path}{suffix}")


def _labels(rule: TargetRule, fqdn: str, groups: Mapping[str, str]) -> Mapping[object, object]:
    host, _, domain = fqdn.partition(".")
    fields = {
        **groups,
        "fqdn": fqdn,
        "host": host,
        "domain": domain,
        "port": str(rule.port),
        "path": rule.path,
    }
    extra: dict[object, object] = {
        name: template.format_map(fields) for name, template in rule.labels.items()
    }
    return {"__meta_pushprox_fqdn": fqdn, **extra}
