"""Merged scrapes while targets and callers misbehave: ``python -m bench.faults_of_merged``.

Whatever happens, an answer that ends cleanly is complete: each selected target has its ``up``, and
each that is up has its samples.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import zlib
from asyncio import IncompleteReadError
from collections import Counter
from pathlib import Path

from attrs import define, field

from bench.peers import raise_file_limit, resident_mb
from bench.soak import bugs
from bench.soak_target import BAD, GOOD, SoakTarget, body_of, reset
from tests.integration.peers import HOST, Peer, eventually, free_port, promproxy

CALLERS = 4
NUMBERS = 4  # targets of each behaviour
GROWTH_MB = 10.0
PARTS = 10  # of a run, after each of which memory is measured
# The same series many times over, of which one is enough to see whose they are.
ALWAYS_DOWN = {"silent", "stalls", "cut", "reset", "reset-in-body", "garbage", "refused"}


@define
class Run:
    """Callers of one daemon; ``untrue`` are answers that are not what they seem."""

    daemon: Peer
    paths: list[str]
    outcomes: Counter[str] = field(factory=Counter)
    untrue: list[str] = field(factory=list)

    async def go_on(self, seconds: float) -> None:
        """For so long."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._caller(end) for _ in range(CALLERS)))

    async def _caller(self, end: float) -> None:
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection(HOST, self.daemon.port, limit=1 << 16)
            gzip = random.random() < 0.5
            timeout = random.choice((1.0, 2.0, 3.0))
            encoding = "Accept-Encoding: gzip\r\n" if gzip else ""
            writer.write(
                f"GET /mergedMetrics HTTP/1.1\r\nHost: p\r\n{encoding}Connection: close\r\n"
                f"X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\n\r\n".encode()
            )
            try:
                if random.random() < 0.2:
                    await asyncio.sleep(random.uniform(0, timeout))
                    reset(writer)
                    self.outcomes["left"] += 1
                    continue
                body = await _body_of_answer(reader, slowly=random.random() < 0.2)
                self._judge(body if not gzip else zlib.decompress(body, 31))
            except (OSError, IncompleteReadError, zlib.error):
                self.outcomes["cut short"] += 1
            except ValueError as refused:
                self.outcomes[str(refused)] += 1
            finally:
                writer.close()

    def _judge(self, body: bytes) -> None:
        """A body that has ended as it should."""
        self.outcomes["whole"] += 1
        lines = body.split(b"\n")
        ups = {
            line.split(b'"')[1].decode(): line.endswith(b" 1")
            for line in lines
            if line.startswith(b"up{")
        }
        if set(ups) != set(self.paths):
            self.untrue.append(f"{len(self.paths) - len(ups)} targets have no up")
        series = {line for line in lines if line.startswith(b"soak{")}
        for path, is_up in ups.items():
            behaviour = path.split("/")[1]
            if is_up and behaviour in ALWAYS_DOWN:
                self.untrue.append(f"{path} is up")
            own = b'soak{instance="%b",path="%b"} 1' % (path.encode(), path.encode())
            if is_up != (own in series):
                self.untrue.append(f"{path}: up is {is_up}, and its samples say otherwise")


async def _body_of_answer(reader: asyncio.StreamReader, *, slowly: bool) -> bytes:
    """A chunked body. Raises IncompleteReadError where it was cut, ValueError where it is none."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"answered {head[9:12].decode()}")
    body = b""
    while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if slowly:
            await asyncio.sleep(0.001)
    await reader.readexactly(2)
    return body


async def run(folder: Path, seconds: float) -> list[str]:
    """What is wrong after so many seconds; empty where all is well."""
    target = SoakTarget()
    port = await target.listen()
    paths = [f"/{kind}/{n}" for kind in (*GOOD, *BAD) for n in range(NUMBERS)]
    groups = [
        {
            "targets": [f"{HOST}:{port}"],
            "labels": {"__metrics_path__": path, "instance": path},
        }
        for path in paths
    ]
    labels = {"__metrics_path__": "/refused/0", "instance": "/refused/0"}
    groups.append({"targets": [f"{HOST}:{free_port()}"], "labels": labels})
    (folder / "targets.json").write_text(json.dumps(groups))
    source = f"[{{name: vms, files: {{paths: ['{folder}/targets.json']}}}}]"
    daemon = promproxy(folder, source, "merged: {own_metrics: false, buffer: 8MB}\n")
    daemon.start()
    running = Run(daemon, [*paths, "/refused/0"])
    try:
        await asyncio.to_thread(eventually, lambda: _is_ready(daemon))
        await running.go_on(min(30.0, seconds / 4))
        before = resident_mb(daemon)
        measured = []
        for _ in range(PARTS):
            await running.go_on(seconds / PARTS)
            await asyncio.sleep(1.0)
            measured.append(resident_mb(daemon))
    finally:
        daemon.stop()
        await target.close_connections()
    print(", ".join(f"{count} {what}" for what, count in running.outcomes.most_common()))
    shown = ", ".join(f"{megabytes:.0f}" for megabytes in measured)
    print(f"memory: {before:.0f} MB after the warm-up, then {shown} MB")
    wrong = [*dict.fromkeys(running.untrue)][:20]
    # What is freed is not always given back at once; a leak shows in the least of each half too.
    growth = min(measured[PARTS // 2 :]) - min(before, *measured[: PARTS // 2])
    if growth > GROWTH_MB:
        wrong.append(f"{growth:.1f} MB more memory")
    if not running.outcomes["whole"]:
        wrong.append("no answer was whole")
    return [*wrong, *bugs(daemon)]


def _is_ready(daemon: Peer) -> None:
    assert daemon.get("/-/ready").status == 200


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults_of_merged", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="default 600")
    asked = parser.parse_args()
    raise_file_limit()
    assert body_of("/whole/0").startswith(b"soak{")
    with tempfile.TemporaryDirectory(prefix="promproxy-faults-") as folder:
        wrong = asyncio.run(run(Path(folder), asked.seconds))
    for line in wrong:
        print(f"WRONG: {line}")
    print("something is wrong" if wrong else "all is well")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
