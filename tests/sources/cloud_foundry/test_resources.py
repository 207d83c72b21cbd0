"""Tests of promproxy.sources.cloud_foundry.resources."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.cloud_foundry.resources import (
    MAX_TEXT,
    App,
    Destination,
    Domain,
    Organization,
    Process,
    Space,
    app_from_json,
    domain_from_json,
    organization_from_json,
    process_from_json,
    route_from_json,
    space_from_json,
)
from tests.simulation.support import World, sample

READERS: dict[str, Callable[[Any], Any]] = {
    "organizations": organization_from_json,
    "spaces": space_from_json,
    "apps": app_from_json,
    "processes": process_from_json,
    "routes": route_from_json,
    "domains": domain_from_json,
}
PROMISED = (KeyError, TypeError, AttributeError)


def first(name: str) -> Any:
    """The first resource of a recorded list."""
    return sample(name)["resources"][0]


def without(data: Any, *way: str) -> Any:
    """A copy in which one member is missing."""
    changed = copy.deepcopy(data)
    place = changed
    for name in way[:-1]:
        place = place[name]
    del place[way[-1]]
    return changed


def with_value(data: Any, value: object, *way: str) -> Any:
    """A copy in which one member has another value."""
    changed = copy.deepcopy(data)
    place = changed
    for name in way[:-1]:
        place = place[name]
    place[way[-1]] = value
    return changed


class SampleTests(SynchronousTestCase):
    """Recorded bodies of the real API."""

    def test_every_sample_is_read(self) -> None:
        """As a list, and where it is included in another one."""
        for name, read in READERS.items():
            resources = sample(name)["resources"]
            self.assertEqual([read(r).guid for r in resources], [r["guid"] for r in resources])
        for name in ("apps_include", "routes_include", "spaces_include"):
            for kind, resources in sample(name)["included"].items():
                for resource in resources:
                    self.assertEqual(READERS[kind](resource).name, resource["name"])

    def test_what_is_kept_of_each(self) -> None:
        """Names, states, numbers, and what belongs to what."""
        self.assertEqual(
            organization_from_json({"guid": "o", "name": "acme", "new": 1}),
            Organization("o", "acme"),
        )
        org = {"organization": {"data": {"guid": "o"}}}
        self.assertEqual(
            space_from_json({"guid": "s", "name": "prod", "relationships": org}),
            Space("s", "prod", "o"),
        )
        document = {
            "guid": "a",
            "name": "shop",
            "state": "STARTED",
            "relationships": {"space": {"data": {"guid": "s"}}},
            "metadata": {"labels": {"k": "v"}, "annotations": {"n": "t"}},
        }
        self.assertEqual(
            app_from_json(document), App("a", "shop", True, "s", {"k": "v"}, {"n": "t"})
        )
        web = {"guid": "p", "type": "web", "instances": 3}
        relation = {"relationships": {"app": {"data": {"guid": "a"}}, "revision": None}}
        self.assertEqual(process_from_json({**web, **relation}), Process("p", "web", 3, "a"))

    def test_route_of_the_samples(self) -> None:
        route = route_from_json(first("routes"))
        self.assertEqual((route.host, route.path), ("a-hostname", "/some_path"))
        self.assertEqual(route.url, "a-hostname.a-domain.com/some_path")
        self.assertEqual(
            route.destinations[0], Destination("1cb006ee-fb05-47e1-b541-c34179ddc446", "web", 8080)
        )

    def test_simulated_resources_are_read(self) -> None:
        """Whatever the simulation makes."""
        world = World()
        for name in ("organizations", "spaces", "apps", "processes", "routes", "domains"):
            resources = world.json(f"/v3/{name}", "per_page=500")["resources"]
            self.assertTrue(resources)
            for resource in resources:
                self.assertEqual(READERS[name](resource).guid, resource["guid"])


class OddTests(SynchronousTestCase):
    """What old and odd foundations say."""

    def test_app_without_metadata(self) -> None:
        """Very old versions have none, or only a part."""
        for metadata in (None, {}, {"labels": None}, {"annotations": None}):
            app = app_from_json(with_value(first("apps"), metadata, "metadata"))
            self.assertEqual((dict(app.labels), dict(app.annotations)), ({}, {}))
        self.assertEqual(dict(app_from_json(without(first("apps"), "metadata")).labels), {})

    def test_only_started_is_started(self) -> None:
        """Any other state is not."""
        for state, started in (("STARTED", True), ("STOPPED", False), ("started", False)):
            self.assertIs(app_from_json(with_value(first("apps"), state, "state")).started, started)

    def test_route_without_protocol_is_http(self) -> None:
        """Versions before TCP routes in API 3 do not say."""
        for route in (
            without(first("routes"), "protocol"),
            with_value(first("routes"), None, "protocol"),
        ):
            self.assertEqual(route_from_json(route).protocol, "http")

    def test_route_without_destinations_or_ports(self) -> None:
        """A route may lead nowhere; old versions tell no port."""
        self.assertEqual(
            route_from_json(with_value(first("routes"), [], "destinations")).destinations, ()
        )
        destination = without(first("routes")["destinations"][0], "port")
        route = route_from_json(with_value(first("routes"), [destination], "destinations"))
        self.assertIsNone(route.destinations[0].port)

    def test_flags_of_domains(self) -> None:
        """Each of them may be missing."""
        plain = {"guid": "d", "name": "example.org"}
        self.assertEqual(domain_from_json(plain), Domain("d", "example.org"))
        self.assertTrue(domain_from_json({**plain, "internal": True}).internal)
        self.assertTrue(domain_from_json({**plain, "router_group": {"guid": "g"}}).tcp)
        self.assertFalse(domain_from_json({**plain, "router_group": None}).tcp)
        self.assertTrue(domain_from_json({**plain, "enforce_route_policies": True}).mutual_tls)


class HostileTests(SynchronousTestCase):
    """What is no resource is refused by the errors that the module promises."""

    def refused(self, read: Callable[[Any], Any], data: Any) -> None:
        self.assertRaises(PROMISED, read, data)

    def test_missing_or_odd_guid(self) -> None:
        """It becomes a part of headers, paths and queries."""
        for name, read in READERS.items():
            self.refused(read, without(first(name), "guid"))
            for guid in (None, 5, "", "a b", "a,b", "a/b", "a\r\nX: y", "é", "x" * 201):
                self.refused(read, with_value(first(name), guid, "guid"))

    def test_missing_relationship(self) -> None:
        """A space without an org, and so on."""
        for name, relation in (
            ("spaces", "organization"),
            ("apps", "space"),
            ("processes", "app"),
            ("routes", "domain"),
        ):
            for value in (None, {"data": None}, {"data": {"guid": 5}}, [], "x"):
                data = with_value(first(name), value, "relationships", relation)
                self.refused(READERS[name], data)

    def test_names_that_are_no_strings(self) -> None:
        """In all that has a name."""
        for name in ("organizations", "spaces", "apps", "domains"):
            for value in (None, 5, ["x"], "x" * (MAX_TEXT + 1), "\ud800"):
                self.refused(READERS[name], with_value(first(name), value, "name"))
            READERS[name](with_value(first(name), "\U0001f600" * MAX_TEXT, "name"))

    def test_instances_that_are_no_number(self) -> None:
        """They are counted through."""
        for value in (None, "2", 2.0, [], True):
            self.refused(process_from_json, with_value(first("processes"), value, "instances"))

    def test_metadata_that_is_no_mapping_of_strings(self) -> None:
        """What reads labels and annotations relies on it."""
        for kind in ("labels", "annotations"):
            for value in ([], "x", 5, {"k": 5}, {"k": None}, {"k": ["v"]}):
                if value:
                    data = with_value(first("apps"), value, "metadata", kind)
                    self.refused(app_from_json, data)

    def test_destinations_that_are_none(self) -> None:
        """Every part of one is needed but the port, which is a number."""
        good = first("routes")["destinations"][0]
        for value in (
            None,
            5,
            [None],
            [{}],
            [without(good, "app", "process")],
            [with_value(good, "8080", "port")],
        ):
            self.refused(route_from_json, with_value(first("routes"), value, "destinations"))

    @given(
        st.sampled_from(sorted(READERS)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
        st.data(),
    )
    def test_any_json(self, name: str, value: object, data: st.DataObject) -> None:
        """As the resource, or in place of one of its members."""
        resource = first(name)
        member = data.draw(st.sampled_from(["", *sorted(resource)]))
        document = with_value(resource, value, member) if member else value
        with contextlib.suppress(PROMISED):
            READERS[name](document)
