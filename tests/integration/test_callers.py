"""Callers that are slow, send what nobody wants, or are too many; over real sockets."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface import implementer

from promproxy.server import channel
from tests.integration.support import SocketTestCase, Talk, pause, request


@implementer(IHalfCloseableProtocol)
class StaysOpen(Talk):
    """Goes on sending when the other end is closed."""

    def readConnectionLost(self) -> None:
        pass

    def writeConnectionLost(self) -> None:
        pass


class CallersTests(SocketTestCase):
    def test_unwanted_body_does_not_hide_the_answer(self) -> Deferred[None]:
        """Whoever still sends sees why it was refused, and no reset in place of it."""

        async def case() -> None:
            self.targets()
            await self.daemon()
            for lines in (["Content-Length: 3000000"], ["Transfer-Encoding: chunked"]):
                talk = await self.connect()
                talk.send(request("/-/refresh", *lines, method="POST"))
                for _ in range(3):
                    talk.send(bytes(1_000_000))
                received = await talk.until(b"no body is wanted")
                self.assertTrue(received.startswith(b"HTTP/1.1 413 "))
                talk.transport.loseConnection()
                await talk.ended

        return self.run_case(case())

    def test_caller_that_never_ends_its_body_is_left(self) -> Deferred[None]:
        """The answer is out, so the connection does not stay for long."""
        self.patch(channel, "LINGER_SECONDS", 0.1)

        async def case() -> None:
            self.targets()
            await self.daemon()
            talk = await self.connect(protocol=StaysOpen())
            talk.send(request("/", "Content-Length: 900000000", method="POST"))
            while talk.reason is None:
                talk.send(b"x")
                await pause()
            self.assertIn(b" 413 ", talk.received)

        return self.run_case(case())

    def test_slow_heads(self) -> Deferred[None]:
        """They end, some with 408; a caller in between is served."""
        self.patch(channel, "HEAD_SECONDS", 0.3)

        async def case() -> None:
            self.targets()
            await self.daemon()
            talks = [await self.connect() for _ in range(20)]
            for talk in talks[10:]:
                talk.send(b"GET / HTTP/1.1\r\n")
            self.assertIn(b" 200 ", await self.get("/-/healthy"))
            ends = [await talk.ended for talk in talks]
            self.assertEqual(set(ends[:10]), {b""})
            self.assertTrue(all(end.startswith(b"HTTP/1.1 408 ") for end in ends[10:]))
            self.assertEqual({type(talk.reason.value) for talk in talks}, {ConnectionDone})

        return self.run_case(case())

    def test_too_many_connections(self) -> Deferred[None]:
        """Those that ask for something are served all the same."""

        async def case() -> None:
            self.targets()
            await self.daemon(more="max_connections: 40\n")
            idle = [await self.connect() for _ in range(100)]
            while not any(talk.reason for talk in idle):
                await pause()
            self.assertIn(b" 200 ", await self.get("/-/healthy"))
            metrics = await self.get("/metrics")
            (line,) = [
                one
                for one in metrics.split(b"\n")
                if one.startswith(b"promproxy_connections_closed_early_total ")
            ]
            self.assertGreaterEqual(float(line.split()[1]), 60)
            self.assertLessEqual(sum(talk.reason is None for talk in idle), 40)

        return self.run_case(case())
