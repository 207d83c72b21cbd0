"""Processes that the tests talk to: Debian's Prometheus and node_exporter, and our own daemon."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlencode

from attrs import define, field, frozen
from twisted.trial.unittest import SkipTest

T = TypeVar("T")

CHECKOUT = Path(__file__).parent.parent.parent
HOST = "127.0.0.1"

# So that no process stays behind where the tests themselves are killed.
_DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def need(program: str, package: str) -> str:
    """Where a program is; without it the test is skipped, or fails in continuous integration."""
    found = shutil.which(program)
    if found is not None:
        return found
    message = f"{program} is missing: install the package {package}. This is NOT checked."
    if os.environ.get("CI") == "true":
        raise AssertionError(message)
    raise SkipTest(message)


def twistd() -> list[str]:
    """The command that runs Twisted's own daemon script with the interpreter of the tests."""
    beside = str(Path(sys.executable).parent)
    for name in ("twistd", "twistd3"):
        found = shutil.which(name, path=beside) or shutil.which(name)
        if found is not None:
            return [sys.executable, found]
    raise AssertionError("neither twistd nor twistd3 is there")


def eventually(check: Callable[[], T], seconds: float = 20.0) -> T:
    """What `check` returns once it neither fails as an assertion nor finds a server unreachable.

    Raises its last error when the time is over.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except (AssertionError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


# What was given away may not be listened on yet.
_GIVEN: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _GIVEN:
            continue
        _GIVEN.add(port)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


@frozen
class Answer:
    """What a server answered, byte for byte."""

    status: int
    headers: HTTPMessage
    body: bytes = field(repr=False)


@define(eq=False, kw_only=True)
class Peer:
    """A program that serves HTTP on a port of the loopback; what it prints goes into a file."""

    command: list[str]
    port: int
    folder: Path
    environment: Mapping[str, str] = field(factory=dict)
    inherits: tuple[int, ...] = ()  # file descriptors
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        """Its host:port."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The number of its process, which must be running."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._output_file.read_text(errors="replace")

    @property
    def _output_file(self) -> Path:
        return self.folder / f"output-{self.port}.txt"

    def start(self) -> None:
        """Run it; returns as soon as it answers."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Run it, without waiting; only in the main thread, since it dies with its thread."""
        with self._output_file.open("ab") as output:
            self._process = subprocess.Popen(
                [*_DIE_WITH_PARENT, *self.command],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self.inherits,
            )

    def await_answer(self) -> None:
        """Wait until it answers; launched it must be."""
        process = self._process
        assert process is not None

        def serves() -> None:
            if process.poll() is not None:
                raise RuntimeError(f"{self.command} ended at once: {self.output}")
            self.get("/")

        eventually(serves, 60)  # two dozen may be starting at the same time

    def stop(self) -> int | None:
        """End it, by force if need be; its exit status, None where it was ended before."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait()

    def kill(self) -> None:
        """End it at this very moment."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def get(self, path: str, **headers: str) -> Answer:
        """Ask it; underscores in the names of headers stand for hyphens."""
        connection = HTTPConnection(HOST, self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", path, headers=named)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def node_exporter(folder: Path) -> Peer:
    """An exporter whose metric `which_exporter` has its port as the value."""
    port = free_port()
    texts = folder / f"textfile-{port}"
    texts.mkdir()
    (texts / "which.prom").write_text(f"which_exporter {port}\n")
    command = [
        need("prometheus-node-exporter", "prometheus-node-exporter"),
        f"--web.listen-address={HOST}:{port}",
        f"--collector.textfile.directory={texts}",
    ]
    return Peer(command=command, port=port, folder=folder)


def promproxy(folder: Path, sources: str, more: str = "") -> Peer:
    """The daemon of this checkout, run by twistd, with these sources (YAML, a flow sequence).

    ``more`` are other settings (YAML, lines).
    """
    port = free_port()
    config = folder / "promproxy.yml"
    config.write_text(f'listen: ["tcp:{port}:interface={HOST}"]\n{more}sources: {sources}\n')
    command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", str(config)]
    environment = {"PYTHONPATH": str(CHECKOUT)}
    return Peer(command=command, port=port, folder=folder, environment=environment)


@define(eq=False, kw_only=True)
class Prometheus(Peer):
    """Scrapes every second, once by each way of discovery: a job of its own for each."""

    JOBS = ("http_sd", "file_sd")

    def _api(self, path: str, **parameters: str) -> Any:
        answer = self.get(f"/api/v1/{path}?{urlencode(parameters)}")
        if answer.status != 200:
            raise AssertionError(answer.body)
        return json.loads(answer.body)["data"]

    def targets(self, job: str) -> list[dict[str, Any]]:
        """The targets that it scrapes in a job, as its API tells of them."""
        found: list[dict[str, Any]] = self._api("targets", state="active")["activeTargets"]
        return [target for target in found if target["scrapePool"] == job]

    def query(self, expression: str) -> dict[str, float]:
        """The values of an expression now, by the label `instance`."""
        result = self._api("query", query=expression)["result"]
        return {item["metric"].get("instance", ""): float(item["value"][1]) for item in result}

    def series(self, expression: str) -> list[dict[str, str]]:
        """The labels of all that an expression yields now."""
        return [item["metric"] for item in self._api("query", query=expression)["result"]]

    def failed_refreshes(self) -> int:
        """How often it has asked for a discovery document in vain."""
        prefix = b"prometheus_sd_http_failures_total "
        lines = self.get("/metrics").body.splitlines()
        (value,) = (line[len(prefix) :] for line in lines if line.startswith(prefix))
        return int(value)


def prometheus(
    folder: Path,
    discovery_url: str,
    discovery_file: Path,
    client: Mapping[str, object] = MappingProxyType({}),
    more_jobs: Sequence[Mapping[str, Any]] = (),
) -> Prometheus:
    """A Prometheus that reads a discovery document from a URL, and one from a file.

    ``client`` are its settings for asking that URL, and for scraping; ``more_jobs`` are more of
    its ``scrape_configs``.
    """
    port = free_port()
    http_sd = {"url": discovery_url, "refresh_interval": "1s", **client}
    file_sd = {"files": [str(discovery_file)], "refresh_interval": "1s"}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": "http_sd", "http_sd_configs": [http_sd], **client},
            {"job_name": "file_sd", "file_sd_configs": [file_sd], **client},
            *more_jobs,
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))  # which is YAML, too
    command = [
        need("prometheus", "prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--scrape.discovery-reload-interval=200ms",  # not 5 s: the tests would only wait
        "--log.level=warn",
    ]
    return Prometheus(command=command, port=port, folder=folder)
