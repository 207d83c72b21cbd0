"""Tests of promproxy.server.peer."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from promproxy.server.peer import Peer, is_local, peer_of
from tests.fakes import Wire


class LocalTests(SynchronousTestCase):
    """Callers on this host."""

    def test_loopback(self) -> None:
        """However it is written, and a socket in the file system."""
        for address in (
            IPv4Address("TCP", "127.0.0.1", 5),
            IPv4Address("TCP", "127.8.9.10", 5),
            IPv6Address("TCP", "::1", 5),
            IPv6Address("TCP", "::ffff:127.0.0.1", 5),
            UNIXAddress(None),
            UNIXAddress(b"/run/x"),
        ):
            assert is_local(address), address

    def test_elsewhere(self) -> None:
        """Private and link-local addresses too."""
        for address in (
            IPv4Address("TCP", "192.0.2.1", 5),
            IPv4Address("TCP", "10.0.0.1", 5),
            IPv6Address("TCP", "2001:db8::1", 5),
            IPv6Address("TCP", "fe80::1%eth0", 5),
            IPv6Address("TCP", "::ffff:192.0.2.1", 5),
            IPv6Address("TCP", "::", 5),
        ):
            assert not is_local(address), address

    def test_connection_without_tls(self) -> None:
        self.assertEqual(peer_of(Wire()), Peer(is_local=False))
