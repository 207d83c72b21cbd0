"""A simulated foundation in a process of its own, driven over its control interface."""

from __future__ import annotations

import json
import re
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from attrs import define

from tests.integration.case import PeersTestCase
from tests.integration.peers import (
    CHECKOUT,
    HOST,
    Answer,
    Peer,
    eventually,
    free_port,
    promproxy,
)

PROMPROXY = [
    sys.executable,
    "-c",
    "import sys; from promproxy.cli import main; sys.exit(main())",
]
ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT)}

THREADS = 8

_INFO = re.compile(
    rb'^sim_app_info\{app_guid="([^"]*)",instance_index="([^"]*)",process_guid="([^"]*)"', re.M
)


def post(peer: Peer, path: str) -> int:
    """The status of a POST without a body."""
    connection = HTTPConnection(HOST, peer.port, timeout=10)
    try:
        connection.request("POST", path)
        return connection.getresponse().status
    finally:
        connection.close()


def metric(peer: Peer, sample: str) -> float:
    """The value of one of its own metrics, named as its page names it; 0 where it is missing."""
    for line in peer.get("/metrics").body.decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name == sample:
            return float(value)
    return 0.0


def answered_by(exposition: bytes) -> tuple[str, str, str]:
    """App guid, index and process guid of the instance that served a page."""
    match = _INFO.search(exposition)
    assert match is not None, exposition
    app_guid, index, process_guid = (group.decode() for group in match.groups())
    return app_guid, index, process_guid


def by_id(document: bytes) -> dict[str, dict[str, str]]:
    """The labels of all targets in a discovery document by id, our own endpoint left out."""
    groups = [group["labels"] for group in json.loads(document)]
    paths = {labels["__metrics_path__"]: labels for labels in groups}
    prefix = "/singleTargetMetrics/"
    return {path[len(prefix) :]: paths[path] for path in paths if path.startswith(prefix)}


@define(eq=False, kw_only=True)
class Foundation(Peer):
    """``promproxy simulate``; its API has a port, and its router another one."""

    router_port: int
    scheme: str = "http"

    @property
    def router(self) -> str:
        """The URL of its router."""
        return f"http://{HOST}:{self.router_port}"

    def source(self, name: str = "cf", *, interval: str = "1s", **options: Any) -> dict[str, Any]:
        """A source of promproxy that reads it; an option that is None is left out."""
        foundation = {
            "api_url": f"{self.scheme}://{self.address}",
            "username": "scraper",
            "password": "secret",
            "router": self.router,
            "max_requests_per_second": 0,
            "select": [{}],
            **options,
        }
        given = {key: value for key, value in foundation.items() if value is not None}
        return {"name": name, "refresh_interval": interval, "cloud_foundry": given}

    def state(self) -> dict[str, Any]:
        """Sizes, counters of requests, and faults."""
        state: dict[str, Any] = self._control("GET", "")
        return state

    def asked(self, path: str) -> int:
        """How often the API was asked for a path, whatever the query."""
        count: int = self.state()["requests"]["api"].get(path, 0)
        return count

    def web_instances(self) -> list[dict[str, Any]]:
        """Every web instance of the STARTED apps, with its routes."""
        instances: list[dict[str, Any]] = self._control("GET", "targets")
        return instances

    def set_faults(self, **switches: Any) -> None:
        """Set these switches, and all others to their defaults."""
        self._control("PUT", "faults", switches)

    def inject(self, kind: str, **options: Any) -> None:
        """Let one kind of fault strike, and no other."""
        self.set_faults(injected=[{"kind": kind, **options}])

    def operate(self, operation: str, **arguments: Any) -> Any:
        """Change the foundation."""
        return self._control("POST", "operations", {"operation": operation, **arguments})["done"]

    def apps(self, instances: int) -> list[str]:
        """The guids of the apps that can be scraped and have at least so many web instances."""
        counts = Counter(
            item["app_guid"] for item in self.web_instances() if item["scrapable_routes"]
        )
        return [guid for guid, count in counts.items() if count >= instances]

    def target_ids(self) -> set[str]:
        """The ids that a source selecting everything must find, addressed by app."""
        return {
            f"{item['app_guid']}/{item['index']}"
            for item in self.web_instances()
            if item["scrapable_routes"]
        }

    def _control(self, method: str, path: str, document: Any = None) -> Any:
        connection = HTTPConnection(HOST, self.port, timeout=30)
        if self.scheme == "https":
            anyone = ssl._create_unverified_context()
            connection = HTTPSConnection(HOST, self.port, timeout=30, context=anyone)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, f"/simulation/{path}", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(answer)
        return answer


def foundation(folder: Path, *options: str, **sizes: int) -> Foundation:
    """A foundation of these sizes, started with further options."""
    port, router_port = free_port(), free_port()
    numbers = [text for name, size in sizes.items() for text in (f"--{name}", str(size))]
    api, router = (f"tcp:{number}:interface={HOST}" for number in (port, router_port))
    return Foundation(
        command=[*PROMPROXY, "simulate", "--api", api, "--router", router, *numbers, *options],
        port=port,
        folder=folder,
        environment=ENVIRONMENT,
        router_port=router_port,
    )


def scrape_all(daemon: Peer, ids: Iterable[str]) -> list[tuple[str, Answer | None]]:
    """Scrape targets, several at once; None where there was no whole answer."""

    def scrape_some(some: Sequence[str]) -> list[tuple[str, Answer | None]]:
        connection = HTTPConnection(HOST, daemon.port, timeout=20)
        found: list[tuple[str, Answer | None]] = []
        for target_id in some:
            try:
                connection.request("GET", f"/singleTargetMetrics/{target_id}")
                response = connection.getresponse()
                answer = Answer(response.status, response.headers, response.read())
                found.append((target_id, answer))
            except (HTTPException, OSError):
                connection.close()
                found.append((target_id, None))
        connection.close()
        return found

    everything = list(ids)
    with ThreadPoolExecutor(THREADS) as pool:
        shares = pool.map(scrape_some, [everything[n::THREADS] for n in range(THREADS)])
        return [item for share in shares for item in share]


class CloudFoundryTestCase(PeersTestCase):
    """Starts foundations, and daemons that read them."""

    def start_foundation(self, *options: str, **sizes: int) -> Foundation:
        simulated = foundation(self.folder, *options, **sizes)
        self.start(simulated)
        return simulated

    def start_with_tls(self, pem: Path, **sizes: int) -> Foundation:
        """With TLS for the API alone: it is the router that tells when it is there."""
        simulated = foundation(self.folder, **sizes)
        certificate = f"privateKey={pem}:certKey={pem}"
        simulated.command += ["--api", f"ssl:{simulated.port}:interface={HOST}:{certificate}"]
        simulated.scheme = "https"
        ready = Peer(
            command=simulated.command,
            port=simulated.router_port,
            folder=self.folder,
            environment=ENVIRONMENT,
        )
        self.start(ready)
        return simulated

    def start_daemon(self, *sources: dict[str, Any]) -> Peer:
        daemon = promproxy(self.folder, json.dumps(sources))
        self.start(daemon)
        return daemon

    def labels(self, daemon: Peer, source: str = "cf") -> dict[str, dict[str, str]]:
        """The labels of a source's targets by id; fails where the document is refused."""
        answer = daemon.get(f"/discovery?source={source}")
        self.assertEqual(answer.status, 200, answer.body)
        return by_id(answer.body)

    def await_ids(self, daemon: Peer, expected: Callable[[], set[str]], source: str = "cf") -> None:
        """Wait until a source has these targets."""
        eventually(lambda: self.assertEqual(self.labels(daemon, source).keys(), expected()))
