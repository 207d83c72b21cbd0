"""``promproxy simulate``: a simulated Cloud Foundry foundation, until a signal comes."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from twisted.internet.defer import Deferred

from promproxy.commands.common import count, run_under_reactor
from promproxy.commands.example import example_config
from promproxy.simulation import Simulation, Size


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser("simulate", help="simulate a Cloud Foundry foundation")
    for name, default in (("orgs", 5), ("spaces", 15), ("apps", 50), ("instances", 100)):
        parser.add_argument(
            f"--{name}", type=count, default=default, metavar="N", help=f"how many; {default}"
        )
    parser.add_argument(
        "--seed", type=int, default=0, help="another seed makes another foundation; 0"
    )
    parser.add_argument(
        "--churn", type=float, default=0.0, metavar="N", help="random changes per minute; 0"
    )
    for name, what, number in (("api", "the API", 8081), ("router", "the router", 8082)):
        default_endpoint = f"tcp:{number}:interface=127.0.0.1"
        parser.add_argument(
            f"--{name}",
            default=default_endpoint,
            metavar="ENDPOINT",
            help=f"where {what} listens; {default_endpoint}",
        )
    parser.set_defaults(run=run)


def run(options: Namespace, reactor: Any) -> int:
    """The exit status."""
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
    return run_under_reactor(lambda: _simulate(simulation))


async def _simulate(simulation: Simulation) -> int:
    await simulation.start()
    print(f"API and UAA:  {simulation.api_url}   user scraper, password secret")
    print(f"router:       {simulation.router_url}")
    print(f"faults and changes: {simulation.api_url}/simulation/")
    print("\nA configuration for it, to run with twistd --nodaemon promproxy --config FILE:\n")
    print(example_config(simulation, 8080), flush=True)
    await Deferred()  # until a signal ends the reactor
    return 0
