"""docs/troubleshooting.md quotes messages: each of them is brought about here."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
from http.client import HTTPConnection
from typing import Any

import bcrypt

from tests import go_client
from tests.docs.pages import all_pages
from tests.integration.certificates import Authority
from tests.integration.foundation import ENVIRONMENT, PROMPROXY, CloudFoundryTestCase, metric
from tests.integration.peers import HOST, Peer, eventually, free_port, twistd
from tests.integration.servers import TLSServer

_SHAPES = (
    (r"https?://[^\s;,')]+[^\s;,')\]:.]", "URL"),
    (r"\b(?:[\w-]+\.)+(?:example\.org|invalid)(?::\d+)?|\b\d+(?:\.\d+){3}(?::\d+)?", "HOST"),
    (r"(?<![\w<])/[\w./~-]+", "PATH"),
    (r"\d+(?:\.\d+)?", "N"),
)
_TIMEOUT = {"X-Prometheus-Scrape-Timeout-Seconds": "0.7"}


def shape(text: str) -> str:
    """A message without what is another one each time: addresses, paths and numbers."""
    for pattern, name in _SHAPES:
        text = re.sub(pattern, name, text)
    return text


def quoted() -> list[str]:
    """The messages in the page: each line of its blocks of text."""
    page = all_pages()["docs/troubleshooting.md"]
    blocks = [example.text for example in page.examples() if example.language == "text"]
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


class _Server:
    """Accepts connections, and answers each request with these bytes, or never."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
                self._peers.append(peer)
                peer.recv(65536)
                if self._answer:
                    peer.sendall(self._answer)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            peer.close()
        self._thread.join()


class TroubleshootingTests(CloudFoundryTestCase):
    """Everything goes wrong here, and what is said of it is collected."""

    def setUp(self) -> None:
        super().setUp()
        self.said: list[str] = []

    def test_every_quoted_message_is_real(self) -> None:
        """For addresses, paths and numbers, to the letter."""
        for bring_about in (
            self.bad_configurations,
            self.daemon_that_cannot_start,
            self.failing_scrapes,
            self.failing_sources,
            self.failing_foundation,
            self.refused_callers,
            self.failing_sync,
        ):
            bring_about()
        said = shape("\n".join(self.said))
        missing = [line for line in quoted() if shape(line) not in said]
        self.assertEqual(missing, [], said)

    def run_promproxy(self, *arguments: str) -> None:
        done = subprocess.run(
            [*PROMPROXY, *arguments],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.said += [done.stdout, done.stderr]

    def daemon(self, config: dict[str, Any], *more: str) -> Peer:
        port = free_port()
        file = self.folder / f"promproxy-{port}.yml"
        document = {"listen": [f"tcp:{port}:interface={HOST}"], **config}
        file.write_text(json.dumps(document))
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", str(file)]
        return Peer(
            command=[*command, *more], port=port, folder=self.folder, environment=ENVIRONMENT
        )

    def ask(self, peer: Peer, path: str, method: str = "GET", **headers: str) -> None:
        connection = HTTPConnection(HOST, peer.port, timeout=10)
        try:
            connection.request(method, path, headers={**_TIMEOUT, **headers})
            self.said.append(connection.getresponse().read().decode())
        finally:
            connection.close()

    def served_by(self, answer: bytes) -> str:
        server = _Server(answer)
        self.addCleanup(server.close)
        return server.address

    def bad_configurations(self) -> None:
        """What `promproxy check` says."""
        file = self.folder / "bad.yml"
        for text in (
            "sources:\n  - name: vms\n    files: {path: [x.yml]}\n",
            "sources:\n  - name: prod\n    http_sd: {url: '${MISSING_URL}'}\n",
            "outbound: {vms: {basic_auth: {username: a, password_file: /nowhere/pw}}}\n",
            "listen: [tcp:${PORT}]\n",
            "listen: ['8080']\n",
            "sources:\n  - name: vms\n    static_configs: []\n",
        ):
            file.write_text(text)
            self.run_promproxy("check", str(file))
        file.write_text("outbound: {vms: {basic_auth: {username: a, password: b}}}\n")
        file.chmod(0o644)
        self.run_promproxy("check", str(file))

    def daemon_that_cannot_start(self) -> None:
        """Its port is taken."""
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            daemon = self.daemon({"listen": [f"tcp:{port}:interface={HOST}"]})
            done = subprocess.run(
                daemon.command,
                env={**os.environ, **ENVIRONMENT},
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.said += [done.stdout, done.stderr]

    def failing_scrapes(self) -> None:
        """One target for each way in which a scrape fails."""
        pem = self.folder / "server.pem"
        pem.write_bytes(Authority().issue(HOST))
        secured = TLSServer(str(pem), b"")
        self.addCleanup(secured.stop)
        hangs = self.served_by(b"")
        moved = b"HTTP/1.1 302 Found\r\nLocation: https://login.example.org/\r\nContent-Length: 0"
        big = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
        addresses = {
            "refused": f"{HOST}:{free_port()}",
            "unknown": "no-such-host.invalid:9100",
            "moved": self.served_by(moved + b"\r\n\r\n"),
            "big": self.served_by(big + b"x" * 999),
            "nonsense": self.served_by(b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"),
            "hangs": hangs,
        }
        groups = [{"targets": [address]} for address in addresses.values()]
        tls = {"targets": [f"{HOST}:{secured.port}"], "labels": {"__scheme__": "https"}}
        doubled = {"targets": ["a:1", "b:1"], "labels": {"instance": "db"}}
        twice = {"targets": ["db:9100", "db:9100"]}
        odd = {"targets": ["no address"], "labels": {"a-b": "c"}}
        self.target_file.write_text(json.dumps([*groups, tls, doubled, twice, odd]))
        source = {"name": "vms", "files": {"paths": [self.target_file.name]}}
        daemon = self.daemon(
            {
                "sources": [source],
                "scrape": {"body_size_limit": "500B", "max_concurrent_per_target": 1},
            }
        )
        self.start(daemon)
        self.await_ready(daemon)
        for address in [*addresses.values(), f"{HOST}:{secured.port}", "nowhere:1"]:
            self.ask(daemon, f"/singleTargetMetrics/vms/{address}")
        first = HTTPConnection(HOST, daemon.port, timeout=10)
        self.addCleanup(first.close)
        first.request("GET", f"/singleTargetMetrics/vms/{hangs}")
        in_flight = "promproxy_scrapes_in_flight"
        eventually(lambda: self.assertEqual(metric(daemon, in_flight), 1))
        self.ask(daemon, f"/singleTargetMetrics/vms/{hangs}")
        self.said.append(daemon.output)

    def failing_sources(self) -> None:
        """A document that cannot be had, and a configuration that is broken while it runs."""
        document = self.serve([{"targets": ["169.254.169.254:80"]}])
        document.status = 503
        url = f"http://{document.address}/discovery"
        source = {"name": "branch", "refresh_interval": "1s", "http_sd": {"url": url}}
        daemon = self.daemon({"sources": [source], "discovery": {"own_metrics": False}})
        self.start(daemon)
        eventually(lambda: self.assertIn("no targets yet", daemon.output))
        for path in ("/-/ready", "/discovery", "/singleTargetMetrics/branch/x:1"):
            self.ask(daemon, path)
        document.status = 200
        self.await_ready(daemon)
        self.ask(daemon, "/singleTargetMetrics/branch/169.254.169.254:80")
        document.status = 503
        eventually(lambda: self.assertIn("targets stay", daemon.output))
        (file,) = self.folder.glob(f"promproxy-{daemon.port}.yml")
        good = file.read_text()
        file.write_text(good.replace("http_sd", "http"))
        self.ask(daemon, "/-/reload", "POST")
        file.write_text(good.replace(f"tcp:{daemon.port}", f"tcp:{free_port()}"))
        self.ask(daemon, "/-/reload", "POST")
        self.said.append(daemon.output)
        self.broken_file()
        self.refused_client()

    def broken_file(self) -> None:
        """Of two, and a pattern that matches none."""
        folder = self.folder / "targets"
        folder.mkdir()
        for name in ("a.json", "b.json"):
            (folder / name).write_text('[{"targets": ["10.0.0.1:80"]}]')
        paths = [f"{folder}/*.json", f"{folder}/*.yml"]
        source = {"name": "vms", "refresh_interval": "1s", "files": {"paths": paths}}
        daemon = self.daemon({"sources": [source]})
        self.start(daemon)
        self.await_ready(daemon)
        (folder / "b.json").write_text("")
        eventually(lambda: self.assertIn("targets stay", daemon.output))
        self.said.append(daemon.output)

    def refused_client(self) -> None:
        """Whose name is none."""
        daemon = self.daemon({"sources": [{"name": "nat", "pushprox": {}}]})
        self.start(daemon)
        with socket.create_connection((HOST, daemon.port), timeout=10) as connection:
            connection.sendall(go_client.poll("a b"))
            connection.recv(65536)
        eventually(lambda: self.assertIn("is refused", daemon.output))
        self.said.append(daemon.output)

    def failing_foundation(self) -> None:
        """Credentials that are wrong, or not enough."""
        simulated = self.start_foundation(apps=3, instances=4)
        monitor = {"username": None, "password": None, "client_secret": "secret"}
        for options in (
            {"password": "mistaken"},
            {**monitor, "client_id": "unprivileged"},
            {"select": [{"org": "no-such-org"}]},
        ):
            file = self.folder / "foundation.yml"
            file.write_text(json.dumps({"sources": [simulated.source("prod", **options)]}))
            self.run_promproxy("discover", str(file), "--explain")

    def refused_callers(self) -> None:
        """Without a password, with a wrong one, and without the permission."""
        web = self.folder / "web.yml"
        hashed = bcrypt.hashpw(b"swordfish", bcrypt.gensalt(4)).decode()
        web.write_text(json.dumps({"basic_auth_users": {"prometheus": hashed}}))
        roles = [{"users": ["prometheus"], "permissions": ["scrape"]}]
        daemon = self.daemon({"roles": roles}, "--web-config-file", str(web))
        self.start(daemon)
        right, wrong = "cHJvbWV0aGV1czpzd29yZGZpc2g=", "cHJvbWV0aGV1czp3cm9uZw=="
        self.ask(daemon, "/discovery")
        self.ask(daemon, "/discovery", Authorization=f"Basic {wrong}")
        self.ask(daemon, "/-/reload", "POST", Authorization=f"Basic {right}")
        daemon.stop()
        self.said.append(daemon.output)

    def failing_sync(self) -> None:
        """A server that is away, and one that answers something else."""
        document = self.serve([{"targets": ["a:1"], "label": {}}])
        for url in (f"http://{HOST}:{free_port()}/discovery", f"http://{document.address}/x"):
            self.run_promproxy("sync", "--once", url, str(self.folder / "synced.json"))
        document.body = b"[]"
        self.run_promproxy(
            "sync", "--once", f"http://{document.address}/x", "/nowhere/targets.json"
        )
