"""A simulated Cloud Foundry foundation in one process, for the demo, tests and capacity planning.

`Simulation` is the way in.
"""

from promproxy.simulation.generator import Size
from promproxy.simulation.server import Simulation

__all__ = ["Simulation", "Size"]
