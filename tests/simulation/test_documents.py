"""Tests of promproxy.simulation.documents, against recorded documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.support import World, sample


def paths(document: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all keys; of labels and annotations only that they are there."""
    if isinstance(document, list):
        for item in document:
            yield from paths(item, prefix + "[]")
    elif isinstance(document, dict):
        for key, value in document.items():
            yield f"{prefix}.{key}"
            if key not in ("labels", "annotations"):
                yield from paths(value, f"{prefix}.{key}")


class ShapeTests(SynchronousTestCase):
    """Every document has the keys of the recorded ones, and no others."""

    def setUp(self) -> None:
        """A foundation with apps of all kinds."""
        self.world = World()

    def assertSameShape(self, ours: list[Any], recorded: list[Any], also: str = "") -> None:
        assert ours
        shapes = [set(paths(item)) for item in recorded]
        known, always = set.union(*shapes) | set(also.split()), set.intersection(*shapes)
        for item in ours:
            shape = set(paths(item))
            assert shape - known == set(), item
            assert always - shape == set(), item

    def resources(self, path: str, query: str = "per_page=5000") -> list[Any]:
        return list(self.world.json(path, query)["resources"])

    def test_organizations_and_spaces(self) -> None:
        self.assertSameShape(
            self.resources("/v3/organizations"), sample("organizations")["resources"]
        )
        self.assertSameShape(self.resources("/v3/spaces"), sample("spaces")["resources"])

    def test_apps(self) -> None:
        """Apps; docker ones are not among the recorded."""
        apps = self.resources("/v3/apps", "lifecycle_type=buildpack")
        self.assertSameShape(apps, sample("apps")["resources"])

    def test_processes(self) -> None:
        """Processes with and without their instances, whose command is hidden in lists."""
        processes = self.resources("/v3/processes")
        self.assertSameShape(processes, sample("processes")["resources"])
        assert {item["command"] for item in processes} == {"[PRIVATE DATA HIDDEN IN LISTS]"}
        with_instances = self.resources("/v3/processes", "embed=process_instances&types=web")
        # One without instances shows no keys of an instance.
        some = [item for item in with_instances if item["instances"]]
        self.assertSameShape(some, sample("processes_embed")["resources"])

    def test_routes(self) -> None:
        """Routes of all kinds."""
        self.assertSameShape(self.resources("/v3/routes"), sample("routes")["resources"])

    def test_domains(self) -> None:
        """Domains of all kinds."""
        self.assertSameShape(
            self.resources("/v3/domains"),
            sample("domains")["resources"],
            ".links.router_group.href",
        )

    def test_lists(self) -> None:
        """The envelope, with and without included parents, and without hits."""
        for name, path, query in (
            ("apps", "/v3/apps", "per_page=2"),
            ("apps_include", "/v3/apps", "include=space.organization&per_page=5000"),
            ("spaces_include", "/v3/spaces", "include=organization"),
            ("routes_include", "/v3/routes", "include=domain"),
            ("empty_list", "/v3/apps", "names=no-such-app"),
        ):
            ours, recorded = self.world.json(path, query), sample(name)
            assert list(ours) == list(recorded)
            assert list(ours["pagination"]) == list(recorded["pagination"])
            assert list(ours.get("included", {})) == list(recorded.get("included", {}))

    def test_instances_and_stats(self) -> None:
        """The two sub-resources of a process."""
        foundation = self.world.simulation.foundation
        guid = self.world.instance(instances=2).process.guid
        path = f"/v3/processes/{guid}"
        instances = self.world.json(f"{path}/process_instances")
        self.assertSameShape([instances], [sample("process_instances")])
        stats = self.world.json(f"{path}/stats")
        assert list(stats) == ["resources"]
        self.assertSameShape(stats["resources"], sample("process_stats")["resources"][:1])
        foundation.stop(foundation.processes[guid].app_guid)
        down = self.world.json(f"{path}/stats")["resources"]
        self.assertSameShape(down, sample("process_stats")["resources"][2:])

    def test_root_and_info(self) -> None:
        """The entry points; this foundation has no v2, and much is not configured."""
        ours, recorded = self.world.json("/"), sample("root")
        assert set(recorded["links"]) - set(ours["links"]) == {"cloud_controller_v2"}
        assert set(ours["links"]) - set(recorded["links"]) == set()
        info = {**sample("info"), "custom": {}}
        self.assertSameShape([self.world.json("/v3/info")], [info])
