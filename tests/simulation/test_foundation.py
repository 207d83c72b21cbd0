"""Tests of promproxy.simulation.foundation and promproxy.simulation.churn."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.churn import churn
from promproxy.simulation.foundation import Foundation
from promproxy.simulation.values import CRASHED, RUNNING, STARTING, SimulationError
from tests.simulation.support import World


class OperationTests(SynchronousTestCase):
    """What each operation changes."""

    def setUp(self) -> None:
        """A foundation and one ordinary app of it, with two instances."""
        self.world = World()
        self.foundation = self.world.simulation.foundation
        self.guid = self.world.instance(instances=2).app.guid

    def indices(self) -> list[tuple[int, str]]:
        return [
            (item.instance.index, item.instance.state)
            for item in self.foundation.web_instances()
            if item.app.guid == self.guid
        ]

    def test_scale_up_keeps_the_running_ones(self) -> None:
        """Instances that were there stay the same containers."""
        before = self.foundation.web_processes(self.guid)[0].instances
        self.foundation.scale(self.guid, 4, state=STARTING)
        after = self.foundation.web_processes(self.guid)[0].instances
        assert after[:2] == before
        assert self.indices()[2:] == [(2, STARTING), (3, STARTING)]

    def test_finish_starting_lets_them_run(self) -> None:
        """What was STARTING runs."""
        self.foundation.scale(self.guid, 3, state=STARTING)
        self.foundation.finish_starting()
        assert self.indices()[2] == (2, RUNNING)

    def test_scale_down_drops_the_highest_indices(self) -> None:
        """As the platform does."""
        self.foundation.scale(self.guid, 1)
        assert self.indices() == [(0, RUNNING)]

    def test_stop_and_start(self) -> None:
        """A stopped app has no instances; started again it has as many, as new containers."""
        before = self.foundation.web_processes(self.guid)[0].instances
        self.foundation.stop(self.guid)
        assert self.indices() == []
        self.foundation.start(self.guid)
        assert self.indices() == [(0, RUNNING), (1, RUNNING)]
        after = self.foundation.web_processes(self.guid)[0].instances
        assert before[0].guid != after[0].guid

    def test_crash_and_recover(self) -> None:
        """A crashed instance stays listed, in its place."""
        self.foundation.crash(self.guid, 0)
        assert self.indices() == [(0, CRASHED), (1, RUNNING)]
        self.foundation.recover(self.guid, 0)
        assert self.indices() == [(0, RUNNING), (1, RUNNING)]

    def test_rolling_deployment(self) -> None:
        """Two web processes with equal indices at first, then only the new one."""
        new = self.foundation.begin_deployment(self.guid)
        assert new.guid != self.guid
        assert self.indices() == [(0, RUNNING), (1, RUNNING), (0, RUNNING)]
        self.foundation.finish_deployment(self.guid)
        (process,) = self.foundation.web_processes(self.guid)
        assert (process.guid, len(process.instances)) == (new.guid, 2)

    def test_delete_takes_processes_and_routes_along(self) -> None:
        """Nothing of a deleted app remains."""
        (route,) = self.foundation.routes_of(self.guid)
        self.foundation.delete_app(self.guid)
        assert self.guid not in self.foundation.apps
        assert self.foundation.processes_of(self.guid) == []
        assert self.foundation.routes_at(route.fqdn) == []

    def test_delete_leaves_a_shared_route_to_the_other_app(self) -> None:
        """A route with two apps keeps the other destination."""
        route = next(
            item for item in self.foundation.routes.values() if len(item.destinations) == 2
        )
        first, second = (item.app_guid for item in route.destinations)
        self.foundation.delete_app(first)
        kept = self.foundation.routes[route.guid]
        assert [item.app_guid for item in kept.destinations] == [second]

    def test_map_route(self) -> None:
        """A new route leads to the app; the same again is refused."""
        route = self.foundation.map_route(self.guid, "extra", path="/x")
        assert route.url == "extra.apps.example.test/x"
        assert route in self.foundation.routes_of(self.guid)
        with self.assertRaises(SimulationError):
            self.foundation.map_route(self.guid, "extra", path="/x")

    def test_impossible_operations_are_refused(self) -> None:
        """Unknown apps, instances and deployments raise our error and change nothing."""
        for operation, arguments in (
            (self.foundation.stop, ("no such app",)),
            (self.foundation.delete_app, ("no such app",)),
            (self.foundation.scale, (self.guid, -1)),
            (self.foundation.crash, (self.guid, 2)),
            (self.foundation.finish_deployment, (self.guid,)),
            (self.foundation.map_route, (self.guid, "x", "", "no.such.domain")),
        ):
            with self.assertRaises(SimulationError):
                operation(*arguments)
        assert self.indices() == [(0, RUNNING), (1, RUNNING)]


class ChurnTests(SynchronousTestCase):
    """Random change."""

    def test_keeps_the_foundation_consistent(self) -> None:
        """After 3000 steps of all sorts every reference still leads somewhere."""
        foundation = World().simulation.foundation
        random = Random(7)
        steps = Counter(churn(foundation, random).split()[0] for _ in range(3000))
        assert set(steps) == {
            "nothing:",
            "scale",
            "crash",
            "recover",
            "begin_deployment",
            "finish_deployment",
        } | {"stop", "start", "delete", "push", "map_route"}
        assert len(foundation.apps) > 10
        self.check(foundation)

    def test_without_apps_does_nothing(self) -> None:
        """An emptied foundation is no reason to fail."""
        foundation = World().simulation.foundation
        for guid in list(foundation.apps):
            foundation.delete_app(guid)
        assert churn(foundation, Random(1)) == "nothing: no apps"

    def check(self, foundation: Foundation) -> None:
        for guid in foundation.apps:
            assert len(foundation.web_processes(guid)) in (1, 2)
            for route in foundation.routes_of(guid):
                assert guid in [item.app_guid for item in route.destinations]
        for process in foundation.processes.values():
            assert process.app_guid in foundation.apps
            assert process in foundation.processes_of(process.app_guid)
            indices = [item.index for item in process.instances]
            assert indices == list(range(len(indices)))
        for route in foundation.routes.values():
            assert route in foundation.routes_at(route.fqdn)
