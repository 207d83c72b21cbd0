"""Scrapes at a steady rate, as a Prometheus with many targets makes them."""

from __future__ import annotations

import asyncio
import random
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence

from attrs import define, field

from bench.deadline import within

BODY = b"up 1\n" * 600
PATIENCE_SECONDS = 30.0
KEPT_SECONDS = 5.0  # a connection that was idle for longer is not used again
SHARE_OF_NEW_CONNECTIONS = 0.1

Connection = tuple[StreamReader, StreamWriter]


@define
class Scraper:
    """Asks for the paths at random; whatever is no 200 with `BODY` is a failure.

    ``seconds`` has how long each scrape that succeeded took.
    """

    _port: int
    _paths: Sequence[str]
    seconds: list[float] = field(factory=list)
    failures: list[str] = field(factory=list)
    _idle: list[tuple[float, Connection]] = field(factory=list, init=False)
    _ending: bool = field(default=False, init=False)

    async def run(self, rate: float) -> None:
        """So many a second until `end`, whether or not those before were answered."""
        self._ending = False
        loop = asyncio.get_running_loop()
        due, running = loop.time(), set()
        while not self._ending:
            task = asyncio.ensure_future(self._scrape(random.choice(self._paths)))
            running.add(task)
            task.add_done_callback(running.discard)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
        await asyncio.gather(*running)
        for _, (_, writer) in self._idle:
            writer.close()
        self._idle.clear()

    async def end(self) -> None:
        """No more of them; `run` returns when those under way are answered."""
        self._ending = True

    async def _scrape(self, path: str) -> None:
        began = time.perf_counter()
        try:
            status, body = await within(PATIENCE_SECONDS, self._exchange(path))
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.failures.append(f"{path}: {error!r}")
            return
        if (status, body) != (200, BODY):
            self.failures.append(f"{path}: {status} {body[:200]!r}")
        self.seconds.append(time.perf_counter() - began)

    async def _exchange(self, path: str) -> tuple[int, bytes]:
        reader, writer = await self._connection()
        headers = "Host: promproxy\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        _, _, length = head.partition(b"Content-Length: ")
        body = await reader.readexactly(int(length.partition(b"\r\n")[0]))
        if b"Connection: close" in head:
            writer.close()
        else:
            self._idle.append((time.monotonic(), (reader, writer)))
        return int(head.split(b" ", 2)[1]), body

    async def _connection(self) -> Connection:
        while self._idle:
            since, connection = self._idle.pop()
            is_fresh = time.monotonic() - since < KEPT_SECONDS
            if is_fresh and random.random() >= SHARE_OF_NEW_CONNECTIONS:
                return connection
            connection[1].close()
        return await asyncio.open_connection("127.0.0.1", self._port)
