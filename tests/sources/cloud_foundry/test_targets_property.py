"""Any foundation and any rules give exactly the targets of an obvious reference implementation.

Hypothesis draws the seeds only: drawing every value by itself makes mostly empty foundations, and
takes ten times as long.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.cloud_foundry.label_selector import parse_label_selector
from promproxy.sources.cloud_foundry.resources import (
    App,
    Destination,
    Domain,
    Organization,
    Process,
    Route,
    Space,
)
from promproxy.sources.cloud_foundry.settings import Rule, Selector
from promproxy.sources.cloud_foundry.targets import Inventory, TargetOptions, targets_of
from promproxy.targets.target import LeftOut, Target
from tests.sources.cloud_foundry.reference import Expected, expected_targets

NAMES = ("shop", "Shop", "shop-2", "prod")
APP_GUIDS = ("a0", "a1", "a2")
PATHS = ("/metrics", "/a", "/a/", "/a//b", "/x?y=1", "/x?y=2", "/p%20q", "/~*")
BAD_PATHS = ("/b c", "/#", "/é", "/x?#")
PATTERNS = tuple(re.compile(p, re.IGNORECASE) for p in ("SHOP.*", "s|prod", ".*", "no"))
ROUTE_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r".*/P", r"H1\..*", r"h2", r"[^/]*apps\.example", ".*int.*")
)
LABEL_SELECTORS = tuple(map(parse_label_selector, ("tier=web", "!stage", "stage in (db,web)")))
DOMAINS = {
    "plain": Domain("plain", "apps.example"),
    "other": Domain("other", "other.example"),
    "odd": Domain("odd", "odd example"),
    "internal": Domain("internal", "apps.internal", internal=True),
    "tcp": Domain("tcp", "tcp.example", tcp=True),
    "mtls": Domain("mtls", "mtls.example", mutual_tls=True),
}


class Maker:
    """Makes random things; most of them are such that there are targets."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.one_of = random.choice

    def usually(self, value: Any, *others: Any) -> Any:
        """Mostly the first one."""
        return value if self.random.random() < 0.9 else self.one_of(others)

    def some(self, values: tuple[Any, ...], most: int, least: int = 0) -> tuple[Any, ...]:
        """Different ones of them."""
        return tuple(self.random.sample(values, self.random.randint(least, most)))

    def inventory(self) -> Inventory:
        """Lists that were read at different moments: anything may be missing in any of them."""
        orgs = [Organization("o0", self.one_of(NAMES)), Organization("o1", "Other")]
        spaces = [
            Space("s0", self.one_of(NAMES), "o0"),
            Space("s1", "prod", self.usually("o1", "gone")),
        ]
        numbers = range(self.random.randint(0, 9))
        return Inventory(
            organizations={org.guid: org for org in orgs},
            spaces={space.guid: space for space in spaces},
            apps={guid: self.app(guid) for guid in self.some(APP_GUIDS, 3, 1)},
            processes={process.guid: process for process in map(self.process, numbers)},
            routes={route.guid: route for route in map(self.route, reversed(numbers))},
            domains=DOMAINS,
        )

    def app(self, guid: str) -> App:
        """An app, mostly started."""
        annotations = {
            "scrape": self.usually("true", "false", "True"),
            "path": self.one_of(("", "/annotated", "annotated?q", "/metrics", *BAD_PATHS)),
            "port": self.one_of(("", "8080", "9090", "65535", "0", "65536", "x")),
            "scheme": self.one_of(("", "http", "https", "HTTP")),
        }
        said = ("scrape", *self.some(("path", "port", "scheme"), 2))
        return App(
            guid=guid,
            name=self.one_of(NAMES),
            started=self.usually(True, False),
            space_guid=self.one_of(("s0", "s0", "s0", "s1", "s1", "gone")),
            labels={key: self.one_of(("web", "db")) for key in self.some(("tier", "stage"), 2)},
            annotations={f"prometheus.io/{name}": annotations[name] for name in said},
        )

    def process(self, number: int) -> Process:
        """A process; an app's first one has the app's guid."""
        app_guid = self.one_of((*APP_GUIDS, *APP_GUIDS, "gone"))
        return Process(
            guid=self.one_of((app_guid, f"p{number}")),
            type=self.one_of(("web", "web", "worker")),
            instances=self.random.randint(0, 3),
            app_guid=app_guid,
        )

    def route(self, number: int) -> Route:
        """A route of any kind; now and then its domain is not known."""
        host = self.usually(self.one_of(("h1", "h2")), "", "*", "h 3")
        path = self.usually("", "/p", "/q/r", "/ü")
        domain = self.one_of((*["plain"] * 12, "internal", *DOMAINS, "gone"))
        name = DOMAINS[domain].name if domain in DOMAINS else "gone.example"
        destinations = [
            Destination(
                self.one_of((*APP_GUIDS, "gone")),
                self.one_of(("web", "web", "worker")),
                self.one_of((8080, 8080, 9090, None)),
            )
            for _ in range(self.one_of((0, 2, 3, 4, 5)))
        ]
        return Route(
            guid=f"r{number}",
            protocol=self.usually("http", "tcp"),
            host=host,
            path=path,
            url=f"{host}.{name}{path}" if host else f"{name}{path}",
            domain_guid=domain,
            destinations=tuple(destinations),
        )

    def conditions(self) -> dict[str, Any]:
        """None, or mostly few."""
        if self.one_of((False, True)):
            return {}
        found = {
            "org_guid": self.usually("", "o0"),
            "space_guid": self.usually("", "s0"),
            "label_selector": self.usually(None, *LABEL_SELECTORS),
        }
        for kind, names in (("org", ("shop", "other")), ("space", ("PROD",)), ("app", ("shop",))):
            found[kind] = self.usually("", *names)
            if not found[kind]:
                found[f"{kind}_regex"] = self.usually(None, *PATTERNS)
        return found

    def rule(self) -> Rule:
        """Any rule."""
        types = (*[("web",)] * 5, ("web", "worker"), ("worker", "web"), ("worker",), ("task",))
        overrides = ("fixed.example", "fixed.example/over?x=y", "fixed.example:8443", "a b")
        own = ("h1.apps.example", "h1.apps.example/p/x", "h2.apps.example:443/m", "x.apps.example")
        override = self.usually("", *overrides, *own)
        internal: dict[str, Any] = {
            "internal_route_port": self.one_of((None, None, 8080, 80)),
            "internal_routes": self.one_of(("", "", "first", "in_order")),
        }
        return Rule(
            **self.conditions(),
            paths=self.some((*PATHS, self.one_of(BAD_PATHS)), 3, 1),
            scheme=self.usually("https", "http"),
            annotations=self.one_of((False, True)),
            preferred_route_regex=self.some(ROUTE_PATTERNS, 2),
            **internal,
            process_types=self.one_of(types),
            override_route_and_path=override,
            outbound=self.one_of(("", "vm-tls")),
        )

    def options(self) -> TargetOptions:
        """Any configuration."""
        excluded = self.usually((), (replace_if_empty(Selector(**self.conditions())),))
        return TargetOptions(
            source="prod",
            rules=tuple(self.rule() for _ in range(self.random.randint(1, 3))),
            exclude=excluded,
            by_process=self.one_of((False, True)),
            router=self.one_of(("", "https://10.0.0.5")),
            credentialed=self.one_of((frozenset(), frozenset(("vm-tls",)))),
            promregator_labels=self.one_of((False, True)),
        )


def replace_if_empty(selector: Selector) -> Selector:
    """One that does not exclude everything."""
    return evolve(selector, app="shop") if selector == Selector() else selector


def as_expected(target: Target) -> Expected:
    """What the reference says of a target."""
    return Expected(
        id=target.id,
        instance=target.instance,
        url=target.url,
        query=target.query,
        headers=target.headers,
        router=target.router,
        outbound=target.outbound,
    )


RANDOM = st.randoms(use_true_random=True)


class PropertyTests(SynchronousTestCase):
    """The targets of random foundations under random rules."""

    @settings(max_examples=2000)
    @given(RANDOM)
    def test_exactly_the_targets_of_the_reference(self, random: Random) -> None:
        """No more, no fewer, and each with its id, instance, URL and headers."""
        found, options = Maker(random).inventory(), Maker(random).options()
        items = list(targets_of(found, options))
        targets = [item for item in items if isinstance(item, Target)]
        self.assertEqual(
            sorted(map(as_expected, targets)), expected_targets(found, options), (found, options)
        )
        self.assertEqual({target.source for target in targets} | {"prod"}, {"prod"})
        ids, instances = {t.id for t in targets}, {t.instance for t in targets}
        self.assertEqual((len(ids), len(instances)), (len(targets), len(targets)))

    @given(RANDOM)
    def test_app_without_targets_is_explained(self, random: Random) -> None:
        """Whatever the reason is."""
        found, options = Maker(random).inventory(), Maker(random).options()
        for guid, app in found.apps.items():
            items = list(targets_of(evolve(found, apps={guid: app}), options))
            self.assertTrue(any(isinstance(item, (Target, LeftOut)) for item in items))

    def test_random_foundations_are_worth_the_trouble(self) -> None:
        """Many of them have targets, of every kind."""
        kinds = {"none": 0, "several": 0, "further": 0, "internal": 0}
        for seed in range(200):
            maker = Maker(Random(seed))
            targets = expected_targets(maker.inventory(), maker.options())
            kinds["none"] += not targets
            kinds["several"] += len(targets) > 2
            kinds["further"] += any("/" in target.instance for target in targets)
            kinds["internal"] += any(not target.headers for target in targets)
        self.assertLess(kinds["none"], 160)
        self.assertGreater(min(kinds.values()), 5)
