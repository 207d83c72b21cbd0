"""Two replicas behind one address, as the page on high availability has it."""

from __future__ import annotations

import json
import time

from tests.docs.pages import all_pages
from tests.integration.case import PeersTestCase
from tests.integration.peers import (
    CHECKOUT,
    HOST,
    Peer,
    Prometheus,
    eventually,
    free_port,
    need,
    prometheus,
    twistd,
)


class ReplicasTests(PeersTestCase):
    def setUp(self) -> None:
        """Two replicas, HAProxy by the example of the page, two targets."""
        super().setUp()
        need("haproxy", "haproxy")
        self.exporters = self.start_exporters(2)
        self.list_targets(*self.exporters)
        self.shared = free_port()
        ports = [free_port(), free_port()]
        self.replicas = [self.replica(port, ports) for port in ports]
        for replica in self.replicas:
            self.start(replica)
            self.await_ready(replica)
        self.start(self.haproxy())

    def replica(self, port: int, ports: list[int]) -> Peer:
        config = {
            "listen": [f"tcp:{port}:interface={HOST}"],
            "discovery": {
                "address": f"{HOST}:{self.shared}",
                "own_metrics": [f"{HOST}:{own}" for own in ports],
            },
            "sources": [{"name": "vms", "files": {"paths": [self.target_file.name]}}],
        }
        path = self.folder / f"replica-{port}.yml"
        path.write_text(json.dumps(config))
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", str(path)]
        environment = {"PYTHONPATH": str(CHECKOUT)}
        return Peer(command=command, port=port, folder=self.folder, environment=environment)

    def haproxy(self) -> Peer:
        examples = all_pages()["docs/high-availability.md"].examples()
        (text,) = (e.text for e in examples if e.language == "haproxy")
        text = text.replace("bind :8080", f"bind {HOST}:{self.shared}")
        for number, replica in enumerate(self.replicas, 1):
            text = text.replace(f"192.0.2.1{number}:8080", replica.address)
        (self.folder / "haproxy.cfg").write_text(text)
        command = [need("haproxy", "haproxy"), "-db", "-f", "haproxy.cfg"]
        return Peer(command=command, port=self.shared, folder=self.folder)

    def start_prometheus_at(self, port: int) -> Prometheus:
        url = f"http://{HOST}:{port}/discovery"
        server = prometheus(self.folder, url, self.discovery_file)
        self.start(server)
        return server

    def test_all_say_the_same(self) -> None:
        """To the byte, so that it does not matter who is asked."""
        first, second = (replica.get("/discovery").body for replica in self.replicas)
        self.assertEqual(first, second)

    def test_one_is_killed(self) -> None:
        """No scrape fails; only its own metrics are missing, and they are its own."""
        server = self.start_prometheus_at(self.shared)
        names = [peer.address for peer in (*self.exporters, *self.replicas)]

        def all_up() -> None:
            self.assertEqual(server.query('up{job="http_sd"}'), dict.fromkeys(names, 1.0))

        eventually(all_up)
        began = time.time()
        self.replicas[0].kill()
        gone = self.replicas[0].address

        def noticed() -> None:
            self.assertEqual(server.query('up{job="http_sd"}')[gone], 0.0)

        eventually(noticed)
        time.sleep(3)  # three more scrapes of everything
        seconds = int(time.time() - began) + 1
        worst = server.query(f'min_over_time(up{{job="http_sd"}}[{seconds}s])')
        self.assertEqual(worst, {**dict.fromkeys(names, 1.0), gone: 0.0})
