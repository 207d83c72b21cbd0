"""Credentials go only where the operator meant them to, whatever lures them elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from promproxy.simulation import Simulation, Size
from promproxy.targets.ids import safe_id
from tests.integration.support import SocketTestCase, Talk, Upstream, pause, reactor, sends

SECRET = b"aHVudGVyMg"  # hunter2
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"
TYPE = b"Content-Type: application/json\r\n"


REDIRECT = "HTTP/1.1 307 Go\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n"


def document(content: Any) -> Callable[[Talk], None]:
    """A script that answers with JSON."""
    body = json.dumps(content).encode()
    return sends(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (TYPE, len(body), body))


class LureTests(SocketTestCase):
    """A profile with a bearer token, and two servers: one that may see it, one that may not."""

    async def start(
        self,
        source: str,
        profile: str = "",
        *,
        source_profile: str = "acme",
        more_sources: str = "",
    ) -> None:
        """A daemon with the source `lure`; returns when that has delivered."""
        profile = profile or f"{{authorization: {{credentials: {SECRET.decode()}}}}}"
        self.targets()
        await self.daemon(
            more_sources=f", {{name: lure, outbound: '{source_profile}', {source}}}{more_sources}",
            more=f"outbound: {{acme: {profile}}}\n",
        )
        while b"200 OK" not in await self.get("/discovery?source=lure"):
            await pause()

    async def scrape_all(self) -> list[bytes]:
        """Scrape whatever there is to be found; the answers."""
        answer = await self.get("/discovery?source=lure")
        groups = json.loads(answer.partition(b"\r\n\r\n")[2])
        paths = [group["labels"]["__metrics_path__"] for group in groups]
        return [await self.get(path) for path in paths]

    async def servers(self) -> tuple[Upstream, Upstream]:
        """The one that may, and the one that may not."""
        return await self.upstream(sends(OK)), await self.upstream(sends(OK))

    def seen(self, server: Upstream) -> int:
        """How many requests have shown it the secret."""
        return sum(SECRET in request for request in server.requests)

    def test_hostile_http_sd_document(self) -> Deferred[None]:
        """It names hosts that are not allowed, in every way it can."""

        async def case() -> None:
            meant, evil = await self.servers()
            port = evil.port
            content = [
                {"targets": [f"127.0.0.1:{meant.port}"], "labels": {}},
                *(
                    {"targets": [address], "labels": labels}
                    for address, labels in (
                        (f"localhost:{port}", {}),
                        (f"127.0.0.1@localhost:{port}", {}),
                        (f"127.0.0.1:{meant.port}@localhost:{port}", {}),
                        (f"127.0.0.1.:{port}", {}),
                        (f"[::ffff:127.0.0.1]:{port}", {}),
                        (f"127.1:{port}", {}),
                        (f"127.0.0.1#.localhost:{port}", {}),
                        (f"127.0.0.1\\@localhost:{port}", {}),
                        (f"127.0.0.1\r\nHost: localhost:{port}", {}),
                        (
                            f"127.0.0.1:{meant.port}",
                            {"__metrics_path__": f"http://localhost:{port}/"},
                        ),
                        (f"127.0.0.1:{meant.port}", {"__address__": f"localhost:{port}"}),
                        (f"127.0.0.1:{meant.port}", {"__metrics_path__": f"@localhost:{port}/"}),
                        (f"127.0.0.1:{meant.port}", {"__scheme__": f"http://localhost:{port}#"}),
                        (f"127.0.0.1:{meant.port}", {"__param_x": f"\r\nHost: localhost:{port}"}),
                    )
                ),
            ]
            server = await self.upstream(document(content))
            await self.start(
                f"http_sd: {{url: 'http://{server.address}/', allowed_hosts: [127.0.0.1]}}"
            )
            await self.scrape_all()
            self.assertGreater(self.seen(meant), 3)
            self.assertEqual(evil.requests, [])
            self.assertEqual(self.seen(server), 0)  # it has no credentials of its own
            for request in meant.requests:
                lines = request.decode().split("\r\n")
                hosts = [line for line in lines if line.lower().startswith("host:")]
                self.assertEqual(hosts, [f"Host: 127.0.0.1:{meant.port}"])

        return self.run_case(case())

    def test_redirect(self) -> Deferred[None]:
        """Of the target and of the document."""

        async def case() -> None:
            evil = await self.upstream(sends(OK))
            head = REDIRECT % evil.address
            redirecting = await self.upstream(sends(head.encode()))
            server = await self.upstream(document([{"targets": [redirecting.address]}]))
            own = f"authorization: {{credentials: {SECRET.decode()}}}"
            moved = f"{{url: 'http://{redirecting.address}/', {own}}}"
            await self.start(
                f"http_sd: {{url: 'http://{server.address}/', allowed_hosts: [127.0.0.1], {own}}}",
                more_sources=f", {{name: moved, http_sd: {moved}}}",
            )
            (answer,) = await self.scrape_all()
            self.assertIn(f"redirects to http://{evil.address}/, which".encode(), answer)
            self.assertIn(b"status 307, expected 200", await self.get("/"))
            self.assertEqual(self.seen(redirecting), 2)
            self.assertEqual(evil.requests, [])

        return self.run_case(case())

    def test_token_server_that_redirects(self) -> Deferred[None]:
        """The client's secret stays with it."""

        async def case() -> None:
            meant, evil = await self.servers()
            head = REDIRECT % evil.address
            tokens = await self.upstream(sends(head.encode()))
            server = await self.upstream(document([{"targets": [meant.address]}]))
            await self.start(
                f"http_sd: {{url: 'http://{server.address}/', allowed_hosts: [127.0.0.1]}}",
                "{oauth2: {client_id: x, client_secret: client-secret, "
                f"token_url: 'http://{tokens.address}/token'}}}}",
            )
            (answer,) = await self.scrape_all()
            self.assertIn(b"no token from http://%b/token" % tokens.address.encode(), answer)
            self.assertEqual((len(tokens.requests), meant.requests, evil.requests), (1, [], []))

        return self.run_case(case())

    def test_foundation(self) -> Deferred[None]:
        """Every app has the label, and asks for http; only those of the org that the rule names,
        over https, are shown the secret.
        """

        async def case() -> None:
            router = await self.upstream(sends(OK))
            simulation = Simulation(reactor, size=Size(orgs=3, spaces=3, apps=20, instances=30))
            await simulation.start()
            self.addCleanup(simulation.stop)
            apps = simulation.foundation.apps
            acme = next(iter(simulation.foundation.orgs.values()))
            annotations = {"prometheus.io/scrape": "true"}
            for number, (guid, app) in enumerate(apps.items()):
                scheme = {"prometheus.io/scheme": "http"} if number % 2 else {}
                labels = {"monitoring": "prometheus", "org": acme.name}
                apps[guid] = evolve(app, labels=labels, annotations={**annotations, **scheme})
            meant = {
                guid
                for guid, app in apps.items()
                if app.space.org is acme and "prometheus.io/scheme" not in app.annotations
            }
            wanted = 'label_selector: "monitoring=prometheus", annotations: true'
            await self.start(
                f"cloud_foundry: {{api_url: '{simulation.api_url}', username: scraper, "
                f"password: secret, router: 'http://{router.address}', "
                f"select: [{{org: {acme.name}, {wanted}, outbound: acme}}, {{{wanted}}}]}}",
                source_profile="",
            )
            answers = await self.scrape_all()
            self.assertEqual({answer[-2:] for answer in answers}, {b"up"})
            shown, others = set(), set()
            for request in router.requests:
                guid = request.partition(b"X-CF-APP-INSTANCE: ")[2].partition(b":")[0].decode()
                (shown if SECRET in request else others).add(guid)
            assert shown and shown <= meant, (shown, meant)
            assert others and not others & meant, (others, meant)

        return self.run_case(case())

    def test_token_server(self) -> Deferred[None]:
        """The client's secret goes to it alone, the token to the targets alone."""

        async def case() -> None:
            meant, other = await self.servers()
            tokens = await self.upstream(
                document({"access_token": SECRET.decode(), "expires_in": 60})
            )
            content = [
                {"targets": [meant.address], "labels": {}},
                {"targets": [f"localhost:{other.port}"], "labels": {}},
            ]
            server = await self.upstream(document(content))
            await self.start(
                f"http_sd: {{url: 'http://{server.address}/', allowed_hosts: [127.0.0.1]}}",
                "{oauth2: {client_id: x, client_secret: client-secret, "
                f"token_url: 'http://{tokens.address}/token'}}}}",
            )
            await self.scrape_all()
            self.assertEqual((self.seen(meant), len(meant.requests)), (1, 1))
            self.assertEqual((other.requests, self.seen(tokens), self.seen(server)), ([], 0, 0))
            self.assertEqual(len(tokens.requests), 1)
            self.assertNotIn(b"client-secret", b"".join(meant.requests + server.requests))

        return self.run_case(case())

    def test_other_profile_on_the_same_host(self) -> Deferred[None]:
        """Its targets get neither the credentials nor the connection."""

        async def case() -> None:
            meant = await self.upstream(sends(OK))
            server = await self.upstream(document([{"targets": [meant.address]}]))
            await self.start(
                f"http_sd: {{url: 'http://{server.address}/', allowed_hosts: [127.0.0.1]}}",
                more_sources=f", {{name: open, http_sd: {{url: 'http://{server.address}/'}}}}",
            )
            while b"200 OK" not in await self.get("/-/ready"):
                await pause()
            for source in ("lure", "open", "lure", "open"):
                await self.get(f"/singleTargetMetrics/{safe_id(f'{source}/{meant.address}')}")
            shown = [SECRET in request for request in meant.requests]
            self.assertEqual(shown, [True, False, True, False])
            self.assertEqual(len(meant.talks), 2)

        return self.run_case(case())
