"""The network between clients and promproxy, which may fail in every way that networks do."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from attrs import define, field

from bench.go_clients import HOST, Connection


@define(eq=False)
class Relay:
    """One client's way to promproxy. What it does to connections, it does to all of the client's.

    ``ghosts`` are promproxy's ends of connections whose other end is gone without a word.
    """

    _port: int
    ghosts: list[StreamWriter] = field(factory=list, init=False)
    _server: asyncio.AbstractServer | None = field(default=None, init=False)
    _flows: asyncio.Event = field(factory=asyncio.Event, init=False)
    _pairs: dict[StreamWriter, StreamWriter] = field(factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    async def start(self) -> None:
        """Accept the client's connections."""
        self._flows.set()
        self._server = await asyncio.start_server(self._accepted, HOST, 0)

    async def connect(self) -> Connection:
        """What the client calls for a connection."""
        assert self._server is not None
        return await asyncio.open_connection(*self._server.sockets[0].getsockname()[:2])

    async def _accepted(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._pairs[writer] = far_writer
        for ends in ((reader, far_writer, writer), (far_reader, writer, writer)):
            task = asyncio.ensure_future(self._pump(*ends))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: StreamReader, writer: StreamWriter, near: StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                if near not in self._pairs:
                    return
                writer.write(data)
                await writer.drain()
        await self._flows.wait()
        self._close(near)

    def _close(self, near: StreamWriter) -> None:
        far = self._pairs.pop(near, None)
        if far is not None:
            near.close()
            far.close()

    def hold(self) -> None:
        """From now on nothing arrives, in either direction, and nothing tells of it."""
        self._flows.clear()

    def release(self) -> None:
        """What was sent meanwhile arrives now."""
        self._flows.set()

    def cut(self) -> None:
        """Reset all connections, on both sides."""
        pairs, self._pairs = self._pairs, {}
        for ends in pairs.items():
            for end in ends:
                end.transport.abort()

    def vanish(self) -> None:
        """The client's ends are gone; promproxy does not learn of it."""
        pairs, self._pairs = self._pairs, {}
        for near, far in pairs.items():
            near.transport.abort()
            self.ghosts.append(far)

    def bury(self) -> None:
        """Promproxy learns of it at last."""
        for far in self.ghosts:
            far.transport.abort()
        self.ghosts.clear()

    async def stop(self) -> None:
        """Close everything."""
        self.cut()
        self.bury()
        for task in list(self._tasks):
            task.cancel()
        if self._server is not None:
            self._server.close()
