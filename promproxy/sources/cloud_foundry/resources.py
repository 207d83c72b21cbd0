"""What we keep of the API's resources. Pure.

Every ``…_from_json`` raises KeyError, TypeError or AttributeError for anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from sys import intern
from typing import Any

from attrs import field, frozen

# In characters; the API's own limits are lower, and labels, which most of these become, have one.
MAX_TEXT = 1000

Json = Mapping[str, Any]

# Guids become part of headers and paths, so nothing else may pass for one.
_GUID = re.compile(r"[0-9A-Za-z_-]{1,200}")


class MalformedResource(TypeError):
    """Something in a resource is not what it must be; the message says what."""


@frozen
class Organization:
    """An org; names are unique in a foundation."""

    guid: str
    name: str


@frozen
class Space:
    """A space; names are unique in an org."""

    guid: str
    name: str
    org_guid: str


@frozen
class App:
    """An app; ``started`` is the desired state."""

    guid: str
    name: str
    started: bool
    space_guid: str
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)


@frozen
class Process:
    """A process of an app; ``instances`` is how many are desired."""

    guid: str
    type: str
    instances: int
    app_guid: str


@frozen
class Destination:
    """Where a route leads: a process type of an app, on a port of its container."""

    app_guid: str
    process_type: str
    port: int | None


@frozen
class Domain:
    """A domain. ``mutual_tls``: it wants a client certificate of every caller."""

    guid: str
    name: str
    internal: bool = False
    tcp: bool = False
    mutual_tls: bool = False


@frozen
class Route:
    """A route; ``url`` is ``host.domain/path`` without a scheme."""

    guid: str
    protocol: str
    host: str
    path: str
    url: str
    domain_guid: str
    destinations: tuple[Destination, ...]


@frozen
class RouteBinding:
    """A route whose requests pass a route service first."""

    guid: str
    route_guid: str


def organization_from_json(data: Json) -> Organization:
    """From ``/v3/organizations`` or ``included.organizations``."""
    return Organization(_guid(data), _text(data, "name"))


def space_from_json(data: Json) -> Space:
    """From ``/v3/spaces`` or ``included.spaces``."""
    return Space(_guid(data), _text(data, "name"), _related(data, "organization"))


def app_from_json(data: Json) -> App:
    """From ``/v3/apps``; very old versions have no metadata."""
    metadata = data.get("metadata") or {}
    return App(
        guid=_guid(data),
        name=_text(data, "name"),
        started=data["state"] == "STARTED",
        space_guid=intern(_related(data, "space")),
        labels=_texts(metadata, "labels"),
        annotations=_texts(metadata, "annotations"),
    )


def process_from_json(data: Json) -> Process:
    """From ``/v3/processes``."""
    instances = _number(data["instances"], "instances")
    return Process(_guid(data), intern(_text(data, "type")), instances, _related(data, "app"))


def domain_from_json(data: Json) -> Domain:
    """From ``included.domains``; the flags for TCP and for client certificates may be missing."""
    return Domain(
        guid=_guid(data),
        name=_text(data, "name"),
        internal=bool(data.get("internal")),
        tcp=data.get("router_group") is not None,
        mutual_tls=bool(data.get("enforce_route_policies")),
    )


def route_from_json(data: Json) -> Route:
    """From ``/v3/routes``."""
    if not isinstance(data["destinations"], list):
        raise MalformedResource("destinations is not a list")
    destinations = (_destination(destination) for destination in data["destinations"])
    return Route(
        guid=_guid(data),
        protocol=intern(_text(data, "protocol") if data.get("protocol") else "http"),
        host=_text(data, "host"),
        path=_text(data, "path"),
        url=_text(data, "url"),
        domain_guid=intern(_related(data, "domain")),
        destinations=tuple(destinations),
    )


def binding_from_json(data: Json) -> RouteBinding:
    """From ``/v3/service_route_bindings``."""
    return RouteBinding(_guid(data), _related(data, "route"))


def _destination(data: Json) -> Destination:
    app, port = data["app"], data.get("port")
    return Destination(
        app_guid=_guid(app),
        process_type=intern(_text(app["process"], "type")),
        port=None if port is None else _number(port, "port"),
    )


def _related(data: Json, name: str) -> str:
    return _guid(data["relationships"][name]["data"])


def _guid(data: Json) -> str:
    guid = _text(data, "guid")
    if not _GUID.fullmatch(guid):
        raise MalformedResource("guid is not a guid")
    return guid


def _text(data: Json, name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise MalformedResource(f"{name} is not a string")
    if len(value) > MAX_TEXT:
        raise MalformedResource(f"{name} is longer than {MAX_TEXT} characters")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise MalformedResource(f"{name} is not text")
    return value


def _texts(data: Json, name: str) -> Mapping[str, str]:
    values = data.get(name) or {}
    if not all(isinstance(value, str) for value in values.values()):
        raise MalformedResource(f"{name} hold something that is not a string")
    found: Mapping[str, str] = values
    return found


def _number(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedResource(f"{name} is not a number")
    return value


def guid_of(data: Any) -> str:
    """The guid of whatever is in a list, ``""`` where it has none that can be shown."""
    try:
        return _guid(data)
    except (LookupError, TypeError, AttributeError):
        return ""


def malformation_of(error: Exception) -> str:
    """The error of a ``…_from_json`` in words, without a part of the resource."""
    if isinstance(error, MalformedResource):
        return str(error)
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return "something in it is null or of another kind than the API has there"
