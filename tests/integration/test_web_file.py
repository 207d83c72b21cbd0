"""TLS and users as real clients see them: curl, OpenSSL, and a real Prometheus."""

from __future__ import annotations

import json
import os
import ssl
from http.client import HTTPSConnection
from pathlib import Path
from threading import Event
from typing import Any

import bcrypt
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from promproxy.disk import file_watch
from promproxy.server import passwords
from tests.integration.case import PeersTestCase
from tests.integration.certificates import Authority
from tests.integration.peers import (
    CHECKOUT,
    HOST,
    Answer,
    Peer,
    eventually,
    free_port,
    need,
    prometheus,
    twistd,
)
from tests.integration.support import SocketTestCase, pause, request, scrape_path, sends
from tests.integration.test_twistd import MEGABYTE, Flood, Reader
from tests.server.test_passwords import basic

ALICE, BOB = (bcrypt.hashpw(one, bcrypt.gensalt(4)).decode() for one in (b"secret", b"other"))
USERS = f"basic_auth_users: {{alice: {ALICE}, bob: {BOB}}}\n"
TLS = "cert_file: server.pem, key_file: server.pem"

# What curl ends with: all is well, and what it calls a server that ends the connection.
FINE, REFUSED = (0,), (16, 35, 52, 55, 56)


class WebFileTestCase(SocketTestCase):
    """A daemon on the tests' reactor, and an authority that has signed what is in the folder."""

    def setUp(self) -> None:
        super().setUp()
        self.targets()
        self.authority = Authority()
        self.write("ca.pem", self.authority.pem)
        self.write("server.pem", self.authority.issue("localhost", HOST))
        self.write("prom.pem", self.authority.issue("prom.example.org"))
        self.write("other.pem", self.authority.issue("other.example.org", "10.0.0.9"))
        self.write("foreign.pem", Authority().issue("prom.example.org"))

    def write(self, name: str, content: bytes | str) -> None:
        (self.folder / name).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )

    async def run_program(self, program: str, *arguments: str) -> tuple[bytes, bytes, int]:
        """What a program prints, on both streams, and its exit status."""
        script = ["-c", 'exec "$@" </dev/null', "sh", need(program, program), *arguments]
        ended: Any = getProcessOutputAndValue(
            "/bin/sh", script, env=dict(os.environ), path=str(self.folder)
        )
        out, err, status = await ended
        return out, err, status

    async def curl(
        self, path: str, *arguments: str, cert: str = "", scheme: str = "https"
    ) -> tuple[int, int, str]:
        """Its exit status, the answer's status and body."""
        shown = ("--cert", f"{cert}.pem", "--key", f"{cert}.pem") if cert else ()
        common = ("-s", "--max-time", "15", "--cacert", "ca.pem", "-w", "\n%{http_code}")
        url = f"{scheme}://localhost:{self.port}{path}"
        out, _, status = await self.run_program("curl", *common, *shown, *arguments, url)
        body, _, code = out.decode().rpartition("\n")
        return status, int(code), body

    async def status(self, path: str, *arguments: str, **options: str) -> int:
        """The answer's status, from a connection that was made."""
        exit_status, status, body = await self.curl(path, *arguments, **options)
        self.assertIn(exit_status, FINE, body)
        return status


class ClientCertificateTests(WebFileTestCase):
    """Each client_auth_type, and client_allowed_sans."""

    timeout = 60

    async def served(self, web: str, *certificates: str) -> list[bool]:
        """Whether a client with each of these is served."""
        found = []
        await self.daemon(web=web)
        for cert in certificates:
            exit_status, status, _ = await self.curl("/metrics", cert=cert)
            self.assertIn(exit_status, FINE if status else REFUSED)
            self.assertIn(status, (0, 200))
            found.append(status == 200)
        return found

    def check(self, settings: str, *expected: bool) -> Deferred[None]:
        """Who shows nothing, prom's certificate, other's, or one of another authority."""

        async def case() -> None:
            web = f"tls_server_config: {{{TLS}, {settings}}}"
            found = await self.served(web, "", "prom", "other", "foreign")
            self.assertEqual(found, list(expected))

        return self.run_case(case())

    def test_none(self) -> Deferred[None]:
        """Nobody is asked for one."""
        return self.check("client_auth_type: NoClientCert", True, True, True, True)

    def test_request(self) -> Deferred[None]:
        return self.check("client_auth_type: RequestClientCert", True, True, True, True)

    def test_require_any(self) -> Deferred[None]:
        return self.check("client_auth_type: RequireAnyClientCert", False, True, True, True)

    def test_verify_if_given(self) -> Deferred[None]:
        """None, or a good one."""
        settings = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"
        return self.check(settings, True, True, True, False)

    def test_require_and_verify(self) -> Deferred[None]:
        settings = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
        return self.check(settings, False, True, True, False)

    def test_allowed_names(self) -> Deferred[None]:
        """One of them must be in the certificate."""
        settings = (
            "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
            "client_allowed_sans: [prom.example.org, 10.0.0.1]"
        )
        return self.check(settings, False, True, False, False)

    def test_allowed_names_of_addresses_with_tls_1_2(self) -> Deferred[None]:
        """Where the handshake goes another way."""
        settings = (
            "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
            "client_allowed_sans: [10.0.0.9], max_version: TLS12"
        )
        return self.check(settings, False, False, True, False)

    def test_allowed_names_of_any_certificate(self) -> Deferred[None]:
        """As Prometheus has it, though whoever signs their own may write anything into it."""
        settings = "client_auth_type: RequireAnyClientCert, client_allowed_sans: [prom.example.org]"
        return self.check(settings, False, True, False, True)


class PlainHttpTests(WebFileTestCase):
    def test_on_the_port_for_tls(self) -> Deferred[None]:
        """curl shows the line that says what to do, three times in a row."""

        async def case() -> None:
            await self.daemon(web=f"tls_server_config: {{{TLS}}}")
            for _ in range(3):
                exit_status, status, body = await self.curl("/metrics", scheme="http")
                self.assertEqual((exit_status, status), (0, 400))
                self.assertIn("write https://", body)

        return self.run_case(case())


class VersionTests(WebFileTestCase):
    """min_version and max_version, as OpenSSL's own client sees them."""

    timeout = 60

    async def s_client(self, *arguments: str) -> str:
        common = ("s_client", "-connect", f"{HOST}:{self.port}", "-CAfile", "ca.pem", *arguments)
        out, err, _ = await self.run_program("openssl", *common)
        return (out + err).decode(errors="replace")

    async def spoken(self) -> dict[str, bool]:
        """Which versions are."""
        found = {}
        for version in ("tls1", "tls1_1", "tls1_2", "tls1_3"):
            shown = await self.s_client(f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
            found[version] = (
                "Verify return code: 0 (ok)" in shown and "Cipher is (NONE)" not in shown
            )
        return found

    def check(self, settings: str, *expected: str) -> Deferred[None]:
        async def case() -> None:
            await self.daemon(web=f"tls_server_config: {{{TLS}{settings}}}")
            found = await self.spoken()
            self.assertEqual([version for version, spoken in found.items() if spoken], [*expected])

        return self.run_case(case())

    def test_default(self) -> Deferred[None]:
        """1.2 and 1.3."""
        return self.check("", "tls1_2", "tls1_3")

    def test_only_the_newest(self) -> Deferred[None]:
        return self.check(", min_version: TLS13", "tls1_3")

    def test_only_the_older(self) -> Deferred[None]:
        return self.check(", max_version: TLS12", "tls1_2")

    def test_what_else_is_agreed_on(self) -> Deferred[None]:
        """HTTP/1.1 alone, no weak cipher, no renegotiation, and a session can be taken up."""

        async def case() -> None:
            settings = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"
            await self.daemon(web=f"tls_server_config: {{{TLS}, {settings}}}")
            shown = await self.s_client("-alpn", "h2,http/1.1")
            self.assertIn("ALPN protocol: http/1.1", shown)
            self.assertIn("No ALPN negotiated", await self.s_client("-alpn", "h2"))
            for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA"):
                shown = await self.s_client("-tls1_2", "-cipher", cipher)
                self.assertIn("Cipher is (NONE)", shown)
            client = ("-cert", "prom.pem", "-key", "prom.pem", "-tls1_2")
            self.assertIn("\nNew, ", await self.s_client(*client, "-sess_out", "session"))
            self.assertIn("\nReused, ", await self.s_client(*client, "-sess_in", "session"))

        return self.run_case(case())


class UserTests(WebFileTestCase):
    """basic_auth_users, roles and headers."""

    timeout = 60

    def test_who_may_what(self) -> Deferred[None]:
        """Without roles each user may scrape and administer, in clear text or over TLS."""

        async def case() -> None:
            await self.daemon(web=USERS)
            for path in ("/", "/metrics", "/discovery", "/singleTargetMetrics/x", "/nowhere"):
                self.assertEqual(await self.status(path, scheme="http"), 401)
            for path in ("/-/healthy", "/-/ready"):
                self.assertEqual(await self.status(path, scheme="http"), 200)
            for user, status in (("alice:secret", 200), ("bob:other", 200), ("alice:other", 401)):
                self.assertEqual(await self.status("/metrics", "-u", user, scheme="http"), status)
            post = ("-X", "POST", "-u", "bob:other")
            self.assertEqual(await self.status("/-/refresh", *post, scheme="http"), 202)
            self.assertEqual(await self.status("/-/refresh", "-X", "POST", scheme="http"), 401)

        return self.run_case(case())

    def test_roles(self) -> Deferred[None]:
        """By user, and by client certificate in place of a password."""

        async def case() -> None:
            settings = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"
            roles = (
                "open_pages: [discovery]\n"
                "roles:\n"
                "- {users: [alice], permissions: [admin]}\n"
                "- {client_sans: [prom.example.org], permissions: [scrape]}\n"
            )
            web = f"tls_server_config: {{{TLS}, {settings}}}\n{USERS}"
            await self.daemon(more=roles, web=web)
            reload = ("-X", "POST", "-u", "alice:secret")
            for expected, path, arguments, cert in (
                (200, "/discovery", (), ""),
                (401, "/-/healthy", (), ""),
                (401, "/metrics", (), ""),
                (403, "/metrics", ("-u", "alice:secret"), ""),
                (403, "/metrics", ("-u", "bob:other"), ""),
                (200, "/metrics", ("-u", "alice:secret"), "prom"),
                (200, "/metrics", (), "prom"),
                (401, "/metrics", (), "other"),
                (403, "/-/refresh", ("-X", "POST"), "prom"),
                (200, "/-/reload", reload, ""),
            ):
                found = await self.status(path, *arguments, cert=cert)
                self.assertEqual(found, expected, (path, arguments, cert))

        return self.run_case(case())

    def test_tunnels(self) -> Deferred[None]:
        """Take a role, and a name that it matches; to read metrics is another permission."""

        async def case() -> None:
            roles = (
                "roles:\n"
                "- {users: [alice], permissions: [tunnel], fqdns: ['*.example.org']}\n"
                "- {users: [bob], permissions: [scrape]}\n"
            )
            more = ", {name: nat, pushprox: {}}"
            await self.daemon(more_sources=more, more=roles, web=USERS)
            alice, bob = ("-u", "alice:secret"), ("-u", "bob:other")
            for expected, user, name in (
                (401, (), "a.example.org"),
                (403, bob, "a.example.org"),
                (403, alice, "a.example.net"),
            ):
                found = await self.status("/poll", "-d", name, *user, scheme="http")
                self.assertEqual(found, expected, (user, name))
            poll = await self.connect()
            poll.send(
                request(
                    "/poll",
                    authorization("alice", "secret"),
                    "Content-Length: 13",
                    method="POST",
                )
                + b"a.example.org"
            )
            clients = ""
            while "a.example.org" not in clients:
                await pause()
                _, _, clients = await self.curl("/clients", *bob, scheme="http")
            self.assertNotIn("example.net", clients)
            self.assertEqual(poll.received, b"")
            self.assertEqual(await self.status("/metrics", *alice, scheme="http"), 403)

        return self.run_case(case())

    def test_tokens(self) -> Deferred[None]:
        """In place of a password, also where there is no web configuration file."""

        async def case() -> None:
            self.patch(file_watch, "LOOK_SECONDS", 0.1)
            self.write("token", "agent-t0ken\n")
            more = (
                "roles:\n"
                "- tokens: [{name: branch, token_file: token}]\n"
                "  permissions: [tunnel]\n"
                "  fqdns: ['*.example.org']\n"
                "- {tokens: [{name: prometheus, token: prom-t0ken}], permissions: [scrape]}\n"
            )
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"
            upstream = await self.upstream(sends(answer, then_close=True))
            self.targets(upstream.address)
            await self.daemon(more_sources=", {name: nat, pushprox: {}}", more=more)
            scrape = scrape_path(upstream.address)
            for expected, path, token, arguments in (
                (200, scrape, "prom-t0ken", ()),
                (401, scrape, "", ()),
                (401, scrape, "prom-t0keN", ()),
                (403, scrape, "agent-t0ken", ()),
                (401, "/poll", "", ("-d", "a.example.org")),
                (403, "/poll", "prom-t0ken", ("-d", "a.example.org")),
                (403, "/poll", "agent-t0ken", ("-d", "a.example.net")),
            ):
                found = await self.status(path, *bearer(token), *arguments, scheme="http")
                self.assertEqual(found, expected, (path, token, arguments))
            self.assertNotIn(b"t0ken", upstream.requests[0])
            poll = await self.connect()
            length = "Content-Length: 13"
            head = request("/poll", "Authorization: Bearer agent-t0ken", length, method="POST")
            poll.send(head + b"a.example.org")
            clients = ""
            while "a.example.org" not in clients:
                await pause()
                _, _, clients = await self.curl("/clients", *bearer("prom-t0ken"), scheme="http")
            self.assertEqual(poll.received, b"")
            refused = await self.get("/metrics", "Authorization: Bearer agent-t0ke")
            self.assertIn(b'\r\nWWW-Authenticate: Bearer realm="promproxy"\r\n', refused)
            self.write("token", "renewed-t0ken\n")
            while await self.status("/metrics", *bearer("renewed-t0ken"), scheme="http") != 403:
                await pause()
            self.assertEqual(
                await self.status("/metrics", *bearer("agent-t0ken"), scheme="http"), 401
            )

        return self.run_case(case())

    def test_certificate_that_was_not_verified(self) -> Deferred[None]:
        """Is nobody's, whatever names are in it."""

        async def case() -> None:
            settings = "client_auth_type: RequestClientCert"
            roles = "roles: [{client_sans: [prom.example.org], permissions: [scrape]}]\n"
            await self.daemon(more=roles, web=f"tls_server_config: {{{TLS}, {settings}}}\n{USERS}")
            for cert in ("prom", "foreign"):
                self.assertEqual(await self.status("/metrics", cert=cert), 401)

        return self.run_case(case())

    def test_headers(self) -> Deferred[None]:
        """Stand in every answer, a target's too."""

        async def case() -> None:
            upstream = await self.upstream(
                sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup", then_close=True)
            )
            self.targets(upstream.address)
            await self.daemon(web="http_server_config: {headers: {X-Frame-Options: deny}}")
            for path in ("/metrics", f"/singleTargetMetrics/vms/{upstream.address}", "/nowhere"):
                self.assertIn(b"\r\nX-Frame-Options: deny\r\n", await self.get(path))

        return self.run_case(case())

    def test_discovery_names_the_scheme(self) -> Deferred[None]:
        """It is https where there is TLS, unless the configuration says otherwise."""

        async def case() -> None:
            await self.daemon(web=f"tls_server_config: {{{TLS}}}")
            _, _, body = await self.curl("/discovery")
            (group,) = json.loads(body)
            self.assertEqual(group["labels"]["__scheme__"], "https")

        return self.run_case(case())

    def test_body_of_a_refused_request(self) -> Deferred[None]:
        """Is neither asked for nor read."""

        async def case() -> None:
            self.write("large", b"x" * 1_000_000)
            await self.daemon(web=USERS)
            post = ("--data-binary", "@large", "-H", "Expect: 100-continue", "-v")
            _, err, _ = await self.run_program(
                "curl", "-s", *post, f"http://localhost:{self.port}/-/reload"
            )
            self.assertNotIn(b"100 Continue", err)
            self.assertRegex(err.decode(), r"< HTTP/1.1 4\d\d ")

        return self.run_case(case())


class ReaderTests(WebFileTestCase):
    """Callers over TLS that are slow to read."""

    timeout = 180

    def test_memory_does_not_depend_on_the_speed_of_the_reader(self) -> Deferred[None]:
        """One that stops in the middle of 80 MB: the target is stopped too."""

        async def case() -> None:
            floods: list[Flood] = []
            upstream = await self.upstream(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            self.targets(upstream.address)
            self.write("web.yml", f"tls_server_config: {{{TLS}}}")
            process = await self.ready_twistd()
            endpoint = f"tls:localhost:{self.port}:trustRoots={self.folder}"
            (self.folder / "foreign.pem").unlink()
            await self.scrape(upstream, endpoint=endpoint)
            before = process.memory
            upstream.script = lambda talk: floods.append(Flood(talk, 80))
            asked = upstream.asked()
            reader = await self.connect(endpoint, Reader())
            reader.send(request(scrape_path(upstream.address)))
            await asked
            reader.transport.pauseProducing()
            left = -1
            while left != floods[0].left:
                left = floods[0].left
                for _ in range(20):
                    await pause()
            self.assertGreater(left, 50)
            reader.transport.resumeProducing()
            while reader.size < 80 * MEGABYTE:
                await pause()
            self.assertLess(process.memory - before, 8 * MEGABYTE)

        return self.run_case(case())


class FloodTests(WebFileTestCase):
    """Many wrong passwords at a time."""

    def test_they_hold_up_nobody_else(self) -> Deferred[None]:
        """While every thread for them is busy: no known user, and no look-up of a name."""
        released = Event()
        self.addCleanup(released.set)

        def check(password: bytes, hashed: bytes) -> bool:
            return password == b"secret" or not released.wait(20)

        async def case() -> None:
            self.patch(passwords.bcrypt, "checkpw", check)
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"
            upstream = await self.upstream(sends(answer, then_close=True))
            target = f"localhost:{upstream.port}"
            self.targets(target)
            await self.daemon(web=USERS)
            path = f"/singleTargetMetrics/vms/{target}"
            known = authorization("alice", "secret")
            self.assertTrue((await self.get(path, known)).endswith(b"up"))
            flood = []
            for number in range(passwords.MAX_CHECKS):
                talk = await self.connect()
                talk.send(request("/metrics", authorization("alice", f"wrong-{number}")))
                flood.append(talk)
            one_more = await self.get("/metrics", authorization("alice", "wrong"))
            self.assertTrue(one_more.startswith(b"HTTP/1.1 503 "), one_more)
            for _ in range(5):
                self.assertTrue((await self.get(path, known)).endswith(b"up"))
            self.assertEqual([talk.received for talk in flood], [b""] * len(flood))
            released.set()
            for talk in flood:
                await talk.until(b"HTTP/1.1 401 ")

        return self.run_case(case())


def bearer(token: str) -> tuple[str, ...]:
    """Arguments for curl."""
    return ("-H", f"Authorization: Bearer {token}") if token else ()


def authorization(user: str, password: str) -> str:
    return f"Authorization: {basic(user, password).decode()}"


class RenewalTests(WebFileTestCase):
    """Files that change while the daemon runs."""

    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.patch(file_watch, "LOOK_SECONDS", 0.1)

    async def eventually(self, path: str, *arguments: str, status: int) -> None:
        found = -1
        while found != status:
            await pause()
            _, found, _ = await self.curl(path, *arguments)

    def test_certificate_and_users(self) -> Deferred[None]:
        """Are picked up by themselves; connections that are open stay."""

        async def case() -> None:
            await self.daemon(web=f"tls_server_config: {{{TLS}}}\n{USERS}")
            user = ("-u", "alice:secret")
            self.assertEqual(await self.status("/metrics", *user), 200)
            successor = Authority()
            self.write("new.pem", successor.issue("localhost"))
            (self.folder / "new.pem").rename(self.folder / "server.pem")
            self.write("ca.pem", successor.pem)
            await self.eventually("/metrics", *user, status=200)
            self.write("web.yml", f"tls_server_config: {{{TLS}}}\n{USERS.replace('alice', 'eve')}")
            await self.eventually("/metrics", "-u", "eve:secret", status=200)
            self.assertEqual(await self.status("/metrics", *user), 401)

        return self.run_case(case())

    def test_broken_one(self) -> Deferred[None]:
        """Keeps the old, and is reported by a metric; what is put right is used."""

        async def case() -> None:
            await self.daemon(web=f"tls_server_config: {{{TLS}}}\n{USERS}")
            user = ("-u", "alice:secret")

            async def metric() -> str:
                _, _, body = await self.curl("/metrics", *user)
                name = "promproxy_web_config_last_reload_successful "
                (value,) = (
                    line[len(name) :] for line in body.splitlines() if line.startswith(name)
                )
                return value

            self.assertEqual(await metric(), "1.0")
            good = (self.folder / "server.pem").read_bytes()
            self.write("server.pem", b"-----BEGIN CERTIFICATE-----\n")
            while await metric() != "0.0":
                await pause()
            _, _, body = await self.curl("/-/reload", "-X", "POST", *user)
            self.assertIn(
                f"reload failed, keeping the running configuration: {self.folder}/server.pem", body
            )
            self.write("server.pem", good)
            while await metric() != "1.0":
                await pause()

        return self.run_case(case())


class TlsPeer(Peer):
    """The daemon over TLS, asked as Prometheus does: with a certificate and a password."""

    def get(self, path: str, **headers: str) -> Answer:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(self.folder / "client.pem")
        connection = HTTPSConnection("localhost", self.port, timeout=10, context=context)
        try:
            credentials = {"Authorization": basic("prometheus", "hunter2").decode()}
            connection.request("GET", path, headers={**credentials, **headers})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


class PrometheusTests(PeersTestCase):
    """A real Prometheus, with a client certificate and a password."""

    def promproxy(self) -> TlsPeer:
        authority = Authority()
        (self.folder / "ca.pem").write_bytes(authority.pem)
        (self.folder / "server.pem").write_bytes(authority.issue("localhost"))
        (self.folder / "client.pem").write_bytes(authority.issue("prometheus.example.org"))
        (self.folder / "password").write_text("hunter2\n")
        hashed = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(10)).decode()
        (self.folder / "web.yml").write_text(
            f"tls_server_config:\n  {TLS.replace(', ', chr(10) + '  ')}\n"
            "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
            f"basic_auth_users: {{prometheus: {hashed}}}\n"
        )
        port = free_port()
        (self.folder / "p.yml").write_text(
            f'listen: ["tcp:{port}:interface={HOST}"]\n'
            "roles: [{users: [prometheus], permissions: [scrape]}]\n"
            f"sources: [{{name: vms, files: {{paths: [{self.target_file.name}]}}}}]\n"
        )
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", "p.yml"]
        return TlsPeer(
            command=[*command, "--web-config-file", "web.yml"],
            port=port,
            folder=self.folder,
            environment={"PYTHONPATH": str(CHECKOUT)},
        )

    def test_discovery_and_scrapes(self) -> None:
        """By http_sd_configs over the same; all targets are up, and nothing else is told."""
        exporter = self.start_exporters(1)[0]
        self.list_targets(exporter)
        proxy = self.promproxy()
        self.start(proxy)
        self.await_ready(proxy)
        self.copy_discovery(proxy)
        client = {
            "tls_config": {
                "ca_file": self.file("ca.pem"),
                "cert_file": self.file("client.pem"),
                "key_file": self.file("client.pem"),
            },
            "basic_auth": {"username": "prometheus", "password_file": self.file("password")},
        }
        server = prometheus(
            self.folder, f"https://{proxy.address}/discovery", self.discovery_file, client
        )
        self.start(server)
        eventually(lambda: self.assert_all_up(server, proxy, exporter))
        own = {exporter.address: exporter.port}
        eventually(lambda: self.assertEqual(server.query('which_exporter{job="http_sd"}'), own))
        self.assertEqual(server.failed_refreshes(), 0)
        for secret in ("hunter2", "$2b$", basic("prometheus", "hunter2")[6:].decode()):
            self.assertNotIn(secret, proxy.output)

    def file(self, name: str) -> str:
        return str(Path(self.folder / name))
