"""A foundation's lists joined into targets. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from promproxy.sources.building import Found
from promproxy.sources.cloud_foundry.addresses import Address, Ways
from promproxy.sources.cloud_foundry.idle import IdleRules
from promproxy.sources.cloud_foundry.resources import (
    App,
    Domain,
    Organization,
    Process,
    Route,
    Space,
)
from promproxy.sources.cloud_foundry.rules import Endpoint, endpoints_of
from promproxy.sources.cloud_foundry.settings import TEMPLATE_FIELDS, Rule, Selector
from promproxy.targets.ids import endpoint_suffix, safe_id
from promproxy.targets.labels import problem_with_label, shown
from promproxy.targets.target import Dropped, LeftOut, Remark, Target

# The owners of apps decide these, and must not fill our memory or Prometheus's.
MOST_INSTANCES = 10_000
MAX_META_BYTES = 32_768

_NO_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")


@frozen(kw_only=True)
class Inventory:
    """Everything that a refresh has read, by guid, in the API's order.

    ``with_service`` are the guids of the routes that are bound to a route service. ``names`` are
    those of orgs, spaces or apps (``org``, ``space``, ``app``) that were looked up beside, since a
    rule names one that does not exist.
    """

    organizations: Mapping[str, Organization] = field(factory=dict)
    spaces: Mapping[str, Space] = field(factory=dict)
    apps: Mapping[str, App] = field(factory=dict)
    processes: Mapping[str, Process] = field(factory=dict)
    routes: Mapping[str, Route] = field(factory=dict)
    domains: Mapping[str, Domain] = field(factory=dict)
    with_service: frozenset[str] = frozenset()
    names: Mapping[str, Iterable[str]] = field(factory=dict)


@frozen(kw_only=True)
class TargetOptions:
    """What the configuration says about all targets of a source.

    ``by_process``: instances are addressed by process and not by app. ``router``: where to
    connect in address of each route's host.
    """

    source: str
    rules: tuple[Rule, ...]
    exclude: tuple[Selector, ...] = ()
    by_process: bool = False
    router: str = ""
    outbound: str = ""
    credentialed: frozenset[str] = frozenset()
    promregator_labels: bool = False

    def profile_of(self, rule: Rule) -> str:
        """The outbound profile for a rule's targets."""
        return rule.outbound or self.outbound

    def may_be_http(self, rule: Rule) -> bool:
        """Whether an annotation may turn a rule's https into http."""
        return self.profile_of(rule) not in self.credentialed


def targets_of(inventory: Inventory, options: TargetOptions) -> Iterator[Found]:
    """Each target, each label that had to be dropped, and each app left out, with the reason;
    at the end each rule that selects nothing.

    Lists are read one after the other, so what refers to something missing is passed over.
    """
    processes = _grouped((p.app_guid, p) for p in inventory.processes.values())
    routes = _grouped(
        (app_guid, route)
        for route in inventory.routes.values()
        for app_guid in dict.fromkeys(d.app_guid for d in route.destinations)
    )
    behind_service: dict[str, None] = {}
    idle = IdleRules(options.rules, options.exclude, inventory.names)
    for app in inventory.apps.values():
        space = inventory.spaces.get(app.space_guid)
        org = inventory.organizations.get(space.org_guid) if space is not None else None
        if space is None or org is None:
            yield LeftOut(app.name, "space_unknown")
            continue
        idle.show(app, space, org, routes[app.guid])
        where = f"{org.name}/{space.name}/{app.name}"
        endpoints = _endpoints(app, space, org, options, idle)
        if isinstance(endpoints, str):
            yield LeftOut(where, endpoints)
            continue
        ways = Ways(routes[app.guid], inventory.domains, inventory.with_service, options.router)
        joined = _AppTargets(app, space, org, where, processes[app.guid], ways, options)
        for item in joined.build(endpoints):
            if isinstance(item, Remark):
                behind_service[where] = None
            else:
                yield item
    yield from idle.remarks()
    if behind_service:
        yield _about_route_services(list(behind_service))


def _about_route_services(apps: list[str]) -> Remark:
    why = (
        f"{len(apps)} {'app has' if len(apps) == 1 else 'apps have'} no other route, {apps[0]} for "
        "example: any instance may answer for any other"
    )
    return Remark("route_service", "routes bound to a route service", why)


def _endpoints(
    app: App, space: Space, org: Organization, options: TargetOptions, idle: IdleRules
) -> list[Endpoint] | str:
    endpoints = endpoints_of(app, space, org, options.rules, options.may_be_http)
    if isinstance(endpoints, str):
        return endpoints
    idle.use(endpoints)
    if any(selector.matches(app, space, org) for selector in options.exclude):
        return "excluded"
    return endpoints if app.started else "stopped"


def _grouped(pairs: Iterable[tuple[str, object]]) -> defaultdict[str, list]:  # type: ignore[type-arg]
    groups = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups


@frozen
class _AppTargets:
    """One app with its processes, routes and names."""

    app: App
    space: Space
    org: Organization
    where: str
    processes: list[Process]
    ways: Ways
    options: TargetOptions

    def build(self, endpoints: list[Endpoint]) -> Iterator[Found]:
        """The targets, and what is to be said of them."""
        meta, dropped = self._meta_labels()
        yield from dropped
        for position, endpoint in enumerate(endpoints):
            reasons = ["no_process"]
            listed = 0
            for process in self.processes:
                if process.type not in endpoint.rule.process_types:
                    continue
                address = self.ways.address_of(endpoint, process)
                if isinstance(address, str):
                    reasons.append(address)
                    continue
                if address.behind_service:
                    yield Remark("route_service", self.where, address.route)
                reasons.append("no_instances")
                for index in self._indices(process, listed):
                    yield self._target(
                        endpoint, process, index, address, meta, is_first=position == 0
                    )
                listed = max(listed, process.instances)
                if process.instances > MOST_INSTANCES:
                    yield LeftOut(f"{self.where} from {MOST_INSTANCES} on", "too_many_instances")
            if not listed:
                yield LeftOut(f"{self.where} {endpoint.path}", reasons[-1])

    def _indices(self, process: Process, listed: int) -> range:
        """Which instances to list, if ``listed`` of other processes are listed already.

        A deployment under way has two processes with the same indices. Addressed by app they are
        one instance, so each index is listed once, for the first process that has it.
        """
        last = min(process.instances, MOST_INSTANCES)
        return range(0 if self.options.by_process else listed, last)

    def _target(
        self,
        endpoint: Endpoint,
        process: Process,
        index: int,
        address: Address,
        meta: Mapping[str, str],
        *,
        is_first: bool,
    ) -> Target:
        guid = process.guid if self.options.by_process else self.app.guid
        name = f"X-CF-{'PROCESS' if self.options.by_process else 'APP'}-INSTANCE"
        path, _, query = endpoint.path.partition("?")
        suffix = "" if is_first else f"{path}{endpoint_suffix('/metrics', query)}"
        return Target(
            id=safe_id(f"{guid}/{index}{suffix}"),
            source=self.options.source,
            scheme=address.scheme,
            host=f"{index}.{address.host}" if address.internal else address.host,
            port=address.port,
            path=address.path,
            query=address.query,
            instance=f"{guid}:{index}{suffix}",
            labels=self._labels(endpoint, process, index, address, meta),
            headers=((name, f"{guid}:{index}"),) if address.header else (),
            outbound=self.options.profile_of(endpoint.rule),
            router=address.router,
        )

    def _meta_labels(self) -> tuple[dict[str, str], list[Dropped]]:
        """What all targets of the app have in common."""
        meta = {
            "__meta_cf_org_name": self.org.name,
            "__meta_cf_org_guid": self.org.guid,
            "__meta_cf_space_name": self.space.name,
            "__meta_cf_space_guid": self.space.guid,
            "__meta_cf_app_name": self.app.name,
            "__meta_cf_app_guid": self.app.guid,
        }
        dropped = []
        size = 0
        for kind, values in (("label", self.app.labels), ("annotation", self.app.annotations)):
            for key, value in sorted(values.items()):
                name = f"__meta_cf_app_{kind}_{_NO_LABEL_CHARACTER.sub('_', key)}"
                problem = problem_with_label(name, value)
                size += len(name) + len(value)
                if problem is None and size > MAX_META_BYTES:
                    problem = "labels_size"
                if problem is None:
                    meta[name] = value
                else:
                    what = f"{kind} {shown(key)} of app {self.where}"
                    dropped.append(Dropped(what, problem))
        return meta, dropped

    def _labels(
        self,
        endpoint: Endpoint,
        process: Process,
        index: int,
        address: Address,
        meta: Mapping[str, str],
    ) -> dict[str, str]:
        labels = {
            **meta,
            "__meta_cf_instance_index": str(index),
            "__meta_cf_process_type": process.type,
            "__meta_cf_process_guid": process.guid,
            "__meta_cf_route": address.route,
            "__meta_cf_metrics_path": endpoint.path,
        }
        if endpoint.rule.labels:
            values = {name: labels[f"__meta_cf_{name}"] for name in TEMPLATE_FIELDS}
            for name, template in endpoint.rule.labels.items():
                labels[name] = template.format_map(values)
        if self.options.promregator_labels:
            labels.update(self._promregator_labels(index))
        return labels

    def _promregator_labels(self, index: int) -> dict[str, str]:
        # Its label for the path is that of our own URL, which `promproxy.targets.document` knows.
        prefix = "__meta_promregator_target_"
        return {
            f"{prefix}orgName": self.org.name,
            f"{prefix}spaceName": self.space.name,
            f"{prefix}applicationName": self.app.name,
            f"{prefix}applicationId": self.app.guid,
            f"{prefix}instanceNumber": str(index),
            f"{prefix}instanceId": f"{self.app.guid}:{index}",
        }
