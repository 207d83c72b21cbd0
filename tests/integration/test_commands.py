"""The promproxy command against a simulated foundation, each in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
from http.client import HTTPConnection
from typing import Any

from tests.integration.certificates import Authority
from tests.integration.foundation import (
    ENVIRONMENT,
    PROMPROXY,
    CloudFoundryTestCase,
    answered_by,
)
from tests.integration.peers import HOST, Peer, eventually, free_port


class DiscoverTests(CloudFoundryTestCase):
    """`promproxy discover`."""

    def run_discover(
        self, source: dict[str, Any], *options: str
    ) -> subprocess.CompletedProcess[str]:
        file = self.folder / "discover.yml"
        file.write_text(json.dumps({"sources": [source]}))
        return subprocess.run(
            [*PROMPROXY, "discover", str(file), *options],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def discover(self, source: dict[str, Any], *options: str) -> str:
        """What it prints; it must succeed."""
        done = self.run_discover(source, *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_targets_with_one_id(self) -> None:
        """The first is listed, as /discovery does it."""
        file = self.folder / "twice.json"
        file.write_text('[{"targets": ["a:1", "a:1", "b:1"]}]')
        source = {"name": "vms", "files": {"paths": [str(file)]}}
        found = json.loads(self.discover(source, "--json", "--explain"))
        self.assertEqual([t["id"] for t in found["targets"]], ["vms/a:1", "vms/b:1"])
        self.assertEqual(found["left_out"], [{"what": "vms/a:1", "reason": "duplicate_id"}])

    def test_table(self) -> None:
        """A line per target, how many apps were left out for which reason, and which ones."""
        simulated = self.start_foundation(apps=50, instances=60)
        table = self.discover(simulated.source(), "--explain")
        first, *lines = table.splitlines()
        targets = simulated.target_ids()
        self.assertRegex(first, rf"cf: {len(targets)} targets; left out: .*5 stopped")
        rows, explained = lines[: len(targets)], lines[len(targets) :]
        self.assertEqual({row.split()[0] for row in rows}, targets)
        self.assertEqual(explained[0], "left out:")
        reasons = [line.split()[0] for line in explained[1:]]
        # Of fifty simulated apps one has no route, and each of three a route that is of no use.
        expected = {"stopped": 5, "no_route": 1, "no_usable_route": 3, "no_instances": 2}
        self.assertEqual({reason: reasons.count(reason) for reason in reasons}, expected)
        self.assertEqual(self.discover(simulated.source()).splitlines(), [first, *rows])

    def test_clients_of_pushprox(self) -> None:
        """They poll the daemon, and nobody else knows of them."""
        done = self.run_discover({"name": "nat", "pushprox": {}})
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("ask it for /discovery?source=nat", done.stderr)

    def test_json(self) -> None:
        """The targets as they are; internal routes have no instance header and a port."""
        simulated = self.start_foundation(apps=50, instances=60)
        source = simulated.source(select=[{"internal_route_port": 9100}])
        document = json.loads(self.discover(source, "--json", "--explain"))
        self.assertEqual(document["source"], "cf")
        self.assertIn("stopped", {item["reason"] for item in document["left_out"]})
        routes = {
            f"{item['app_guid']}/{item['index']}": item["routes"]
            for item in simulated.web_instances()
        }
        urls = {target["id"]: target["url"] for target in document["targets"]}
        self.assertLessEqual(simulated.target_ids(), urls.keys())
        internal = 0
        for target_id, url in urls.items():
            index = target_id.partition("/")[2]
            expected = {f"https://{route}/metrics" for route in routes[target_id]}
            inner = [route for route in routes[target_id] if route.endswith("apps.internal")]
            if inner:
                internal += 1
                expected = {f"http://{index}.{route}:9100/metrics" for route in inner}
            self.assertIn(url, expected)
        self.assertGreater(internal, 1)

    def test_overridden_route(self) -> None:
        """A route and path of the rule's in place of the app's own."""
        simulated = self.start_foundation(apps=3, instances=4)
        select = [{"app": "shop", "override_route_and_path": "all.example.test/m"}]
        document = json.loads(self.discover(simulated.source(select=select), "--json"))
        urls = {target["url"] for target in document["targets"]}
        self.assertEqual(urls, {"https://all.example.test/m"})

    def test_reasons(self) -> None:
        """Status 1, and one line that says what is wrong, without the password."""
        simulated = self.start_foundation(apps=3, instances=4)
        monitor = {"username": None, "password": None, "client_secret": "secret"}
        nobody = f"http://{HOST}:{free_port()}"
        for options, reason in (
            (
                {"password": "mistaken"},
                "UAA does not accept the credentials of user 'scraper': Bad credentials",
            ),
            (
                {**monitor, "client_id": "unprivileged"},
                "status 403, CF-NotAuthorized.*does it lack the scope cloud_controller.read",
            ),
            ({**monitor, "client_id": "nobody"}, "the credentials of client 'nobody'"),
            ({"api_url": "http://api.localhost.invalid"}, "name not found"),
            ({"api_url": nobody}, f"GET {nobody}/: connection refused"),
            ({"api_url": simulated.router}, "status 400 from the router: empty_host"),
        ):
            done = self.run_discover(simulated.source(**options))
            self.assertEqual((done.returncode, done.stdout), (1, ""), reason)
            self.assertRegex(done.stderr, f"^promproxy: .*{reason}.*\n$")
            self.assertNotIn("mistaken", done.stderr)

    def test_certificate(self) -> None:
        """One that nobody trusts is refused; its authority's file, or insecurity, helps."""
        authority = Authority()
        trusted, server = self.folder / "ca.pem", self.folder / "api.pem"
        trusted.write_bytes(authority.pem)
        server.write_bytes(authority.issue(HOST))
        simulated = self.start_with_tls(server, apps=3, instances=4)
        done = self.run_discover(simulated.source())
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "^promproxy: GET https://.*: TLS certificate not accepted\n$")
        for tls in ({"ca_file": str(trusted)}, {"insecure_skip_verify": True}):
            table = self.discover(simulated.source(tls_config=tls))
            self.assertTrue(table.startswith("cf: 4 targets"), table)

    def test_reader_that_has_enough(self) -> None:
        """Such as head: no traceback."""
        simulated = self.start_foundation(apps=300, instances=3000)
        file = self.folder / "discover.yml"
        file.write_text(json.dumps({"sources": [simulated.source()]}))
        command = [*PROMPROXY, "discover", str(file)]
        with subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            self.assertIn(b"targets", process.stdout.readline())
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, 1)


class SimulateTests(CloudFoundryTestCase):
    """`promproxy simulate`."""

    def test_prints_its_urls_and_stops_when_told(self) -> None:
        """What it prints is where it answers; SIGTERM ends it at once."""
        simulated = self.start_foundation(apps=3, instances=4)
        said = eventually(lambda: self.urls(simulated.output, 5))
        api, router, control, *_ = said
        self.assertEqual((api, router), (f"http://{simulated.address}", simulated.router))
        self.assertEqual(control, f"{api}/simulation/")
        file = self.folder / "printed.yml"
        file.write_text(simulated.output.partition("--config FILE:\n")[2])
        table = subprocess.check_output([*PROMPROXY, "discover", str(file)], env=ENVIRONMENT)
        self.assertIn(b"demo: 4 targets", table)
        # The reactor of newer Twisted ends by the signal itself.
        self.assertIn(simulated.stop(), (0, -15))
        self.assertNotIn("Traceback", simulated.output)

    def urls(self, text: str, count: int) -> list[str]:
        found = re.findall(r"http://[^ \n]+", text)
        self.assertGreaterEqual(len(found), count)
        return found

    def test_endpoints_that_cannot_be_had(self) -> None:
        """One line, and status 1."""
        simulated = self.start_foundation(apps=3, instances=4)
        taken = f"tcp:{simulated.port}:interface={HOST}"
        for endpoint, reason in ((taken, "Address already in use"), ("nonsense:1", "nonsense")):
            command = [*PROMPROXY, "simulate", "--router", endpoint, "--api", endpoint]
            done = subprocess.run(
                command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
            )
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(
                done.stderr, f"^promproxy: cannot listen on {re.escape(endpoint)}: .*{reason}.*\n$"
            )


class DemoTests(CloudFoundryTestCase):
    """`promproxy demo`."""

    def test_prints_urls_that_work(self) -> None:
        """The discovery document, a scrape and the other pages; a taken port is told of."""
        port = free_port()
        command = [*PROMPROXY, "demo", "--port", str(port)]
        demo = Peer(command=command, port=port, folder=self.folder, environment=ENVIRONMENT)
        self.start(demo)

        def pages() -> dict[str, str]:
            self.assertIn("Ctrl-C", demo.output)
            return dict(re.findall(r"^  (\w[\w ]+\w)  .*?(http://\S+)$", demo.output, re.M))

        for what, url in eventually(pages).items():
            status, body = self.ask(url)
            self.assertEqual(status, 200, (what, url))
            if what == "one scrape":
                self.assertEqual("/".join(answered_by(body)[:2]), url.partition("Metrics/")[2])
            if what == "all targets":
                self.assertGreater(len(json.loads(body)), 20)
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        message = (
            f"promproxy: cannot listen on tcp:{port}:interface=127.0.0.1: "
            "[Errno 98] Address already in use. "
            "Choose another port: promproxy demo --port N, or make demo PORT=N\n"
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", message))

    def ask(self, url: str) -> tuple[int, bytes]:
        address, _, path = url.removeprefix("http://").partition("/")
        connection = HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", f"/{path}")
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
