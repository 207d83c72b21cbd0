"""Reloads of a daemon in a process of its own, while it is at work."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from tests.integration.support import (
    Process,
    SocketTestCase,
    Talk,
    Upstream,
    pause,
    request,
    scrape_path,
    sends,
)

UP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"
PROFILE = "outbound: {p: {basic_auth: {username: u, password: secret-%d}}}\n"


class ReloadTests(SocketTestCase):
    """By SIGHUP and by POST."""

    async def start(self) -> tuple[Upstream, Process]:
        upstream = await self.upstream(sends(UP))
        self.targets(upstream.address)
        return upstream, await self.ready_twistd()

    def write(self, config: str) -> None:
        (self.folder / "p.yml").write_text(config)

    async def signal(self, process: Process, expected: bytes) -> None:
        """SIGHUP, and what is then logged."""
        process.output = b""
        process.transport.signalProcess("HUP")
        await process.until(expected)

    def test_signal(self) -> Deferred[None]:
        """The process lives on, and a target of the new configuration is there."""

        async def case() -> None:
            upstream, process = await self.start()
            other = "{name: other, files: {paths: [targets.json]}}"
            self.write(self.config(more_sources=f", {other}"))
            await self.signal(process, b"source other: 1 targets")
            path = scrape_path(upstream.address).replace("/vms/", "/other/")
            self.assertTrue((await self.get(path)).endswith(b"\r\n\r\nup"))
            self.assertIsNone(process.status)

        return self.run_case(case())

    def test_signals_in_quick_succession(self) -> Deferred[None]:
        """The last configuration is in force."""

        async def case() -> None:
            _, process = await self.start()
            for number in range(20):
                self.write(self.config() + f"discovery: {{address: 'p:{number + 1}'}}\n")
                process.transport.signalProcess("HUP")
            while b'"p:20"' not in await self.get("/discovery"):
                await pause()

        return self.run_case(case())

    def test_bad_file(self) -> Deferred[None]:
        """It is said where the mistake is, in the log, the answer and a metric; all goes on."""

        async def case() -> None:
            upstream, process = await self.start()
            self.write("listne: []")
            message = f"{self.folder}/p.yml:1: listne: unknown key".encode()
            await self.signal(process, message)
            answer = await self.get("/-/reload", method="POST")
            self.assertTrue(answer.startswith(b"HTTP/1.1 500 "), answer)
            self.assertIn(message, answer)
            metrics = await self.get("/metrics")
            self.assertIn(b"\npromproxy_config_last_reload_successful 0.0\n", metrics)
            self.assertTrue((await self.scrape(upstream)).endswith(b"\r\n\r\nup"))
            self.assertNotIn(b"Traceback", process.output)

        return self.run_case(case())

    def test_no_scrape_and_no_connection_is_dropped(self) -> Deferred[None]:
        """While the credentials of the targets change with each reload.

        One scrape is under way all the time, and two connections are asked over again and again.
        """

        async def case() -> None:
            upstream, _process = await self.start()
            upstream.script = sends(b"HTTP/1.1 200 OK\r\n")
            asked = upstream.asked()
            waiting = await self.connect()
            waiting.send(request(scrape_path(upstream.address)))
            held = await asked
            upstream.script = sends(UP)
            talks = [await self.connect() for _ in range(2)]
            scraping = [Deferred.fromCoroutine(self.scrape_on(t, upstream)) for t in talks]
            config = self.config().replace("files:", "outbound: p, files:")
            for number in range(10):
                self.write(config + PROFILE % number)
                answer = await self.get("/-/reload", method="POST")
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
            self.is_over = True
            counts = await gatherResults(scraping)
            self.assertGreater(min(counts), 5)
            held.send(b"Content-Length: 2\r\n\r\nup")
            await waiting.until(b"\r\n\r\nup")

        return self.run_case(case())

    is_over = False

    async def scrape_on(self, talk: Talk, upstream: Upstream) -> int:
        """How many scrapes a connection took until it is over; each must succeed."""
        count = 0
        while not self.is_over:
            talk.received = b""
            talk.send(request(scrape_path(upstream.address)))
            self.assertTrue((await talk.until(b"\r\n\r\nup")).startswith(b"HTTP/1.1 200 "))
            count += 1
        return count
