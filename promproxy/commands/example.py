"""A configuration for promproxy that goes with a simulated foundation."""

from __future__ import annotations

from promproxy.simulation import Simulation

_CONFIG = """\
listen: ["tcp:{port}:interface=127.0.0.1"]
sources:
  - name: demo
    refresh_interval: 10s
    cloud_foundry:
      api_url: {api}
      username: scraper
      password: secret
      router: {router}
      select:
        - {{labels: {{org: "{{org_name}}", app: "{{app_name}}"}}}}
"""


def example_config(simulation: Simulation, port: int) -> str:
    """For a promproxy on that port of 127.0.0.1, once the simulation has started."""
    return _CONFIG.format(port=port, api=simulation.api_url, router=simulation.router_url)
