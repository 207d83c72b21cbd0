"""A short run of the fuzzer; a long one is ``python -m tests.fuzz --seconds 600``."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.peers import CHECKOUT


class FuzzTests(SynchronousTestCase):
    def test_short_run(self) -> None:
        """Another seed each time; what goes wrong is shown with how to see it again."""
        command = [sys.executable, "-m", "tests.fuzz", "--seconds", "10"]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("all is well", done.stdout)
