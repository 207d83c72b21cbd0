"""A short run of the churn in bench/."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.peers import CHECKOUT


class ChurnTests(SynchronousTestCase):
    """Ten seconds of changes and faults."""

    def test_ends_with_the_right_targets(self) -> None:
        """Nothing is wrong after it: targets, answers, log and memory."""
        command = [sys.executable, "-m", "bench.churn", "--seconds", "10"]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.endswith("all is well\n"), done.stdout)
