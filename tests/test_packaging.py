"""What must be the same in the package and in the code."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.logger import ILogObserver
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from promproxy import __version__
from promproxy.tap import Options

DEBIAN = Path(__file__).absolute().parent.parent / "debian"


class PackagingTests(SynchronousTestCase):
    """debian/."""

    def test_version(self) -> None:
        """The newest entry of the changelog is this version."""
        first, *_ = (DEBIAN / "changelog").read_text(encoding="utf-8").splitlines()
        match = re.match(r"promproxy \((.*)\) ", first)
        assert match is not None, first
        self.assertEqual(match[1], __version__)

    def test_the_service_starts_what_is_there(self) -> None:
        """Its observer of the log, and the file that the daemon reads if none is named."""
        unit = (DEBIAN / "promproxy.service").read_text(encoding="utf-8")
        (observer,) = re.findall(r"--logger=(\S+)", unit)
        self.assertTrue(ILogObserver.providedBy(namedAny(observer)()))
        (default,) = re.findall(r"^Environment=PROMPROXY_CONFIG=(.*)$", unit, re.MULTILINE)
        self.assertEqual(default, Options()["config"])
