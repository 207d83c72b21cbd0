"""What Debian's Prometheus says, and what promproxy says, about the same target files."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest

from promproxy.errors import SourceError
from promproxy.sources.files import FilesSource
from promproxy.sources.groups import GroupRules
from promproxy.targets.ids import endpoint_suffix
from promproxy.targets.netloc import netloc
from promproxy.targets.target import Delivery, Target
from tests.fakes import at_once, settle
from tests.integration.peers import need

_JOB = "the-job-of-the-oracle"
_META = ("__meta_filepath",)


@frozen
class Scraped:
    """One target as it would be scraped, and the labels that its series would have."""

    url: str
    parameters: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]


@frozen
class Verdict:
    """What is made of a file: its targets, or None where it is refused.

    ``dropped`` are the reasons why parts of it were left out.
    """

    targets: frozenset[Scraped] | None
    dropped: frozenset[str] = frozenset()


def by_prometheus(files: Mapping[str, bytes], folder: Path) -> dict[str, Verdict]:
    """Prometheus's verdicts, by the files' names; they are written to the folder."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    # Files are read in the order of the patterns: once this one was, all were.
    last = folder / "last" / "last.json"
    last.parent.mkdir(exist_ok=True)
    last.write_text('[{"targets": ["last:1"]}]')
    patterns = [str(folder / f"*.{ending}") for ending in ("json", "yml")]
    scrape = {"job_name": _JOB, "file_sd_configs": [{"files": [*patterns, str(last)]}]}
    config = folder / "prometheus.conf"
    config.write_text(json.dumps({"scrape_configs": [scrape]}))
    for seconds in (1, 3, 10):
        done = subprocess.run(
            [
                *(need("promtool", "prometheus"), "check", "service-discovery"),
                *(f"--timeout={seconds}s", str(config), _JOB),
            ],
            capture_output=True,
            text=True,
            errors="replace",
        )
        if "consider using cmpopts.EquateErrors" in done.stderr:
            raise SkipTest("promtool 2.53 panics at targets that have an error; 2.42 is the oracle")
        found: dict[str, set[Scraped]] = {}
        for item in json.loads(done.stdout):
            if "error" not in item:  # else it is no target
                name = Path(item["discoveredLabels"]["__meta_filepath"]).name
                scraped = _scraped(item["discoveredLabels"], item["labels"])
                found.setdefault(name, set()).add(scraped)
        if last.name in found:
            break
    else:
        raise AssertionError(f"promtool did not come to the end: {done.stderr}")
    refused = {
        Path(path).name for path in re.findall(r"Error reading file.*? path=(\S+)", done.stderr)
    }
    return {
        name: Verdict(None if name in refused else frozenset(found.get(name, ()))) for name in files
    }


def _scraped(discovered: Mapping[str, str], labels: Mapping[str, str]) -> Scraped:
    scheme, path = labels["__scheme__"].lower(), labels["__metrics_path__"]
    parameters = {k[len("__param_") :]: v for k, v in labels.items() if k.startswith("__param_")}
    own = {k: v for k, v in labels.items() if not k.startswith("__")}
    own |= {k: v for k, v in discovered.items() if k.startswith("__meta_") and k not in _META}
    # The interval and time-out of the job are no labels of the document.
    if own["job"] == _JOB:
        del own["job"]
    if not discovered.get("instance"):
        del own["instance"]
    return Scraped(
        f"{scheme}://{_address(labels['__address__'])}{path if path[:1] == '/' else f'/{path}'}",
        tuple(sorted(parameters.items())),
        tuple(sorted(own.items())),
    )


def _address(text: str) -> str:
    """With the port in as few digits as it takes."""
    host, _, port = text.rpartition(":")
    return f"{host}:{int(port)}" if re.fullmatch("[0-9]+", port) else text


def by_promproxy(file: Path) -> Verdict:
    """What a source of the kind ``files`` makes of a file."""
    clock = Clock()
    rules = GroupRules(source="s", honor_job=True)
    source = FilesSource("s", 5.0, (file,), rules, clock, at_once)
    results: list[Any] = []
    Deferred.fromCoroutine(source.targets()).addBoth(results.append)
    settle(clock)
    (found,) = results
    if not isinstance(found, Delivery):
        found.trap(SourceError)
        return Verdict(None)
    reasons = frozenset(dropped.reason for dropped in found.dropped)
    return Verdict(frozenset(map(_ours, found.targets)), reasons)


def _ours(target: Target) -> Scraped:
    labels = {k: v for k, v in target.labels.items() if v and k not in _META}
    labels = {k: v for k, v in labels.items() if not k.startswith("__scrape_")}
    own_instance = endpoint_suffix(target.path, target.query)
    if target.instance != f"{netloc(target.host, target.port)}{own_instance}":
        labels["instance"] = target.instance
    return Scraped(
        f"{target.scheme}://{netloc(target.host, target.port)}{unquote(target.path)}",
        tuple(sorted(parse_qsl(target.query, keep_blank_values=True))),
        tuple(sorted(labels.items())),
    )
