"""What does it take to have so many targets? Run as ``python -m bench.capacity``.

One daemon after the other, each with more targets: its memory and processor time when it has read
them, listed them, scraped each of them once, shown its status page, and read a changed list. Prints
a table in Markdown; ``--markdown docs/capacity.md`` renews the one in the manual.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import define, field, frozen

from bench.foundation import Pinger
from bench.load import check_all
from bench.peers import (
    Promproxy,
    Python,
    bodies,
    group,
    id_of,
    make_certificate,
    processor_seconds,
    promproxy,
    python,
    resident_mb,
    running,
    scrape_path,
    target,
)
from bench.report import Table, shown
from bench.scrapes import circumstances_of_machine, prepare, write_markdown
from tests.integration.foundation import metric, post
from tests.integration.peers import eventually

COUNTS = (1, 1000, 10_000, 100_000)
MANY_LABELS = {f"__meta_some_name_{number:02}": "some-value-of-a-label" for number in range(20)}
PAGES = {"the status page": "/", "a search in it": "/?text=no-such-target"}


@frozen
class Case:
    """So many targets, each with these labels."""

    name: str
    count: int
    labels: dict[str, str] = field(factory=dict)


CASES = (
    *(Case(shown(count), count) for count in COUNTS),
    Case("10 000 with 20 labels each", 10_000, MANY_LABELS),
)


@define
class Measurement:
    """The figures of one case, by what they are of."""

    case: Case
    daemon: Promproxy
    figures: dict[str, str] = field(factory=dict)

    def memory(self, when: str) -> None:
        """How much there is now, in MB."""
        self.figures[f"MB resident, {when}"] = shown(resident_mb(self.daemon))

    def time(self, what: str, act: Callable[[], object]) -> None:
        """How long something takes: all of it, of the processor, and its longest stall."""
        before, began = processor_seconds(self.daemon), time.perf_counter()
        with Pinger(self.daemon) as pinger:
            act()
        seconds = time.perf_counter() - began
        self.figures[f"{what}: s"] = shown(seconds, 2)
        self.figures[f"{what}: s of the processor"] = shown(
            processor_seconds(self.daemon) - before, 2
        )
        # None where it was over before the first look.
        stall = max(0.0, max(pinger.stalls)) * 1000 if pinger.stalls else None
        self.figures[f"{what}: longest stall, ms"] = shown(stall, 0)


def groups_of(case: Case, origin: str, more: int = 0) -> list[dict[str, object]]:
    """The target groups of a case, and so many targets more."""
    groups = [group([origin], f"/t/{number}") for number in range(case.count + more)]
    for one in groups:
        one["labels"].update(case.labels)
    return groups


def measure(case: Case, folder: Path, interpreter: Python) -> dict[str, str]:
    """All figures of a case."""
    contents, certificate = bodies(folder), make_certificate(folder)
    upstream = target(folder, contents, certificate)
    origin = upstream.origins("http")[0]
    daemon = promproxy(folder, interpreter, groups_of(case, origin), certificate)
    with running(upstream):
        began = time.perf_counter()
        with running(daemon):
            found = Measurement(case, daemon)
            found.figures["s from the start until it is ready"] = shown(
                time.perf_counter() - began, 1
            )
            found.memory("ready")
            measure_discovery(found)
            paths = [scrape_path(id_of(origin, f"/t/{n}")) for n in range(case.count)]
            check_all(f"http://{daemon.address}/", paths, contents["/2kB"])
            found.memory("after a scrape of each")
            for what, path in PAGES.items():
                found.time(what, lambda path=path: daemon.get(path))
            measure_refresh(found, origin)
            found.memory("in the end")
            return found.figures


def measure_discovery(found: Measurement) -> None:
    """The document, the first time and again."""
    answer = found.daemon.get("/discovery")
    found.figures["MB of /discovery"] = shown(len(answer.body) / 1e6, 2)
    found.figures["MB of it in gzip"] = shown(len(gzip.compress(answer.body, 6)) / 1e6, 2)
    found.memory("after /discovery")
    found.time("/discovery again", lambda: found.daemon.get("/discovery"))


def measure_refresh(found: Measurement, origin: str) -> None:
    """A list of targets in which one is new."""
    daemon = found.daemon
    file = daemon.folder / "targets.json"
    file.write_text(json.dumps(groups_of(found.case, origin, more=1)))

    def refresh() -> None:
        assert post(daemon, "/-/refresh") == 202, daemon.output
        eventually(is_read, 60)

    def is_read() -> None:
        assert metric(daemon, 'promproxy_source_targets{source="bench"}') == found.case.count + 1

    found.time("a refresh with a change", refresh)


def table_of(results: Sequence[tuple[Case, dict[str, str]]]) -> Table:
    """A column for each case."""
    table = Table(
        "By number of targets",
        "Targets of one file, all of one origin, 2 labels each where nothing else is said. A stall "
        "is how long an answer to /-/healthy took meanwhile, without the time for which the daemon "
        "waited for a processor.",
        ["targets", *(case.name for case, _ in results)],
    )
    for what in results[0][1]:
        table.rows.append([what, *(figures[what] for _, figures in results)])
    return table


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--python", default=sys.executable, metavar="PROGRAM")
    parser.add_argument("--quick", action="store_true", help="without the large ones")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    asked = parser.parse_args()
    prepare()
    interpreter = python(asked.python)
    results = []
    for case in CASES[:2] if asked.quick else CASES:
        print(f"measuring {case.name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="promproxy-bench-") as name:
            Path(name).chmod(0o755)  # the target may have given up its rights
            results.append((case, measure(case, Path(name), interpreter)))
    versions = ", ".join(f"{name} {version}" for name, version in interpreter.versions.items())
    machine = "{when}; {cpu}, {cores} cores, Linux {kernel}".format_map(circumstances_of_machine())
    text = f"{machine}; {versions}.\n\n{table_of(results).markdown()}"
    print(text)
    if asked.markdown:
        write_markdown(asked.markdown, text)


if __name__ == "__main__":
    main()
