"""Many scrapes at a time, slow ones among them, and callers that misbehave."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.integration.support import (
    SocketTestCase,
    Talk,
    pause,
    reactor,
    request,
    scrape_path,
    sends,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def tells_its_path(talk: Talk, upstream: Any) -> None:
    """Answer with the path that was asked for."""
    path = upstream.requests[-1].split(b" ")[1]
    talk.send(HEAD % len(path) + path)


class LoadTests(SocketTestCase):
    """From socket to socket."""

    timeout = 60

    def list_paths(self, address: str, count: int) -> None:
        """So many targets of one server, told apart by their paths."""
        groups = [
            {"targets": [address], "labels": {"__metrics_path__": f"/{number}"}}
            for number in range(count)
        ]
        (self.folder / "targets.json").write_text(json.dumps(groups))

    def test_thousand_at_a_time(self) -> Deferred[None]:
        """Each caller gets the body of its own target, though they all wait at once."""

        async def case() -> None:
            waiting: list[Callable[[], None]] = []

            def script(talk: Talk) -> None:
                path = upstream.requests[-1].split(b" ")[1]
                waiting.append(lambda: talk.send(HEAD % len(path) + path))

            upstream = await self.upstream(script)
            self.list_paths(upstream.address, 1000)
            limits = "scrape: {max_concurrent: 1000, max_concurrent_per_host: 1000}\n"
            config = f"{self.config()}\n{limits}"
            self.config = lambda *_: config  # type: ignore[method-assign]
            await self.daemon()
            place = scrape_path(upstream.address)
            patient = "X-Prometheus-Scrape-Timeout-Seconds: 60"
            callers = []
            for number in range(1000):  # one by one: the queue of a listening socket is short
                caller = await self.connect()
                caller.send(request(f"{place}/{number}", "Connection: close", patient))
                callers.append(caller)
            while len(waiting) < 1000:
                await pause()
            for answer in reversed(waiting):
                answer()
            for number, received in enumerate(await gatherResults([c.ended for c in callers])):
                self.assertTrue(received.startswith(b"HTTP/1.1 200 "), received)
                self.assertEqual(received.partition(b"\r\n\r\n")[2], b"/%d" % number)

        return self.run_case(case())

    def test_targets_that_hang(self) -> Deferred[None]:
        """100 of them delay nobody else; each is answered at its deadline."""

        async def case() -> None:
            hangs = await self.upstream(sends())
            quick = await self.upstream(lambda talk: tells_its_path(talk, quick))
            self.list_paths(hangs.address, 100)
            hung = (self.folder / "targets.json").read_text()
            (self.folder / "targets.json").write_text(
                hung[:-1] + f', {{"targets": ["{quick.address}"]}}]'
            )
            await self.daemon()
            late: list[float] = []

            async def median_of_quick_ones() -> float:
                took = []
                for _ in range(20):
                    began = reactor.seconds()
                    await self.scrape(quick)
                    took.append(reactor.seconds() - began)
                return sorted(took)[10]

            async def hang(number: int) -> None:
                caller = await self.connect()
                began = reactor.seconds()
                path = f"{scrape_path(hangs.address)}/{number}"
                left = 3 + number / 200  # not all at once: this is one processor for both sides
                caller.send(request(path, f"X-Prometheus-Scrape-Timeout-Seconds: {left + 0.25}"))
                received = await caller.until(b"\r\n\r\n")
                late.append(reactor.seconds() - began - left)
                self.assertTrue(received.startswith(b"HTTP/1.1 504 "), received)

            alone = await median_of_quick_ones()
            hanging = [Deferred.fromCoroutine(hang(number)) for number in range(100)]
            while len(hangs.requests) < 100:
                await pause()
            beside = await median_of_quick_ones()
            self.assertEqual(late, [])  # the quick ones were all answered meanwhile
            self.assertLess(beside, 5 * alone)
            await gatherResults(hanging)
            self.assertGreater(min(late), -0.01)
            self.assertLess(max(late), 1.0)  # a test machine may be busy with other things

        return self.run_case(case())

    def test_reader_that_stops_reading(self) -> Deferred[None]:
        """At the deadline its connection is reset, and the target's closed."""

        async def case() -> None:
            size = 50_000_000
            upstream = await self.upstream(lambda talk: talk.send(HEAD % size + bytes(size)))
            self.targets(upstream.address)
            await self.daemon()
            caller = await self.connect()
            timeout = "X-Prometheus-Scrape-Timeout-Seconds: 2"  # a busy machine takes its time
            caller.send(request(scrape_path(upstream.address), timeout))
            await caller.until(b"\r\n\r\n")
            caller.transport.pauseProducing()
            while not upstream.talks:
                await pause()
            await upstream.talks[0].ended
            while True:
                metrics = await self.get("/metrics")
                if b'{outcome="cut_short",source="vms"} 1.0' in metrics:
                    break
            caller.transport.resumeProducing()
            received = await caller.ended
            self.assertLess(len(received), size)

        return self.run_case(case())

    def test_no_garbage_per_scrape(self) -> Deferred[None]:
        """What a scrape was made of is gone with it; the cyclic collector finds nothing."""

        async def case() -> None:
            upstream = await self.upstream(lambda talk: tells_its_path(talk, upstream))
            self.targets(upstream.address)
            await self.daemon()
            caller = await self.connect()

            async def scrape(times: int) -> None:
                for _ in range(times):
                    caller.received = b""
                    caller.send(request(scrape_path(upstream.address)))
                    await caller.until(b"/metrics")

            await scrape(5)
            gc.collect()
            gc.disable()
            flags = gc.get_debug()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                await scrape(50)
                gc.collect()
                kinds = [type(thing).__name__ for thing in gc.garbage]
                ours = [
                    kind
                    for kind in kinds
                    if kind
                    in ("_Scrape", "CallerRequest", "Response", "coroutine", "ResponseReader")
                ]
                gc.garbage.clear()
            finally:
                gc.set_debug(flags)
                gc.enable()
            self.assertEqual(ours, [])
            if "_CancellationStatus" not in kinds:  # Twisted 22.4 makes garbage of its own
                self.assertLess(len(kinds), 50)  # less than one thing for each scrape

        return self.run_case(case())
