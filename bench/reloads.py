"""Does a reload disturb anyone? Run as ``python -m bench.reloads --reloads 100 --rate 200``.

Scrapes arrive at a steady rate while the configuration changes again and again: by SIGHUP and by
POST, in everything that may change, and now and then into one that is no good. Every scrape must
succeed, and afterwards promproxy must hold no more memory and file descriptors than after a
warm-up of as many reloads. Exits with status 1 where that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import os
import signal
import sys
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from attrs import define, field

from bench.load import quantile
from bench.peers import open_files, python, raise_file_limit, resident_mb, twistd_of
from bench.scraping import BODY, Scraper
from tests.integration.peers import CHECKOUT, HOST, Peer, free_port

TARGETS = 1000
SETTLE_SECONDS = 12.0  # longer than an idle connection to a target is kept in vain
GROWTH_MB = 3.0
BAD = "sources: [nonsense]\n"


def configuration(port: int, number: int) -> dict[str, Any]:
    """The configuration after so many reloads: each of its parts changes at a pace of its own."""
    others = {"name": "others", "files": {"paths": ["targets/others.json"]}}
    return {
        "listen": [f"tcp:{port}:interface={HOST}"],
        "discovery": {
            "address": f"{HOST}:{port}",
            "path_prefix": "/prefix" if number % 3 == 0 else "",
        },
        "scrape": {"max_timeout": "30s" if number % 2 else "60s"},
        "outbound": {
            "scraper": {"basic_auth": {"username": "u", "password": f"password-{number // 2}"}}
        },
        "state_dir": "state",
        "file_sd": {"path": "file_sd.json"},
        "sources": [
            {
                "name": "vms",
                "outbound": "scraper",
                "honor_job": number % 5 == 0,
                "files": {"paths": ["targets/vms.json"]},
            },
            *([others] if number % 4 else []),
        ],
    }


@define
class Target:
    """A target that answers whoever knows one of the passwords that were ever configured."""

    passwords: set[str] = field(factory=set)
    refused: int = 0
    port: int = 0

    async def listen(self) -> None:
        """On a port of the kernel's choice."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, rest = head.partition(b"Authorization: Basic ")
                password = base64.b64decode(rest.partition(b"\r\n")[0]).decode().partition(":")[2]
                self.refused += password not in self.passwords
                status = b"200 OK" if password in self.passwords else b"401 Unauthorized"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(BODY)))
                writer.write(BODY)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


@define
class Reloader:
    """Changes the configuration of a daemon and sees to it that it is in force."""

    daemon: Peer
    target: Target
    number: int = 0
    seconds: list[float] = field(factory=list)

    def write(self) -> None:
        """The configuration of now, as JSON, which is YAML too."""
        config = configuration(self.daemon.port, self.number)
        self.target.passwords.add(config["outbound"]["scraper"]["basic_auth"]["password"])
        (self.daemon.folder / "promproxy.yml").write_text(json.dumps(config))

    async def reload_to(self, number: int) -> None:
        """Straight to this configuration."""
        last, self.number = self.number, number - 1
        await self.reload()
        self.number = last

    async def reload(self) -> None:
        """Once, by signal or by request; every tenth time with a bad file before."""
        if self.number % 10 == 9:
            (self.daemon.folder / "promproxy.yml").write_text(BAD)
            assert await asyncio.to_thread(self._post) == 500
        self.number += 1
        self.write()
        began = time.perf_counter()
        if self.number % 2:
            assert await asyncio.to_thread(self._post) == 200
        else:
            done = self._count()
            os.kill(self.daemon.pid, signal.SIGHUP)
            while self._count() == done:
                await asyncio.sleep(0.01)
        self.seconds.append(time.perf_counter() - began)

    def _post(self) -> int:
        connection = HTTPConnection(HOST, self.daemon.port, timeout=30)
        try:
            connection.request("POST", "/-/reload")
            return connection.getresponse().status
        finally:
            connection.close()

    def _count(self) -> int:
        return self.daemon.output.count("reloaded: ")


def make_daemon(folder: Path, program: str, target: Target) -> Reloader:
    """A daemon with its target files."""
    interpreter = python(program)
    command = [interpreter.program, twistd_of(interpreter), "--nodaemon", "--pidfile="]
    daemon = Peer(
        command=[*command, "promproxy", "--config", "promproxy.yml"],
        port=free_port(),
        folder=folder,
        environment={"PYTHONPATH": str(CHECKOUT)},
    )
    (folder / "targets").mkdir()
    for name in ("vms", "others"):
        groups = [
            {"targets": [f"{HOST}:{target.port}"], "labels": {"__metrics_path__": f"/{name}/{n}"}}
            for n in range(TARGETS)
        ]
        (folder / "targets" / f"{name}.json").write_text(json.dumps(groups))
    reloader = Reloader(daemon, target)
    reloader.write()
    return reloader


async def _held(daemon: Peer) -> tuple[int, float]:
    """File descriptors and MB, once what is idle has come to rest."""
    await asyncio.sleep(SETTLE_SECONDS)
    return open_files(daemon), resident_mb(daemon)


async def measure(folder: Path, program: str, reloads: int, rate: float) -> list[str]:
    """What is wrong after so many reloads; empty where all is well."""
    target = Target()
    await target.listen()
    reloader = make_daemon(folder, program, target)
    daemon = reloader.daemon
    paths = [
        f"/singleTargetMetrics/vms/{HOST}:{target.port}/vms/{number}" for number in range(TARGETS)
    ]
    scraper = Scraper(daemon.port, paths)
    await asyncio.to_thread(daemon.launch)
    try:
        await asyncio.to_thread(daemon.await_answer)
        while (await asyncio.to_thread(daemon.get, "/-/ready")).status != 200:
            await asyncio.sleep(0.1)
        before = await _reload(reloader, scraper, reloads, rate)
        warm_up, scraper.seconds, reloader.seconds = len(scraper.seconds), [], []
        after = await _reload(reloader, scraper, reloads, rate)
    finally:
        daemon.stop()
    taken = sorted(scraper.seconds)
    print(
        f"{reloads} reloads, {len(taken)} scrapes at {rate:g}/s ({warm_up} before that to warm "
        f"up), {len(scraper.failures)} failed\n"
        f"scrapes: median {quantile(taken, 0.5) * 1000:.1f} ms, 99 % "
        f"{quantile(taken, 0.99) * 1000:.1f} ms, longest {taken[-1] * 1000:.0f} ms\n"
        f"reloads: median {quantile(sorted(reloader.seconds), 0.5) * 1000:.0f} ms, longest "
        f"{max(reloader.seconds) * 1000:.0f} ms\n"
        f"file descriptors {before[0]} -> {after[0]}, memory {before[1]:.1f} -> {after[1]:.1f} MB"
    )
    wrong = list(scraper.failures[:20])
    if target.refused:
        wrong.append(f"{target.refused} requests with a password that never was one")
    if after[0] > before[0]:
        wrong.append(f"{after[0] - before[0]} more file descriptors")
    if after[1] > before[1] + GROWTH_MB:
        wrong.append(f"{after[1] - before[1]:.1f} MB more memory")
    if "Traceback" in daemon.output:
        wrong.append(daemon.output[daemon.output.index("Traceback") :][:3000])
    return wrong


async def _reload(
    reloader: Reloader, scraper: Scraper, reloads: int, rate: float
) -> tuple[int, float]:
    """Under load; then what is held."""
    scraping = asyncio.ensure_future(scraper.run(rate))
    for _ in range(reloads):
        await reloader.reload()
        await asyncio.sleep(0.2)
    await reloader.reload_to(1)  # so that what is held can be compared
    await scraper.end()
    await scraping
    return await _held(reloader.daemon)


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.reloads", description=__doc__)
    parser.add_argument("--reloads", type=int, default=100, help="default 100")
    parser.add_argument("--rate", type=float, default=200.0, help="scrapes a second; default 200")
    parser.add_argument("--python", default=sys.executable, help="runs promproxy")
    asked = parser.parse_args()
    raise_file_limit()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it tells of the end
    with tempfile.TemporaryDirectory(prefix="promproxy-reloads-") as folder:
        wrong = asyncio.run(measure(Path(folder), asked.python, asked.reloads, asked.rate))
    for line in wrong:
        print(f"WRONG: {line}")
    print("something is wrong" if wrong else "all is well")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
