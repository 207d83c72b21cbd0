"""Measures PushProx's side: ``python -m bench.pushprox [idle] [load] [slow]``, all by default.

``idle``: many clients that nobody scrapes; memory, and how long `/clients` and `/discovery` take.
``load``: many clients, each scraped every 15 s; scrapes lost, and the time that promproxy adds.
``slow``: a long answer to a slow reader; by how much memory grows.
Exits with status 1 where a figure is not what it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from attrs import define, field

from bench.go_clients import GoClient, connect_to
from bench.peers import raise_file_limit, resident_mb
from tests.go_client import ScrapeRequest
from tests.integration.peers import CHECKOUT, HOST, Peer, eventually, promproxy

IDLE_CLIENTS, IDLE_MB, PAGE_SECONDS = 5000, 200.0, 0.05
LOAD_CLIENTS, INTERVAL_SECONDS, ADDED_SECONDS = 1000, 15.0, 0.05
SLOW_BYTES, SLOW_RATE, SLOW_GROWTH_MB = 200_000_000, 1_000_000, 8.0


@define
class Figures:
    """What was measured, as lines; ``failed`` says that one is not what it must be."""

    failed: bool = False

    def tell(self, what: str, value: float, limit: float, unit: str) -> None:
        """A figure that must be below its limit."""
        reached = value < limit
        self.failed |= not reached
        verdict = "" if reached else "   NOT REACHED"
        print(f"{what}: {value:.4g} {unit} (must be below {limit:g}){verdict}", flush=True)


@contextmanager
def clients(daemon: Peer, count: int) -> Iterator[None]:
    """So many clients in a process of their own, all of them listed."""
    command = [sys.executable, "-m", "bench.go_clients", str(daemon.port), str(count)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _all_listed(daemon, count), 120.0)
            yield
        finally:
            process.kill()


def _all_listed(daemon: Peer, count: int) -> None:
    assert daemon.get("/clients").body.count(b"client-") == count
    assert daemon.get("/discovery?source=nat").body.count(b'"instance"') == count


def measure_idle(daemon: Peer, figures: Figures) -> None:
    """Memory, and the two documents."""
    with clients(daemon, IDLE_CLIENTS):
        time.sleep(3)
        figures.tell(f"memory with {IDLE_CLIENTS} idle clients", resident_mb(daemon), IDLE_MB, "MB")
        for path in ("/clients", "/discovery"):
            times = []
            for _ in range(20):
                began = time.perf_counter()
                answer = daemon.get(path)
                times.append(time.perf_counter() - began)
                assert answer.status == 200 and len(answer.body) > 100_000
            name = f"{path} of {IDLE_CLIENTS} clients, slowest of 20"
            figures.tell(name, max(times) * 1000, PAGE_SECONDS * 1000, "ms")


@define
class _Scraper:
    """Scrapes targets as Prometheus does: each at its own moment of the interval."""

    _port: int
    seconds: list[float] = field(factory=list, init=False)
    lost: int = field(default=0, init=False)

    async def run(self, count: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._target(number, count, end) for number in range(count)))

    async def _target(self, number: int, count: int, end: float) -> None:
        name = f"client-{number}.example"
        request = (
            f"GET /singleTargetMetrics/nat/{name}:9100/metrics HTTP/1.1\r\nHost: x\r\n"
            "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
        ).encode()
        next_one = time.monotonic() + INTERVAL_SECONDS * number / count
        await asyncio.sleep(next_one - time.monotonic())
        reader, writer = await connect_to(self._port)
        while next_one < end:
            await asyncio.sleep(max(0.0, next_one - time.monotonic()))
            next_one += INTERVAL_SECONDS
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            self.seconds.append(time.perf_counter() - began)
            self.lost += not head.startswith(b"HTTP/1.1 200 ")
        writer.close()


def measure_load(daemon: Peer, figures: Figures, seconds: float) -> None:
    """All of the time is added: the clients answer at once, and everything is on this machine."""
    with clients(daemon, LOAD_CLIENTS):
        scraper = _Scraper(daemon.port)
        began = processor_seconds(daemon)
        asyncio.run(scraper.run(LOAD_CLIENTS, seconds))
        used = processor_seconds(daemon) - began
    done = len(scraper.seconds)
    print(f"{done} scrapes of {LOAD_CLIENTS} clients, {used / done * 1e6:.0f} us of processor each")
    figures.tell("scrapes lost", scraper.lost, 1, "")
    percentiles = quantiles(scraper.seconds, n=100)
    print(f"added time: p50 {percentiles[49] * 1000:.2f} ms, max {max(scraper.seconds) * 1000:.1f}")
    figures.tell("added time, p99", percentiles[98] * 1000, ADDED_SECONDS * 1000, "ms")
    print(f"memory: {resident_mb(daemon):.1f} MB")


def measure_slow(daemon: Peer, figures: Figures, size: int, rate: int) -> None:
    """From one client through to one reader, both in this process."""
    growth = asyncio.run(_slow(daemon, size, rate))
    what = f"memory growth by {size / 1e6:g} MB at {rate / 1e6:g} MB/s"
    figures.tell(what, growth, SLOW_GROWTH_MB, "MB")


async def _slow(daemon: Peer, size: int, rate: int) -> float:
    body = bytes(size)

    def respond(scrape: ScrapeRequest) -> bytes:
        return body if "long" in scrape.url else b"short 1\n"

    client = GoClient("client-0.example", lambda: connect_to(daemon.port), respond)
    client.start()
    while not client.is_polling:
        await asyncio.sleep(0.01)
    try:
        await _read(daemon.port, "short", 0)  # warm
        before = resident_mb(daemon)
        highest = before
        reading = asyncio.ensure_future(_read(daemon.port, "long", rate))
        while not reading.done():
            await asyncio.sleep(0.2)
            highest = max(highest, resident_mb(daemon))
        got = reading.result()
        assert got == size, f"{got} of {size} bytes arrived"
        return highest - before
    finally:
        await client.kill()


async def _read(port: int, what: str, rate: int) -> int:
    """Scrape by proxy_url, at so many bytes per second; how many came."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=65536)
    writer.write(
        b"GET http://client-0.example:9100/%b HTTP/1.1\r\nHost: client-0.example:9100\r\n"
        b"X-Prometheus-Scrape-Timeout-Seconds: 600\r\n\r\n" % what.encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    left = length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    began, got = time.monotonic(), 0
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            break
        got, left = got + len(piece), left - len(piece)
        if rate:
            await asyncio.sleep(max(0.0, began + got / rate - time.monotonic()))
    writer.close()
    assert got == length
    return got


def processor_seconds(daemon: Peer) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.pushprox", description=__doc__)
    parser.add_argument("parts", nargs="*", help="idle, load, slow; all by default")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the load; default 300")
    parser.add_argument("--size", type=int, default=SLOW_BYTES, help="of the long answer, in bytes")
    parser.add_argument("--rate", type=int, default=SLOW_RATE, help="bytes per second of it")
    asked = parser.parse_args()
    parts = asked.parts or ["idle", "load", "slow"]
    raise_file_limit()
    figures = Figures()
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="promproxy-bench-") as folder:
            more = "scrape: {max_timeout: 10m}\n" if part == "slow" else ""
            daemon = promproxy(Path(folder), "[{name: nat, pushprox: {startup_hold: 0s}}]", more)
            daemon.start()
            try:
                if part == "idle":
                    measure_idle(daemon, figures)
                elif part == "load":
                    measure_load(daemon, figures, asked.seconds)
                elif part == "slow":
                    measure_slow(daemon, figures, asked.size, asked.rate)
                else:
                    parser.error(f"no part is called {part}")
                assert "Traceback" not in daemon.output, daemon.output
            finally:
                daemon.stop()
    sys.exit(figures.failed)


if __name__ == "__main__":
    main()
