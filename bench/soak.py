"""Does anything stay behind? Run as ``python -m bench.soak --seconds N``.

Callers and a target that misbehave in every way they know keep promproxy busy. Then all of them
let go: file descriptors, memory and connections must be where they were after a warm-up of the
same kind, every answer must have been true, and the log must not tell of a bug.
Exits with status 1 where that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen

from bench.peers import (
    Certificate,
    Promproxy,
    group,
    id_of,
    make_certificate,
    open_files,
    promproxy,
    python,
    raise_file_limit,
    resident_mb,
    scrape_path,
)
from bench.soak_callers import HOST, Callers
from bench.soak_target import BAD, GOOD, SoakTarget
from tests.integration.peers import Peer, free_port

CALLERS = 64
NUMBERS = 10  # targets of each behaviour
GROWTH_MB = 6.0
SETTLE_SECONDS = 20.0


@frozen(kw_only=True)
class State:
    """What promproxy holds while nothing goes on."""

    files: int
    in_flight: int
    target_connections: int
    memory_mb: float

    def __str__(self) -> str:
        return (
            f"{self.files} file descriptors, {self.in_flight} scrapes in flight, "
            f"{self.target_connections} connections to targets, {self.memory_mb:.1f} MB"
        )


def _contexts(certificate: Certificate) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server with the certificate, and for a client that trusts nothing else."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.file, certificate.key)
    return server, ssl.create_default_context(cafile=str(certificate.file))


async def _settled(daemon: Promproxy, target: SoakTarget) -> State:
    """End the target's connections; what promproxy holds once that has come to rest."""
    await target.close_connections()
    before = None
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        await asyncio.sleep(0.5)
        files = open_files(daemon)  # before there is a connection of our own
        text = (await asyncio.to_thread(daemon.get, "/metrics")).body.decode()
        (line,) = (one for one in text.splitlines() if one.startswith("promproxy_scrapes_in_fl"))
        state = State(
            files=files,
            in_flight=int(float(line.split()[1])),
            target_connections=target.connections,
            memory_mb=resident_mb(daemon),
        )
        at_rest = state == before and not state.in_flight and not state.target_connections
        if at_rest or time.monotonic() > end:
            return state
        before = state


async def soak(folder: Path, program: str, seconds: float) -> list[str]:
    """What is wrong after so many seconds; empty where all is well."""
    certificate = make_certificate(folder)
    server_context, client_context = _contexts(certificate)
    target = SoakTarget()
    origins = {
        "http": f"{HOST}:{await target.listen()}",
        "https": f"{HOST}:{await target.listen(server_context)}",
    }
    paths = [f"/{behaviour}/{n}" for behaviour in (*GOOD, *BAD) for n in range(NUMBERS)]
    scrapes = {
        scrape_path(id_of(origin, path)): path for origin in origins.values() for path in paths
    }
    refused = f"{HOST}:{free_port()}"
    scrapes[scrape_path(id_of(refused, "/refused"))] = "/refused"
    groups = [group([origin], path, scheme) for scheme, origin in origins.items() for path in paths]
    daemon = promproxy(
        folder,
        python(program),
        [*groups, group([refused], "/refused")],
        certificate,
        # Less than there are callers, so that some have to wait.
        max_concurrent=CALLERS // 4,
        max_concurrent_per_target=CALLERS,
    )
    callers = Callers(daemon.port, daemon.tls_port, client_context, scrapes)
    daemon.start()
    try:
        await callers.run(CALLERS, max(10.0, seconds / 4))
        before = await _settled(daemon, target)
        warm_up = sum(callers.outcomes.values())
        print(f"after the warm-up ({warm_up} calls): {before}", flush=True)
        await callers.run(CALLERS, seconds)
        after = await _settled(daemon, target)
        print(f"after {sum(callers.outcomes.values()) - warm_up} calls more: {after}")
        print(", ".join(f"{count} {what}" for what, count in callers.outcomes.most_common()))
        return [*_left_behind(before, after), *callers.untrue[:20], *bugs(daemon)]
    finally:
        daemon.stop()


def _left_behind(before: State, after: State) -> list[str]:
    wrong = []
    if after.files > before.files:
        wrong.append(f"{after.files - before.files} more file descriptors")
    if after.in_flight or after.target_connections:
        wrong.append("something is still going on")
    if after.memory_mb > before.memory_mb + GROWTH_MB:
        wrong.append(f"{after.memory_mb - before.memory_mb:.1f} MB more memory")
    return wrong


def bugs(daemon: Peer) -> list[str]:
    """What its log tells of bugs, at most three."""
    lines = daemon.output.splitlines()
    signs = ("Traceback", "Unhandled")
    return [
        "\n".join(lines[max(place - 1, 0) : place + 25])
        for place, line in enumerate(lines)
        if any(sign in line for sign in signs)
    ][:3]


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="after the warm-up; default 60")
    parser.add_argument("--python", default=sys.executable, help="runs promproxy")
    asked = parser.parse_args()
    raise_file_limit()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of writing to who has left
    with tempfile.TemporaryDirectory(prefix="promproxy-soak-") as folder:
        wrong = asyncio.run(soak(Path(folder), asked.python, asked.seconds))
    for line in wrong:
        print(f"WRONG: {line}")
    print("something is wrong" if wrong else "all is well")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
