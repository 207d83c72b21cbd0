"""Connections without sockets."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from promproxy.outbound.connection import ConnectionOwner, UpstreamConnection
from promproxy.outbound.origin import Origin

CLOSED = Failure(ConnectionDone())
RESET = Failure(ConnectionLost())

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"


class Transport(StringTransport):
    """A transport in memory that, like a real one, reports its end when told to."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def take(self) -> bytes:
        """What was written since the last time."""
        data = self.value()
        self.clear()
        return bytes(data)


class RecordingOwner:
    """Remembers what connections said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def released(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        self.said.append("reusable" if reusable else "used up")

    def lost(self, connection: UpstreamConnection) -> None:
        self.said.append("lost")


def connected(owner: ConnectionOwner, key: object = None) -> tuple[UpstreamConnection, Transport]:
    """A connection and its transport."""
    connection, transport = UpstreamConnection(owner, key), Transport()
    connection.makeConnection(transport)
    return connection, transport


class FakeConnector:
    """Makes connections over memory; ``made`` has each with its transport.

    While ``waiting`` is set, an attempt stays pending until it is cancelled.
    """

    def __init__(self) -> None:
        self.made: list[tuple[UpstreamConnection, Transport]] = []
        self.kept = 0
        self.waiting = False
        self.cancelled = 0

    def connect(self, origin: Origin, owner: ConnectionOwner) -> Deferred[UpstreamConnection]:
        attempt: Deferred[UpstreamConnection] = Deferred(self._cancel)
        if not self.waiting:
            self.made.append(connected(owner, origin.key))
            attempt.callback(self.made[-1][0])
        return attempt

    def _cancel(self, _attempt: Deferred[UpstreamConnection]) -> None:
        self.cancelled += 1

    def keep_session(self, connection: UpstreamConnection) -> None:
        self.kept += 1
