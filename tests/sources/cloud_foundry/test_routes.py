"""Tests of promproxy.sources.cloud_foundry.routes."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.cloud_foundry.resources import Process, Route
from promproxy.sources.cloud_foundry.routes import choose_route, ports_of
from promproxy.sources.cloud_foundry.rules import Endpoint
from promproxy.sources.cloud_foundry.settings import Rule
from tests.sources.cloud_foundry.support import DOMAINS, process, route, to

WEB = process()
WORKER = process("worker-1", type="worker")


def chosen(
    *routes: Route, process: Process = WEB, port: int | None = None, **rule: Any
) -> str | None:
    """The URL of the route chosen, or the reason why there is none."""
    endpoint = Endpoint(rule=Rule(**rule), path="/metrics", scheme="https", port=port)
    found = choose_route(endpoint, process, routes, DOMAINS)
    return found if isinstance(found, str) else found.url


class UsableTests(SynchronousTestCase):
    """Routes by which a scrape can reach an app."""

    def test_first_route_is_the_one(self) -> None:
        """In the API's order."""
        self.assertEqual(chosen(route("a"), route("b")), "a.apps.example")

    def test_route_with_a_path_and_route_without_a_host(self) -> None:
        self.assertEqual(chosen(route("a", path="/p")), "a.apps.example/p")
        self.assertEqual(chosen(route("")), "apps.example")

    def test_routes_that_no_scrape_can_use(self) -> None:
        """Even if there are no others; a good one is taken wherever it stands."""
        unusable = {
            "wildcard": route("*"),
            "tcp route": route("a", protocol="tcp"),
            "tcp domain": route("a", domain="tcp"),
            "client certificate wanted": route("a", domain="mtls"),
            "domain unknown": evolve(route("a"), domain_guid="gone"),
        }
        for kind, bad in unusable.items():
            self.assertEqual(chosen(bad), "no_usable_route", kind)
            self.assertEqual(chosen(bad, route("good")), "good.apps.example", kind)

    def test_route_to_something_else(self) -> None:
        """Another app, or another process of this one."""
        for bad in (route("a", to(app="app-2")), route("a", to("worker"))):
            self.assertEqual(chosen(bad), "no_route")
            self.assertEqual(chosen(bad, route("good")), "good.apps.example")
        self.assertEqual(chosen(), "no_route")

    def test_route_shared_with_another_app(self) -> None:
        """As in a blue-green deployment; their ports are none of ours."""
        shared = route("a", to(app="app-2", port=9999), to())
        self.assertEqual(chosen(shared), "a.apps.example")
        self.assertEqual(ports_of(shared, process()), {8080})

    def test_destination_in_a_worker(self) -> None:
        """Taken for a process of that type only."""
        worker = route("w", to("worker", 9000))
        self.assertEqual(chosen(route("a"), worker, process=WORKER), "w.apps.example")


class PreferenceTests(SynchronousTestCase):
    """Which one of several."""

    def preferred(self, *patterns: str) -> str | None:
        routes = (route("a"), route("b"), route("b", path="/p"), route("*"))
        compiled = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
        return chosen(*routes, preferred_route_regex=compiled)

    def test_patterns_are_tried_one_after_the_other(self) -> None:
        """The order of the patterns counts, not that of the routes."""
        self.assertEqual(self.preferred("x.*", "B[.].*/p", "a.*"), "b.apps.example/p")

    def test_pattern_must_match_the_whole_route(self) -> None:
        """With its path; else the first route is taken."""
        self.assertEqual(self.preferred("b[.]apps", "b.*"), "b.apps.example")
        self.assertEqual(self.preferred("b[.]apps"), "a.apps.example")

    def test_unusable_route_is_not_preferred(self) -> None:
        """Whatever the pattern says."""
        self.assertEqual(self.preferred(r"\*.*"), "a.apps.example")


class PortTests(SynchronousTestCase):
    """Ports of containers; the gorouter cannot tell two of one instance apart."""

    def test_route_to_one_port_comes_before_one_to_two(self) -> None:
        """Also before one that is preferred; where there is no other, it must do."""
        both = route("both", to(port=8080), to(port=9090))
        pattern = (re.compile("both.*"),)
        self.assertEqual(chosen(both, route("a"), preferred_route_regex=pattern), "a.apps.example")
        self.assertEqual(chosen(both), "both.apps.example")

    def test_route_to_one_process_type_comes_before_one_to_two(self) -> None:
        """Instances of both have the same app guid and index."""
        both = route("both", to(), to("worker"))
        self.assertEqual(chosen(both, route("a")), "a.apps.example")
        self.assertEqual(chosen(both), "both.apps.example")

    def test_port_asked_for_by_annotation(self) -> None:
        """Only a route that leads there and nowhere else in the app."""
        routes = (route("a"), route("m", to(port=9090)), route("both", to(), to(port=9090)))
        self.assertEqual(chosen(*routes, port=9090), "m.apps.example")
        self.assertEqual(chosen(*routes, port=8080), "a.apps.example")
        self.assertEqual(chosen(*routes, port=1), "no_route_to_port")
        self.assertEqual(chosen(routes[2], port=9090), "no_route_to_port")
        self.assertEqual(chosen(route("a", to(port=None)), port=8080), "no_route_to_port")

    def test_without_usable_route_the_port_does_not_matter(self) -> None:
        """The reason is the missing route."""
        self.assertEqual(chosen(route("*"), port=8080), "no_usable_route")
        self.assertEqual(chosen(port=8080), "no_route")


class RouteServiceTests(SynchronousTestCase):
    """Routes bound to a route service."""

    def chosen(self, *routes: Route, bound: Route, **rule: Any) -> str:
        endpoint = Endpoint(rule=Rule(**rule), path="/metrics", scheme="https")
        found = choose_route(endpoint, WEB, routes, DOMAINS, {bound.guid})
        return found if isinstance(found, str) else found.url

    def test_they_come_last(self) -> None:
        """Also after one that is preferred, and one that leads to two ports."""
        bound, both = route("a"), route("both", to(port=8080), to(port=9090))
        pattern = (re.compile("a.*"),)
        self.assertEqual(
            self.chosen(bound, route("b"), bound=bound, preferred_route_regex=pattern),
            "b.apps.example",
        )
        self.assertEqual(self.chosen(bound, both, bound=bound), "both.apps.example")
        self.assertEqual(self.chosen(bound, route("*"), bound=bound), "a.apps.example")

    def test_in_promregators_order_too(self) -> None:
        bound, internal = route("a"), route("i", domain="internal")
        found = self.chosen(bound, internal, route("b"), bound=bound, internal_routes="in_order")
        self.assertEqual(found, "i.apps.internal")


class InternalTests(SynchronousTestCase):
    """Internal routes, which do not pass the gorouter."""

    def test_only_with_a_port_and_then_before_others(self) -> None:
        """Without them the others are taken."""
        routes = (route("a"), route("i", domain="internal"))
        self.assertEqual(chosen(*routes), "a.apps.example")
        self.assertEqual(chosen(*routes, internal_route_port=8080), "i.apps.internal")
        self.assertEqual(chosen(routes[0], internal_route_port=8080), "a.apps.example")

    def test_app_that_has_no_others(self) -> None:
        """Where the rule does not use them, the reason says that there are some."""
        self.assertEqual(chosen(route("i", domain="internal")), "internal_routes")
        self.assertEqual(chosen(route("i", domain="internal"), route("*")), "internal_routes")

    def test_first_without_a_port(self) -> None:
        routes = (route("a"), route("i", domain="internal"))
        self.assertEqual(chosen(*routes, internal_routes="first"), "i.apps.internal")

    def test_in_order(self) -> None:
        """The first route of all, or the first that a pattern fits, as Promregator has it."""
        public, internal = route("a"), route("i", domain="internal")
        for port in (None, 9100):
            rule: dict[str, Any] = {"internal_routes": "in_order", "internal_route_port": port}
            self.assertEqual(chosen(public, internal, **rule), "a.apps.example")
            self.assertEqual(chosen(internal, public, **rule), "i.apps.internal")
            self.assertEqual(chosen(route("*"), internal, public, **rule), "i.apps.internal")
            rule["preferred_route_regex"] = (re.compile(r".*[.]apps[.]internal"),)
            self.assertEqual(chosen(public, internal, **rule), "i.apps.internal")
            self.assertEqual(chosen(public, **rule), "a.apps.example")

    def test_preference_counts_among_them(self) -> None:
        """As among the others."""
        routes = (route("i", domain="internal"), route("j", domain="internal"))
        patterns = (re.compile("j.*"),)
        found = chosen(*routes, internal_route_port=8080, preferred_route_regex=patterns)
        self.assertEqual(found, "j.apps.internal")

    def test_ports_of_destinations_do_not_matter(self) -> None:
        """Names lead to the container, whatever its ports."""
        both = route("i", to(), to(port=9090), domain="internal")
        self.assertEqual(chosen(both, internal_route_port=1234, port=9100), "i.apps.internal")

    def test_internal_route_to_another_process(self) -> None:
        """Is not this one's."""
        routes = (route("i", to("worker"), domain="internal"), route("a"))
        self.assertEqual(chosen(*routes, internal_route_port=8080), "a.apps.example")
