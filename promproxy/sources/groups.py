"""Target groups, the format of file_sd and http_sd, read as targets that we scrape.

Source: Prometheus documentation, "Configuration", ``<file_sd_config>`` and ``<http_sd_config>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv6Address
from urllib.parse import quote, urlencode

from attrs import field, frozen

from promproxy.errors import SourceError
from promproxy.targets.ids import endpoint_suffix, safe_id
from promproxy.targets.labels import passed_labels, problem_with_label, shown
from promproxy.targets.netloc import DEFAULT_PORTS, netloc
from promproxy.targets.target import Dropped, Remark, Target

# All of a group's targets have its labels, so a short document may stand for a lot of memory.
MAX_EXPANDED_BYTES = 1 << 30
_TARGET_BYTES = 1000  # of a target without labels, roughly

_ADDRESS = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_SAFE_IN_PATH = "/$&+,:;=@~"  # what Go's net/url leaves alone, as Prometheus would send it
_PARAM = "__param_"
_KEYS = frozenset({"targets", "labels"})  # for any other Prometheus refuses the whole document


@frozen(kw_only=True)
class GroupRules:
    """What a source's configuration says about all of its groups.

    ``allowed_hosts`` are patterns as of ``fnmatch``, in which an IPv6 address has no brackets;
    empty allows every host. ``labels`` are for every target, whatever the document says.
    """

    source: str
    outbound: str = ""
    honor_job: bool = False
    allowed_hosts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class _Endpoint:
    """What a group's labels say about how its addresses are scraped."""

    scheme: str
    path: str
    query: str
    instance: str


def targets_from_groups(
    groups: Iterable[object], rules: GroupRules
) -> Iterator[Target | Dropped | Remark]:
    """Each target of the groups, and what had to be left out.

    A group that has not the format's shape is left out. Raises SourceError where all are so, or
    where all would be too much.
    """
    size = good = 0
    problems: list[str] = []
    used: set[str] = set()
    for number, group in enumerate(groups, 1):
        problem = _problem_with(group)
        if problem is not None or not isinstance(group, Mapping):
            problems.append(f"group {number}{problem}")
            yield Dropped(problems[-1], "group")
            continue
        good += 1
        addresses, labels = group.get("targets") or [], group.get("labels") or {}
        size += len(addresses) * (_TARGET_BYTES + _size_of(labels))
        if size > MAX_EXPANDED_BYTES:
            raise SourceError(f"group {number}: the targets so far, with their labels, take 1 GB")
        for key in group:
            if key not in _KEYS:
                yield Dropped(f"key {shown(key)} of group {number}", "group_key")
        yield from _targets_of_group(addresses, labels, rules, f"group {number}", used)
    if problems and not good:
        raise SourceError(problems[0])
    for pattern in rules.allowed_hosts if size else ():
        if pattern not in used:
            yield Remark("selects_nothing", f"allowed_hosts: {pattern}", "no target has that host")


def _problem_with(group: object) -> str | None:
    """Why this is not a group, or None."""
    if not isinstance(group, Mapping):
        return " is not a mapping with 'targets' and 'labels'"
    if not isinstance(group.get("targets"), list | None):
        return ": 'targets' is not a list"
    if not isinstance(group.get("labels"), Mapping | None):
        return ": 'labels' is not a mapping"
    return None


def _targets_of_group(
    addresses: list[object],
    raw: Mapping[object, object],
    rules: GroupRules,
    where: str,
    used: set[str],
) -> Iterator[Target | Dropped]:
    labels, dropped = passed_labels(raw, honor_job=rules.honor_job, where=where)
    yield from dropped
    labels.update(rules.labels)
    endpoint = _endpoint(raw)
    for address in addresses:
        scheme = "http" if isinstance(endpoint, str) else endpoint.scheme
        place = _host_and_port(address, scheme)
        if place is None:
            yield Dropped(f"target {shown(address)} of {where}", "target_address")
        elif isinstance(endpoint, str):
            yield Dropped(f"target {shown(address)} of {where}", endpoint)
        elif not _is_allowed(place[0], rules.allowed_hosts, used):
            yield Dropped(f"target {shown(address)} of {where}", "host_not_allowed")
        else:
            yield _target(*place, endpoint, labels, rules)


def _size_of(labels: Mapping[object, object]) -> int:
    """Roughly, in bytes."""
    texts = (text for label in labels.items() for text in label if isinstance(text, str))
    return sum(map(len, texts))


def _host_and_port(address: object, scheme: str) -> tuple[str, int] | None:
    """What an address says, an IPv6 one without its brackets, and the scheme's port where it has
    none; None where it is no address.
    """
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None:
        return None
    # As scrape/target.go of Prometheus 2 infers it.
    port = DEFAULT_PORTS[scheme] if match[2] is None else int(match[2])
    if not 0 < port < 65536:
        return None
    host = match[1].strip("[]")
    if host != match[1]:
        try:
            IPv6Address(host)
        except ValueError:
            return None
    return host, port


def _endpoint(raw: Mapping[object, object]) -> _Endpoint | str:
    """How to scrape, or why that cannot be told."""
    steering: dict[str, str] = {}
    for name, value in raw.items():
        if value is None or value == "":  # to Prometheus the same as no label
            continue
        if problem_with_label(name, value) is None:
            steering[str(name)] = str(value)
        elif name in ("__scheme__", "__metrics_path__"):
            return "target_labels"
    scheme = steering.get("__scheme__", "http").lower()
    path = steering.get("__metrics_path__", "/metrics")
    if scheme not in DEFAULT_PORTS:
        return "target_scheme"
    params = {k[len(_PARAM) :]: v for k, v in steering.items() if k.startswith(_PARAM)}
    return _Endpoint(
        scheme=scheme,
        path=quote(path if path.startswith("/") else f"/{path}", safe=_SAFE_IN_PATH),
        query=urlencode(sorted(params.items())),
        instance=steering.get("instance", ""),
    )


def _is_allowed(host: str, patterns: tuple[str, ...], used: set[str]) -> bool:
    """Whether the host matches a pattern, which is then among those used."""
    if not patterns:
        return True
    matching = {p for p in patterns if fnmatchcase(host.lower(), p.lower())}
    used |= matching
    return bool(matching)


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
