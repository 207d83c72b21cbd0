"""The figures that we hold ourselves to, and whether they were reached."""

from __future__ import annotations

from bench.report import (
    EXPORTER_EXPORTER,
    PROMPROXY,
    SIZES,
    Table,
    added_latency,
    shown,
    treq_beside,
)
from bench.samples import Samples, ratio

NEWEST = {"/2kB": (1.2, 1.4), "/node": (1.15, 1.3), "/1MB": (0.9, 1.0)}
DEBIAN = {"/2kB": (0.9, 1.1), "/node": (0.75, 1.0), "/1MB": (0.75, 0.9)}
AGAINST_TREQ = {"/2kB": (3.0, 4.0), "/node": (2.5, 3.5), "/1MB": (1.2, 1.4)}
TLS = {"/2kB": (0.5, 0.65), "/node": (0.4, 0.5)}

Bounds = tuple[float, float]  # what must be reached, what we aim at


def promises_table(samples: Samples) -> Table:
    """Those that were measured."""
    table = Table(
        "In short",
        "What we promise, and whether it was reached.",
        ["figure", "measured", "at least", "aim", "reached"],
    )

    def add(title: str, value: float | None, bounds: Bounds, *, less: bool = False) -> None:
        if value is not None:
            sign = -1 if less else 1
            reached = [sign * value >= sign * bound for bound in bounds]
            verdict = "aim" if all(reached) else "yes" if reached[0] else "NO"
            numbers = [shown(number, 2) for number in (value, *bounds)]
            table.rows.append([title, *numbers, verdict])

    for stack in _ours(samples, "speed"):
        bounds_of = DEBIAN if stack.endswith("22.4.0") else NEWEST
        for case, size in SIZES.items():
            value = _rate_ratio(samples, stack, EXPORTER_EXPORTER, case)
            add(f"{stack} ÷ {EXPORTER_EXPORTER}, {size}", value, bounds_of[case])
    for stack in _ours(samples, "speed")[:1]:
        for case, size in SIZES.items():
            value = _rate_ratio(samples, stack, treq_beside(stack, samples), case)
            add(f"÷ plain treq, {size}", value, AGAINST_TREQ[case])
        p99 = samples.median("speed", stack, "/2kB", "p99_ms")
        add("p99 at 32 connections, 2 kB, ms", p99, (10.0, 6.0), less=True)
    for stack in _ours(samples, "tls")[:1]:
        for case, bounds in TLS.items():
            tls, plain = (samples.median("tls", stack, case, u) for u in ("tls_rate", "plain_rate"))
            add(f"TLS on both sides ÷ plain, {SIZES[case]}", ratio(tls, plain), bounds)
    for stack in _ours(samples, "latency")[:1]:
        add(
            "added latency, p50, ms",
            added_latency(samples, stack, "p50_ms"),
            (0.35, 0.25),
            less=True,
        )
        add(
            "added latency, p99, ms", added_latency(samples, stack, "p99_ms"), (1.5, 1.0), less=True
        )
    for stack in _ours(samples, "memory")[:1]:
        idle, held = (samples.median("memory", stack, case, "mb") for case in ("idle", "http"))
        add("memory idle, MB", idle, (70.0, 55.0), less=True)
        add("memory of 1 000 idle connections, MB", held, (30.0, 22.0), less=True)
    many = samples.ratio_of_cases("targets", PROMPROXY, "100 000 targets", "1 target", "rate")
    add("100 000 targets ÷ 1 target", many, (0.9, 0.97))
    return table


def _ours(samples: Samples, part: str) -> list[str]:
    return [stack for stack in samples.stacks(part) if stack.startswith(PROMPROXY)]


def _rate_ratio(samples: Samples, stack: str, base: str, case: str) -> float | None:
    return samples.ratio("speed", stack, base, case, "rate")
