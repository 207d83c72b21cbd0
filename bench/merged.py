"""Measures merged scrapes: ``python -m bench.merged [--targets N] [--rounds N]``.

So many targets of 57 kB, from an nginx on this host, in one answer, plain and in gzip; beside it
the same targets scraped singly; then both at the same time, and a reader of 3 MB/s. Exits with
status 1 where a figure is not what it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from attrs import define, frozen

from bench.peers import make_certificate, raise_file_limit, resident_mb, running, target
from bench.pushprox import Figures, processor_seconds
from tests.integration.peers import HOST, Peer, eventually, promproxy

BYTES = 57_000
GZIP_SECONDS, PEAK_MB = 2.5, 110.0
SLOW_RATE, BUFFER_MB = 3_000_000, 32.0
LOST_SHARE = 0.3
SINGLE_CONNECTIONS = 8
SINGLE_SECONDS = 4.0


def exposition() -> bytes:
    """As of an exporter: some families with labels, in 57 kB."""
    lines = []
    size = 0
    for family in range(10_000):
        name = f"bench_requests_{family}_seconds_total"
        block = [f"# HELP {name} How long requests took.", f"# TYPE {name} counter"]
        block += [
            f'{name}{{method="GET",code="200",handler="/api/{series}"}} {series * 1.5}'
            for series in range(10)
        ]
        size += sum(len(line) + 1 for line in block)
        if size > BYTES:
            break
        lines += block
    return "\n".join([*lines, ""]).encode()


@frozen
class Read:
    """One answer, read to its end."""

    first_byte: float
    seconds: float
    size: int
    is_whole: bool


async def read(port: int, path: str, *, gzip: bool = False, rate: float = 0.0) -> Read:
    """Ask for a page, and read it, at most so many bytes a second."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 16)
    began = time.perf_counter()
    encoding = "Accept-Encoding: gzip\r\n" if gzip else ""
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: p\r\nConnection: close\r\n{encoding}"
        "X-Prometheus-Scrape-Timeout-Seconds: 60\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    first, size, last = 0.0, 0, b""
    while piece := await reader.read(1 << 16):
        first = first or time.perf_counter() - began
        size += len(piece)
        last = (last + piece)[-5:]
        if rate:
            await asyncio.sleep(max(0.0, size / rate - (time.perf_counter() - began)))
    writer.close()
    return Read(first, time.perf_counter() - began, size, last == b"0\r\n\r\n")


@define
class Bench:
    """A daemon with its targets."""

    daemon: Peer
    paths: list[str]
    figures: Figures

    def merged(self, *, gzip: bool) -> None:
        """Processor, memory and time of one answer."""
        before = processor_seconds(self.daemon)
        peak = resident_mb(self.daemon)

        async def watched() -> Read:
            nonlocal peak
            reading = asyncio.ensure_future(read(self.daemon.port, "/mergedMetrics", gzip=gzip))
            while not reading.done():
                peak = max(peak, resident_mb(self.daemon))
                await asyncio.sleep(0.02)
            return reading.result()

        found = asyncio.run(watched())
        used = processor_seconds(self.daemon) - before
        kind = "gzip" if gzip else "plain"
        print(
            f"merged, {kind}: {found.size / 1e6:.1f} MB in {found.seconds:.2f} s, the first byte "
            f"after {found.first_byte * 1000:.0f} ms, {used:.2f} s of processor"
        )
        self.figures.tell(f"merged, {kind}, not whole", float(not found.is_whole), 1, "")
        if gzip:
            self.figures.tell("merged, gzip, processor", used, GZIP_SECONDS, "s")
        self.figures.tell(f"merged, {kind}, memory at most", peak, PEAK_MB, "MB")

    async def single(self, seconds: float) -> tuple[int, int]:
        """How many scrapes of single targets succeed in that time, and how many do not."""
        done = failed = 0
        end = time.monotonic() + seconds

        async def scraper(start: int) -> None:
            nonlocal done, failed
            reader, writer = await asyncio.open_connection(HOST, self.daemon.port)
            number = start
            while time.monotonic() < end:
                path = self.paths[number % len(self.paths)]
                writer.write(f"GET {path} HTTP/1.1\r\nHost: p\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                done += 1
                failed += not head.startswith(b"http/1.1 200 ")
                number += SINGLE_CONNECTIONS
            writer.close()

        await asyncio.gather(*(scraper(n) for n in range(SINGLE_CONNECTIONS)))
        return done, failed

    def alone(self) -> float:
        """Scrapes of single targets per second."""
        before = processor_seconds(self.daemon)
        done, _ = asyncio.run(self.single(SINGLE_SECONDS))
        used = processor_seconds(self.daemon) - before
        each = used / done * len(self.paths)
        print(f"single: {done / SINGLE_SECONDS:.0f}/s, all targets take {each:.2f} s of processor")
        return done / SINGLE_SECONDS

    def beside(self, alone: float) -> None:
        """The same while merged scrapes follow one another."""

        async def merged() -> list[Read]:
            end = time.monotonic() + SINGLE_SECONDS
            found = []
            while time.monotonic() < end:
                found.append(await read(self.daemon.port, "/mergedMetrics", gzip=True))
            return found

        async def both() -> tuple[tuple[int, int], list[Read]]:
            return await asyncio.gather(self.single(SINGLE_SECONDS), merged())

        (done, failed), found = asyncio.run(both())
        self.figures.tell("single beside merged, failed", failed, 1, "")
        cut = sum(not one.is_whole for one in found)
        self.figures.tell("merged beside single, not whole", cut, 1, "")
        lost = 1 - done / SINGLE_SECONDS / alone
        self.figures.tell("single beside merged, share of the rate lost", lost, LOST_SHARE, "")

    def slow(self) -> None:
        """Memory that a slow reader takes."""
        before = peak = resident_mb(self.daemon)

        async def watched() -> Read:
            nonlocal peak
            reading = asyncio.ensure_future(
                read(self.daemon.port, "/mergedMetrics", rate=SLOW_RATE)
            )
            while not reading.done():
                peak = max(peak, resident_mb(self.daemon))
                await asyncio.sleep(0.05)
            return reading.result()

        found = asyncio.run(watched())
        self.figures.tell("slow reader, growth", peak - before, BUFFER_MB, "MB")
        self.figures.tell("slow reader, not whole", float(not found.is_whole), 1, "")


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.merged", description=__doc__)
    parser.add_argument("--targets", type=int, default=1000, help="default 1000")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    asked = parser.parse_args()
    raise_file_limit()
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="promproxy-merged-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = target(folder, {"/2kB": exposition()}, make_certificate(folder))
        labels = [
            {
                "targets": [server.address],
                "labels": {"__metrics_path__": f"/t/{n}", "instance": f"t{n}"},
            }
            for n in range(asked.targets)
        ]
        (folder / "targets.json").write_text(json.dumps(labels))
        source = f"[{{name: vms, files: {{paths: ['{folder}/targets.json']}}}}]"
        daemon = promproxy(folder, source, "merged: {own_metrics: false}\n")
        with running(server, daemon):
            eventually(lambda: _is_ready(daemon))
            document = json.loads(daemon.get("/discovery?source=vms").body)
            paths = [group["labels"]["__metrics_path__"] for group in document]
            bench = Bench(daemon, paths, figures)
            alone = []
            for _ in range(asked.rounds):
                bench.merged(gzip=False)
                bench.merged(gzip=True)
                alone.append(bench.alone())
            bench.beside(median(alone))
            bench.slow()
    sys.exit(1 if figures.failed else 0)


def _is_ready(daemon: Peer) -> None:
    assert daemon.get("/-/ready").status == 200


if __name__ == "__main__":
    main()
