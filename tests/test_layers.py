"""The import rule: a module imports only from its own row of the table and from rows above it."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import promproxy

PURE = (
    "__init__ __version__ access errors ids target labels snapshot secret json_array backoff "
    "networks no_proxy disk.atomic_file disk.saved_state",
    # The part of this source that only computes; configuration names its selectors and fields.
    "sources.cloud_foundry.label_selector sources.cloud_foundry.resources "
    "sources.cloud_foundry.routes sources.cloud_foundry.rules sources.cloud_foundry.targets "
    "sources.pushprox.targets tunnel.exchange",
    "config discovery forwarding target_groups migration",
)
ROWS = (
    *PURE,
    "http slices",
    "tunnel",
    "sources",
    "refresh_loop registry scrape_metrics metrics limits disk",
    "web",
    "wiring",
    "service running inbound simulation sync",
    "commands systemd",
    "tap cli",
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names.split()}
NETWORKING = ("twisted.internet.", "twisted.web.", "treq.")


def row_of(module: str) -> int:
    """The row of a module, or of the package it is in; KeyError where the table lacks both."""
    while module not in ROW_OF and "." in module:
        module = module.rpartition(".")[0]
    return ROW_OF[module]


def imports_of(path: Path) -> set[str]:
    """The full names of all that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {f"{alias.name}." for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


class LayersTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Collect what each of our modules imports."""
        root = Path(promproxy.__file__).parent
        self.imports = {
            ".".join(path.relative_to(root).with_suffix("").parts): imports_of(path)
            for path in root.rglob("*.py")
        }

    def test_nothing_is_imported_from_below(self) -> None:
        """So each module can be understood with what stands above it alone."""
        for module, imports in self.imports.items():
            ours = {n.removeprefix("promproxy.") for n in imports if n.startswith("promproxy.")}
            below = {name for name in ours if row_of(name) > row_of(module)}
            self.assertEqual(below, set(), module)

    def test_the_simulation_shares_nothing_with_what_it_tests(self) -> None:
        """It imports our errors, and else only itself."""
        for module, imports in self.imports.items():
            if module.startswith("simulation."):
                ours = {name for name in imports if name.startswith("promproxy.")}
                shared = {n for n in ours if not n.startswith("promproxy.simulation.")}
                assert all(name.startswith("promproxy.errors.") for name in shared), module

    def test_pure_modules_know_no_network(self) -> None:
        """They can be tested with plain values."""
        for module, imports in self.imports.items():
            if row_of(module) < len(PURE):
                assert not any(name.startswith(NETWORKING) for name in imports), module

    def test_the_reactor_is_a_parameter(self) -> None:
        """Only what is run as a command imports it."""
        found = {m for m, imports in self.imports.items() if "twisted.internet.reactor" in imports}
        self.assertEqual(found, {"tap", "cli"})
