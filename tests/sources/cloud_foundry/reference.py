"""What targets a foundation has: slow, obvious, and written from the design, not from the code.

The numbers in brackets are the paragraphs of the design that a step follows: (T) "Cloud Foundry
targets", (I) "Ids and instance", (S) the selection rules, (G) what the gorouter does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from promproxy.sources.cloud_foundry.resources import App, Process, Route
from promproxy.sources.cloud_foundry.settings import Rule, Selector
from promproxy.sources.cloud_foundry.targets import Inventory, TargetOptions
from promproxy.targets.ids import safe_id, short_hash


@frozen(kw_only=True, order=True)
class Expected:
    """What must be right of a target."""

    id: str
    instance: str
    url: str
    query: str
    headers: tuple[tuple[str, str], ...]
    router: str
    outbound: str


@frozen(kw_only=True)
class _Endpoint:
    rule: Rule
    path: str
    scheme: str
    port: int | None


def expected_targets(inventory: Inventory, options: TargetOptions) -> list[Expected]:
    """Every target, sorted."""
    found = []
    for app in inventory.apps.values():
        if app.started and not any(_selects(s, app, inventory) for s in options.exclude):
            for number, endpoint in enumerate(_endpoints(app, inventory, options)):
                found += list(_targets(app, endpoint, number == 0, inventory, options))
    return sorted(found)


def _selects(selector: Selector, app: App, inventory: Inventory) -> bool:
    # (S) Every condition given must hold. An app in a place that is not known is passed over.
    space = inventory.spaces.get(app.space_guid)
    if space is None or space.org_guid not in inventory.organizations:
        return False
    org = inventory.organizations[space.org_guid]
    for wanted, name in (
        (selector.org, org.name),
        (selector.space, space.name),
        (selector.app, app.name),
    ):
        if wanted != "" and wanted.upper() != name.upper():
            return False
    for pattern, name in (
        (selector.org_regex, org.name),
        (selector.space_regex, space.name),
        (selector.app_regex, app.name),
    ):
        if pattern is not None and not re.match(rf"(?:{pattern.pattern})\Z", name, re.IGNORECASE):
            return False
    if selector.org_guid != "" and selector.org_guid != org.guid:
        return False
    if selector.space_guid != "" and selector.space_guid != space.guid:
        return False
    return selector.label_selector is None or selector.label_selector.matches(app.labels)


def _endpoints(app: App, inventory: Inventory, options: TargetOptions) -> list[_Endpoint]:
    # (S) The union by path; for the same path the first rule wins.
    endpoints: list[_Endpoint] = []
    for rule in options.rules:
        if _selects(rule, app, inventory):
            for endpoint in _endpoints_by_rule(app, rule, options):
                if endpoint.path not in [other.path for other in endpoints]:
                    endpoints.append(endpoint)
    return endpoints


def _endpoints_by_rule(app: App, rule: Rule, options: TargetOptions) -> list[_Endpoint]:
    said = app.annotations if rule.annotations else {}
    if rule.annotations and said.get("prometheus.io/scrape") != "true":
        return []
    port_text = said.get("prometheus.io/port", "")
    if port_text != "" and port_text not in [str(port) for port in (1, 8080, 9090, 65535)]:
        return []  # the tests use no other good ones
    scheme = said.get("prometheus.io/scheme", "") or rule.scheme
    if scheme not in ("http", "https"):
        return []
    # Annotations never turn the https of a rule with credentials into http.
    if rule.scheme == "https" and scheme == "http" and rule.outbound in options.credentialed:
        return []
    paths = list(rule.metrics_paths)
    if said.get("prometheus.io/path", "") != "":
        path = said["prometheus.io/path"]
        paths = [path if path[0] == "/" else "/" + path]
    port = int(port_text) if port_text else None
    return [_Endpoint(rule=rule, path=path, scheme=scheme, port=port) for path in paths]


def _targets(
    app: App, endpoint: _Endpoint, is_first: bool, inventory: Inventory, options: TargetOptions
) -> Iterator[Expected]:
    listed: set[int] = set()
    for process in inventory.processes.values():
        if process.app_guid != app.guid or process.type not in endpoint.rule.process_types:
            continue
        for index in range(process.instances):
            target = _target(process, index, endpoint, is_first, inventory, options)
            if target is None:
                continue
            # (T) App routing cannot tell processes apart: each index once. Process routing can.
            if options.by_process or index not in listed:
                listed.add(index)
                yield target


def _target(
    process: Process,
    index: int,
    endpoint: _Endpoint,
    is_first: bool,
    inventory: Inventory,
    options: TargetOptions,
) -> Expected | None:
    rule = endpoint.rule
    own_path, _, query = endpoint.path.partition("?")
    guid = process.guid if options.by_process else process.app_guid
    header = "X-CF-PROCESS-INSTANCE" if options.by_process else "X-CF-APP-INSTANCE"
    headers: tuple[tuple[str, str], ...] = ((header, f"{guid}:{index}"),)
    scheme, port, router = endpoint.scheme, "", options.router
    if rule.override_route_and_path:
        host, slash, rest = rule.override_route_and_path.partition("/")
        path = own_path
        if slash:
            path, _, query = ("/" + rest).partition("?")
        # (G) Asked for an instance at a route that is not the app's, the gorouter answers 400.
        host, colon, number_text = host.partition(":")
        if colon:  # the address is meant, and not the router's
            router = ""
            port = (
                "" if number_text == {"http": "80", "https": "443"}[scheme] else f":{number_text}"
            )
        if not any(_is_at(r, host, path, process, inventory) for r in inventory.routes.values()):
            headers = ()
    else:
        route = _route(process, endpoint, inventory)
        if route is None:
            return None
        domain = inventory.domains[route.domain_guid]
        host = ".".join(part for part in (route.host, domain.name) if part)
        path = route.path + own_path  # (G) the gorouter does not strip a route's path
        if domain.internal:
            # (T) http://<index>.<host>.<domain>:<port>, without the header.
            scheme, host, headers, router = "http", f"{index}.{host}", (), ""
            number = endpoint.port or rule.internal_route_port or 8080
            port = "" if number == 80 else f":{number}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        return None
    if not re.fullmatch(r"[!\"$-~]+", path + query):  # ASCII that may stand in a request line
        return None
    # (I) The first path is Promregator's URL, a further one is told apart by itself.
    own_query = endpoint.path.partition("?")[2]
    further = "" if is_first else own_path + (f"~{short_hash(own_query)}" if own_query else "")
    return Expected(
        id=safe_id(f"{guid}/{index}{further}"),
        instance=f"{guid}:{index}{further}",
        url=f"{scheme}://{host}{port}{path}",
        query=query,
        headers=headers,
        router=router,
        outbound=rule.outbound,
    )


def _is_at(route: Route, host: str, path: str, process: Process, inventory: Inventory) -> bool:
    if process.app_guid not in [destination.app_guid for destination in route.destinations]:
        return False
    if route.domain_guid not in inventory.domains:
        return False
    name = inventory.domains[route.domain_guid].name
    if route.host == "*":
        if not host.endswith("." + name):
            return False
    elif host != ".".join(part for part in (route.host, name) if part):
        return False
    return route.path == "" or path == route.path or path.startswith(route.path + "/")


def _route(process: Process, endpoint: _Endpoint, inventory: Inventory) -> Route | None:
    def leads_to(route: Route, *, any_type: bool = False) -> set[tuple[str, int | None]]:
        return {
            (d.process_type, d.port)
            for d in route.destinations
            if d.app_guid == process.app_guid and (any_type or d.process_type == process.type)
        }

    candidates = [
        route
        for route in inventory.routes.values()
        if leads_to(route) and route.host != "*" and route.domain_guid in inventory.domains
    ]
    internal = [r for r in candidates if inventory.domains[r.domain_guid].internal]
    use = endpoint.rule.internal_routes
    if use == "" and endpoint.rule.internal_route_port is not None:
        use = "first"
    if use == "first" and internal:
        return _preferred(internal, endpoint.rule)
    usable = []
    for route in candidates:
        domain = inventory.domains[route.domain_guid]
        if route.protocol == "http" and not (domain.internal or domain.tcp or domain.mutual_tls):
            usable.append(route)
    if use == "in_order":
        both = [route for route in candidates if route in usable or route in internal]
        first = _preferred(both, endpoint.rule)
        if first in internal:
            return first
    if endpoint.port is not None:
        usable = [r for r in usable if leads_to(r) == {(process.type, endpoint.port)}]
    # (G) Two ports, or two process types, behind one route have the same app guid and index.
    clear = [route for route in usable if len(leads_to(route, any_type=True)) == 1]
    return _preferred(clear or usable, endpoint.rule)


def _preferred(routes: list[Route], rule: Rule) -> Route | None:
    # (S) The first pattern that matches a route as a whole wins; else the first route.
    for pattern in rule.preferred_route_regex:
        for route in routes:
            if re.match(rf"(?:{pattern.pattern})\Z", route.url, re.IGNORECASE):
                return route
    return routes[0] if routes else None
