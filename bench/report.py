"""Measurements become tables."""

from __future__ import annotations

from attrs import field, frozen

from bench.samples import Samples, difference, ratio

SIZES = {"/2kB": "2 kB", "/node": "node_exporter", "/1MB": "1 MB"}
EXPORTER_EXPORTER, NGINX, DIRECT = "exporter_exporter", "nginx proxy_pass", "direct"
PROMPROXY, TREQ = "promproxy", "plain treq"


@frozen
class Table:
    """A table, and what to know when reading it."""

    title: str
    note: str
    columns: list[str]
    rows: list[list[str]] = field(factory=list, init=False)

    def markdown(self) -> str:
        """Aligned, so that it can be read as it stands."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = [_line(cells, widths) for cells in (self.columns, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", self.note, "", *lines, ""])


def _line(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def shown(value: float | None, digits: int = 0) -> str:
    """A number as it stands in a table."""
    return "-" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def tables(samples: Samples) -> list[Table]:
    """Those whose parts were measured."""
    makers = (
        speed_table,
        processor_table,
        tls_table,
        latency_table,
        hanging_table,
        memory_table,
        targets_table,
    )
    return [table for table in (make(samples) for make in makers) if table.rows]


def treq_beside(stack: str, samples: Samples) -> str:
    """The name of the plain treq on the same Twisted as a promproxy; the first for other stacks."""
    treqs = [name for name in samples.stacks("speed") if name.startswith(TREQ)]
    beside = stack.replace(PROMPROXY, TREQ)
    return beside if beside in treqs else next(iter(treqs), "")


def speed_table(samples: Samples) -> Table:
    """Throughput of all stacks and sizes."""
    cases = samples.cases("speed")
    columns = ["stack"]
    for case in cases:
        columns += [SIZES[case], "÷ e_e", "÷ treq", "p99 ms"]
    table = Table(
        "Scrapes per second on one core",
        "32 connections, each of which asks again at once. ÷ e_e: divided by exporter_exporter's "
        "figure; ÷ treq: by that of plain treq, on the same Twisted for promproxy.",
        columns,
    )
    for stack in samples.stacks("speed"):
        row = [stack]
        for case in cases:
            rate, p99 = (samples.median("speed", stack, case, u) for u in ("rate", "p99_ms"))
            bases = (EXPORTER_EXPORTER, treq_beside(stack, samples))
            ratios = (samples.ratio("speed", stack, base, case, "rate") for base in bases)
            row += [shown(rate), *(shown(value, 2) for value in ratios), shown(p99, 1)]
        table.rows.append(row)
    return table


def processor_table(samples: Samples) -> Table:
    """What a scrape costs the proxy's processor."""
    cases = samples.cases("speed")
    columns = ["stack"]
    for case in cases:
        columns += [f"{SIZES[case]}: us", "e_e ÷ it"]
    table = Table(
        "Processor time per scrape",
        "In the same runs, in the process and in the kernel on its behalf, without what the kernel "
        "does for the network in between. e_e ÷ it: how many scrapes in the time that "
        "exporter_exporter has for one. Where this says more than the rates do, the core of load "
        "and target was busy, not the proxy's.",
        columns,
    )
    for stack in samples.stacks("speed"):
        row = [stack]
        for case in cases:
            times = samples.ratio("speed", EXPORTER_EXPORTER, stack, case, "cpu_us")
            row += [shown(samples.median("speed", stack, case, "cpu_us")), shown(times, 2)]
        table.rows.append(row)
    return table


def tls_table(samples: Samples) -> Table:
    """TLS on both sides against plain on both sides."""
    columns = ["stack"]
    for case in samples.cases("tls"):
        columns += [f"{SIZES[case]}: plain", "TLS", "ratio"]
    note = "Scrapes per second over 32 connections. ECDSA P-256, connections kept on both sides."
    table = Table("TLS on both sides", note, columns)
    for stack in samples.stacks("tls"):
        row = [stack]
        for case in samples.cases("tls"):
            plain, tls = (
                samples.median("tls", stack, case, unit) for unit in ("plain_rate", "tls_rate")
            )
            row += [shown(plain), shown(tls), shown(ratio(tls, plain), 2)]
        table.rows.append(row)
    return table


def latency_table(samples: Samples) -> Table:
    """How long a scrape takes, and how much of that is the proxy's."""
    table = Table(
        "Latency",
        "2 kB, one connection, no other load. Added: more than asking the target itself takes.",
        ["stack", "p50 ms", "p99 ms", "added p50", "added p99"],
    )
    for stack in samples.stacks("latency"):
        row = [stack]
        for unit in ("p50_ms", "p99_ms"):
            row.append(shown(samples.median("latency", stack, "/2kB", unit), 3))
        row += [shown(added_latency(samples, stack, unit), 3) for unit in ("p50_ms", "p99_ms")]
        table.rows.append(row)
    return table


def added_latency(samples: Samples, stack: str, unit: str) -> float | None:
    """What a stack adds to what the target itself takes."""
    seen, direct = (samples.median("latency", s, "/2kB", unit) for s in (stack, DIRECT))
    return difference(seen, direct)


def hanging_table(samples: Samples) -> Table:
    """What targets that do not answer do to the others, and when they are given up."""
    table = Table(
        "Targets that hang",
        "2 kB, one connection, while so many other targets keep their callers waiting. Late: how "
        "long after its deadline the caller of such a target sees the 504, all of them being due "
        "at about the same moment.",
        ["stack", "targets that hang", "p50 ms", "p99 ms", "late p50 ms", "late p99 ms"],
    )
    for stack in samples.stacks("hanging"):
        for case in samples.cases("hanging"):
            values = [
                shown(samples.median(part, stack, case, unit), digits)
                for part, digits in (("hanging", 3), ("late", 0))
                for unit in ("p50_ms", "p99_ms")
            ]
            table.rows.append([stack, case, *values])
    return table


def memory_table(samples: Samples) -> Table:
    """Resident memory."""
    table = Table(
        "Memory",
        "MB resident. Idle: one target, nothing scraped yet. The others: what 1 000 idle "
        "connections to as many origins add.",
        ["stack", "idle", "+ 1 000 connections", "+ 1 000 with TLS"],
    )
    for stack in samples.stacks("memory"):
        values = [samples.median("memory", stack, case, "mb") for case in ("idle", "http", "https")]
        table.rows.append([stack, *(shown(value, 1) for value in values)])
    return table


def targets_table(samples: Samples) -> Table:
    """What the number of targets costs."""
    table = Table(
        "Number of targets",
        "2 kB, 32 connections, targets chosen at random. Origins: the host:port of all targets.",
        ["targets", "scrapes/s", "÷ one target", "p99 ms", "MB resident"],
    )
    cases = samples.cases("targets")
    for case in cases:
        rate, p99, memory = (
            samples.median("targets", PROMPROXY, case, unit) for unit in ("rate", "p99_ms", "mb")
        )
        share = samples.ratio_of_cases("targets", PROMPROXY, case, cases[0], "rate")
        table.rows.append([case, shown(rate), shown(share, 2), shown(p99, 1), shown(memory)])
    return table
