"""A small simulation on a `Clock`, and short ways to ask its parts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

from attrs import define, field
from twisted.internet.task import Clock

from promproxy.simulation import Simulation, Size
from promproxy.simulation.api import Api
from promproxy.simulation.exchange import Answer, Call
from promproxy.simulation.router import Router
from promproxy.simulation.values import WebInstance

SAMPLES = Path(__file__).parent.parent / "data" / "cf"
BASE = "http://api.example.test:8080"
SMALL = Size(orgs=3, spaces=6, apps=50, instances=80)


def sample(name: str) -> Any:
    """A recorded body."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


@define
class World:
    """A simulation whose parts are asked by plain calls."""

    size: Size = SMALL
    seed: int = 0
    clock: Clock = field(factory=Clock)
    simulation: Simulation = field(init=False)
    api: Api = field(init=False)
    router: Router = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.simulation = Simulation(self.clock, size=self.size, seed=self.seed)
        foundation, faults = self.simulation.foundation, self.simulation.faults
        self.api = Api(foundation, self.simulation.uaa, faults, Random(0))
        self.router = Router(foundation, faults, Random(0))

    def grant(self, client: str = "cf:", **form: str) -> Answer:
        """Ask the UAA for a token."""
        authorization = "Basic " + base64.b64encode(client.encode()).decode()
        call = Call(
            method="POST",
            path="/oauth/token",
            body=urlencode(form).encode(),
            headers={"authorization": authorization},
        )
        return self.simulation.uaa.answer(call)

    def login(self) -> dict[str, Any]:
        """The document of a fresh token of the default user."""
        answer = self.grant(grant_type="password", username="scraper", password="secret")
        return json.loads(answer.body)

    def get(self, path: str, query: str = "", token: str | None = "", **headers: str) -> Answer:
        """Ask the API; with a fresh token, a given one, or (None) without."""
        if token is not None:
            headers["authorization"] = f"bearer {token or self.login()['access_token']}"
        headers["host"] = "api.example.test:8080"
        return self.api.answer(Call(method="GET", path=path, query=query, headers=headers))

    def json(self, path: str, query: str = "") -> Any:
        """The document at a path of the API, which must answer 200."""
        answer = self.get(path, query)
        if answer.status != 200:
            raise AssertionError(answer)
        return json.loads(answer.body)

    def guids(self, path: str, query: str = "") -> list[str]:
        """The guids of one page."""
        return [item["guid"] for item in self.json(path, query)["resources"]]

    def scrape(
        self, host: str, path: str = "/metrics", client: str = "192.0.2.1", **headers: str
    ) -> Answer | None:
        """Ask the gorouter; underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        call = Call(method="GET", path=path, headers={**named, "host": host}, client=client)
        return self.router.answer(call)

    def instance(self, instances: int = 1) -> WebInstance:
        """The first instance of an app with that many, reached by a plain route only."""
        return next(
            item
            for item in self.simulation.foundation.web_instances()
            if len(item.process.instances) == instances
            and len(item.routes) == 1
            and item.routes[0].scrapable
            and not item.routes[0].path
            and len(item.routes[0].destinations) == 1
        )
