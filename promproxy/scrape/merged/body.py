"""A target's body, decoded, within limits."""

from __future__ import annotations

import zlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from promproxy.errors import BadUpstream
from promproxy.scrape.merged.budget import Budget

_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """Decodes gzip piece by piece, members in a row too, as Go's reader does (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._has_begun = False

    def decode(self, data: bytes, limit: int) -> bytes:
        """What these bytes add, at most ``limit`` + 1 bytes of it. Raises BadUpstream."""
        decoded = []
        left = limit + 1
        while data and left > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            self._has_begun = True
            try:
                piece = self._member.decompress(data, left)
            except zlib.error as error:
                raise BadUpstream("its answer is not valid gzip") from error
            decoded.append(piece)
            left -= len(piece)
            data = self._member.unused_data or self._member.unconsumed_tail
        return b"".join(decoded)

    @property
    def is_whole(self) -> bool:
        """Whether the last member has its end; an empty body is whole too."""
        return self._member.eof or not self._has_begun


class BodyCollector(Protocol):
    """Collects a body. ``whole`` fires with it, or fails with BadUpstream.

    It is a holder of the budget until `release`.
    """

    def __init__(self, limit: int, budget: Budget, *, is_gzip: bool) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._give_up())
        self.size = 0
        self._limit = limit
        self._budget = budget
        self._gunzip = Gunzip() if is_gzip else None
        self._pieces: list[bytes] = []
        budget.begin(self)

    def dataReceived(self, data: bytes) -> None:
        """See Twisted's `Protocol`."""
        if self.whole.called:
            return
        try:
            self._take(data)
        except BadUpstream as error:
            self._give_up()
            self.whole.errback(error)

    def _take(self, data: bytes) -> None:
        if self._gunzip is not None:
            data = self._gunzip.decode(data, self._limit - self.size)
        self.size += len(data)
        if self.size > self._limit:
            raise BadUpstream(f"its answer is larger than {self._limit} bytes")
        self._pieces.append(data)
        self._budget.set(self, self.size)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is whole, or broke off."""
        if self.whole.called:
            return
        if reason.check(ResponseDone) is None:
            self.whole.errback(BadUpstream("its answer broke off"))
        elif self._gunzip is not None and not self._gunzip.is_whole:
            self.whole.errback(BadUpstream("its answer breaks off within gzip"))
        else:
            pieces, self._pieces = self._pieces, []
            self.whole.callback(b"".join(pieces))

    def held(self, size: int) -> None:
        """What is held of it from now on, in bytes."""
        self._budget.set(self, size)

    def release(self) -> None:
        """Nothing is held any more."""
        self._budget.end(self)

    # Of the budget.

    def pause(self) -> None:
        """Read no more for now."""
        self._transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._transport.resumeProducing()

    def _give_up(self) -> None:
        self._pieces.clear()
        self._transport.stopProducing()

    @property
    def _transport(self) -> Any:
        return self.transport
