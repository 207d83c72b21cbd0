"""Right targets after any churn? Run as ``python -m bench.churn --seconds N``.

A simulated foundation changes at random, and so do the faults of its API, its UAA and its router,
while callers scrape what promproxy lists. Every answer must come from the instance that was asked
for. Then all faults end: promproxy must have exactly the right targets, no bug in its log, and no
more memory than after a warm-up of the same kind. Exits with status 1 where that is not so.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field

from bench.peers import resident_mb
from tests.integration.foundation import Foundation, answered_by, by_id, foundation, metric, post
from tests.integration.peers import HOST, Peer, eventually, promproxy

SIZE = {"orgs": 4, "spaces": 8, "apps": 80, "instances": 200}
CALLERS = 6
GROWTH_MB = 8.0
SECOND_PATH = "/actuator/prometheus"

# UAA answering 401 is left out: for a quarter of an hour nobody would ask it again.
_DOWN = ("bad_gateway", "unavailable", "gateway_timeout", "maintenance", "unknown_route")
_BROKEN = ("hang", "slow", "truncate", "reset", "not_http")
_OF_API = ("unknown_error", "database", "uaa_unavailable", "invalid_token", "nginx_rate_limit")
KINDS = {
    "api": (*_DOWN, *_BROKEN, *_OF_API, "garbage"),
    "uaa": (*_DOWN, *_BROKEN, "garbage", "nginx_rate_limit"),
    "router": (*_DOWN, *_BROKEN, "endpoint_failure", "connection_limit"),
}


def sources(simulated: Foundation) -> list[dict[str, Any]]:
    """Two, with different ids: one addresses instances by app, the other one by process."""
    patience = {"timeout": "1s", "interval": "1s"}
    two_paths = {"label_selector": "monitoring=prometheus", "paths": ["/metrics", SECOND_PATH]}
    return [
        simulated.source(
            "by-app",
            select=[two_paths, {"space_regex": "dev|test"}],
            exclude=[{"org": "org-001"}],
            **patience,
        ),
        simulated.source(
            "by-process", select=[{"org": "ORG-001"}], instance_routing="process", **patience
        ),
    ]


def expected_ids(simulated: Foundation) -> dict[str, set[str]]:
    """What the sources must deliver now."""
    ids: dict[str, set[str]] = {"by-app": set(), "by-process": set()}
    for item in simulated.web_instances():
        by_app = f"{item['app_guid']}/{item['index']}"
        if not item["scrapable_routes"]:
            continue
        if item["org_name"] == "org-001":
            ids["by-process"].add(f"{item['process_guid']}/{item['index']}")
        elif item["labels"].get("monitoring") == "prometheus":
            ids["by-app"] |= {by_app, by_app + SECOND_PATH}
        elif item["space_name"] in ("dev", "test"):
            ids["by-app"].add(by_app)
    return ids


def random_faults(random: Random, apps: int) -> dict[str, Any]:
    """Switches for the simulation."""
    injected = []
    for where, kinds in KINDS.items():
        if random.random() < 0.5:
            probability = random.choice((0.05, 0.3, 1.0))
            fault = {"kind": random.choice(kinds), "where": where, "probability": probability}
            injected.append({**fault, "seconds": random.uniform(0.0, 2.0)})
    return {
        "injected": injected,
        "access_token_seconds": random.choice((1200, 2, 4)),
        "token_calls": random.choice((0, 0, 1, 3, 10)),
        "refuse_refresh_tokens": random.random() < 0.2,
        "rotate_refresh_tokens": random.random() < 0.3,
        "rate_limit": random.choice((0, 0, 0, 5)),
        "rate_limit_period_seconds": 2,
        "maximum_result": random.choice((0, 0, 0, 120, 300)),
        # Nothing brings these apps back, so it must not go on for ever.
        "delete_between_pages": int(apps > SIZE["apps"] / 2 and random.random() < 0.1),
    }


@define(eq=False)
class Callers:
    """Threads that scrape at random what `/discovery` lists."""

    _port: int
    outcomes: Counter[str] = field(factory=Counter, init=False)
    wrong: list[str] = field(factory=list, init=False)
    _end: threading.Event = field(factory=threading.Event, init=False)
    _threads: list[threading.Thread] = field(factory=list, init=False)

    def start(self, seed: int) -> None:
        """Begin."""
        for number in range(CALLERS):
            random = Random(f"caller {seed} {number}")
            thread = threading.Thread(target=self._run, args=(random,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End; the scrapes under way are waited for."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, random: Random) -> None:
        while not self._end.is_set():
            connection = HTTPConnection(HOST, self._port, timeout=10)
            try:
                self._scrape_some(connection, random)
            except (HTTPException, OSError) as error:
                self.outcomes[type(error).__name__] += 1
            finally:
                connection.close()

    def _scrape_some(self, connection: HTTPConnection, random: Random) -> None:
        status, body = _ask(connection, "/discovery")
        if status != 200:
            self.wrong.append(f"/discovery answers {status}")
            return
        targets = by_id(body)
        for target_id in random.sample(sorted(targets), min(len(targets), 50)):
            if self._end.wait(0.01):
                return
            status, body = _ask(connection, f"/singleTargetMetrics/{target_id}")
            self.outcomes[str(status)] += 1
            if status == 200 and not _is_true(targets[target_id], body):
                self.wrong.append(f"{target_id} was answered by {body[:500]!r}")


def _ask(connection: HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path, headers={"X-Prometheus-Scrape-Timeout-Seconds": "2"})
    response = connection.getresponse()
    return response.status, response.read()


def _is_true(labels: dict[str, str], body: bytes) -> bool:
    """Whether the page is of the instance, and at the path, that the labels say."""
    app_guid, index, process_guid = answered_by(body)
    path = re.search(rb'sim_page_info\{path="([^"]*)"', body)
    by_app = labels["__meta_promproxy_source"] == "by-app"
    return (
        app_guid == labels["__meta_cf_app_guid"]
        and index == labels["__meta_cf_instance_index"]
        and (by_app or process_guid == labels["__meta_cf_process_guid"])
        and path is not None
        and path[1].decode() == labels["__meta_cf_metrics_path"]
    )


def disturb(simulated: Foundation, daemon: Peer, random: Random, seconds: float) -> None:
    """Change the foundation and its faults for so long; faults and quiet take turns."""
    end = time.monotonic() + seconds
    turn = 0.0
    quiet = False
    while time.monotonic() < end:
        simulated.operate("churn", steps=random.randint(1, 5))
        if random.random() < 0.02:
            post(daemon, "/-/refresh")
        if time.monotonic() > turn:
            turn = time.monotonic() + random.uniform(0.5, 4.0)
            quiet = not quiet
            apps = simulated.state()["apps"]
            simulated.set_faults(**({} if quiet else random_faults(random, apps)))
        time.sleep(random.uniform(0.0, 0.4))


def settle(simulated: Foundation, daemon: Peer) -> int:
    """End all faults; wait for the right targets, and tell how many there are."""
    simulated.set_faults()
    post(daemon, "/-/refresh")
    expected = expected_ids(simulated)

    def check() -> None:
        for source, ids in expected.items():
            found = by_id(daemon.get(f"/discovery?source={source}").body).keys()
            assert found == ids, f"{source}: surplus {found - ids}, missing {ids - found}"

    eventually(check, 60)
    return sum(len(ids) for ids in expected.values())


def run(folder: Path, seconds: float, seed: int) -> list[str]:
    """What is wrong after so many seconds; empty where all is well."""
    random = Random(seed)
    simulated = foundation(folder, seed=seed, **SIZE)
    daemon = promproxy(folder, json.dumps(sources(simulated)))
    simulated.start()
    daemon.start()
    eventually(lambda: _await_ready(daemon))
    callers = Callers(daemon.port)
    try:
        callers.start(seed)
        warm_up = max(3.0, seconds / 5)
        disturb(simulated, daemon, random, warm_up)
        targets = settle(simulated, daemon)
        before = resident_mb(daemon)
        print(f"after {warm_up:.0f} s of warm-up: {before:.1f} MB, {targets} targets", flush=True)
        disturb(simulated, daemon, random, seconds)
        targets = settle(simulated, daemon)
        after = resident_mb(daemon)
        print(f"after {seconds:.0f} s more: {after:.1f} MB, {targets} targets")
        callers.stop()
        _tell(simulated, daemon, callers)
        wrong = [*callers.wrong[:20], *_bugs(daemon)]
        if after > before + GROWTH_MB:
            wrong.append(f"{after - before:.1f} MB more memory")
        return wrong
    finally:
        callers.stop()
        daemon.stop()
        simulated.stop()


def _await_ready(daemon: Peer) -> None:
    assert daemon.get("/-/ready").status == 200, daemon.output


def _tell(simulated: Foundation, daemon: Peer, callers: Callers) -> None:
    for source in ("by-app", "by-process"):
        total = f'promproxy_source_refreshes_total{{outcome="%s",source="{source}"}}'
        good, bad = (metric(daemon, total % outcome) for outcome in ("success", "failure"))
        print(f"refreshes of {source}: {good:.0f} good, {bad:.0f} failed")
    print(f"scrapes: {dict(callers.outcomes.most_common())}")
    state = simulated.state()
    print(f"answers of the foundation: {state['answers']}; tokens: {state['grants']}")


def _bugs(daemon: Peer) -> list[str]:
    lines = daemon.output.splitlines()
    return [
        "\n".join(lines[max(place - 1, 0) : place + 25])
        for place, line in enumerate(lines)
        if "Traceback" in line or "Unhandled" in line
    ][:3]


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.churn", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="after the warm-up; default 60")
    parser.add_argument("--seed", type=int, default=0, help="another one, another churn")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promproxy-churn-") as folder:
        wrong = run(Path(folder), asked.seconds, asked.seed)
    for line in wrong:
        print(f"WRONG: {line}")
    print("something is wrong" if wrong else "all is well")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
