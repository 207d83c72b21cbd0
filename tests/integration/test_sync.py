"""`promproxy sync`, in a process of its own, and what Prometheus makes of the file it writes."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.case import PeersTestCase, ServedDocument
from tests.integration.certificates import Authority
from tests.integration.foundation import ENVIRONMENT, PROMPROXY, metric
from tests.integration.peers import (
    CHECKOUT,
    HOST,
    Peer,
    Prometheus,
    eventually,
    free_port,
    need,
    prometheus,
)
from tests.integration.test_prometheus import TargetLost
from tests.sync.test_groups import BAD, GOOD

GROUPS = [{"targets": ["a.example:1", "b.example:1"], "labels": {"zone": "x"}}]


class SyncTestCase(PeersTestCase):
    """Runs the command on a file in the test's folder."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.discovery_file

    def once(self, url: str, *options: str, **environment: str) -> tuple[int, str]:
        """Exit status and what it printed, in the mode for cron."""
        done = subprocess.run(
            [*PROMPROXY, "sync", "--once", *options, url, str(self.file)],
            env={**os.environ, **ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def follow(self, url: str, *more: str) -> Peer:
        """The command that follows, with its metrics on a port."""
        port = free_port()
        listen = f"tcp:{port}:interface={HOST}"
        options = ["--interval", "200ms", "--timeout", "2s", "--metrics-listen", listen, *more]
        command = [*PROMPROXY, "sync", *options, url, str(self.file)]
        peer = Peer(command=command, port=port, folder=self.folder, environment=ENVIRONMENT)
        self.start(peer)
        return peer

    def attempts(self, peer: Peer, outcome: str) -> float:
        sample = f'promproxy_sync_attempts_total{{file="{self.file}",outcome="{outcome}"}}'
        return metric(peer, sample)

    def await_more(self, peer: Peer, outcome: str, check: Callable[[], None]) -> None:
        """Wait until two more attempts have ended like that; ``check`` must hold all the time."""
        before = self.attempts(peer, outcome)

        def ended() -> None:
            check()
            self.assertGreaterEqual(self.attempts(peer, outcome), before + 2)

        eventually(ended)


class OnceTests(SyncTestCase):
    """`promproxy sync --once`, as a cron job runs it."""

    def test_success_and_failures(self) -> None:
        """0 in silence, or 1 with one line that says why; a good file stays."""
        document = self.serve(GROUPS)
        url = f"http://{document.address}/discovery"
        self.assertEqual(self.once(f"{url}?token=secret"), (0, ""))
        good = self.file.read_bytes()
        self.assertEqual(json.loads(good), GROUPS)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o644)
        nobody = f"http://{HOST}:{free_port()}/discovery"
        for spoil, asked, reason in (
            ({"status": 503}, url, "status 503, expected 200"),
            ({"missing": 10}, url, "the answer broke off"),
            ({"body": b'[{"targets": ["a'}, url, "the answer is not a JSON array: .*"),
            ({"body": b""}, url, "the answer is not a JSON array: .*"),
            ({}, nobody, "connection refused"),
        ):
            with spoilt(document, spoil):
                status, said = self.once(asked)
            self.assertEqual(status, 1, reason)
            expected = f"^promproxy: GET {asked}: {reason}; {self.file} stays as it is\n$"
            self.assertRegex(said, expected)
            self.assertEqual(self.file.read_bytes(), good)
        self.assertEqual(os.listdir(self.folder), [self.file.name])

    def test_metrics_file(self) -> None:
        """What node_exporter reads; a failure keeps the moment of the last success."""
        document = self.serve(GROUPS)
        metrics = self.folder / "sync.prom"
        last = f'promproxy_sync_last_success_timestamp_seconds{{file="{self.file}"}} '
        found = []
        for status in (200, 503):
            document.status = status
            self.once(f"http://{document.address}/", "--metrics-file", str(metrics))
            lines = metrics.read_text().splitlines()
            found.append([line for line in lines if line.startswith(last)])
            successful = f'promproxy_sync_last_attempt_successful{{file="{self.file}"}} '
            self.assertIn(f"{successful}{float(status == 200)}", lines)
        self.assertEqual(len(found[0]), 1)
        self.assertEqual(found[0], found[1])
        promtool = need("promtool", "prometheus")
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=metrics.read_bytes(), capture_output=True
        )
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, b""))

    def test_tls_and_credentials(self) -> None:
        """From a file in Prometheus's words; the password from a file, or the environment."""
        authority = Authority()
        (self.folder / "ca.pem").write_bytes(authority.pem)
        (self.folder / "server.pem").write_bytes(authority.issue(HOST))
        (self.folder / "password").write_text("swordfish\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        document = self.serve(GROUPS, context)
        url, http = f"https://{document.address}/discovery", self.folder / "http.yml"
        status, said = self.once(url)
        self.assertEqual(status, 1)
        self.assertIn("TLS certificate not accepted", said)
        basic = "Basic " + base64.b64encode(b"prometheus:swordfish").decode()
        for lines, expected in (
            ("basic_auth: {username: prometheus, password_file: password}", basic),
            ("basic_auth: {username: prometheus, password: '${SECRET}'}", basic),
            ("authorization: {credentials: '${SECRET}'}", "Bearer swordfish"),
        ):
            http.write_text(f"{lines}\ntls_config: {{ca_file: ca.pem}}\n")
            ended = self.once(url, "--http-config-file", str(http), SECRET="swordfish")
            self.assertEqual(ended, (0, ""))
            self.assertEqual(document.heads[-1]["Authorization"], expected)
        http.write_text("basic_auth: {user: prometheus}\n")
        status, said = self.once(url, "--http-config-file", str(http))
        self.assertEqual(status, 1)
        self.assertEqual(
            said,
            f"promproxy: {http}:1: basic_auth.user: unknown key; did you mean 'username'?\n",
        )

    def test_promtool_judges_documents_alike(self) -> None:
        """Whatever is let through Prometheus takes, and what is refused it would refuse."""
        promtool = need("promtool", "prometheus")
        document = self.serve([])
        config = self.folder / "prometheus.yml"
        judged = self.folder / "judged.json"
        job = {"job_name": "x", "file_sd_configs": [{"files": [str(judged)]}]}
        config.write_text(json.dumps({"scrape_configs": [job]}))
        bad = [text for text, _ in BAD if len(text) < 1000]
        for text, is_good in [(text, True) for text in GOOD] + [(text, False) for text in bad]:
            judged.write_text(text)
            checked = subprocess.run([promtool, "check", "config", config], capture_output=True)
            self.assertEqual(checked.returncode == 0, is_good, (text, checked))
        for text, is_good in ((GOOD[1], True), (bad[-1], False)):
            document.body = text.encode()
            self.assertEqual(self.once(f"http://{document.address}/")[0] == 0, is_good)


class FollowTests(SyncTestCase):
    """`promproxy sync` beside a real Prometheus that reads its file."""

    def start_reader(self, url: str) -> Prometheus:
        """Prometheus, with the document by HTTP, and by the file."""
        server = prometheus(self.folder, url, self.file)
        self.start(server)
        return server

    def test_whatever_the_server_does_no_target_is_lost(self) -> None:
        """503, half a document, an empty one, nonsense: Prometheus scrapes on, then follows on."""
        exporters = self.start_exporters(3)
        addresses = [exporter.address for exporter in exporters]
        document = self.serve([{"targets": addresses[:2]}])
        url = f"http://{document.address}/discovery"
        sync = self.follow(url)
        eventually(lambda: self.assertTrue(self.file.exists()))
        server = self.start_reader(url)
        eventually(lambda: self.assertEqual(self.listed(server), set(addresses[:2])))

        def nothing_is_lost() -> None:
            if self.listed(server) != set(addresses[:2]):
                raise TargetLost(self.listed(server))

        good = document.body
        for broken in (
            {"status": 503},
            {"missing": 100},
            {"body": b"", "status": 200},
            {"body": good[: len(good) // 2]},
            {"body": b"<html>Bad gateway</html>"},
        ):
            with spoilt(document, broken):
                self.await_more(sync, "failure", nothing_is_lost)
            self.await_more(sync, "unchanged", nothing_is_lost)
        document.body = json.dumps([{"targets": addresses[1:]}]).encode()
        eventually(lambda: self.assertEqual(self.listed(server), set(addresses[1:])))
        self.assertEqual(sync.output.count("status 503"), 1)
        self.assertIn(f"{self.file} follows again", sync.output)
        self.assertNotIn("Traceback", sync.output)

    def listed(self, server: Prometheus) -> set[str]:
        return {target["labels"]["instance"] for target in server.targets("file_sd")}

    def test_follows_a_promproxy_that_restarts(self) -> None:
        """All targets stay up while it is away; what it finds after that comes through the file."""
        first, second, third = self.start_exporters(3)
        self.list_targets(first, second)
        proxy = self.start_promproxy()
        url = f"http://{proxy.address}/discovery"
        sync = self.follow(url)
        eventually(lambda: self.assertTrue(self.file.exists()))
        eventually(lambda: self.assertGreater(self.attempts(sync, "unchanged"), 0))
        server = self.start_reader(url)
        eventually(lambda: self.assert_all_up(server, proxy, first, second))
        before = self.file.read_bytes()
        proxy.stop()
        self.await_more(sync, "failure", lambda: None)
        self.assertEqual(self.file.read_bytes(), before)
        self.assertIn("connection refused", sync.output)
        proxy.start()
        eventually(lambda: self.assert_all_up(server, proxy, first, second))
        self.list_targets(first, third)
        eventually(lambda: self.assert_all_up(server, proxy, first, third))
        self.assertIn(sync.stop(), (0, -15))
        self.assertNotIn("Traceback", sync.output)
        self.assertTrue(self.file.exists())

    def test_renewed_password(self) -> None:
        """Taken up with the next attempt, without a restart; an empty file is told of."""
        document = self.serve(GROUPS)
        password, http = self.folder / "password", self.folder / "http.yml"
        password.write_text("one")
        http.write_text("authorization: {credentials_file: password}\n")
        sync = self.follow(f"http://{document.address}/", "--http-config-file", str(http))
        for text in ("one", "two"):
            password.write_text(text)
            self.await_authorization(document, f"Bearer {text}")
        password.write_text("")
        eventually(lambda: self.assertIn(f"{password} is empty", sync.output))
        self.assertTrue(self.file.exists())

    def await_authorization(self, document: ServedDocument, expected: str) -> None:
        def asked() -> None:
            self.assertIn(expected, [head["Authorization"] for head in document.heads[-1:]])

        eventually(asked)

    def test_killed_at_any_moment(self) -> None:
        """The file is always a whole document, and the next process goes on with it."""
        documents = [
            json.dumps([{"targets": [f"{n}.example:1"] * 3000, "labels": {}}]).encode()
            for n in range(2)
        ]
        document = self.serve([])
        over = threading.Event()

        def change_on() -> None:
            number = 0
            while not over.wait(0.005):
                number += 1
                document.body = documents[number % 2]

        changing = threading.Thread(target=change_on)
        changing.start()
        self.addCleanup(changing.join)
        self.addCleanup(over.set)
        url, peer = f"http://{document.address}/", None
        for _ in range(5):
            peer = self.follow(url, "--interval", "10ms")
            time.sleep(random.uniform(0, 0.5))
            peer.kill()
            if self.file.exists():
                self.assertIn(self.file.read_bytes(), documents)
        self.assertTrue(self.file.exists())
        self.follow(url)
        over.set()
        eventually(lambda: self.assertEqual(self.file.read_bytes(), document.body))

    def test_own_metrics(self) -> None:
        """On its port, which it says cannot be had where that is so."""
        document = self.serve(GROUPS)
        sync = self.follow(f"http://{document.address}/")
        eventually(lambda: self.assertGreater(self.attempts(sync, "unchanged"), 0))
        self.assertEqual(metric(sync, f'promproxy_sync_targets{{file="{self.file}"}}'), 2)
        self.assertEqual(sync.get("/-/healthy").status, 200)
        promtool = need("promtool", "prometheus")
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=sync.get("/metrics").body, capture_output=True
        )
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, b""))
        second = subprocess.run(
            sync.command, env={**os.environ, **ENVIRONMENT}, capture_output=True, timeout=60
        )
        self.assertEqual(second.returncode, 1)
        self.assertIn(b"promproxy: cannot listen on tcp:", second.stderr)


@contextmanager
def spoilt(document: ServedDocument, changes: dict[str, Any]) -> Iterator[None]:
    """The server answers otherwise for a while."""
    before = {name: getattr(document, name) for name in changes}
    vars(document).update(changes)
    try:
        yield
    finally:
        vars(document).update(before)


class UnitTests(SyncTestCase):
    """The systemd unit, as far as it can be tried without systemd as the init system."""

    UNIT = CHECKOUT / "conf" / "systemd" / "promproxy-sync.service"

    def test_its_command_line(self) -> None:
        """With the values of its environment file it follows the URL given there."""
        document = self.serve(GROUPS)
        default = self.UNIT.with_suffix(".default").read_text()
        values = dict(re.findall(r"^(\w+)=(.*)$", default, re.M))
        port = free_port()
        self.assertIn("tcp:9099:", values["OPTIONS"])
        values["OPTIONS"] = values["OPTIONS"].replace("9099", str(port))
        values |= {"URL": f"http://{document.address}/", "FILE": str(self.file)}
        (start,) = re.findall(r"^ExecStart=/usr/bin/promproxy (.*)$", self.UNIT.read_text(), re.M)
        command = [*PROMPROXY]
        for word in start.split():  # as systemd does: $X is several words, ${X} is one
            name = word.strip("${}")
            if word.startswith("${"):
                command.append(values[name])
            else:
                command += values[name].split() if word.startswith("$") else [word]
        sync = Peer(command=command, port=port, folder=self.folder, environment=ENVIRONMENT)
        self.start(sync)
        eventually(lambda: self.assertEqual(json.loads(self.file.read_bytes()), GROUPS))

    def test_sandbox(self) -> None:
        """systemd's own judgement: less exposed than what it calls OK, 2 of 10."""
        analyze = need("systemd-analyze", "systemd")
        done = subprocess.run(
            [analyze, "security", "--offline=true", "--threshold=20", str(self.UNIT)],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        verified = subprocess.run([analyze, "verify", str(self.UNIT)], capture_output=True)
        complaints = [
            line
            for line in verified.stderr.decode().splitlines()
            if "/usr/bin/promproxy is not executable" not in line and "man promproxy" not in line
        ]
        self.assertEqual(complaints, [])
