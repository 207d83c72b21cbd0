"""A target that behaves and misbehaves as its paths tell it to: ``/<behaviour>/<number>``."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

STALL_SECONDS = 30.0  # longer than any deadline of the soak


def body_of(path: str) -> bytes:
    """What a path has, which proves whose it is."""
    size = 1_000_000 if path.startswith("/large/") else 3000
    line = f'soak{{path="{path}"}} 1\n'.encode()
    return line * (size // len(line))


def reset(writer: StreamWriter) -> None:
    """End a connection with RST, not FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _head(*headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Type: text/plain", *headers, b"", b""])


def _with_length(path: str) -> bytes:
    body = body_of(path)
    return _head(b"Content-Length: %d" % len(body)) + body


async def _whole(writer: StreamWriter, path: str) -> bool:
    writer.write(_with_length(path))
    return True


async def _late(writer: StreamWriter, path: str) -> bool:
    await asyncio.sleep(random.uniform(0, 0.1))
    return await _whole(writer, path)


async def _chunked(writer: StreamWriter, path: str) -> bool:
    body = body_of(path)
    writer.write(_head(b"Transfer-Encoding: chunked"))
    while body:
        size = random.randint(1, 1000)
        piece, body = body[:size], body[size:]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if random.random() < 0.3:
            await asyncio.sleep(0.002)
    writer.write(b"0\r\n\r\n")
    return True


async def _until_close(writer: StreamWriter, path: str) -> bool:
    writer.write(_head(b"Connection: close") + body_of(path))
    return False


async def _closes_later(writer: StreamWriter, path: str) -> bool:
    """The next request may be under way already."""
    await _whole(writer, path)
    await asyncio.sleep(random.uniform(0, 0.02))
    return False


async def _surplus(writer: StreamWriter, path: str) -> bool:
    writer.write(_with_length(path) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    return True


async def _silent(writer: StreamWriter, path: str) -> bool:
    await asyncio.sleep(STALL_SECONDS)
    return False


async def _stalls(writer: StreamWriter, path: str) -> bool:
    writer.write(_with_length(path)[:-1000])
    return await _silent(writer, path)


async def _cut(writer: StreamWriter, path: str) -> bool:
    writer.write(_with_length(path)[:-1000])
    return False


async def _reset_at_once(writer: StreamWriter, path: str) -> bool:
    reset(writer)
    return False


async def _reset_in_body(writer: StreamWriter, path: str) -> bool:
    writer.write(_with_length(path)[:-1000])
    await asyncio.sleep(0.005)
    return await _reset_at_once(writer, path)


async def _garbage(writer: StreamWriter, path: str) -> bool:
    writer.write(b"\0 this is no HTTP\r\n\r\n")
    return False


Behaviour = Callable[[StreamWriter, str], Awaitable[bool]]

# Whether the connection may go on is what each of them returns.
GOOD: dict[str, Behaviour] = {
    "whole": _whole,
    "large": _whole,
    "late": _late,
    "chunked": _chunked,
    "until-close": _until_close,
    "closes-later": _closes_later,
}
BAD: dict[str, Behaviour] = {
    "surplus": _surplus,
    "silent": _silent,
    "stalls": _stalls,
    "cut": _cut,
    "reset": _reset_at_once,
    "reset-in-body": _reset_in_body,
    "garbage": _garbage,
}
_ALL = {**GOOD, **BAD}


class SoakTarget:
    """Serves on one port of the loopback, plain or with TLS."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def listen(self, context: ssl.SSLContext | None = None) -> int:
        """Returns the port."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def close_connections(self) -> None:
        """End all of them; whoever keeps one for later has to notice."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> bool:
        """Answer one request; stop as soon as the other side is gone."""
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("ascii")
        answering = asyncio.ensure_future(_ALL[path.split("/")[1]](writer, path))
        gone = asyncio.ensure_future(reader.read(1))  # nobody pipelines here
        try:
            await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # So that neither goes on, nor what it raises goes unseen.
            gone.cancel()
            is_answered = answering.done()
            answering.cancel()
            goes_on, _ = await asyncio.gather(answering, gone, return_exceptions=True)
        if not is_answered or goes_on is not True:
            return False
        await writer.drain()
        return True
