"""One merged answer: asks its targets, and writes the block of each as soon as it is there.

Read `MergedAnswer.run` from top to bottom.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredLock, FirstError, gatherResults
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from promproxy.errors import TooLarge
from promproxy.exposition.grouped import Families
from promproxy.exposition.labels import SeriesLabels
from promproxy.exposition.rewrite import Block, exact
from promproxy.scrape.merged.blocks import OWN_HELP, block_for, header, trailer
from promproxy.scrape.merged.fetch import Fetcher, Terms
from promproxy.scrape.merged.metrics import MergedMetrics
from promproxy.scrape.merged.selection import Labelled
from promproxy.server.request import CallerRequest

#: What is compressed in one turn of the reactor: about a millisecond's work.
PIECE_BYTES = 128 * 1024


@frozen(kw_only=True)
class Form:
    """What an answer looks like. A ``grouped`` one is at most ``max_grouped`` bytes before it is
    compressed, and is sent once it is whole.
    """

    gzip: bool
    grouped: bool
    promregator: bool
    max_grouped: int


@implementer(IPushProducer)
@define(eq=False)
class MergedAnswer:
    """One answer under way; its targets are asked in the order in which they come."""

    _request: CallerRequest
    _targets: Iterator[Labelled]
    _count: int
    _form: Form
    _fetcher: Fetcher
    _terms: Terms
    _metrics: MergedMetrics
    _clock: IReactorTime
    sent: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _compressor: Any = field(default=None, init=False)
    _families: Families | None = field(default=None, init=False)
    _told: set[bytes] = field(factory=set, init=False)  # names whose HELP line was written
    _writing: DeferredLock = field(factory=DeferredLock, init=False)
    _is_paused: bool = field(default=False, init=False)
    _waiting: list[Deferred[None]] = field(factory=list, init=False)

    async def run(self, concurrency: int, own_metrics: bytes) -> None:
        """Write all but the end of the answer, which is the caller's to write.

        Raises TooLarge, before anything was written, and CancelledError.
        """
        if self._form.grouped:
            self._families = Families()
        if self._form.gzip:
            self._compressor = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self._request.registerProducer(self, True)
        try:
            if self._families is None:
                await self._write(header(self._count))
            await self._take(OWN_HELP)
            await self._ask_all(concurrency)
            if self._families is None:
                await self._write(own_metrics)
            else:
                self._families.add(_block_of(own_metrics))
                await self._write_grouped(self._families)
            await self._write(trailer(self._count, self._failed))
            if self._compressor is not None:
                self._send(self._compressor.flush())
        finally:
            if not self._request.is_gone:
                self._request.unregisterProducer()

    async def _ask_all(self, concurrency: int) -> None:
        workers = [Deferred.fromCoroutine(self._ask_some()) for _ in range(concurrency)]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            for worker in workers:
                worker.cancel()
            error.subFailure.raiseException()

    async def _ask_some(self) -> None:
        """Ask one target after the other: the next once the block of the one before was written."""
        while True:
            await self._writable()
            labelled = next(self._targets, None)
            if labelled is None:
                return
            scraped, held = await self._fetcher.fetch(labelled, self._terms)
            try:
                block = block_for(scraped, labelled.labels, promregator=self._form.promregator)
                self._failed += scraped.block is None
                self._metrics.target(scraped.outcome, scraped.size, block)
                await self._take(block)
            finally:
                if held is not None:
                    held.release()

    async def _take(self, block: Block) -> None:
        """Write a block, or keep it where families are grouped."""
        if self._families is None:
            await self._write(self._new_help(block) + block.text)
            return
        self._families.add(block)
        if self._families.size > self._form.max_grouped:
            raise TooLarge(f"the answer would be larger than {self._form.max_grouped} bytes")

    def _new_help(self, block: Block) -> bytes:
        """The HELP lines of a block that no block before had."""
        new = [(name, line) for name, line in block.help if name not in self._told]
        self._told.update(name for name, _ in new)
        return b"".join([line for _, line in new])

    async def _write_grouped(self, families: Families) -> None:
        await self._write(header(self._count))
        for piece in _pieces_of(families.lines()):
            await self._write(piece)

    # To the caller.

    async def _write(self, data: bytes) -> None:
        """Write a block as fast as the caller reads, without another block in between."""
        await self._writing.acquire()
        try:
            for start in range(0, len(data), PIECE_BYTES):
                if start:
                    await deferLater(self._clock, 0)
                await self._writable()
                piece = data[start : start + PIECE_BYTES]
                self._send(piece if self._compressor is None else self._compressor.compress(piece))
        finally:
            self._writing.release()

    def _send(self, data: bytes) -> None:
        if data:
            self.sent += len(data)
            self._request.write(data)

    def _writable(self) -> Deferred[None]:
        """Fires when the caller takes more."""
        ready: Deferred[None] = Deferred(self._forget)
        if self._is_paused:
            self._waiting.append(ready)
        else:
            ready.callback(None)
        return ready

    def _forget(self, ready: Deferred[None]) -> None:
        self._waiting.remove(ready)

    def pauseProducing(self) -> None:
        """The caller has enough for now."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        while self._waiting and not self._is_paused:
            self._waiting.pop(0).callback(None)

    def stopProducing(self) -> None:
        """The caller left, which the request tells the resource."""


def _block_of(own_metrics: bytes) -> Block:
    """Our own metrics, as they are."""
    work = exact(own_metrics, SeriesLabels({}))
    while True:
        try:
            next(work)
        except StopIteration as stop:
            block: Block = stop.value
            return block


def _pieces_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    yield b"".join(piece)
