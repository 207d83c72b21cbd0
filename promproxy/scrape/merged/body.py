"""A target's body, decoded, within limits."""

from __future__ import annotations

import zlib

from twisted.python.failure import Failure

from promproxy.errors import BadUpstream
from promproxy.http.collector import BodyCollector
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


class TargetBody(BodyCollector):
    """Collects a target's body, decoded; it fails with BadUpstream.

    It is a holder of the budget until `release`.
    """

    def __init__(self, limit: int, budget: Budget, *, is_gzip: bool) -> None:
        super().__init__(limit, BadUpstream(f"its answer is larger than {limit} bytes"))
        self._limit = limit
        self._budget = budget
        self._gunzip = Gunzip() if is_gzip else None
        budget.begin(self)

    def dataReceived(self, data: bytes) -> None:
        """Keep what it decodes to."""
        if self.whole.called:
            return
        if self._gunzip is not None:
            try:
                data = self._gunzip.decode(data, self._limit - self.size)
            except BadUpstream as error:
                self.fail(error)
                return
        super().dataReceived(data)
        if not self.whole.called:
            self._budget.set(self, self.size)

    def complete(self) -> None:
        """Fail where the last member of gzip has no end."""
        if self._gunzip is not None and not self._gunzip.is_whole:
            self.whole.errback(BadUpstream("its answer breaks off within gzip"))
        else:
            super().complete()

    def broken_off(self, reason: Failure) -> Exception:
        """The connection ended too early."""
        return BadUpstream("its answer broke off")

    def held(self, size: int) -> None:
        """Set how many bytes are held from now on."""
        self._budget.set(self, size)

    def release(self) -> None:
        """Nothing is held any more."""
        self._budget.end(self)

    # Of the budget.

    def pause(self) -> None:
        """Read no more for now."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.transport.resumeProducing()
