"""Tests of promproxy.daemon.tls."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.daemon.tls import TLSProfiles
from promproxy.errors import ConfigError
from promproxy.outbound.settings import TlsConfig
from tests.integration.certificates import Authority


class TLSProfilesTests(SynchronousTestCase):
    """Which settings share a profile, and with it a context of OpenSSL's."""

    def setUp(self) -> None:
        self.profiles = TLSProfiles()
        self.file = Path(self.mktemp())
        self.file.write_bytes(Authority().pem)
        self.settings = TlsConfig(ca_file=self.file)

    def test_equal_settings(self) -> None:
        """One for all who have them."""
        first = self.profiles.get(self.settings)
        self.assertIs(self.profiles.get(TlsConfig(ca_file=self.file)), first)
        self.assertIsNot(
            self.profiles.get(TlsConfig(ca_file=self.file, min_version="TLS13")), first
        )

    def test_file_that_changed(self) -> None:
        """A renewed certificate counts, and so does a broken one."""
        first = self.profiles.get(self.settings)
        self.file.write_bytes(Authority().pem)
        self.assertIsNot(self.profiles.get(self.settings), first)
        self.file.write_bytes(b"nothing")
        self.assertRaises(ConfigError, self.profiles.get, self.settings)

    def test_it_goes_with_the_last_who_has_it(self) -> None:
        """Else the certificates of years would add up."""
        profile = weakref.ref(self.profiles.get(self.settings))
        gc.collect()
        self.assertIsNone(profile())
