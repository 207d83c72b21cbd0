"""Clients as PushProx has them poll the real daemon; a real Prometheus scrapes them, both ways."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import go_client
from tests.go_client import EXPOSITION, Responses
from tests.integration.case import PeersTestCase
from tests.integration.peers import CHECKOUT, HOST, Peer, Prometheus, eventually, prometheus
from tests.integration.peers import promproxy as make_promproxy
from tests.integration.support import pause
from tests.integration.test_web_file import TLS, USERS, WebFileTestCase

NAMES = ("client-0.example", "client-1.example")
_TCP_REPAIR = 19  # linux/tcp.h; a socket in that state closes without a word to the other end


class PushProxTestCase(PeersTestCase):
    """The daemon with a pushprox source."""

    def start_proxy(
        self, settings: str = "startup_hold: 0s", more: str = "", web_file: str = ""
    ) -> Peer:
        source = f"[{{name: nat, pushprox: {{{settings}}}}}]"
        proxy = make_promproxy(self.folder, source, more)
        if web_file:
            proxy.command += ["--web-config-file", web_file]
        self.start(proxy)
        return proxy

    def connect(self, proxy: Peer) -> socket.socket:
        connection = socket.create_connection((HOST, proxy.port), timeout=20)
        self.addCleanup(connection.close)
        return connection

    def poll(self, proxy: Peer, name: str = "web-1") -> socket.socket:
        """Returns once the client is known."""
        connection = self.connect(proxy)
        connection.sendall(go_client.poll(name))
        eventually(lambda: self.assertIn(name.encode(), proxy.get("/clients").body))
        return connection

    def scrape(self, proxy: Peer, name: str = "web-1") -> socket.socket:
        connection = self.connect(proxy)
        connection.sendall(
            f"GET http://{name}:9100/metrics HTTP/1.1\r\nHost: {name}:9100\r\n"
            "X-Prometheus-Scrape-Timeout-Seconds: 20\r\n\r\n".encode()
        )
        return connection

    def answer(self, connection: socket.socket) -> tuple[bytes, bytes]:
        """The status line, and a body of known length."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            assert piece, f"ended after {data!r}"
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return head.partition(b"\r\n")[0], body

    def push(self, proxy: Peer, polled: socket.socket) -> None:
        """Answer the scrape that a poll brings."""
        request = go_client.read_request(self.answer(polled)[1])
        connection = self.connect(proxy)
        connection.sendall(go_client.push(Responses(request.id).counted()))
        self.assertEqual(self.answer(connection), (b"HTTP/1.1 200 OK", b""))


class PrometheusTests(PushProxTestCase):
    """By discovery, and with promproxy as its proxy."""

    def start_clients(self, proxy: Peer, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bench.go_clients", str(proxy.port), "2", "--exporters"]
        clients = subprocess.Popen([*command, *options], cwd=CHECKOUT, stdout=subprocess.PIPE)
        self.addCleanup(clients.wait)
        self.addCleanup(clients.kill)
        assert clients.stdout is not None
        self.addCleanup(clients.stdout.close)
        return clients

    def start_server(self, proxy: Peer, port: int, user: str = "") -> Prometheus:
        self.discovery_file.write_text("[]")
        targets = [f"{name}:{port}" for name in NAMES]
        proxied: dict[str, Any] = {
            "job_name": "proxied",
            "proxy_url": f"http://{user}{proxy.address}",
            "static_configs": [{"targets": targets}],
        }
        url = f"http://{proxy.address}/discovery?source=nat"
        server = prometheus(self.folder, url, self.discovery_file, more_jobs=[proxied])
        self.start(server)
        return server

    def test_both_ways(self) -> None:
        """The same series under the same instances; a restart of promproxy loses no target."""
        (exporter,) = self.start_exporters(1)
        state = self.folder / "state"
        state.mkdir()
        rule = f"targets: [{{port: {exporter.port}}}]"
        proxy = self.start_proxy(f"{rule}, startup_hold: 1s", f"state_dir: {state}\n")
        self.start_clients(proxy)
        server = self.start_server(proxy, exporter.port)
        expected = {f"{name}:{exporter.port}": float(exporter.port) for name in NAMES}

        def check() -> None:
            for job in ("http_sd", "proxied"):
                self.assertEqual(server.query(f'which_exporter{{job="{job}"}}'), expected)
                health = {t["labels"]["instance"]: t["health"] for t in server.targets(job)}
                self.assertEqual(health, dict.fromkeys(expected, "up"))

        eventually(check, 40.0)
        began = server.query("vector(time())")[""]
        proxy.stop()
        self.assertIn("Server Shut Down", proxy.output)
        proxy.start()

        def check_again() -> None:
            listed = {target["labels"]["instance"] for target in server.targets("http_sd")}
            if listed != expected.keys():
                raise RuntimeError(f"Prometheus has let go of a target: {listed}")
            check()
            newest = server.query('min(timestamp(which_exporter{job="http_sd"}))')
            self.assertGreater(newest[""], began + 5)

        eventually(check_again, 40.0)

    def test_users(self) -> None:
        """In the clients' `--proxy-url`, and in Prometheus's `proxy_url`; each may do one thing."""
        (exporter,) = self.start_exporters(1)
        (self.folder / "web.yml").write_text(USERS)
        roles = [
            {"users": ["alice"], "permissions": ["scrape"]},
            {"users": ["bob"], "permissions": ["tunnel"], "fqdns": ["client-0.*"]},
        ]
        more = f"roles: {json.dumps(roles)}\nopen_pages: [healthy, clients]\n"
        proxy = self.start_proxy(more=more, web_file="web.yml")
        self.start_clients(proxy, "--user", "bob:other")
        server = self.start_server(proxy, exporter.port, "alice:secret@")
        names = [f"{name}:{exporter.port}" for name in NAMES]
        expected = {names[0]: float(exporter.port)}

        def check() -> None:
            self.assertEqual(server.query('which_exporter{job="proxied"}'), expected)
            errors = {t["labels"]["instance"]: t["lastError"] for t in server.targets("proxied")}
            not_there = "server returned HTTP status 404 Not Found"
            self.assertEqual(errors, {names[0]: "", names[1]: not_there})

        eventually(check, 40.0)
        self.assertEqual(proxy.get("/clients").body.count(b"targets"), 1)


class DeadConnectionTests(PushProxTestCase):
    """Connections whose other end is gone, by real sockets."""

    def vanish(self, connection: socket.socket) -> None:
        """Close it so that the other end does not learn of it, as where a host loses its power."""
        try:
            connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        except PermissionError as error:
            raise SkipTest("takes the right to administer the network") from error
        connection.close()

    def test_scrape_goes_to_the_next_poll(self) -> None:
        """The system says that the connection is dead once something is sent over it."""
        proxy = self.start_proxy()
        self.vanish(self.poll(proxy))
        scrape = self.scrape(proxy)
        metric = b"promproxy_tunnel_redelivered_scrapes_total 1.0"
        eventually(lambda: self.assertIn(metric, proxy.get("/metrics").body))
        self.push(proxy, self.poll(proxy))
        self.assertEqual(self.answer(scrape), (b"HTTP/1.1 200 OK", EXPOSITION))

    def test_newer_poll_takes_the_place_of_the_dead_one(self) -> None:
        """The scrape never goes to the dead one."""
        proxy = self.start_proxy()
        self.vanish(self.poll(proxy))
        client = self.poll(proxy)
        superseded = b'pushprox_http_requests_total{code="408",path="/poll"} 1.0'
        eventually(lambda: self.assertIn(superseded, proxy.get("/metrics").body))
        scrape = self.scrape(proxy)
        self.push(proxy, client)
        self.assertEqual(self.answer(scrape), (b"HTTP/1.1 200 OK", EXPOSITION))

    def test_client_that_closes(self) -> None:
        """Is gone at once: the scrape waits for its next poll."""
        proxy = self.start_proxy()
        self.poll(proxy).close()
        held = b"promproxy_tunnel_polls_held 0.0"
        eventually(lambda: self.assertIn(held, proxy.get("/metrics").body))
        scrape = self.scrape(proxy)
        waiting = b"promproxy_tunnel_scrapes_waiting 1.0"
        eventually(lambda: self.assertIn(waiting, proxy.get("/metrics").body))
        self.push(proxy, self.poll(proxy))
        self.assertEqual(self.answer(scrape), (b"HTTP/1.1 200 OK", EXPOSITION))

    def test_stop_answers_polls_at_once(self) -> None:
        """So that clients begin to look for another promproxy."""
        proxy = self.start_proxy()
        client = self.poll(proxy)
        began = time.monotonic()
        os.kill(proxy.pid, 15)
        self.assertEqual(self.answer(client)[0].split()[1], b"408")
        self.assertLess(time.monotonic() - began, 10.0)  # a poll is held for 30 s


class CertificateTests(WebFileTestCase):
    """Clients and Prometheus with certificates, each with a role of its own."""

    ROLES = """
roles:
  - {client_sans: [prom.example.org], permissions: [scrape]}
  - {client_sans: [other.example.org], permissions: [tunnel], fqdns: ["web-*"]}
"""

    def test_each_may_do_what_is_theirs(self) -> Deferred[None]:
        """The client polls, under its names, and pushes; Prometheus scrapes."""
        return self.run_case(self._scrape())

    async def _scrape(self) -> None:
        settings = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
        await self.daemon(
            more_sources=", {name: nat, pushprox: {startup_hold: 0s}}",
            more=self.ROLES,
            web=f"tls_server_config: {{{TLS}, {settings}}}",
        )
        self.assertEqual(await self.status("/poll", "-d", "web-1", cert="prom"), 403)
        self.assertEqual(await self.status("/poll", "-d", "db-1", cert="other"), 403)
        self.assertEqual(await self.status("/clients", cert="other"), 403)
        polling = Deferred.fromCoroutine(self.curl("/poll", "-d", "web-1", cert="other"))
        while "web-1" not in (await self.curl("/discovery?source=nat", cert="prom"))[2]:
            await pause()
        path = "/singleTargetMetrics/nat/web-1:9100/metrics"
        scraping = Deferred.fromCoroutine(self.curl(path, cert="prom"))
        fetched = go_client.read_request((await polling)[2].encode())
        self.write("answer", Responses(fetched.id).counted())
        push = ("--data-binary", "@answer")
        self.assertEqual(await self.status("/push", *push, cert="prom"), 403)
        self.assertEqual(await self.status("/push", *push, cert="other"), 200)
        _, status, body = await scraping
        self.assertEqual((status, body), (200, EXPOSITION.decode()))


class FaultsTests(SynchronousTestCase):
    """A short run of the random faults in bench/."""

    def test_all_is_well(self) -> None:
        """All come back, nobody gets another one's answer, no bug in the log."""
        command = [sys.executable, "-m", "bench.faults_of_pushprox", "--seconds", "12"]
        command += ["--seed", "7", "--longest-fault", "2"]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.endswith("all is well\n"), done.stdout)


class SlowReaderTests(SynchronousTestCase):
    """A long answer to a slow reader."""

    def test_memory_does_not_grow(self) -> None:
        """A few megabytes are enough to tell: all of it would be held by now."""
        command = [sys.executable, "-m", "bench.pushprox", "slow", "--size", "20000000"]
        command += ["--rate", "5000000"]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
