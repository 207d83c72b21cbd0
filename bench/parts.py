"""The parts of the benchmark: each starts its processes, measures, and ends them.

Everything that is compared runs at the same time, and the rounds of all alternate, so that a
machine that is slower for a while is slower for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import define, field, frozen

from bench.hanging import hanging_target, lateness_ms
from bench.load import check, check_all, latencies_ms, quantile, run_wrk
from bench.peers import (
    Certificate,
    Promproxy,
    Python,
    Target,
    exporter_exporter,
    group,
    id_of,
    nginx_proxy,
    open_files,
    plain_treq,
    processor_seconds,
    promproxy,
    resident_mb,
    running,
    scrape_path,
    target,
)
from bench.report import DIRECT, EXPORTER_EXPORTER, NGINX, PROMPROXY, TREQ, shown
from bench.samples import Samples
from tests.integration.peers import Peer

CONNECTIONS = 32
HELD_CONNECTIONS = 1000
HANGING = 500


@frozen(kw_only=True)
class Settings:
    """How long to measure, and what."""

    rounds: int
    seconds: int
    quick: bool
    pythons: Sequence[Python]


@frozen
class Stack:
    """One of those that are compared: its process, and where that serves a path."""

    peer: Peer
    url_of: Callable[[str], str]


@define
class Bench:
    """What all parts share."""

    settings: Settings
    folder: Path
    bodies: Mapping[str, bytes]
    certificate: Certificate
    target: Target
    samples: Samples = field(factory=Samples, init=False)

    def daemon(
        self, interpreter: Python, groups: Sequence[dict[str, object]], **scrape_settings: int
    ) -> Promproxy:
        """A promproxy, not started yet, that lets all of the load at one target."""
        settings = {"max_concurrent_per_target": 64, **scrape_settings}
        return promproxy(self.folder, interpreter, groups, self.certificate, **settings)

    def daemon_for_bodies(self, interpreter: Python) -> Promproxy:
        """A promproxy with a target for each of the bodies, and each of them with TLS too."""
        groups = [
            group(self.target.origins(scheme), path, scheme)
            for scheme in ("http", "https")
            for path in self.bodies
        ]
        return self.daemon(interpreter, groups)

    def id_of_body(self, path: str, scheme: str = "http") -> str:
        """The id of such a target."""
        return id_of(self.target.origins(scheme)[0], path)

    def load(self, url: str, path: str, paths: Path | None = None) -> dict[str, float]:
        """Put a URL, or all of the paths, under load, after checking that the body is right."""
        check(url, self.bodies[path])
        load = run_wrk(url, seconds=self.settings.seconds, connections=CONNECTIONS, paths=paths)
        return {"rate": load.rate, "p99_ms": load.p99_ms}

    def load_stack(self, stack: Stack, path: str) -> dict[str, float]:
        """The same with one of those that are compared, and what processor time a scrape took."""
        before = processor_seconds(stack.peer)
        found = self.load(stack.url_of(path), path)
        seconds = processor_seconds(stack.peer) - before
        return {**found, "cpu_us": seconds / (found["rate"] * self.settings.seconds) * 1e6}


def name_of(stack: str, interpreter: Python) -> str:
    """What a stack in Python is called in the tables."""
    return f"{stack}, Twisted {interpreter.versions['twisted']}"


def url_below(server: Peer) -> Callable[[str], str]:
    """Where a server has a path that it has under the path's own name."""
    return lambda path: f"http://{server.address}{path}"


def scrape_url(bench: Bench, daemon: Promproxy) -> Callable[[str], str]:
    """Where a `Bench.daemon_for_bodies` has a path."""
    return lambda path: daemon.url(bench.id_of_body(path))


def stacks(bench: Bench, started: ExitStack) -> dict[str, Stack]:
    """Start promproxy and all that it is compared with; by name."""
    peer = exporter_exporter(bench.folder, bench.target, list(bench.bodies))
    nginx = nginx_proxy(bench.folder, bench.target)
    started.enter_context(running(peer, nginx))
    found = {
        EXPORTER_EXPORTER: Stack(
            peer, lambda path: f"http://{peer.address}/proxy?module={path[1:]}"
        ),
        NGINX: Stack(nginx, url_below(nginx)),
    }
    for interpreter in bench.settings.pythons:
        treq = plain_treq(bench.folder, interpreter, bench.target)
        daemon = bench.daemon_for_bodies(interpreter)
        started.enter_context(running(treq, daemon))
        found[name_of(TREQ, interpreter)] = Stack(treq, url_below(treq))
        found[name_of(PROMPROXY, interpreter)] = Stack(daemon, scrape_url(bench, daemon))
    return found


def measure_speed(bench: Bench) -> None:
    """Scrapes per second of everyone, for every size."""
    with ExitStack() as started:
        found = stacks(bench, started)
        for _ in range(bench.settings.rounds):
            for path in bench.bodies:
                for name, stack in found.items():
                    bench.samples.add("speed", name, path, **bench.load_stack(stack, path))


def measure_latency(bench: Bench) -> None:
    """How long one scrape takes where nothing else goes on."""
    path = "/2kB"
    with ExitStack() as started:
        found = {
            DIRECT: Stack(bench.target, url_below(bench.target)),
            **stacks(bench, started),
        }
        for _ in range(bench.settings.rounds):
            for name, stack in found.items():
                url = stack.url_of(path)
                check(url, bench.bodies[path])
                taken = latencies_ms(url, bench.bodies[path], bench.settings.seconds)
                p50, p99 = quantile(taken, 0.5), quantile(taken, 0.99)
                bench.samples.add("latency", name, path, p50_ms=p50, p99_ms=p99)


def measure_tls(bench: Bench) -> None:
    """TLS toward the caller and toward the target, against neither."""
    daemons = {name_of(PROMPROXY, p): bench.daemon_for_bodies(p) for p in bench.settings.pythons}
    with running(*daemons.values()):
        for _ in range(bench.settings.rounds):
            for path in ("/2kB", "/node"):
                for name, daemon in daemons.items():
                    for unit, scheme in (("plain_rate", "http"), ("tls_rate", "https")):
                        url = daemon.url(bench.id_of_body(path, scheme), scheme)
                        rate = bench.load(url, path)["rate"]
                        bench.samples.add("tls", name, path, **{unit: rate})


def measure_memory(bench: Bench) -> None:
    """Resident memory after the start, and what idle connections to targets add to it."""
    addresses = addresses_below(1, HELD_CONNECTIONS)
    many = target(bench.folder, bench.bodies, bench.certificate, addresses)
    with running(many):
        for _ in range(1 if bench.settings.quick else bench.settings.rounds):
            for interpreter in bench.settings.pythons:
                _measure_memory_of(bench, interpreter, many)


def _measure_memory_of(bench: Bench, interpreter: Python, many: Target) -> None:
    name = name_of(PROMPROXY, interpreter)
    alone = bench.daemon(interpreter, [group(bench.target.origins("http"), "/2kB")])
    with running(alone):
        time.sleep(1)
        bench.samples.add("memory", name, "idle", mb=resident_mb(alone))
    for scheme in ("http", "https"):
        origins = [*bench.target.origins(scheme), *many.origins(scheme)]
        daemon = bench.daemon(interpreter, [group(origins, "/2kB", scheme)])
        first, *others = (scrape_path(id_of(origin, "/2kB")) for origin in origins)
        with running(daemon):
            url = f"http://{daemon.address}/"
            check_all(url, [first] * HELD_CONNECTIONS, bench.bodies["/2kB"])
            before, files = resident_mb(daemon), open_files(daemon)
            check_all(url, others, bench.bodies["/2kB"])
            assert open_files(daemon) >= files + HELD_CONNECTIONS - 1, "they are not held"
            bench.samples.add("memory", name, scheme, mb=resident_mb(daemon) - before)


def addresses_below(number: int, count: int) -> list[str]:
    """So many addresses of the loopback; those of different numbers are different."""
    return [f"127.{number}.{n // 250 + 1}.{n % 250 + 1}" for n in range(count)]


def measure_targets(bench: Bench) -> None:
    """Scrapes per second with ever more targets, of one origin and of many."""
    interpreter = bench.settings.pythons[0]
    counts = (1, 1000, 10_000) if bench.settings.quick else (1, 1000, 10_000, 100_000)
    origin_counts = (1000,) if bench.settings.quick else (1000, 10_000)
    with ExitStack() as started:
        daemons: dict[str, tuple[Promproxy, Path]] = {}
        for count in counts:
            origins = bench.target.origins("http")
            paths = [f"/t/{number}" for number in range(count)]
            name = f"{shown(count)} target{'s' if count > 1 else ''}"
            daemons[name] = _many_targets(bench, interpreter, origins, paths)
        for count in origin_counts:
            origins = _many_origins(bench, count, started)
            name = f"{shown(count)} targets of as many origins"
            daemons[name] = _many_targets(bench, interpreter, origins, ["/2kB"])
        started.enter_context(running(*(daemon for daemon, _ in daemons.values())))
        for daemon, ids in daemons.values():  # so that what is kept of each target is there
            check_all(f"http://{daemon.address}/", ids.read_text().split(), bench.bodies["/2kB"])
        for _ in range(bench.settings.rounds):
            for name, (daemon, ids) in daemons.items():
                with ids.open() as lines:
                    url = f"http://{daemon.address}{lines.readline().strip()}"
                load = bench.load(url, "/2kB", ids)
                bench.samples.add("targets", PROMPROXY, name, **load, mb=resident_mb(daemon))


def _many_targets(
    bench: Bench, interpreter: Python, origins: Sequence[str], paths: Sequence[str]
) -> tuple[Promproxy, Path]:
    """A promproxy for all paths of all origins, and a file of the paths at which it has them."""
    daemon = bench.daemon(interpreter, [group(origins, path) for path in paths])
    ids = daemon.folder / "paths.txt"
    lines = (scrape_path(id_of(origin, path)) for path in paths for origin in origins)
    ids.write_text("".join(f"{line}\n" for line in lines))
    return daemon, ids


def _many_origins(bench: Bench, count: int, started: ExitStack) -> list[str]:
    """Origins of targets; each process has a limit of how many it can listen on."""
    found: list[str] = []
    for number in range(0, count, 2500):
        addresses = addresses_below(10 + number // 2500, min(2500, count - number))
        one = target(bench.folder, bench.bodies, bench.certificate, addresses)
        started.enter_context(running(one))
        found += one.origins("http")
    return found


def measure_hanging(bench: Bench) -> None:
    """Latency of one scrape while as many others wait for targets that do not answer."""
    for interpreter in bench.settings.pythons:
        name = name_of(PROMPROXY, interpreter)
        with hanging_target(HANGING) as hangs:
            groups = [group(bench.target.origins("http"), "/2kB")]
            groups += [group([hangs], f"/{number}") for number in range(HANGING)]
            daemon = bench.daemon(interpreter, groups, max_concurrent_per_host=HANGING)
            with running(daemon):
                for _ in range(bench.settings.rounds):
                    _measure_hanging(bench, daemon, name, hangs)


def _measure_hanging(bench: Bench, daemon: Promproxy, name: str, hangs: str) -> None:
    url = daemon.url(id_of(bench.target.origins("http")[0], "/2kB"))
    paths = [scrape_path(id_of(hangs, f"/{number}")) for number in range(HANGING)]

    def measure(case: str) -> None:
        taken = latencies_ms(url, bench.bodies["/2kB"], bench.settings.seconds)
        p50, p99 = quantile(taken, 0.5), quantile(taken, 0.99)
        bench.samples.add("hanging", name, case, p50_ms=p50, p99_ms=p99)

    measure("none")
    late = lateness_ms(
        daemon.address, paths, bench.settings.seconds + 2.0, lambda: measure(shown(HANGING))
    )
    p50, p99 = quantile(late, 0.5), quantile(late, 0.99)
    bench.samples.add("late", name, shown(HANGING), p50_ms=p50, p99_ms=p99)


PARTS = {
    "speed": measure_speed,
    "tls": measure_tls,
    "latency": measure_latency,
    "memory": measure_memory,
    "hanging": measure_hanging,
    "targets": measure_targets,
}
