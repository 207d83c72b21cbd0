"""What a scrape through the tunnel costs: ``python -m bench.tunnel``.

Beside direct scrapes by the same daemon, round by round, and beside PushProx's own proxy where its
path is given (``--peer-proxy``). The clients are stand-ins of ours in a process of their own, or
PushProx's (``--peer-client``). Prints a table in Markdown: medians of the rounds, and of the ratios
within each round with their spread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from attrs import define, frozen

from bench.peers import make_certificate, raise_file_limit, resident_mb, running, target
from bench.pushprox import clients, processor_seconds
from tests.integration.peers import CHECKOUT, HOST, Peer, eventually, free_port, promproxy

BODY_BYTES = 2000
COUNTS = (1, 8, 100)
HELD = (1000, 5000)
CONNECTIONS = 8  # of direct scrapes


@frozen
class Figures:
    """Of one round: scrapes per second, microseconds of processor each, seconds."""

    rate: float
    processor: float
    p50: float
    p99: float


async def _scrape(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str) -> None:
    writer.write(
        f"GET {url} HTTP/1.1\r\nHost: p\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200 "):
        raise RuntimeError(head[:60])
    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))


def measure(proxy: Peer, urls: Sequence[str], seconds: float) -> Figures:
    """One connection for each URL, each asked again and again."""
    took: list[float] = []

    async def ask(url: str, end: float) -> None:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        while time.monotonic() < end:
            began = time.perf_counter()
            await _scrape(reader, writer, url)
            took.append(time.perf_counter() - began)
        writer.close()

    async def ask_all() -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(ask(url, end) for url in urls))

    before = processor_seconds(proxy)
    asyncio.run(ask_all())
    used = processor_seconds(proxy) - before
    took.sort()
    count = len(took)
    return Figures(count / seconds, used / count * 1e6, took[count // 2], took[int(count * 0.99)])


@define
class Row:
    """Rounds of one way and of what it is compared with."""

    name: str
    rounds: list[Figures]
    baseline: list[Figures]

    def line(self) -> str:
        """Of the table."""
        ratios = sorted(
            mine.processor / other.processor
            for mine, other in zip(self.rounds, self.baseline, strict=True)
        )
        rate, processor, p50, p99 = (
            median(getattr(figures, name) for figures in self.rounds)
            for name in ("rate", "processor", "p50", "p99")
        )
        spread = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        return (
            f"| {self.name} | {rate:.0f} | {processor:.0f} us | {spread} | {p50 * 1000:.1f} ms "
            f"| {p99 * 1000:.1f} ms |"
        )


def peer_proxy(program: str, folder: Path) -> Peer:
    """PushProx's own, on one processor."""
    port = free_port()
    command = [program, f"--web.listen-address={HOST}:{port}"]
    return Peer(command=command, port=port, folder=folder, environment={"GOMAXPROCS": "1"})


@contextmanager
def peer_clients(program: str, proxy: Peer, count: int) -> Iterator[None]:
    """PushProx's own clients; all of them answer for this host."""
    processes = []
    try:
        for number in range(count):
            command = [
                program,
                f"--proxy-url=http://{HOST}:{proxy.port}/",
                f"--fqdn=client-{number}.example",
                f"--metrics-addr={HOST}:{free_port()}",
            ]
            processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(folder: Path, asked: argparse.Namespace) -> Iterator[str]:
    """The lines of the tables."""
    body = (b'metric_of_some_length_and_a_label{number="12345"} 1\n' * 50)[:BODY_BYTES]
    server = target(folder, {"/2kB": body}, make_certificate(folder))
    group = {"targets": [server.address], "labels": {"__metrics_path__": "/2kB"}}
    (folder / "targets.json").write_text(json.dumps([group]))
    sources = (
        "[{name: nat, pushprox: {startup_hold: 0s}}, "
        f"{{name: vms, files: {{paths: ['{folder}/targets.json']}}}}]"
    )
    daemon = promproxy(folder, sources, "scrape: {max_concurrent_per_target: 200}\n")
    with running(server, daemon):
        eventually(lambda: _is_ready(daemon))
        (listed,) = json.loads(daemon.get("/discovery?source=vms").body)
        direct = [listed["labels"]["__metrics_path__"]] * CONNECTIONS
        yield "| way, and clients | scrapes/s | processor | of a direct scrape's | p50 | p99 |"
        yield "|---|---|---|---|---|---|"
        for count in asked.clients:
            yield from _rows(folder, daemon, direct, count, asked)
        yield ""
        yield "| polls held | memory |"
        yield "|---|---|"
        for held in HELD if asked.held else ():
            fresh = promproxy(folder, "[{name: nat, pushprox: {startup_hold: 0s}}]")
            with running(fresh), clients(fresh, held):
                yield f"| {held} | {resident_mb(fresh):.0f} MB |"


def _rows(
    folder: Path, daemon: Peer, direct: Sequence[str], count: int, asked: argparse.Namespace
) -> Iterator[str]:
    names = [f"client-{number}.example:9100" for number in range(count)]
    listed = [f"/singleTargetMetrics/nat/{name}/metrics" for name in names]
    absolute = [f"http://{name}/metrics" for name in names]
    rows = [Row(f"direct, {CONNECTIONS} connections", [], []), Row(f"tunnel, {count}", [], [])]
    rows.append(Row(f"tunnel by proxy_url, {count}", [], []))
    peer = peer_proxy(asked.peer_proxy, folder) if asked.peer_proxy else None
    if peer is not None:
        rows.append(Row(f"PushProx's proxy, {count}", [], []))
    for _ in range(asked.rounds):
        found = []
        with clients(daemon, count):
            found += [measure(daemon, urls, asked.seconds) for urls in (direct, listed, absolute)]
        if peer is not None:
            with running(peer):
                ways = (
                    peer_clients(asked.peer_client, peer, count)
                    if asked.peer_client
                    else clients(peer, count)
                )
                with ways:
                    found.append(measure(peer, absolute, asked.seconds))
        for row, figures in zip(rows, found, strict=True):
            row.rounds.append(figures)
            row.baseline.append(found[0])
    yield from (row.line() for row in rows)


def _is_ready(daemon: Peer) -> None:
    assert daemon.get("/-/ready").status == 200


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.tunnel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement; default 3")
    parser.add_argument("--clients", type=int, nargs="*", default=COUNTS, help="default 1 8 100")
    parser.add_argument("--held", action="store_true", help="memory with polls held, too")
    parser.add_argument("--peer-proxy", metavar="PATH", help="PushProx's proxy, to compare with")
    parser.add_argument("--peer-client", metavar="PATH", help="PushProx's client, in place of ours")
    asked = parser.parse_args()
    raise_file_limit()
    print(f"python {sys.version.split()[0]}, {os.cpu_count()} processors, {CHECKOUT.name}")
    with tempfile.TemporaryDirectory(prefix="promproxy-tunnel-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for line in run(folder, asked):
            print(line, flush=True)


if __name__ == "__main__":
    main()
