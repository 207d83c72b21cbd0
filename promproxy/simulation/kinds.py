"""The Cloud Controller's lists: what each one can be filtered by, sorted by and include.

Source: the ``*_list_message.rb`` in ``app/messages`` of cloudfoundry/cloud_controller_ng.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from promproxy.simulation.values import App, Domain, Process, Route

Key = Callable[[Any], Iterable[str]]


@frozen(kw_only=True)
class Kind:
    """One list: its parameters in the order of the error message, and how items are matched.

    ``keys`` gives for each filter the values of an item, of which one must be asked for.
    Values of the filters in ``folded`` compare without regard to case.
    """

    title: str
    parameters: tuple[str, ...]
    keys: Mapping[str, Key]
    folded: frozenset[str] = frozenset()
    includes: tuple[str, ...] = ()
    orders: tuple[str, ...] = ("created_at", "updated_at")


def _own(name: str) -> Key:
    return lambda item: (getattr(item, name),)


def _org_of(item: App | Process | Route) -> tuple[str]:
    return (item.space.org.guid,)


def _space_of(item: App | Process | Route) -> tuple[str]:
    return (item.space.guid,)


def _apps_of(route: Route) -> list[str]:
    return [destination.app_guid for destination in route.destinations]


def _stacks_of(app: App) -> tuple[str, ...]:
    return ("cflinuxfs4",) if app.lifecycle == "buildpack" else ()


def _owner_of(domain: Domain) -> tuple[str, ...]:
    return (domain.owner.guid,) if domain.owner else ()


def _nothing(_item: object) -> tuple[str, ...]:
    return ()


_NAMES = frozenset({"names"})
_NAME_ORDERS = ("created_at", "updated_at", "name")
KINDS: Mapping[str, Kind] = {
    "organizations": Kind(
        title="Organization",
        parameters=("names", "label_selector"),
        keys={"names": _own("name")},
        folded=_NAMES,
        orders=_NAME_ORDERS,
    ),
    "spaces": Kind(
        title="Space",
        parameters=("names", "organization_guids", "include", "label_selector"),
        keys={"names": _own("name"), "organization_guids": lambda space: (space.org.guid,)},
        folded=_NAMES,
        includes=("organization",),
        orders=_NAME_ORDERS,
    ),
    "apps": Kind(
        title="App",
        parameters=(
            *("names", "organization_guids", "space_guids", "stacks", "include"),
            *("lifecycle_type", "label_selector"),
        ),
        keys={
            "names": _own("name"),
            "organization_guids": _org_of,
            "space_guids": _space_of,
            "stacks": _stacks_of,
            "lifecycle_type": _own("lifecycle"),
        },
        folded=_NAMES,
        includes=("space", "space.organization"),
        orders=(*_NAME_ORDERS, "state"),
    ),
    "processes": Kind(
        title="Process",
        parameters=(
            *("types", "app_guids", "space_guids", "organization_guids"),
            *("label_selector", "embed"),
        ),
        keys={
            "types": _own("type"),
            "app_guids": _own("app_guid"),
            "space_guids": _space_of,
            "organization_guids": _org_of,
        },
    ),
    "routes": Kind(
        title="Route",
        parameters=(
            *("app_guids", "space_guids", "organization_guids", "domain_guids", "hosts", "paths"),
            *("ports", "service_instance_guids", "include", "label_selector"),
        ),
        keys={
            "app_guids": _apps_of,
            "space_guids": _space_of,
            "organization_guids": _org_of,
            "domain_guids": lambda route: (route.domain.guid,),
            "hosts": _own("host"),
            "paths": _own("path"),
            "ports": lambda route: (str(route.port),),
            # No route of the simulation says by which service instance it is bound.
            "service_instance_guids": _nothing,
        },
        folded=frozenset({"hosts"}),
        includes=("domain", "space", "space.organization"),
    ),
    "domains": Kind(
        title="Domain",
        parameters=("names", "organization_guids", "label_selector"),
        keys={"names": _own("name"), "organization_guids": _owner_of},
        folded=_NAMES,
    ),
    "service_route_bindings": Kind(
        title="Service route binding",
        parameters=("route_guids", "service_instance_guids", "label_selector"),
        keys={
            "route_guids": lambda binding: (binding.route.guid,),
            "service_instance_guids": _nothing,
        },
    ),
}
PROCESSES_OF_APP = Kind(
    title="Process",
    parameters=("types", "label_selector", "embed"),
    keys={"types": _own("type")},
)
