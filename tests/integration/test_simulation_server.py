"""The simulation on real sockets."""

from __future__ import annotations

from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent

from promproxy.simulation import Simulation, Size


class Recorder(Protocol):
    """Sends something, and fires with all that came back when the connection ends."""

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Send."""
        self.transport.write(self.sent)

    def dataReceived(self, data: bytes) -> None:
        """Keep."""
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        """Fire."""
        self.ended.callback(self.received)


class ServerTests(TestCase):
    """Start, stop, and what memory cannot show."""

    timeout = 20

    async def start(self, **options: Any) -> Simulation:
        simulation = Simulation(
            reactor, size=Size(orgs=2, spaces=2, apps=10, instances=20), **options
        )
        await simulation.start()
        self.addCleanup(simulation.stop)
        return simulation

    async def talk(self, url: str, text: str) -> bytes:
        recorder = Recorder(text.encode())
        _, _, address = url.partition("//")
        endpoint = clientFromString(reactor, "tcp:" + address)
        await connectProtocol(endpoint, recorder)
        return await recorder.ended

    async def get(self, url: str, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        agent = Agent(reactor)
        response = await treq.client.HTTPClient(agent).get(url, headers=named)
        return response.code, await response.content()

    def test_api_and_router_answer(self) -> Deferred[None]:
        """Links point to where the API listens; the router answers for a route's Host."""

        async def case() -> None:
            simulation = await self.start()
            code, body = await self.get(simulation.api_url + "/")
            assert code == 200
            assert f'"href":"{simulation.api_url}/v3"'.encode() in body
            item = next(x for x in simulation.foundation.web_instances() if x.scrapable_routes)
            route = item.scrapable_routes[0]
            header = f"{item.app.guid}:{item.instance.index}"
            code, body = await self.get(
                f"{simulation.router_url}{route.path}/metrics",
                Host=route.fqdn,
                X_CF_APP_INSTANCE=header,
            )
            assert code == 200
            assert f'app_guid="{item.app.guid}"'.encode() in body
            code, body = await self.get(simulation.router_url + "/metrics")
            assert (code, body[:3]) == (400, b"400")

        return Deferred.fromCoroutine(case())

    def test_very_long_request_line(self) -> Deferred[None]:
        """Refused by the API with 414, where Twisted by itself would say 400."""

        async def case() -> None:
            simulation = await self.start()
            for length in (9_000, 20_000, 100_000):
                code, body = await self.get(f"{simulation.api_url}/v3/apps?names={'x' * length}")
                assert (code, b"nginx" in body) == (414, True)

        return Deferred.fromCoroutine(case())

    def test_broken_connections(self) -> Deferred[None]:
        """Reset, nonsense and half a body, as bytes."""

        async def case() -> None:
            simulation = await self.start()
            ask = "GET /v3/info HTTP/1.1\r\nHost: x\r\n\r\n"
            for kind, count, beginning in (
                ("reset", 0, b""),
                ("not_http", 1, b"220 "),
                ("truncate", 1, b"HTTP/1.1 200 OK\r\n"),
            ):
                simulation.faults.inject(kind, count=1)
                received = await self.talk(simulation.api_url, ask)
                assert received.startswith(beginning), kind
                assert bool(received) == bool(count), kind
            head, _, rest = received.partition(b"\r\n\r\n")
            (length,) = (line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
            assert 0 < len(rest) < int(length.split()[1])

        return Deferred.fromCoroutine(case())

    def test_stop_ends_hanging_and_slow_requests(self) -> Deferred[None]:
        """Nothing is left in the reactor, which trial checks."""

        async def case() -> None:
            simulation = await self.start(churn_per_minute=6000.0)
            simulation.faults.inject("hang", count=1)
            simulation.faults.inject("slow", count=1, seconds=1000)
            ask = "GET /v3/info HTTP/1.1\r\nHost: x\r\n\r\n"
            waiting = [Deferred.fromCoroutine(self.talk(simulation.api_url, ask)) for _ in "12"]
            before = list(simulation.foundation.processes.values())
            while simulation.fronts["api"].requests["/v3/info"] < 2 or before == list(
                simulation.foundation.processes.values()
            ):
                await self.get(simulation.api_url + "/")
            await simulation.stop()
            for deferred in waiting:
                assert await deferred == b""

        return Deferred.fromCoroutine(case())
