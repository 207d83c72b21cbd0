"""The wheel carries all that ``twistd promproxy`` needs, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.peers import CHECKOUT, twistd


def run(command: list[str], folder: Path, python_path: str = "") -> str:
    """What a command prints when it is run in a folder; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": python_path}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class WheelTests(SynchronousTestCase):
    """Built from a copy of the tree, since setuptools leaves its folders behind."""

    def setUp(self) -> None:
        # A build must not download what it needs.
        missing = [name for name in ("pip", "setuptools", "wheel") if find_spec(name) is None]
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}. The wheel is NOT checked.")
        folder = tempfile.TemporaryDirectory(prefix="promproxy-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.tree = self.folder / "tree"

    def build(self) -> ZipFile:
        leave = shutil.ignore_patterns(
            ".?*", "__pycache__", "_trial_temp*", "build", "dist", "*.egg-info"
        )
        shutil.copytree(CHECKOUT, self.tree, ignore=leave)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", "wheels"]
        run([sys.executable, "-m", "pip", "wheel", *options, str(self.tree)], self.folder)
        (path,) = (self.folder / "wheels").glob("*.whl")
        wheel = ZipFile(path)
        self.addCleanup(wheel.close)
        return wheel

    def test_carries_the_packages_and_the_plugin(self) -> None:
        """The whole package, the plugin, no tests; unpacked anywhere, twistd finds it."""
        wheel = self.build()
        carried = {name for name in wheel.namelist() if ".dist-info/" not in name}
        ours = {
            str(path.relative_to(self.tree))
            for path in self.tree.glob("promproxy/**/*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        self.assertEqual(carried, ours | {"twisted/plugins/promproxy_plugin.py"})

        unpacked = self.folder / "unpacked"
        wheel.extractall(unpacked)
        usage = run([*twistd(), "promproxy", "--help"], self.folder, str(unpacked))
        self.assertIn("--config=", usage)
