"""What a scrape costs, for capacity planning: taken from the last run of ``make bench``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PERFORMANCE = Path(__file__).absolute().parent / "performance.json"

# What is scraped, and where its figures are: part, case, unit.
_ROWS = (
    ("2 kB", "speed", "/2kB", "rate"),
    ("what a node_exporter says, some 57 kB", "speed", "/node", "rate"),
    ("1 MB", "speed", "/1MB", "rate"),
    ("2 kB, TLS on both sides", "tls", "/2kB", "tls_rate"),
    ("57 kB, TLS on both sides", "tls", "/node", "tls_rate"),
    ("2 kB, 100 000 targets of one origin", "targets", "100 000 targets", "rate"),
    (
        "2 kB, 10 000 targets of as many origins",
        "targets",
        "10 000 targets of as many origins",
        "rate",
    ),
)


def costs() -> Iterator[str]:
    """The table of the last run."""
    return costs_of(json.loads(PERFORMANCE.read_text(encoding="utf-8")))


def costs_of(performance: Mapping[str, Any]) -> Iterator[str]:
    """A table in Markdown; of several versions of Python and Twisted the slowest counts."""
    yield "| a scrape of | per second on one core | of one core, each |"
    yield "|---|---:|---:|"
    for name, *key in _ROWS:
        rate = _slowest(performance, *key)
        yield f"| {name} | {_rounded(rate)} | {1e6 / rate:.0f} µs |"


def _slowest(performance: Mapping[str, Any], part: str, case: str, unit: str) -> float:
    found = [
        sample["median"]
        for sample in performance["samples"]
        if sample["stack"].startswith("promproxy")
        and (sample["part"], sample["case"], sample["unit"]) == (part, case, unit)
    ]
    return float(min(found))


def _rounded(rate: float) -> str:
    """Down to two digits: more would say more than was measured."""
    digits = len(str(int(rate))) - 2
    return f"{int(rate) // 10**digits * 10**digits:,}".replace(",", " ")
