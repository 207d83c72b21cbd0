"""docs/security.md: locked down by its own examples, and who is then let in."""

from __future__ import annotations

import base64
import json
import ssl
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from tests.docs.pages import all_pages
from tests.integration.case import PeersTestCase
from tests.integration.certificates import Authority
from tests.integration.foundation import ENVIRONMENT
from tests.integration.peers import HOST, Peer, eventually, free_port, twistd


def example(part: str) -> Any:
    """The YAML example of the page in which this stands."""
    examples = all_pages()["docs/security.md"].examples()
    (found,) = [e.text for e in examples if e.language == "yaml" and part in e.text]
    return yaml.safe_load(found)


class LockedDownTests(PeersTestCase):
    """The page's web.yml and promproxy.yml, but with addresses and hashes of the test's."""

    def setUp(self) -> None:
        super().setUp()
        authority = Authority()
        self.write("ca.pem", authority.pem)
        self.write("server.pem", authority.issue("localhost", HOST))
        self.write("client.pem", authority.issue("prometheus.example.org"))
        self.write("foreign.pem", Authority().issue("prometheus.example.org"))
        for name in ("acme-password", "branch-token", "cf-password"):
            self.write(name, b"hunter2").chmod(0o600)
        web = example("basic_auth_users")
        web["tls_server_config"] |= {"key_file": "server.pem"}
        hashed = bcrypt.hashpw(b"swordfish", bcrypt.gensalt(4)).decode()
        web["basic_auth_users"] = dict.fromkeys(web["basic_auth_users"], hashed)
        self.write("web.yml", json.dumps(web).encode())
        self.document = self.serve(
            [
                {"targets": ["localhost:1", "other.example.org:9100", "169.254.169.254:80"]},
            ]
        )
        self.daemon = self.start_daemon()

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def start_daemon(self) -> Peer:
        port = free_port()
        config = example("deny_addresses")
        config["listen"] = [f"tcp:{port}:interface={HOST}"]
        _prod, branch = config["sources"]
        branch["http_sd"] = {
            "url": f"http://{self.document.address}/",
            "allowed_hosts": [*branch["http_sd"]["allowed_hosts"], "localhost", "169.*"],
        }
        config["sources"] = [branch]
        text = json.dumps(config).replace("/etc/promproxy", str(self.folder))
        self.write("promproxy.yml", text.encode())
        command = [
            *(*twistd(), "--nodaemon", "--pidfile=", "promproxy"),
            *("--config", str(self.folder / "promproxy.yml")),
            *("--web-config-file", str(self.folder / "web.yml")),
        ]
        daemon = Peer(command=command, port=port, folder=self.folder, environment=ENVIRONMENT)
        self.addCleanup(daemon.stop)
        daemon.launch()
        self.daemon = daemon
        eventually(lambda: self.assertEqual(self.status("/-/ready", "prometheus"), 200))
        return daemon

    def ask(
        self, path: str, user: str, password: str, method: str, certificate: str
    ) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.pem")
        connection = HTTPSConnection("localhost", self.daemon.port, timeout=10, context=context)
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"} if user else {}
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def status(
        self,
        path: str,
        user: str = "",
        password: str = "swordfish",
        method: str = "GET",
        certificate: str = "client",
    ) -> int:
        """0 where there was no answer."""
        return self.ask(path, user, password, method, certificate)[0]

    def test_who_is_let_in(self) -> None:
        """Nobody without a certificate, a user, and the permission; no page is left open."""
        for certificate in ("", "foreign"):
            self.assertEqual(self.status("/", "prometheus", certificate=certificate), 0)
        for path in ("/", "/discovery", "/metrics", "/-/healthy", "/-/ready", "/nothing"):
            self.assertEqual(self.status(path), 401, path)
            self.assertEqual(self.status(path, "prometheus", "mistaken"), 401, path)
            self.assertEqual(self.status(path, "nobody"), 401, path)
        self.assertEqual(self.status("/discovery", "prometheus"), 200)
        for path, method in (
            ("/-/reload", "POST"),
            ("/-/refresh", "POST"),
            ("/cache/invalidate", "GET"),
        ):
            self.assertEqual(self.status(path, "prometheus", method=method), 403, path)
            self.assertIn(self.status(path, "operator", method=method), (200, 202, 204), path)

    def test_where_it_goes(self) -> None:
        """Only to allowed hosts, and not to a denied address even of one of these."""
        _, body = self.ask("/discovery", "prometheus", "swordfish", "GET", "client")
        paths = [group["labels"]["__metrics_path__"] for group in json.loads(body)]
        scheme = {group["labels"]["__scheme__"] for group in json.loads(body)}
        self.assertEqual(scheme, {"https"})
        self.assertNotIn("other.example.org", str(paths))
        (denied,) = [path for path in paths if "169.254" in path]
        status, said = self.ask(denied, "prometheus", "swordfish", "GET", "client")
        self.assertEqual(status, 502)
        self.assertIn(b"is among deny_addresses", said)
        self.assertNotIn("hunter2", self.daemon.output)
        self.assertNotIn("swordfish", self.daemon.output)
        self.assertNotIn("holds a secret", self.daemon.output)
