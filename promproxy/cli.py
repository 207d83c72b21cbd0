"""The ``promproxy`` command, beside the daemon: one function per subcommand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from promproxy import __version__
from promproxy.config.load import load_config
from promproxy.demo import run_demo
from promproxy.discover import Report, discover
from promproxy.errors import PromproxyError
from promproxy.service import make_daemon
from promproxy.simulation import Simulation, Size


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except PromproxyError as error:
        print(f"promproxy: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="promproxy", description="Tools for promproxy; the daemon itself is twistd promproxy."
    )
    parser.add_argument("--version", action="version", version=f"promproxy {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    check = commands.add_parser("check", help="check a configuration file without starting")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=_check)

    discover = commands.add_parser("discover", help="run discovery once and print the targets")
    discover.add_argument("file", type=Path, metavar="FILE")
    discover.add_argument("--source", metavar="NAME", help="only this source")
    discover.add_argument("--json", action="store_true", help="print JSON, not a table")
    discover.add_argument("--explain", action="store_true", help="also what was left out, and why")
    discover.set_defaults(run=_discover)

    simulate = commands.add_parser("simulate", help="simulate a Cloud Foundry foundation")
    for name, default in (("orgs", 5), ("spaces", 15), ("apps", 50), ("instances", 100)):
        simulate.add_argument(f"--{name}", type=_count, default=default, metavar="N")
    simulate.add_argument("--seed", type=int, default=0, help="another one, another foundation")
    simulate.add_argument(
        "--churn", type=float, default=0.0, metavar="N", help="random changes per minute"
    )
    simulate.add_argument("--api", default="tcp:8081:interface=127.0.0.1", metavar="ENDPOINT")
    simulate.add_argument("--router", default="tcp:8082:interface=127.0.0.1", metavar="ENDPOINT")
    simulate.set_defaults(run=_simulate)

    demo = commands.add_parser("demo", help="run promproxy on a simulated foundation")
    demo.add_argument("--port", type=_port, default=8080, metavar="N")
    demo.set_defaults(run=_demo)
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 0")
    return int(text)


def _port(text: str) -> int:
    number = _count(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return number


def _check(options: argparse.Namespace) -> int:
    config = load_config(options.file, os.environ)
    make_daemon(config, reactor)  # finds what only building shows: certificates, endpoints
    print(f"{options.file}: ok, {len(config.sources)} sources")
    return 0


def _discover(options: argparse.Namespace) -> int:
    config = load_config(options.file, os.environ)
    report = Report(as_json=options.json, explain=options.explain)
    return _run(lambda _: discover(config, reactor, options.source, report))


def _simulate(options: argparse.Namespace) -> int:
    simulation = Simulation(
        reactor,
        size=Size(
            orgs=options.orgs,
            spaces=options.spaces,
            apps=options.apps,
            instances=options.instances,
        ),
        seed=options.seed,
        churn_per_minute=options.churn,
        api_endpoint=options.api,
        router_endpoint=options.router,
    )

    async def run(_reactor: Any) -> int:
        await simulation.start()
        print(f"API and UAA:  {simulation.api_url}   user scraper, password secret")
        print(f"router:       {simulation.router_url}")
        print(f"faults and changes: {simulation.api_url}/simulation/", flush=True)
        await Deferred()  # until a signal ends the reactor
        return 0

    return _run(run)


def _demo(options: argparse.Namespace) -> int:
    return _run(lambda _: run_demo(reactor, options.port))


def _run(work: Any) -> int:
    """Run a coroutine function under the reactor; its result is the exit status."""
    result: list[int] = []

    async def run(reactor: Any) -> None:
        try:
            result.append(await work(reactor))
        except PromproxyError as error:
            print(f"promproxy: {error}", file=sys.stderr)
            result.append(1)

    try:
        react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    except SystemExit as error:
        if not result:
            return error.code if isinstance(error.code, int) else 1
    return result[0] if result else 1
