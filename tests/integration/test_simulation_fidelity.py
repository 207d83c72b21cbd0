"""A client library that knows real foundations works with the simulated one."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

from promproxy.simulation import Simulation, Size

# Run by an interpreter of its own, since the library blocks.
SCRIPT = """
import json, sys
from cloudfoundry_client.client import CloudFoundryClient

url, client_id, client_secret = sys.argv[1:]
client = CloudFoundryClient(url, client_id=client_id, client_secret=client_secret)
if client_id == "cf":
    client.init_with_user_credentials("scraper", "secret")
else:
    client.init_with_client_credentials()
v3 = client.v3
first = next(iter(v3.apps.list(per_page=1)))
included = next(iter(v3.apps.list(include="space.organization")))
print(json.dumps({
    "organizations": [item["guid"] for item in v3.organizations.list(per_page=3)],
    "spaces": [item["guid"] for item in v3.spaces.list(per_page=4)],
    "apps": [item["guid"] for item in v3.apps.list(per_page=7)],
    "processes": [item["guid"] for item in v3.processes.list()],
    "routes": [item["guid"] for item in v3.routes.list(per_page=9)],
    "domains": [item["guid"] for item in v3.domains.list()],
    "len": len(v3.apps),
    "by_name": sorted(item["name"] for item in v3.apps.list(names=["shop", "mail"])),
    "org_of_app": v3.apps.get(first["guid"]).space().organization()["name"],
    "processes_of_app": [item["guid"] for item in first.processes()],
    "included": included.space().organization()["name"],
}))
"""


class FidelityTests(TestCase):
    """PyPI's cloudfoundry-client reads the whole foundation."""

    timeout = 60

    def setUp(self) -> None:
        """Skip without the library."""
        if find_spec("cloudfoundry_client") is None:
            raise SkipTest("cloudfoundry-client is not installed: fidelity is NOT checked")

    async def read_all(self, simulation: Simulation, *client: str) -> dict[str, Any]:
        # No proxy of the environment may come between.
        environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
        arguments = ["-W", "ignore", "-c", SCRIPT, simulation.api_url, *client]
        out, err, code = await getProcessOutputAndValue(sys.executable, arguments, env=environment)
        assert code == 0, err.decode()
        document: dict[str, Any] = json.loads(out)
        return document

    async def check(self, *client: str) -> Simulation:
        size = Size(orgs=5, spaces=9, apps=60, instances=100)
        simulation = Simulation(reactor, size=size)
        await simulation.start()
        self.addCleanup(simulation.stop)
        foundation = simulation.foundation
        found = await self.read_all(simulation, *client)
        assert found["organizations"] == list(foundation.orgs)
        assert found["spaces"] == list(foundation.spaces)
        assert found["apps"] == list(foundation.apps)
        assert found["processes"] == list(foundation.processes)
        assert found["routes"] == list(foundation.routes)
        assert found["domains"] == list(foundation.domains)
        assert found["len"] == 60
        apps = list(foundation.apps.values())
        assert found["by_name"] == sorted(app.name for app in apps if app.name in ("shop", "mail"))
        assert found["org_of_app"] == found["included"] == apps[0].space.org.name
        of_app = foundation.processes_of(apps[0].guid)
        assert found["processes_of_app"] == [process.guid for process in of_app]
        return simulation

    def test_password(self) -> Deferred[None]:
        """With a user, whose token expires in between and is refreshed."""

        async def case() -> None:
            simulation = await self.check("cf", "")
            assert simulation.uaa.grants == {"password 200": 1}
            simulation.faults.token_calls = 5
            await self.read_all(simulation, "cf", "")
            assert simulation.uaa.grants["refresh_token 200"] > 0

        return Deferred.fromCoroutine(case())

    def test_client_credentials(self) -> Deferred[None]:
        """With a technical client."""

        async def case() -> None:
            await self.check("monitor", "secret")

        return Deferred.fromCoroutine(case())
