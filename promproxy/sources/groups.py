"""Target groups, the format of file_sd and http_sd, read as targets that we scrape.

Source: Prometheus documentation, "Configuration", ``<file_sd_config>`` and ``<http_sd_config>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv6Address
from urllib.parse import quote, urlencode

from attrs import frozen

from promproxy.errors import SourceError
from promproxy.targets.ids import endpoint_suffix, safe_id
from promproxy.targets.labels import passed_labels, problem_with_label, shown
from promproxy.targets.netloc import DEFAULT_PORTS, netloc
from promproxy.targets.target import Dropped, Target

# All of a group's targets have its labels, so a short document may stand for a lot of memory.
MAX_EXPANDED_BYTES = 1 << 30
_TARGET_BYTES = 1000  # of a target without labels, roughly

_ADDRESS = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_SAFE_IN_PATH = "/$&+,:;=@~"  # what Go's net/url leaves alone, as Prometheus would send it
_PARAM = "__param_"
_KEYS = frozenset({"targets", "labels"})  # for any other Prometheus refuses the whole document


@frozen(kw_only=True)
class GroupRules:
    """What a source's configuration says about all of its groups.

    ``allowed_hosts`` are patterns as of ``fnmatch``, in which an IPv6 address has no brackets;
    empty allows every host.
    """

    source: str
    outbound: str = ""
    honor_job: bool = False
    allowed_hosts: tuple[str, ...] = ()


@frozen(kw_only=True)
class _Endpoint:
    """What a group's labels say about how its addresses are scraped."""

    scheme: str
    path: str
    query: str
    instance: str


def targets_from_groups(groups: Iterable[object], rules: GroupRules) -> Iterator[Target | Dropped]:
    """Each target of the groups, and what had to be left out.

    Raises SourceError where a group has not the format's shape, or where all would be too much.
    """
    size = 0
    for number, group in enumerate(groups, 1):
        if not isinstance(group, Mapping):
            raise SourceError(f"group {number} is no mapping with 'targets' and 'labels'")
        addresses, labels = group.get("targets"), group.get("labels") or {}
        if not isinstance(addresses, list):
            raise SourceError(f"group {number}: 'targets' is no list")
        if not isinstance(labels, Mapping):
            raise SourceError(f"group {number}: 'labels' is no mapping")
        size += len(addresses) * (_TARGET_BYTES + _size_of(labels))
        if size > MAX_EXPANDED_BYTES:
            raise SourceError(f"group {number}: the targets so far, with their labels, take 1 GB")
        for key in group:
            if key not in _KEYS:
                yield Dropped(f"key {shown(key)} of group {number}", "group_key")
        yield from _targets_of_group(addresses, labels, rules, f"group {number}")


def _targets_of_group(
    addresses: list[object], raw: Mapping[object, object], rules: GroupRules, where: str
) -> Iterator[Target | Dropped]:
    labels, dropped = passed_labels(raw, honor_job=rules.honor_job, where=where)
    yield from dropped
    endpoint = _endpoint(raw)
    for address in addresses:
        place = _host_and_port(address)
        if place is None:
            yield Dropped(f"target {shown(address)} of {where}", "target_address")
        elif isinstance(endpoint, str):
            yield Dropped(f"target {shown(address)} of {where}", endpoint)
        elif not _is_allowed(place[0], rules.allowed_hosts):
            yield Dropped(f"target {shown(address)} of {where}", "host_not_allowed")
        else:
            yield _target(*place, endpoint, labels, rules)


def _size_of(labels: Mapping[object, object]) -> int:
    """Roughly, in bytes."""
    texts = (text for label in labels.items() for text in label if isinstance(text, str))
    return sum(map(len, texts))


def _host_and_port(address: object) -> tuple[str, int] | None:
    """What an address says, an IPv6 one without its brackets; None where it is no host:port."""
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 0 < int(match[2]) < 65536:
        return None
    host = match[1].strip("[]")
    if host != match[1]:
        try:
            IPv6Address(host)
        except ValueError:
            return None
    return host, int(match[2])


def _endpoint(raw: Mapping[object, object]) -> _Endpoint | str:
    """How to scrape, or why that cannot be told."""
    steering: dict[str, str] = {}
    for name, value in raw.items():
        if problem_with_label(name, value) is None:
            steering[str(name)] = str(value)
        elif name in ("__scheme__", "__metrics_path__"):
            return "target_labels"
    scheme = steering.get("__scheme__") or "http"
    path = steering.get("__metrics_path__") or "/metrics"
    if scheme not in DEFAULT_PORTS:
        return "target_scheme"
    params = {k[len(_PARAM) :]: v for k, v in steering.items() if k.startswith(_PARAM)}
    return _Endpoint(
        scheme=scheme,
        path=quote(path if path.startswith("/") else f"/{path}", safe=_SAFE_IN_PATH),
        query=urlencode(sorted(params.items())),
        instance=steering.get("instance", ""),
    )


def _is_allowed(host: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(host.lower(), p.lower()) for p in patterns)


def _target(
    host: str, port: int, endpoint: _Endpoint, labels: Mapping[str, str], rules: GroupRules
) -> Target:
    name = f"{netloc(host, port)}{endpoint_suffix(endpoint.path, endpoint.query)}"
    return Target(
        id=safe_id(f"{rules.source}/{name}"),
        source=rules.source,
        scheme=endpoint.scheme,
        host=host,
        port=port,
        path=endpoint.path,
        query=endpoint.query,
        instance=endpoint.instance or name,
        labels=labels,
        outbound=rules.outbound,
    )
