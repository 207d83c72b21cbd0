"""Clients that do what PushProx's do, with Go's pool of connections and its patience.

Run as ``python -m bench.go_clients PORT COUNT [--body BYTES]`` they serve a benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import urlopen

from attrs import define, field

from bench.deadline import within
from bench.peers import raise_file_limit
from tests import go_client
from tests.go_client import Responses, ScrapeRequest

HOST = "127.0.0.1"
FIRST_WAIT_SECONDS = 1.0  # cmd/client/main.go of PushProx: --proxy.retry.initial-wait
LONGEST_WAIT_SECONDS = 5.0  # and --proxy.retry.max-wait
WAIT_GROWS_BY = 1.5

Connection = tuple[StreamReader, StreamWriter]
BROKEN = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


async def connect_to(port: int) -> Connection:
    """A connection to promproxy."""
    return await asyncio.open_connection(HOST, port)


@define(eq=False)
class GoClient:
    """One client: polls, answers each scrape by what ``respond`` makes of it, and polls again.

    ``is_polling`` says that a poll has been sent and no answer to it has come.
    """

    fqdn: str
    _connect: Callable[[], Awaitable[Connection]]
    _respond: Callable[[ScrapeRequest], bytes]
    _more: str = ""  # header lines
    is_polling: bool = field(default=False, init=False)
    refused_pushes: int = field(default=0, init=False)
    _idle: list[Connection] = field(factory=list, init=False)
    _open: set[StreamWriter] = field(factory=set, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    def start(self) -> None:
        """Begin."""
        self._spawn(self.run())

    async def run(self) -> None:
        """Poll for ever."""
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                scrape = go_client.read_request(
                    await self._ask(go_client.poll(self.fqdn, more=self._more), 200)
                )
            except BROKEN:
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))
                wait = min(wait * WAIT_GROWS_BY, LONGEST_WAIT_SECONDS)
            else:
                wait = FIRST_WAIT_SECONDS
                self._spawn(self._push(scrape))

    async def kill(self) -> None:
        """End as a process does that is killed: the system closes its connections."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._idle.clear()
        self._open.clear()

    def sockets(self) -> list[StreamWriter]:
        """Its connections."""
        return list(self._open)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _push(self, scrape: ScrapeRequest) -> None:
        response = Responses(scrape.id).counted(self._respond(scrape))
        with suppress(asyncio.TimeoutError, *BROKEN):
            await within(scrape.seconds, self._ask(go_client.push(response, more=self._more), 200))

    def _take_idle(self) -> Connection | None:
        """A connection that is not known to be closed, as Go does it."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or reader.exception() or writer.transport.is_closing()):
                return reader, writer
            self._open.discard(writer)
            writer.transport.abort()
        return None

    async def _ask(self, request: bytes, expected: int) -> bytes:
        """The body of an answer of that status. Raises one of `BROKEN`."""
        reader, writer = connection = self._take_idle() or await self._connect()
        self._open.add(writer)
        is_poll = request.startswith(b"POST /poll ")
        is_whole = False
        try:
            self.is_polling |= is_poll
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            is_whole = b"\r\nconnection: close" not in head
        finally:
            if is_poll:
                self.is_polling = False
            if is_whole:
                self._idle.append(connection)
            else:
                self._open.discard(writer)
                writer.transport.abort()
        status = int(head.split(b" ", 2)[1])
        if status != expected:
            self.refused_pushes += not is_poll
            raise ValueError(f"{status}: {body!r}")
        return body


def ask_exporter(scrape: ScrapeRequest) -> bytes:
    """What an exporter on this host says, whatever the client is called. It blocks."""
    port, path = urlsplit(scrape.url).port, urlsplit(scrape.url).path
    with urlopen(f"http://{HOST}:{port}{path}", timeout=5) as answer:
        body: bytes = answer.read()
    return body


async def _serve(port: int, count: int, size: int, exporters: bool, user: str) -> None:
    credentials = base64.b64encode(user.encode()).decode()
    more = f"Authorization: Basic {credentials}\r\n" if user else ""
    body = (b'metric_of_some_length_and_a_label{number="12345"} 1\n' * (size // 50 + 1))[:size]
    respond = ask_exporter if exporters else lambda scrape: body
    clients = [
        GoClient(f"client-{number}.example", lambda: connect_to(port), respond, more)
        for number in range(count)
    ]
    for client in clients:
        client.start()
        await asyncio.sleep(0.001)
    print("started", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run until the end."""
    parser = argparse.ArgumentParser(prog="python -m bench.go_clients", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--body", type=int, default=2000, help="bytes of each answer; default 2000")
    parser.add_argument("--exporters", action="store_true", help="ask those on this host instead")
    parser.add_argument("--user", default="", help="user:password, as in --proxy-url")
    asked = parser.parse_args()
    raise_file_limit()
    asyncio.run(_serve(asked.port, asked.count, asked.body, asked.exporters, asked.user))


if __name__ == "__main__":
    main()
