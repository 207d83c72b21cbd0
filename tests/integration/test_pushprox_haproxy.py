"""Clients and scrapers behind HAProxy, with the backends of the page on high availability."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from urllib.parse import urlsplit

from bench.go_clients import GoClient, connect_to
from tests import go_client
from tests.docs.pages import all_pages
from tests.go_client import ScrapeRequest
from tests.integration.peers import HOST, Peer, eventually, free_port, need
from tests.integration.test_pushprox import PushProxTestCase

CLIENTS = 20
SCRAPES = 1998
SCRAPERS = 3


class HAProxyTests(PushProxTestCase):
    timeout = 120

    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.start_proxy()
        examples = all_pages()["docs/high-availability.md"].examples()
        (text,) = (e.text for e in examples if e.language == "haproxy")
        self.port = free_port()
        text = text.replace("bind :8080", f"bind {HOST}:{self.port}")
        lines = [line for line in text.splitlines() if "server replica-2" not in line]
        text = "\n".join(lines).replace("192.0.2.11:8080", self.proxy.address)
        (self.folder / "haproxy.cfg").write_text(text + "\n")
        command = [need("haproxy", "haproxy"), "-db", "-f", "haproxy.cfg"]
        self.start(Peer(command=command, port=self.port, folder=self.folder))

    def metric(self, name: str) -> float:
        lines = self.proxy.get("/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def test_each_exporter_is_asked_once_per_scrape(self) -> None:
        """With http-reuse safe, HAProxy's default, and three scrapers at the same moment."""
        asked: Counter[str] = Counter()

        def respond(scrape: ScrapeRequest) -> bytes:
            asked[scrape.url] += 1
            return scrape.url.encode()

        async def get(url: str) -> None:
            reader, writer = await connect_to(self.port)
            writer.write(
                f"GET {url} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n"
                "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n".encode()
            )
            answer = await reader.read()
            writer.close()
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
            self.assertTrue(answer.endswith(url.encode()), answer)

        async def scrape_on(scraper: int, clients: list[GoClient]) -> None:
            for number in range(SCRAPES // SCRAPERS):
                client = clients[number % CLIENTS]
                await get(f"http://{client.fqdn}:9100/{scraper}/{number}")

        async def case() -> int:
            clients = [
                GoClient(f"client-{n}.example", lambda: connect_to(self.port), respond)
                for n in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            while not all(client.is_polling for client in clients):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # they are on their way
            await asyncio.gather(*(scrape_on(n, clients) for n in range(SCRAPERS)))
            for client in clients:
                await client.kill()
            return sum(client.refused_pushes for client in clients)

        self.assertEqual(asyncio.run(case()), 0)
        self.assertEqual(len(asked), SCRAPES)
        self.assertEqual(set(asked.values()), {1})

    def test_client_that_never_got_its_scrape(self) -> None:
        """Its side of HAProxy was cut, which HAProxy passes on: the scrape goes to its next poll.

        In the moment before HAProxy does that, nobody can tell that a scrape went to no one.
        """
        through = Peer(command=[], port=self.port, folder=self.folder)
        for _ in range(3):
            poll = self.poll(through)
            poll.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            poll.close()
            eventually(lambda: self.assertEqual(self.metric("promproxy_tunnel_polls_held"), 0.0))
            scrape = self.scrape(through)
            self.push(through, self.poll(through))
            self.assertEqual(self.answer(scrape), (b"HTTP/1.1 200 OK", go_client.EXPOSITION))


class StandbyTests(PushProxTestCase):
    """The configuration of the page on hosts behind NAT."""

    def test_standby_takes_over(self) -> None:
        """Clients and scrapers find it once the first has been killed."""
        first, standby = self.start_proxy(), self.start_proxy()
        examples = all_pages()["docs/pushprox.md"].examples()
        (text,) = (e.text for e in examples if e.language == "haproxy")
        port = free_port()
        text = text.replace("bind :8080", f"bind {HOST}:{port}")
        text = text.replace("192.0.2.11:8080", first.address)
        text = text.replace("192.0.2.12:8080", standby.address)
        (self.folder / "haproxy.cfg").write_text(text)
        command = [need("haproxy", "haproxy"), "-db", "-f", "haproxy.cfg"]
        through = Peer(command=command, port=port, folder=self.folder)
        self.start(through)
        for proxy in (first, standby):
            client = self.poll(through)
            self.assertIn(b"web-1", proxy.get("/clients").body)
            scrape = self.scrape(through)
            self.push(through, client)
            self.assertEqual(self.answer(scrape), (b"HTTP/1.1 200 OK", go_client.EXPOSITION))
            if proxy is first:
                first.kill()
            eventually(lambda: self.assertEqual(through.get("/-/ready").status, 200))
