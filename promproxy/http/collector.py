"""A body in memory, up to a size."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from promproxy.errors import CutShort


class BodyCollector(Protocol):
    """``whole`` fires with the body; it fails with ``too_large``, or where the body broke off.

    Cancelling it closes the connection, as `treq.collect` would not.
    """

    transport: Any

    def __init__(self, max_size: int, too_large: Exception) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self.give_up())
        self.size = 0
        self.pieces: list[bytes] = []
        self._max_size = max_size
        self._too_large = too_large

    def dataReceived(self, data: bytes) -> None:
        """Keep it, unless that makes too much."""
        if self.whole.called:
            return
        self.size += len(data)
        if self.size <= self._max_size:
            self.pieces.append(data)
        else:
            self.fail(self._too_large)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is whole, or broke off."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.complete()
        else:
            self.whole.errback(self.broken_off(reason))

    def complete(self) -> None:
        """Fire with what has arrived."""
        pieces, self.pieces = self.pieces, []
        self.whole.callback(b"".join(pieces))

    def fail(self, error: Exception) -> None:
        """Fire with an error, and take no more."""
        self.give_up()
        self.whole.errback(error)

    def give_up(self) -> None:
        """Forget what has arrived, and close the connection."""
        self.pieces.clear()
        self.transport.stopProducing()

    def broken_off(self, reason: Failure) -> Exception | Failure:
        """What `whole` fails with where the body broke off."""
        error = CutShort("the body broke off")
        error.__cause__ = reason.value
        return error
