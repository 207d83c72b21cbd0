"""Make a foundation of a given size, and let it live.

What an app is like follows from its number, so that every 50 apps show every kind: see `_plan`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from random import Random
from typing import TypedDict

from attrs import field, frozen, validators

from promproxy.errors import ConfigError
from promproxy.simulation.foundation import Foundation
from promproxy.simulation.values import (
    RUNNING,
    STARTED,
    STOPPED,
    App,
    Destination,
    Domain,
    Org,
    Process,
    Route,
    Space,
    timestamp,
)

# 2026-01-01T00:00:00Z; fixed, so that equal seeds give equal documents.
_FIRST_CREATION = 1767225600

_NOUNS = ("shop", "billing", "orders", "users", "search", "mail", "stock", "gateway", "reports")
_DOMAINS = {
    "plain": "apps.example.test",
    "tcp": "tcp.example.test",
    "internal": "apps.internal",
    "policy": "secure.example.test",
    "private": "private.example.test",
}
_SPACES = ("dev", "test", "prod", "sandbox", "staging")

_at_least_0 = validators.and_(validators.instance_of(int), validators.ge(0))


@frozen(kw_only=True)
class Size:
    """How big: ``instances`` is the total of desired web instances of STARTED apps."""

    orgs: int = field(default=5, validator=_at_least_0)
    spaces: int = field(default=15, validator=_at_least_0)
    apps: int = field(default=50, validator=_at_least_0)
    instances: int = field(default=100, validator=_at_least_0)

    def __attrs_post_init__(self) -> None:
        for inner, outer in (("instances", "apps"), ("apps", "spaces"), ("spaces", "orgs")):
            if getattr(self, inner) and not getattr(self, outer):
                raise ConfigError(f"a simulated foundation with {inner} needs {outer}, too")


@frozen(kw_only=True)
class _Plan:
    """What one app is like."""

    state: str
    instances: bool
    routes: tuple[str, ...]
    worker: bool
    labels: dict[str, str]
    annotations: dict[str, str]
    redeployed: bool


def make_foundation(size: Size, seconds: Callable[[], float], random: Random) -> Foundation:
    """A foundation of that size; equal seeds of ``random`` give equal foundations."""
    foundation = Foundation(seconds, random)
    orgs = _add_orgs(foundation, size.orgs)
    spaces = _add_spaces(foundation, orgs, size.spaces)
    _add_domains(foundation, orgs)
    plans = [_plan(number) for number in range(size.apps)]
    counts = _share_out(size.instances, plans, random)
    names: Counter[str] = Counter()
    for number, (plan, instances) in enumerate(zip(plans, counts, strict=True)):
        space = random.choice(spaces)
        app = _make_app(foundation, space, names[space.guid], number, plan)
        names[space.guid] += 1
        _add_processes(foundation, app, plan, instances)
        for kind in plan.routes:
            _add_route(foundation, app, kind, number)
    return foundation


def push_app(foundation: Foundation, instances: int) -> App:
    """Add one more ordinary app with a route, as ``cf push`` does, to a random space."""
    guid, now = foundation.new_guid(), timestamp(foundation.seconds())
    app = App(
        guid=guid,
        name=f"pushed-{guid[:8]}",
        space=foundation.random.choice(list(foundation.spaces.values())),
        labels={"monitoring": "prometheus"},
        created_at=now,
        updated_at=now,
    )
    foundation.add_app(app)
    _add_processes(foundation, app, _plan(0), instances)
    foundation.map_route(app.guid, app.name)
    return app


def _plan(number: int) -> _Plan:
    # One kind of route each fifty apps; most have one plain route, number 0 is always ordinary.
    routes: tuple[str, ...] = ("plain",)
    rare = {3: ("tcp",), 13: ("wildcard",), 23: ("internal",), 33: ("policy",), 43: ()}
    if number % 10 == 3:
        routes = rare[number % 50]
    elif number % 50 == 24:
        routes = ("shared",)
    elif number % 10 == 4:
        routes = ("plain", "second", "private")
    elif number % 10 == 5:
        routes = ("path",)
    elif number % 50 == 26:
        routes = ("internal", "plain", "tcp")
    annotations = {}
    if number % 4 == 1:
        annotations["prometheus.io/scrape"] = "true"
    if number % 8 == 1:
        annotations["prometheus.io/path"] = "/custom/metrics"
    return _Plan(
        state=STOPPED if number % 10 == 7 else STARTED,
        instances=number % 20 != 11,
        routes=routes,
        worker=number % 5 == 2,
        labels={"monitoring": "prometheus"} if number % 4 == 0 else {"tier": f"t{number % 3}"},
        annotations=annotations,
        redeployed=number % 3 == 2,
    )


def _share_out(total: int, plans: list[_Plan], random: Random) -> list[int]:
    """How many instances each app gets: one each, and the rest at random, some get many."""
    live = [n for n, plan in enumerate(plans) if plan.state == STARTED and plan.instances]
    counts = [1 if plan.state == STOPPED else 0 for plan in plans]
    for number in live[:total]:
        counts[number] = 1
    rest = max(0, total - len(live))
    weights = [random.paretovariate(1.5) for _ in live]
    for number in random.choices(live, weights, k=rest) if rest else ():
        counts[number] += 1
    return counts


class _Times(TypedDict):
    created_at: str
    updated_at: str


def _created(number: int) -> _Times:
    moment = timestamp(_FIRST_CREATION + number)
    return _Times(created_at=moment, updated_at=moment)


def _add_orgs(foundation: Foundation, count: int) -> list[Org]:
    for number in range(count):
        org = Org(guid=foundation.new_guid(), name=f"org-{number + 1:03}", **_created(number))
        foundation.orgs[org.guid] = org
    return list(foundation.orgs.values())


def _add_spaces(foundation: Foundation, orgs: list[Org], count: int) -> list[Space]:
    for number in range(count):
        nth, org = number // len(orgs), orgs[number % len(orgs)]
        name = _SPACES[nth] if nth < len(_SPACES) else f"team-{nth}"
        labels = {"stage": "production"} if name == "prod" else {}
        space = Space(
            guid=foundation.new_guid(), name=name, org=org, labels=labels, **_created(number)
        )
        foundation.spaces[space.guid] = space
    return list(foundation.spaces.values())


def _add_domains(foundation: Foundation, orgs: list[Org]) -> None:
    guid = foundation.new_guid
    shared = tuple(orgs[1:2])
    for domain in (
        Domain(guid=guid(), name=_DOMAINS["plain"], **_created(0)),
        Domain(guid=guid(), name=_DOMAINS["tcp"], router_group=guid(), **_created(1)),
        Domain(guid=guid(), name=_DOMAINS["internal"], internal=True, **_created(2)),
        Domain(guid=guid(), name=_DOMAINS["policy"], enforce_route_policies=True, **_created(3)),
        Domain(
            guid=guid(),
            name=_DOMAINS["private"],
            owner=orgs[0] if orgs else None,
            shared_with=shared,
            **_created(4),
        ),
    ):
        foundation.domains[domain.guid] = domain


def _make_app(
    foundation: Foundation, space: Space, nth_of_space: int, number: int, plan: _Plan
) -> App:
    name = _NOUNS[nth_of_space % len(_NOUNS)]
    if nth_of_space >= len(_NOUNS):
        name += f"-{nth_of_space // len(_NOUNS)}"
    app = App(
        guid=foundation.new_guid(),
        name=name,
        space=space,
        state=plan.state,
        lifecycle="docker" if number % 16 == 15 else "buildpack",
        labels=plan.labels,
        annotations=plan.annotations,
        **_created(number),
    )
    foundation.add_app(app)
    return app


def _add_processes(foundation: Foundation, app: App, plan: _Plan, instances: int) -> None:
    def add(guid: str, kind: str, count: int) -> None:
        process = Process(
            guid=guid,
            created_at=app.created_at,
            updated_at=app.updated_at,
            app_guid=app.guid,
            space=app.space,
            type=kind,
            version=foundation.new_guid(),
            instances=foundation.new_instances(count, RUNNING),
        )
        foundation.add_process(process)

    # The first web process of an app has the app's guid, one made by a deployment has its own.
    add(foundation.new_guid() if plan.redeployed else app.guid, "web", instances)
    if plan.worker:
        add(foundation.new_guid(), "worker", 1)


def _add_route(foundation: Foundation, app: App, kind: str, number: int) -> None:
    name = _DOMAINS.get(kind, _DOMAINS["plain"])
    host, path, port = f"{app.name}-{number:05}", "", None
    if kind == "tcp":
        host, port = "", 1024 + number
    elif kind == "wildcard":
        host, path = "*", f"/wild-{number}"
    elif kind == "path":
        # All of them on one host name, as teams do that split a site by path.
        host, path = "portal", f"/{app.name}-{number}"
    elif kind in ("second", "shared"):
        host = f"{kind}-{host}"
    guids = [app.guid]
    if kind == "shared":
        guids.append(next(islice(reversed(foundation.apps), 1, None)))
    route = Route(
        guid=foundation.new_guid(),
        host=host,
        path=path,
        port=port,
        domain=next(item for item in foundation.domains.values() if item.name == name),
        space=app.space,
        destinations=tuple(
            Destination(guid=foundation.new_guid(), app_guid=guid) for guid in guids
        ),
        **_created(number),
    )
    foundation.add_route(route)
