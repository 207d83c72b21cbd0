"""Does every client come back, and does no scrape get another one's answer? Run as ``python -m
bench.faults_of_pushprox --seconds N``.

Clients poll through a network that fails at random: connections are half open, cut, or forgotten
on one side; clients are killed, and promproxy is stopped, killed and started again. All the time
everything is scraped, and every answer must be of the client, and to the very request, that was
asked for. After each repair all clients must be back within 10 s. At the end there must be no bug
in the log. Exits with status 1 where that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from attrs import define, field

from bench.deadline import within
from bench.go_clients import BROKEN, HOST, GoClient
from bench.peers import raise_file_limit, resident_mb
from bench.relay import Relay
from bench.soak import bugs
from tests.go_client import ScrapeRequest
from tests.integration.peers import Peer, promproxy

CLIENTS = 40
SCRAPERS = 8
SCRAPE_SECONDS = 3.0
BACK_SECONDS = 10.0
LONGEST_FAULT_SECONDS = 6.0
GROWTH_MB = 20.0
REFUSALS = (404, 502, 503, 504)


def answer_to(fqdn: str, scrape: ScrapeRequest) -> bytes:
    """Tells who answers what. Of some length, so that it can break in the middle."""
    return f"{fqdn} {scrape.url} ".encode() * 2000


@define(eq=False)
class Host:
    """A client and its way to promproxy."""

    fqdn: str
    relay: Relay
    client: GoClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.client = GoClient(self.fqdn, self.relay.connect, partial(answer_to, self.fqdn))


@define
class Run:
    """What goes on, and what is ``wrong``."""

    _daemon: Peer
    _random: Random
    _longest_fault: float
    hosts: list[Host] = field(factory=list)
    wrong: list[str] = field(factory=list)
    outcomes: Counter[str] = field(factory=Counter)
    faults: Counter[str] = field(factory=Counter)
    slowest: dict[str, float] = field(factory=dict)
    _number: int = 0

    async def start(self) -> None:
        """Have all clients there."""
        for number in range(CLIENTS):
            host = Host(f"host-{number}.example", Relay(self._daemon.port))
            await host.relay.start()
            host.client.start()
            self.hosts.append(host)
        await self._all_back("start")

    async def go_on(self, seconds: float) -> None:
        """Fail and repair until the time is over, and scrape all the time."""
        scrapers = [asyncio.ensure_future(self._scrape_on()) for _ in range(SCRAPERS)]
        end = time.monotonic() + seconds
        faults = (self._half_open, self._cut, self._vanish, self._kill, self._restart)
        while time.monotonic() < end and len(self.wrong) < 20:
            fault = self._random.choice(faults)
            name = fault.__name__.strip("_")
            self.faults[name] += 1
            some = self._random.sample(self.hosts, self._random.randint(1, CLIENTS))
            await fault(some)
            await self._all_back(name)
        for scraper in scrapers:
            scraper.cancel()
        await asyncio.gather(*scrapers, return_exceptions=True)

    async def stop(self) -> None:
        """End them."""
        for host in self.hosts:
            await host.client.kill()
            await host.relay.stop()

    # What fails.

    async def _pass_time(self) -> None:
        await asyncio.sleep(self._random.uniform(0.0, self._longest_fault))

    async def _half_open(self, some: list[Host]) -> None:
        for host in some:
            host.relay.hold()
        await self._pass_time()
        for host in some:
            if self._random.random() < 0.5:
                host.relay.cut()
            host.relay.release()

    async def _cut(self, some: list[Host]) -> None:
        for host in some:
            host.relay.cut()

    async def _vanish(self, some: list[Host]) -> None:
        for host in some:
            host.relay.bury()
            host.relay.vanish()

    async def _kill(self, some: list[Host]) -> None:
        for host in some:
            await host.client.kill()
        await self._pass_time()
        for host in some:
            host.client.start()

    async def _restart(self, _some: list[Host]) -> None:
        if self._random.random() < 0.5:
            await asyncio.to_thread(self._daemon.stop)
        else:
            os.kill(self._daemon.pid, signal.SIGKILL)
            await asyncio.to_thread(self._daemon.stop)
        await self._pass_time()
        self._daemon.launch()
        await asyncio.to_thread(self._daemon.await_answer)

    # What must be true.

    async def _all_back(self, after: str) -> None:
        began = time.monotonic()
        await asyncio.gather(*(self._is_back(host, began, after) for host in self.hosts))

    async def _is_back(self, host: Host, began: float, after: str) -> None:
        while await self.scrape(host) != "200":
            seconds = time.monotonic() - began
            if seconds > BACK_SECONDS:
                self.wrong.append(f"{host.fqdn}: not back {seconds:.1f} s after {after}")
                return
            await asyncio.sleep(0.05)
        self.slowest[after] = max(self.slowest.get(after, 0.0), time.monotonic() - began)

    async def _scrape_on(self) -> None:
        while True:
            self.outcomes[await self.scrape(self._random.choice(self.hosts))] += 1
            await asyncio.sleep(0.01)

    async def scrape(self, host: Host) -> str:
        """How a scrape ended; notes an answer that is not true."""
        self._number += 1
        url = f"http://{host.fqdn}:9100/metrics"
        if self._random.random() < 0.5:
            url = asked = f"{url}?{self._number}"
        else:
            asked = f"/singleTargetMetrics/nat/{host.fqdn}:9100/metrics"
        try:
            status, body = await within(SCRAPE_SECONDS + 2, self._get(asked))
        except asyncio.TimeoutError:
            return "no answer"
        except ConnectionRefusedError:
            return "while promproxy was away"
        except BROKEN:
            return "cut short"
        if status == 200 and body != f"{host.fqdn} {url} ".encode() * 2000:
            self.wrong.append(f"{asked}: answered by {body[:100]!r}, {len(body)} bytes")
        elif status != 200 and status not in REFUSALS:
            self.wrong.append(f"{asked}: {status} {body[:200]!r}")
        return str(status)

    async def _get(self, uri: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(HOST, self._daemon.port)
        try:
            writer.write(
                f"GET {uri} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                f"X-Prometheus-Scrape-Timeout-Seconds: {SCRAPE_SECONDS}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return int(head.split(b" ", 2)[1]), await reader.readexactly(length)
        finally:
            writer.transport.abort()


async def run(folder: Path, seconds: float, seed: int, longest_fault: float) -> list[str]:
    """What is wrong after so many seconds; empty where all is well."""
    state = folder / "state"
    state.mkdir()
    daemon = promproxy(folder, "[{name: nat, pushprox: {}}]", f"state_dir: {state}\n")
    daemon.start()
    running = Run(daemon, Random(seed), longest_fault)
    try:
        await running.start()
        before = resident_mb(daemon)
        await running.go_on(seconds)
        after = resident_mb(daemon)
    finally:
        await running.stop()
        daemon.stop()
    print(", ".join(f"{count} {what}" for what, count in running.faults.most_common()))
    print(", ".join(f"{count} {what}" for what, count in running.outcomes.most_common()))
    slowest = ", ".join(f"{name} {took:.1f}" for name, took in running.slowest.items())
    print(f"seconds until the last client was back, at most: {slowest}")
    print(f"memory: {before:.1f} MB at the start, {after:.1f} MB at the end")
    if after > before + GROWTH_MB:
        running.wrong.append(f"{after - before:.1f} MB more memory")
    if not running.outcomes["200"]:
        running.wrong.append("no scrape succeeded")
    return [*running.wrong, *bugs(daemon)]


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults_of_pushprox", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="default 600")
    parser.add_argument("--seed", type=int, default=Random().randrange(1 << 32))
    parser.add_argument(
        "--longest-fault",
        type=float,
        default=LONGEST_FAULT_SECONDS,
        help=f"seconds, after which clients wait as long; default {LONGEST_FAULT_SECONDS:g}",
    )
    asked = parser.parse_args()
    raise_file_limit()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory(prefix="promproxy-faults-") as folder:
        wrong = asyncio.run(run(Path(folder), asked.seconds, asked.seed, asked.longest_fault))
    for line in wrong:
        print(f"WRONG: {line}")
    print("something is wrong" if wrong else "all is well")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
