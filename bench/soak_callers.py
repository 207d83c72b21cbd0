"""Callers that behave and misbehave; what they are told must be true all the same."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from attrs import define, field

from bench.deadline import within
from bench.soak_target import GOOD, body_of, reset

HOST = "127.0.0.1"
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.002
REFUSALS = (502, 503, 504)


@define
class Callers:
    """Many callers at a time; each does something else with each new connection.

    ``scrapes`` are the paths that promproxy has, each with the path that its target is asked for.
    """

    _port: int
    _tls_port: int
    _context: ssl.SSLContext
    _scrapes: Mapping[str, str]
    outcomes: Counter[str] = field(factory=Counter, init=False)
    untrue: list[str] = field(factory=list, init=False)

    async def run(self, callers: int, seconds: float) -> None:
        """Returns when the time is over and all of them have finished."""
        end = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(*(self._caller(end) for _ in range(callers)))

    async def _caller(self, end: float) -> None:
        kinds = (self._patient, self._patient, self._slow, self._leaves, self._stops_asking)
        while asyncio.get_running_loop().time() < end:
            reader, writer = await self._connect()
            kind = random.choice(kinds)
            try:
                await within(PATIENCE_SECONDS, kind(reader, writer))
            except asyncio.TimeoutError:
                self.untrue.append(f"{kind.__name__}: no end after {PATIENCE_SECONDS:g} s")
            finally:
                writer.transport.abort()

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        """With a small buffer, so that what is not read soon waits in promproxy."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        connection.setblocking(False)
        tls = random.random() < 0.3
        address = (HOST, self._tls_port if tls else self._port)
        await asyncio.get_running_loop().sock_connect(connection, address)
        if tls:
            return await asyncio.open_connection(
                sock=connection, ssl=self._context, server_hostname="localhost"
            )
        return await asyncio.open_connection(sock=connection)

    async def _patient(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Several scrapes over one connection, read at once."""
        for _ in range(random.randint(1, 6)):
            if not await self._scrape(reader, writer, 0.0):
                break

    async def _slow(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Rests after each piece of the body."""
        await self._scrape(reader, writer, PAUSE_SECONDS)

    async def _leaves(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Asks, perhaps reads a while, and is gone, with FIN or RST."""
        writer.write(_request(random.choice(list(self._scrapes)), timeout=10.0))
        wanted = random.choice((1, 100, 3000, 100_000))
        with suppress(asyncio.TimeoutError, IncompleteReadError, OSError):
            await within(random.uniform(0, 0.1), reader.readexactly(wanted))
        if random.random() < 0.5:
            reset(writer)
        self.outcomes["left"] += 1

    async def _stops_asking(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Does not come to the end of its request."""
        request = _request(random.choice(list(self._scrapes)), timeout=10.0)
        writer.write(request[: random.randrange(len(request) - 2)])
        await asyncio.sleep(random.uniform(0, 0.1))
        self.outcomes["stopped asking"] += 1

    async def _scrape(self, reader: StreamReader, writer: StreamWriter, pause: float) -> bool:
        """Whether the connection can go on; notes an answer that is not true."""
        scrape, path = random.choice(list(self._scrapes.items()))
        behaviour = path.split("/")[1]
        good = behaviour in GOOD
        try:
            writer.write(_request(scrape, timeout=10.0 if good else 0.6))
            status, body = await _read_answer(reader, pause)
        except (IncompleteReadError, OSError) as error:
            status, body = 0, repr(error).encode()
        self.outcomes[str(status or "cut short")] += 1
        if status == 200:
            true = body == body_of(path) and (good or behaviour == "surplus")
        else:
            true = not good and status in (0, *REFUSALS)
        if not true:
            self.untrue.append(f"{path}: {status}, {len(body)} bytes: {body[:200]!r}")
        return status != 0


def _request(path: str, timeout: float) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: promproxy"]
    lines += [f"X-Prometheus-Scrape-Timeout-Seconds: {timeout}", "", ""]
    return "\r\n".join(lines).encode()


async def _read_answer(reader: StreamReader, pause: float) -> tuple[int, bytes]:
    """Status and body. Raises IncompleteReadError where it is cut short."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    _, found, rest = head.partition(b"content-length: ")
    if found:
        return status, await _read(reader, int(rest.partition(b"\r\n")[0]), pause)
    pieces = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        pieces.append((await _read(reader, size + 2, pause))[:-2])
        if not size:
            return status, b"".join(pieces)


async def _read(reader: StreamReader, size: int, pause: float) -> bytes:
    pieces = []
    while size:
        piece = await reader.readexactly(min(size, 8192))
        pieces.append(piece)
        size -= len(piece)
        if pause:
            await asyncio.sleep(pause)
    return b"".join(pieces)
