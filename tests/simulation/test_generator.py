"""Tests of promproxy.simulation.generator."""

from __future__ import annotations

import re
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.simulation.foundation import Foundation
from promproxy.simulation.generator import Size, make_foundation
from promproxy.simulation.values import STARTED, STOPPED

GUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def make(size: Size, seed: int = 1) -> Foundation:
    return make_foundation(size, lambda: 0.0, Random(seed))


class SizeTests(SynchronousTestCase):
    """Sizes that cannot be."""

    def test_negative_is_refused(self) -> None:
        """A negative number is no size."""
        with self.assertRaises(ValueError):
            Size(apps=-1)

    def test_inner_without_outer_is_refused(self) -> None:
        """What must lie in something cannot be without it."""
        for size in ({"apps": 0}, {"spaces": 0}, {"orgs": 0}):
            with self.assertRaises(ConfigError):
                Size(**{"orgs": 1, "spaces": 1, "apps": 1, "instances": 1, **size})


class MakeFoundationTests(SynchronousTestCase):
    """What a generated foundation is like."""

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 60), st.integers(0, 150))
    def test_has_the_size_asked_for(
        self, orgs: int, spaces: int, apps: int, instances: int
    ) -> None:
        """Each count is exact, instances being web instances of STARTED apps."""
        found = make(Size(orgs=orgs, spaces=spaces, apps=apps, instances=instances))
        assert (len(found.orgs), len(found.spaces), len(found.apps)) == (orgs, spaces, apps)
        assert len(list(found.web_instances())) == instances

    def test_equal_seeds_give_equal_foundations(self) -> None:
        """The guids follow from the seed, and differ with it."""
        size = Size()
        assert list(make(size).routes) == list(make(size).routes)
        assert list(make(size).routes) != list(make(size, seed=2).routes)

    def test_guids_are_lower_case_and_unique(self) -> None:
        """Every guid has the form that the gorouter demands."""
        found = make(Size())
        guids = [*found.orgs, *found.spaces, *found.apps, *found.routes, *found.domains]
        assert all(GUID.fullmatch(guid) for guid in guids)
        assert len(set(guids)) == len(guids)

    def test_fifty_apps_show_every_kind(self) -> None:
        """States, routes, processes and metadata of all sorts occur."""
        found = make(Size(apps=50))
        apps = list(found.apps.values())
        assert {app.state for app in apps} == {STARTED, STOPPED}
        assert any(app.labels.get("monitoring") == "prometheus" for app in apps)
        assert any("prometheus.io/path" in app.annotations for app in apps)
        assert {len(found.routes_of(app.guid)) for app in apps} == {0, 1, 2, 3}
        routes = list(found.routes.values())
        assert any(route.protocol == "tcp" for route in routes)
        assert any(route.host == "*" for route in routes)
        assert any(route.domain.internal for route in routes)
        assert any(route.domain.enforce_route_policies for route in routes)
        assert any(route.domain.owner for route in routes)
        assert any(route.path and route.scrapable for route in routes)
        assert any(len(route.destinations) > 1 for route in routes)
        assert {item.type for item in found.processes.values()} == {"web", "worker"}
        web = [found.web_processes(app.guid)[0] for app in apps if app.state == STARTED]
        assert {item.guid == item.app_guid for item in web} == {True, False}
        assert 0 in {len(item.instances) for item in web}

    def test_names_are_unique_where_they_must_be(self) -> None:
        """App names within a space, space names within an org, URLs everywhere."""
        found = make(Size(orgs=2, spaces=12, apps=200, instances=300))
        apps = [(app.space.guid, app.name) for app in found.apps.values()]
        spaces = [(space.org.guid, space.name) for space in found.spaces.values()]
        urls = [route.url for route in found.routes.values()]
        for names in (apps, spaces, urls):
            assert len(set(names)) == len(names)
