"""``promproxy demo``: the daemon on a simulated foundation, both in this process."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from promproxy.commands.common import port, run_under_reactor
from promproxy.commands.example import example_config
from promproxy.config.load import config_from_text
from promproxy.daemon.service import StartError, make_daemon
from promproxy.errors import ConfigError
from promproxy.simulation import Simulation, Size

_HINTS = """
promproxy runs on a simulated Cloud Foundry foundation: {targets} app instances.

  all targets     curl http://127.0.0.1:{port}/discovery
  one scrape      curl http://127.0.0.1:{port}/singleTargetMetrics/{id}
  status          http://127.0.0.1:{port}/
  own metrics     http://127.0.0.1:{port}/metrics
  the foundation  {api}/simulation/

For your prometheus.yml:

  scrape_configs:
    - job_name: promproxy
      http_sd_configs:
        - url: http://127.0.0.1:{port}/discovery

Ctrl-C ends it.
"""


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser("demo", help="run promproxy on a simulated foundation")
    parser.add_argument(
        "--port", type=port, default=8080, metavar="N", help="the port of 127.0.0.1; 8080"
    )
    parser.set_defaults(run=run)


def run(options: Namespace, reactor: Any) -> int:
    """The exit status, once a signal has ended it."""
    return run_under_reactor(lambda: _demonstrate(reactor, options.port))


async def _demonstrate(reactor: Any, port: int) -> int:
    """Raises ConfigError, also where the port is taken."""
    simulation = Simulation(reactor, size=Size(orgs=3, spaces=6, apps=20, instances=40))
    await simulation.start()
    text = example_config(simulation, port)
    daemon = make_daemon(config_from_text(text, Path("demo.yml"), {}), reactor)
    try:
        daemon.privilegedStartService()
    except StartError as error:
        raise ConfigError(
            f"{error.why}. Choose another port: promproxy demo --port N, or make demo PORT=N"
        ) from error
    daemon.startService()
    reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    while daemon.registry.pending_sources():
        await deferLater(reactor, 0.05)
    by_id = daemon.registry.snapshot.by_id
    hints = _HINTS.format(
        port=port, api=simulation.api_url, id=next(iter(by_id)), targets=len(by_id)
    )
    print(hints, flush=True)
    await Deferred()
    return 0
