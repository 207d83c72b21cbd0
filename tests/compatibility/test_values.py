"""Durations and sizes: what promproxy.yml takes, against what prometheus.yml takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import duration, size
from tests.compatibility.configs import good_configs
from tests.integration.peers import HOST, Prometheus, eventually, free_port, need

# As they stand in YAML.
DURATIONS = (
    """
0|0s|0ms|00s|1|5|30|1s|30s|90s|1m|1h30m|1d12h|1w|1y|2w3d|1y2w3d4h5m6s7ms|500ms|1500ms|015s|1s500ms
1m1m|1s1m|1ms1s|1h 30m|1.5h|0.5s|-1s|+1s|1S|1M|1MS|1us|1ns|1µs|1min|1hour|s|ms|h1|1hm|1m30|30m1
'30s'|"1m"|' 1s'|'1s '|''|~|null|true|[]|{}|[1s]|{a: 1s}|1_0s|1e3s|0x1s|\u0661s|never|10|1:30
292y|293y|106751d|106752d|9223372036s|9223372037s|9223372036854ms|9223372036855ms
99999999999999999999s|15250w|15251w|2562047h|2562048h|153722867m|153722868m
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

SIZES = (
    """
0|0B|1B|10B|1KB|1MB|10MB|1GB|1TB|1PB|1EB|8EB|7EB|9EB|1KiB|1MiB|10MiB|1GiB|1TiB|1PiB|1EiB
1|10|1024|1K|1M|1k|1kB|1kb|1mb|1Mb|1mB|1MIB|1b|1KBB|B|KB|1.5MB|.5MB|5.MB|.MB|0.1KB|1.0001KB
1GB512MB|512MB1GB|1MB1MB|1GB512MiB|1GiB512MiB|1MB5|5 MB|' 5MB'|'5MB '|-1MB|+1MB|+0|-0|1e3MB|1_0MB
'10MB'|"10MB"|''|~|null|true|[]|{}|[1MB]|1,5MB|\u0661MB|0x10MB
99999999999999999999B|16EB|1ZB|0MB|00MB|007MB
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

_EMPTY = "Prometheus takes its default; here a key without a value is a mistake that is named"

#: What Prometheus takes and promproxy refuses, with the reason.
REFUSED = {
    "duration": {"~": _EMPTY, "null": _EMPTY},
    "size": {
        "~": _EMPTY,
        "null": _EMPTY,
        "-1MB": "a size is not negative",
        "-0": "a size is not negative",
        "8EB": "does not fit into 63 bits: Prometheus reads -8EiB",
    },
}


def ours(read: Callable[[ConfigNode], Any], text: str) -> Any:
    """What the reader makes of the text, None where it refuses it."""
    content = yaml.compose(f"x: {text}").value[0][1]
    node = ConfigNode(content=content, file=Path("x"), line=1, path="x", environ={})
    try:
        return read(node)
    except ConfigError:
        return None


def is_yaml(text: str) -> bool:
    try:
        yaml.compose(f"x: {text}")
    except yaml.YAMLError:
        return False
    return True


class ValuesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def check(self, kind: str, differing: dict[str, str]) -> None:
        """Nothing differs but what is meant to; all of that does."""
        self.assertEqual(dict.fromkeys(REFUSED[kind], "refused by promproxy"), differing)


class DurationTests(ValuesTestCase):
    def differing(self, texts: Iterable[str]) -> dict[str, str]:
        """Prometheus compares a time-out with its interval, which tells what it reads."""
        files: dict[str, str] = {}
        values = {text: ours(duration, text) for text in texts}
        for number, (text, seconds) in enumerate(values.items()):
            job = f"scrape_configs:\n- job_name: j\n  scrape_interval: {text}\n"
            files[f"{number}-alone.yml"] = job
            if seconds:
                milliseconds = round(seconds * 1000)
                files[f"{number}-equal.yml"] = f"{job}  scrape_timeout: {milliseconds}ms\n"
                files[f"{number}-longer.yml"] = f"{job}  scrape_timeout: {milliseconds + 1}ms\n"
        good = good_configs(files, self.folder)
        found = {}
        for number, (text, seconds) in enumerate(values.items()):
            if (f"{number}-alone.yml" in good) != (seconds is not None):
                found[text] = f"{'refused' if seconds is None else 'taken'} by promproxy"
            elif seconds and f"{number}-equal.yml" not in good:
                found[text] = f"less than {seconds} s"
            elif f"{number}-longer.yml" in good:
                found[text] = f"more than {seconds} s"
        return found

    def test_table(self) -> None:
        """Good, odd and bad ones."""
        self.check("duration", self.differing(filter(is_yaml, DURATIONS)))

    @settings(max_examples=3, phases=[Phase.generate])
    @given(
        st.lists(
            st.from_regex(r"\A([0-9]{1,3}(y|w|d|h|m|s|ms)){1,4}\Z")
            | st.text("0123456789ywdhms. -", max_size=6).map(repr),
            min_size=80,
            max_size=80,
            unique=True,
        )
    )
    def test_any(self, texts: list[str]) -> None:
        """In the right order and in the wrong one, and no durations."""
        self.assertEqual(self.differing(texts), {})


_UNITS = {unit: 1024**power for power, unit in enumerate(("B", *(f"{c}iB" for c in "KMGTPE")))}


class SizeTests(ValuesTestCase):
    def differing(self, texts: Iterable[str]) -> dict[str, str]:
        """Prometheus shows how it has read its configuration."""
        wanted = {f"j{number}": text for number, text in enumerate(texts)}
        jobs = {
            name: f"- job_name: {name}\n  body_size_limit: {text}\n"
            for name, text in wanted.items()
        }
        files = {f"{name}.yml": f"scrape_configs:\n{job}" for name, job in jobs.items()}
        good = {name.removesuffix(".yml") for name in good_configs(files, self.folder)}
        theirs = self.as_read([jobs[name] for name in wanted if name in good])
        found = {}
        for name, text in wanted.items():
            value = ours(size, text)
            if value is None and name in good:
                found[text] = "refused by promproxy"
            elif value != theirs.get(name):
                found[text] = f"Prometheus: {theirs.get(name)}, promproxy: {value}"
        return found

    def as_read(self, jobs: list[str]) -> dict[str, int]:
        config = self.folder / "prometheus.yml"
        config.write_text("scrape_configs:\n" + "".join(jobs))
        port = free_port()
        server = Prometheus(
            command=[
                need("prometheus", "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address={HOST}:{port}",
                "--log.level=warn",
            ],
            port=port,
            folder=self.folder,
        )
        self.addCleanup(server.stop)
        server.start()
        text = eventually(lambda: self.configuration_of(server))
        return {
            job["job_name"]: sum(
                int(number) * _UNITS[unit]
                for number, unit in re.findall(r"(\d+)(\w+?B|B)", job.get("body_size_limit", "0B"))
            )
            for job in yaml.safe_load(text)["scrape_configs"]
        }

    def configuration_of(self, server: Prometheus) -> str:
        """As Prometheus has read it. It answers 503 until it is ready."""
        answer = server.get("/api/v1/status/config")
        self.assertEqual(answer.status, 200)
        text: str = json.loads(answer.body)["data"]["yaml"]
        return text

    def test_table(self) -> None:
        """Good, odd and bad ones."""
        self.check("size", self.differing(filter(is_yaml, SIZES)))
