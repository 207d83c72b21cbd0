"""The import rule: the folders are the layers, and an import goes down, never up."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import promproxy

#: From the bottom to the top. A module in no folder is a layer of its own.
ORDER = """
__init__ errors secret settings targets timing systemd http exposition outbound server tunnel
cluster sources registry disk metrics scrape web config daemon sync migration simulation commands
tap cli
"""
LAYERS = ORDER.split()
#: Folders that compute and do no I/O over a network.
PURE = {"settings", "targets", "exposition", "migration", "config"}
NETWORKING = ("twisted.internet.", "twisted.web.", "treq.")


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
            path.relative_to(root).with_suffix("").parts: imports_of(path)
            for path in root.rglob("*.py")
        }

    def test_every_import_goes_down(self) -> None:
        """So a layer can be understood with what stands below it alone."""
        for module, imports in self.imports.items():
            ours = {name.split(".")[1] for name in imports if name.startswith("promproxy.")}
            layers = {"__init__" if name == "__version__" else name for name in ours}
            above = {n for n in layers if LAYERS.index(n) > LAYERS.index(module[0])}
            self.assertEqual(above, set(), module)

    def test_the_simulation_shares_nothing_with_what_it_tests(self) -> None:
        """It imports our errors, and else only itself."""
        for module, imports in self.imports.items():
            if module[0] == "simulation":
                ours = {name.split(".")[1] for name in imports if name.startswith("promproxy.")}
                self.assertLessEqual(ours, {"simulation", "errors"}, module)

    def test_pure_layers_know_no_network(self) -> None:
        """They can be tested with plain values."""
        for module, imports in self.imports.items():
            if module[0] in PURE:
                assert not any(name.startswith(NETWORKING) for name in imports), module

    def test_files_are_short(self) -> None:
        """So each can be read as a whole."""
        root = Path(promproxy.__file__).parent
        lengths = {path: path.read_text().count("\n") for path in root.rglob("*.py")}
        self.assertEqual({str(path): n for path, n in lengths.items() if n > 350}, {})

    def test_the_reactor_is_a_parameter(self) -> None:
        """Only what is run as a command imports it."""
        found = {m for m, imports in self.imports.items() if "twisted.internet.reactor" in imports}
        self.assertEqual(found, {("tap",), ("cli",)})
