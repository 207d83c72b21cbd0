"""What a scrape costs, beside what it costs with others: run as ``python -m bench.scrapes``.

Nothing listens beyond the loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.parts import PARTS, Bench, Settings
from bench.peers import (
    LOAD_CPU,
    PROXY_CPU,
    bodies,
    check_installed,
    make_certificate,
    python,
    raise_file_limit,
    running,
    target,
)
from bench.promises import promises_table
from bench.report import Table, tables
from bench.samples import Samples

BEGIN, END = "<!-- tables of the last run -->", "<!-- end of the tables -->"


def run(parts: Sequence[str], settings: Settings) -> Samples:
    """Measure these parts."""
    with tempfile.TemporaryDirectory(prefix="promproxy-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # a target may have given up its rights
        contents = bodies(folder)
        certificate = make_certificate(folder)
        served = target(folder, contents, certificate)
        bench = Bench(settings, folder, contents, certificate, served)
        with running(served):
            for part in parts:
                print(f"measuring {part} ...", file=sys.stderr, flush=True)
                PARTS[part](bench)
        return bench.samples


def circumstances(settings: Settings) -> dict[str, object]:
    """What one must know to compare these figures with others."""
    return {
        **circumstances_of_machine(),
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "load_after": os.getloadavg()[0],
        "pythons": [dict(interpreter.versions) for interpreter in settings.pythons],
    }


def circumstances_of_machine() -> dict[str, object]:
    """When and on what something is measured."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def markdown(facts: Mapping[str, object], found: Sequence[Table]) -> str:
    """All tables, and above them when and where they were made."""
    head = "{when}; {cpu}, {cores} cores, Linux {kernel}; {rounds} rounds of {seconds} s.\n"
    lines = [head.format_map(facts)]
    for versions in facts["pythons"]:  # type: ignore[attr-defined]
        lines.append("- " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join([*lines, "", *(table.markdown() for table in found)])


def write_markdown(file: Path, text: str) -> None:
    """Put the tables into a file, between the marks where it has them."""
    whole = file.read_text(encoding="utf-8") if file.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file} has no place for the tables: {BEGIN} … {END}")
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def prepare() -> None:
    """Raises SystemExit where this cannot run; everything started from now on has these limits."""
    check_installed()
    if not {LOAD_CPU, PROXY_CPU} <= os.sched_getaffinity(0):
        raise SystemExit("two processors are needed: one for the load, one for the proxy")
    os.sched_setaffinity(0, {LOAD_CPU})
    raise_file_limit()


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.scrapes", description=__doc__)
    parser.add_argument(
        "--python",
        action="append",
        metavar="PROGRAM",
        help="the interpreter that runs promproxy, its twistd beside it; may be repeated",
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--seconds", type=int, help="of one measurement; default 2")
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    asked = parser.parse_args()
    asked.parts = asked.only.split(",")
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    return asked


def main() -> None:
    """Measure, print, write."""
    asked = arguments()
    prepare()
    short = (1, 1) if asked.quick else (3, 2)
    settings = Settings(
        rounds=asked.rounds or short[0],
        seconds=asked.seconds or short[1],
        quick=asked.quick,
        pythons=[python(program) for program in asked.python or [sys.executable]],
    )
    samples = run(asked.parts, settings)
    facts = circumstances(settings)
    text = markdown(facts, [promises_table(samples), *tables(samples)])
    print(text)
    if asked.markdown:
        write_markdown(asked.markdown, text)
    if asked.json:
        document = {**facts, "samples": samples.as_json()}
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
