"""Tests of promproxy.outbound.networks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.schema import Config
from promproxy.outbound.networks import Networks, network

METADATA = Networks(Config().deny_addresses)


class NetworksTests(SynchronousTestCase):
    def test_metadata_services_are_denied_by_default(self) -> None:
        """In every spelling that leads to them."""
        for address in (
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::a9fe:a9fe",
            "fe80::1%eth0",
            "fd00:ec2::254",
        ):
            assert METADATA.has(address), address

    def test_nothing_else_is(self) -> None:
        """Private networks are where targets are; loopback is for tests and sidecars."""
        for address in ("10.0.0.1", "127.0.0.1", "::1", "0.0.0.0", "fd00:ec2::255", "2001:db8::1"):
            assert not METADATA.has(address), address

    def test_unspecified_address_is_this_host(self) -> None:
        """So it is denied where loopback is."""
        for text in ("127.0.0.0/8", "::1/128"):
            loopback = Networks((network(text),))
            for address in ("0.0.0.0", "::", "::ffff:0.0.0.0"):
                assert loopback.has(address), (text, address)
            assert not loopback.has("10.0.0.1")

    def test_equal_ones(self) -> None:
        """They lead to the same connections."""
        again = Networks(Config().deny_addresses)
        self.assertEqual((again, hash(again)), (METADATA, hash(METADATA)))
        self.assertNotEqual(Networks(), METADATA)
