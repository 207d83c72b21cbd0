"""What do refreshes of a large foundation cost? Run as ``python -m bench.foundation``.

The simulated foundation and the daemon, run by twistd, have a process each. While the foundation
changes all the time, the daemon reads it again and again; a client asks for ``/-/healthy`` every
5 ms, and its longest wait, without the time for which the daemon waited for a processor, is the
longest stall of the reactor. Prints a table in Markdown, and exits with status 1 where a limit is
passed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from bench.peers import resident_mb
from tests.integration.foundation import Foundation, by_id, foundation, metric
from tests.integration.peers import HOST, Peer, eventually, promproxy

SIZE = {"orgs": 250, "spaces": 1500, "apps": 3000, "instances": 6000}
CHANGES_PER_MINUTE = 60
SECONDS_BETWEEN_REFRESHES = 5
PAUSE_SECONDS = 0.005

SUCCESSES = 'promproxy_source_refreshes_total{outcome="success",source="cf"}'
SECONDS = 'promproxy_source_refresh_duration_seconds_sum{source="cf"}'


@frozen
class Row:
    """One line of the table; without a limit it is for information only."""

    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether it keeps within the limit."""
        return self.limit is None or self.value <= self.limit


@define(eq=False)
class Pinger:
    """Asks a daemon for ``/-/healthy`` over one kept connection, all the time.

    ``waits`` are the seconds that each answer took, ``stalls`` those of them that the daemon did
    not spend waiting for a processor.
    """

    _daemon: Peer
    waits: list[float] = field(factory=list, init=False)
    stalls: list[float] = field(factory=list, init=False)
    _end: threading.Event = field(factory=threading.Event, init=False)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Pinger:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        connection = HTTPConnection(HOST, self._daemon.port, timeout=30)
        while not self._end.wait(PAUSE_SECONDS):
            before, began = self._queued(), time.perf_counter()
            connection.request("GET", "/-/healthy")
            connection.getresponse().read()
            wait = time.perf_counter() - began
            self.waits.append(wait)
            self.stalls.append(wait - (self._queued() - before))
        connection.close()

    def _queued(self) -> float:
        """For how many seconds the daemon has been ready to run without a processor."""
        pid = self._daemon.pid
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9


def peak_mb(peer: Peer) -> float:
    """How much memory a process had at most, in MB."""
    status = Path(f"/proc/{peer.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def api_requests(simulated: Foundation) -> int:
    """How many requests the API has had, those for a token and the root left out."""
    counts: dict[str, int] = simulated.state()["requests"]["api"]
    return sum(count for path, count in counts.items() if path.startswith("/v3"))


def measure(folder: Path, refreshes: int) -> Iterable[Row]:
    """All figures."""
    options = ("--churn", str(CHANGES_PER_MINUTE))
    simulated = foundation(folder, *options, **SIZE)
    simulated.start()
    try:
        yield from measure_everything(folder, simulated, refreshes)
        yield from measure_ten_orgs(folder, simulated)
    finally:
        simulated.stop()


def start_daemon(folder: Path, source: dict[str, Any]) -> Peer:
    """A daemon that has read the foundation once."""
    daemon = promproxy(folder, json.dumps([source]))
    daemon.start()
    eventually(lambda: await_count(daemon, 1))
    return daemon


def await_count(daemon: Peer, count: int) -> None:
    """An AssertionError until so many refreshes have succeeded."""
    assert metric(daemon, SUCCESSES) >= count, daemon.output


def measure_everything(folder: Path, simulated: Foundation, refreshes: int) -> Iterable[Row]:
    """With every app selected."""
    interval = f"{SECONDS_BETWEEN_REFRESHES}s"
    daemon = start_daemon(folder, simulated.source(interval=interval))
    try:
        with Pinger(daemon) as quiet:
            time.sleep(SECONDS_BETWEEN_REFRESHES * 0.6)
        requests, done = api_requests(simulated), metric(daemon, SUCCESSES)
        spent, slowest = metric(daemon, SECONDS), 0.0
        steady = 0.0
        with Pinger(daemon) as pinger:
            while done < refreshes + 1:
                steady = max(steady, resident_mb(daemon))
                number = done + 1
                eventually(lambda number=number: await_count(daemon, number), 60)
                done, before, spent = metric(daemon, SUCCESSES), spent, metric(daemon, SECONDS)
                slowest = max(slowest, spent - before)
                document = daemon.get("/discovery").body
        targets = len(by_id(document))
        yield Row("targets", targets, "")
        yield Row("size of /discovery", len(document) / 1e6, "MB")
        yield Row("refreshes measured", refreshes, "")
        per_refresh = (api_requests(simulated) - requests) / refreshes
        yield Row("API requests per refresh", per_refresh, "", 4)
        yield Row("slowest refresh", slowest, "s", 3)
        yield Row("mean refresh", spent / done, "s")
        yield Row("longest stall of the reactor", max(pinger.stalls) * 1000, "ms", 50)
        ordered = sorted(pinger.stalls)
        yield Row("longest but one in 1000", ordered[-1 - len(ordered) // 1000] * 1000, "ms")
        yield Row("longest wait", max(pinger.waits) * 1000, "ms")
        yield Row("longest wait without a refresh", max(quiet.waits) * 1000, "ms")
        yield Row("peak RSS", peak_mb(daemon), "MB", 250)
        yield Row("largest RSS between refreshes", steady, "MB", 150)
    finally:
        daemon.stop()


def measure_ten_orgs(folder: Path, simulated: Foundation) -> Iterable[Row]:
    """With ten orgs selected by their names."""
    select = [{"org": f"org-{number:03}"} for number in range(1, 11)]
    before = api_requests(simulated)
    daemon = start_daemon(folder, simulated.source(interval="60s", select=select))
    try:
        yield Row("targets of 10 orgs by name", len(by_id(daemon.get("/discovery").body)), "")
        requests = api_requests(simulated) - before
        yield Row("API requests per refresh of 10 orgs", requests, "", 5)
        yield Row("refresh of 10 orgs", metric(daemon, SECONDS), "s")
    finally:
        daemon.stop()


def main() -> int:
    """Measure, print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.foundation", description=__doc__)
    parser.add_argument("--refreshes", type=int, default=12, metavar="N")
    options = parser.parse_args()
    size = ", ".join(f"{count} {what}" for what, count in SIZE.items())
    print(f"{size}; {CHANGES_PER_MINUTE} changes per minute\n")
    print("| what | measured | limit | |\n| --- | ---: | ---: | --- |")
    good = True
    with tempfile.TemporaryDirectory(prefix="promproxy-bench-") as folder:
        for row in measure(Path(folder), options.refreshes):
            number = f"{row.value:.0f}" if row.value == int(row.value) else f"{row.value:.2f}"
            limit = "" if row.limit is None else f"{row.limit:g} {row.unit}".strip()
            verdict = "" if row.limit is None else ("good" if row.is_good else "TOO MUCH")
            print(f"| {row.what} | {number} {row.unit} | {limit} | {verdict} |", flush=True)
            good = good and row.is_good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
