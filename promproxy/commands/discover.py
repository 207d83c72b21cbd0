"""``promproxy discover``: asks each source once and shows what it delivers."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from twisted.internet.threads import deferToThreadPool

from promproxy.commands.common import run_under_reactor
from promproxy.config.load import load_config
from promproxy.config.schema import Config
from promproxy.daemon.profiles import make_outbound
from promproxy.daemon.sources import SourceBuilder
from promproxy.errors import ConfigError
from promproxy.targets.target import Delivery, LeftOut, Target
from promproxy.tunnel.agent import TunnelAgent

# What an operator may want to do where these are the reasons.
_HINTS = {
    "internal_routes": "set internal_routes on the rule if promproxy can reach them",
    "not_found": "the name is wrong, or the user or client may not see it",
}


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser("discover", help="run discovery once and print the targets")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--source", metavar="NAME", help="only this source")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument(
        "--explain", action="store_true", help="also print what was left out, and why"
    )
    parser.set_defaults(run=run)


def run(options: Namespace, reactor: Any) -> int:
    """The exit status. Raises ConfigError."""
    config = load_config(options.file, os.environ)
    report = Report(as_json=options.json, explain=options.explain)
    return run_under_reactor(lambda: discover(config, reactor, options.source, report))


@frozen(kw_only=True)
class Report:
    """How a delivery is shown."""

    as_json: bool = False
    explain: bool = False

    def text(self, name: str, delivery: Delivery) -> str:
        """A delivery as text for a terminal, or as one line of JSON."""
        return self._json(name, delivery) if self.as_json else self._table(name, delivery)

    def _json(self, name: str, delivery: Delivery) -> str:
        document: dict[str, Any] = {
            "source": name,
            "targets": [
                {"id": t.id, "url": t.url, "instance": t.instance, "labels": dict(t.labels)}
                for t in delivery.targets
            ],
        }
        if self.explain:
            for kind in ("left_out", "dropped"):
                things = getattr(delivery, kind)
                document[kind] = [{"what": x.what, "reason": x.reason} for x in things]
            document["remarks"] = [
                {"kind": x.kind, "what": x.what, "why": x.why} for x in delivery.remarks
            ]
        return json.dumps(document)

    def _table(self, name: str, delivery: Delivery) -> str:
        rows = [(t.id, t.url, t.labels.get("__meta_cf_app_name", "")) for t in delivery.targets]
        things = sorted((x.reason, x.what) for x in delivery.left_out)
        things += sorted((x.reason, x.what) for x in delivery.dropped)
        counts = Counter(reason for reason, _what in things)
        left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        lines = [f"{name}: {len(rows)} targets; left out: {left_out or 'nothing'}", *_columns(rows)]
        if self.explain and things:
            lines += ["left out:", *_columns(things)]
            lines += [f"{reason}: {hint}" for reason, hint in _HINTS.items() if counts[reason]]
        lines += [f"warning: {remark.what}: {remark.why}" for remark in delivery.remarks]
        return "\n".join(lines)


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    if not rows:
        return []
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


async def discover(config: Config, reactor: Any, only: str | None, report: Report) -> int:
    """Ask every source, or the one called ``only``, and print the report.

    The exit status. Raises PromproxyError, which says why a source could not be read.
    """
    chosen = [source for source in config.sources if only in (None, source.name)]
    if not chosen:
        raise ConfigError(f"no source called {only!r}" if only else "no sources are configured")
    builder = SourceBuilder(
        reactor=reactor,
        in_thread=lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work),
        outbound=make_outbound(reactor, config),
        tunnel=TunnelAgent(reactor),
        promregator_labels=config.discovery.promregator_labels,
    )
    seen: set[str] = set()
    for source in chosen:
        if source.pushprox is not None:
            print(
                f"{source.name}: only the running daemon knows who polls; ask it for "
                f"/discovery?source={source.name}",
                file=sys.stderr,
            )
            continue
        delivery = await builder.build(source, config).targets()
        text = report.text(source.name, without_shadowed(delivery, seen))
        if not _print(text):
            return 1
    return 0


def without_shadowed(delivery: Delivery, seen: set[str]) -> Delivery:
    """A delivery without targets whose id was seen before, which the daemon does not serve."""
    targets: list[Target] = []
    shadowed: list[Target] = []
    for target in delivery.targets:
        (shadowed if target.id in seen else targets).append(target)
        seen.add(target.id)
    left_out = [LeftOut(target.id, "duplicate_id") for target in shadowed]
    return evolve(delivery, targets=tuple(targets), left_out=(*delivery.left_out, *left_out))


def _print(text: str) -> bool:
    """Print; False where the reader, such as ``head``, has had enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Else the interpreter would complain of it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
