"""The JSON documents of the Cloud Controller, and a store that makes each text only once.

Key names and nesting follow the presenters in cloudfoundry/cloud_controller_ng
(``app/presenters/v3``).  Links are written with `BASE` in front; `Texts` does not replace it, since
one pass over a finished page is cheaper.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_DNS, uuid5
from weakref import WeakKeyDictionary

from promproxy.simulation.values import (
    DOWN,
    STARTED,
    App,
    Destination,
    Domain,
    Entity,
    Org,
    Process,
    Route,
    RouteBinding,
    Space,
)

BASE = "http://base.invalid"
HIDDEN_COMMAND = "[PRIVATE DATA HIDDEN IN LISTS]"
_QUOTA = str(uuid5(NAMESPACE_DNS, "quota"))

Json = dict[str, Any]


def _to(entity_guid: str | None) -> Json:
    return {"data": {"guid": entity_guid} if entity_guid else None}


def _link(path: str, method: str | None = None) -> Json:
    link = {"href": BASE + path}
    return link if method is None else {**link, "method": method}


def _links(path: str, gets: str, posts: str = "", **others: Json) -> Json:
    """The link to itself, those to what is below it, and its actions."""
    links = {"self": _link(path)}
    links.update({name: _link(f"{path}/{name}") for name in gets.split()})
    links.update({name: _link(f"{path}/actions/{name}", "POST") for name in posts.split()})
    return links | others


def _document(entity: Entity, links: Json, relationships: Json, **own: Any) -> Json:
    return {
        "guid": entity.guid,
        "created_at": entity.created_at,
        "updated_at": entity.updated_at,
        **own,
        "relationships": relationships,
        "metadata": {"labels": dict(entity.labels), "annotations": dict(entity.annotations)},
        "links": links,
    }


def org_document(org: Org) -> Json:
    """An organization."""
    path = f"/v3/organizations/{org.guid}"
    links = _links(
        path,
        "domains",
        default_domain=_link(f"{path}/domains/default"),
        quota=_link(f"/v3/organization_quotas/{_QUOTA}"),
    )
    return _document(org, links, {"quota": _to(_QUOTA)}, name=org.name, suspended=False)


def space_document(space: Space) -> Json:
    """A space."""
    links = _links(
        f"/v3/spaces/{space.guid}",
        "features",
        "apply_manifest",
        organization=_link(f"/v3/organizations/{space.org.guid}"),
    )
    relationships = {"organization": _to(space.org.guid), "quota": _to(None)}
    return _document(space, links, relationships, name=space.name, suspended=False)


def app_document(app: App) -> Json:
    """An app; neither its instances nor its routes are in it."""
    path = f"/v3/apps/{app.guid}"
    data: Json = {"buildpacks": ["java_buildpack"], "stack": "cflinuxfs4"}
    links = _links(
        path,
        "environment_variables processes packages droplets tasks revisions features",
        "start stop clear_buildpack_cache",
        space=_link(f"/v3/spaces/{app.space.guid}"),
        current_droplet=_link(f"{path}/droplets/current"),
        deployed_revisions=_link(f"{path}/revisions/deployed"),
    )
    return _document(
        app,
        links,
        {"space": _to(app.space.guid), "current_droplet": _to(str(uuid5(NAMESPACE_DNS, app.guid)))},
        name=app.name,
        state=app.state,
        lifecycle={"type": app.lifecycle, "data": data if app.lifecycle == "buildpack" else {}},
    )


def process_document(process: Process, command: str = HIDDEN_COMMAND) -> Json:
    """A process; ``instances`` is the desired number."""
    check: Json = {"timeout": None, "invocation_timeout": None, "interval": None}
    readiness: Json = {"invocation_timeout": None, "interval": None}
    links = _links(
        f"/v3/processes/{process.guid}",
        "stats process_instances",
        "scale",
        app=_link(f"/v3/apps/{process.app_guid}"),
        space=_link(f"/v3/spaces/{process.space.guid}"),
    )
    return _document(
        process,
        links,
        # A revision that is not there is null itself, unlike other relationships.
        {"app": _to(process.app_guid), "revision": None},
        version=process.version,
        type=process.type,
        command=command,
        user="vcap",
        instances=len(process.instances),
        memory_in_mb=1024,
        disk_in_mb=1024,
        log_rate_limit_in_bytes_per_second=1048576,
        health_check={"type": "port" if process.type == "web" else "process", "data": check},
        readiness_health_check={"type": "process", "data": readiness},
    )


def destination_document(route: Route, destination: Destination) -> Json:
    """One destination of a route."""
    return {
        "guid": destination.guid,
        "app": {"guid": destination.app_guid, "process": {"type": destination.process_type}},
        "weight": None,
        "port": destination.port,
        "protocol": "tcp" if route.protocol == "tcp" else "http1",
        "created_at": route.created_at,
        "updated_at": route.updated_at,
    }


def route_document(route: Route) -> Json:
    """A route with its destinations."""
    links = _links(
        f"/v3/routes/{route.guid}",
        "destinations",
        space=_link(f"/v3/spaces/{route.space.guid}"),
        domain=_link(f"/v3/domains/{route.domain.guid}"),
    )
    return _document(
        route,
        links,
        {"space": _to(route.space.guid), "domain": _to(route.domain.guid)},
        protocol=route.protocol,
        host=route.host,
        path=route.path,
        port=route.port,
        url=route.url,
        destinations=[destination_document(route, item) for item in route.destinations],
    )


def domain_document(domain: Domain) -> Json:
    """A domain; the key of route policies is there only when they are enforced."""
    path = f"/v3/domains/{domain.guid}"
    links = _links(path, "route_reservations")
    if domain.router_group:
        links["router_group"] = _link(f"/routing/v1/router_groups/{domain.router_group}")
    if domain.owner:
        links["organization"] = _link(f"/v3/organizations/{domain.owner.guid}")
        links["shared_organizations"] = _link(f"{path}/relationships/shared_organizations")
    policies: Json = {"enforce_route_policies": True, "route_policies_scope": "org"}
    return _document(
        domain,
        links,
        {
            "organization": _to(domain.owner.guid if domain.owner else None),
            "shared_organizations": {"data": [{"guid": org.guid} for org in domain.shared_with]},
        },
        name=domain.name,
        internal=domain.internal,
        router_group={"guid": domain.router_group} if domain.router_group else None,
        supported_protocols=["tcp" if domain.router_group else "http"],
        **(policies if domain.enforce_route_policies else {}),
    )


def binding_document(binding: RouteBinding) -> Json:
    """The binding of a route to a route service."""
    path = f"/v3/service_route_bindings/{binding.guid}"
    service = str(uuid5(NAMESPACE_DNS, "route-service"))
    route = binding.route.guid
    links = _links(
        path,
        "parameters",
        service_instance=_link(f"/v3/service_instances/{service}"),
        route=_link(f"/v3/routes/{route}"),
    )
    return _document(
        binding,
        links,
        {"service_instance": _to(service), "route": _to(route)},
        route_service_url="https://route-service.example.test",
        last_operation={"type": "create", "state": "succeeded", "description": ""},
    )


def with_a_null(text: bytes) -> bytes:
    """A document that has a null where none belongs."""
    document = json.loads(text)
    if "destinations" in document:
        document["destinations"] = None
    elif "instances" in document:
        document["instances"] = None
    elif "state" in document:
        document["metadata"]["labels"] = {"a": None}
    else:
        document["name"] = None
    return text_of(document)


_DOCUMENTS: dict[type, Callable[[Any], Json]] = {
    Org: org_document,
    Space: space_document,
    App: app_document,
    Process: process_document,
    Route: route_document,
    Domain: domain_document,
    RouteBinding: binding_document,
}


def text_of(document: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


class Texts:
    """The text of each value, made when first asked for and dropped with the value."""

    def __init__(self) -> None:
        self._texts: WeakKeyDictionary[Entity, bytes] = WeakKeyDictionary()

    def __getitem__(self, entity: Entity) -> bytes:
        """The document of an entity, as it stands in lists."""
        text = self._texts.get(entity)
        if text is None:
            text = self._texts[entity] = text_of(_DOCUMENTS[type(entity)](entity))
        return text


def instance_documents(process: Process, app_state: str, now: float) -> list[Json]:
    """What ``process_instances`` and ``embed`` say of a process; of a STOPPED app all is DOWN."""
    up = app_state == STARTED
    return [
        {
            "index": instance.index,
            "state": instance.state if up else DOWN,
            "since": int(now - instance.since) if up and instance.state != DOWN else None,
        }
        for instance in process.instances
    ]


def stats_documents(process: Process, app_state: str, now: float) -> list[Json]:
    """What ``stats`` says of a process; entries that are DOWN have fewer keys."""
    documents = []
    for instance, brief in zip(
        process.instances, instance_documents(process, app_state, now), strict=True
    ):
        running = brief["state"] == "RUNNING"
        document: Json = {
            "type": process.type,
            "index": instance.index,
            "state": brief["state"],
            "routable": None if brief["state"] == DOWN else running,
            "uptime": brief["since"] or 0,
            "isolation_segment": None,
            "details": None,
        }
        if brief["state"] != DOWN:
            document |= {
                "instance_guid": instance.guid,
                "host": "10.244.16.10",
                "instance_internal_ip": "10.255.93.167",
                "mem_quota": 1073741824,
                "disk_quota": 1073741824,
                "log_rate_limit": 1048576,
                "fds_quota": 16384,
                "instance_ports": _PORTS if running else [],
                "usage": {**_USAGE, "time": "2026-01-01T00:00:00+00:00"} if running else {},
            }
        documents.append(document)
    return documents


_PORTS: list[Json] = [
    {
        "external": 64546,
        "internal": 8080,
        "external_tls_proxy_port": 61002,
        "internal_tls_proxy_port": 61003,
    }
]
_USAGE: Json = {
    "cpu": 0.0038,
    "cpu_entitlement": 0.11,
    "mem": 191774720,
    "disk": 169705728,
    "log_rate": 120,
}
