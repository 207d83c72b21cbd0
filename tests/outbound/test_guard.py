"""Tests of promproxy.outbound.guard."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from promproxy.errors import Unreachable
from promproxy.outbound.guard import GuardedEndpoint, refuse_denied
from promproxy.outbound.networks import Networks, network

DENIED = Networks((network("169.254.0.0/16"), network("fe80::/10")))


@implementer(IHostnameResolver)
class FixedResolver:
    """Every name has these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def resolveHostName(self, receiver: Any, host: str, portNumber: int = 0, *_: Any) -> Any:
        receiver.resolutionBegan(self)
        for address in self.addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """What a resolution offers."""


class GuardTests(SynchronousTestCase):
    """Which addresses are tried."""

    def connect(self, *addresses: str) -> Deferred[Any]:
        self.reactor = MemoryReactorClock()
        self.reactor.nameResolver = FixedResolver(*addresses)
        endpoint = GuardedEndpoint(self.reactor, "evil.example", 80, 10.0, DENIED)
        return endpoint.connect(Factory.forProtocol(Protocol))

    def tried(self) -> list[str]:
        self.reactor.advance(1)
        return [host for host, *_ in self.reactor.tcpClients]

    def test_denied_addresses_are_not_even_tried(self) -> None:
        """The name leads to the others."""
        self.connect("169.254.169.254", "10.0.0.1", "fe80::1", "2001:db8::1")
        self.assertEqual(sorted(self.tried()), ["10.0.0.1", "2001:db8::1"])

    def test_nothing_but_denied_addresses(self) -> None:
        """The error says which."""
        failure = self.failureResultOf(self.connect("169.254.169.254", "fe80::1"), Unreachable)
        self.assertEqual(
            failure.value.reason, "its address 169.254.169.254 is among deny_addresses"
        )
        self.assertEqual(self.tried(), [])

    def test_unknown_name(self) -> None:
        self.failureResultOf(self.connect(), DNSLookupError)

    def test_cancel(self) -> None:
        connecting = self.connect("10.0.0.1")
        connecting.cancel()
        self.failureResultOf(connecting)

    def test_address_itself(self) -> None:
        """Without a name there is nothing to look up."""
        error = self.assertRaises(Unreachable, refuse_denied, "169.254.1.1", DENIED)
        self.assertEqual(error.reason, "its address 169.254.1.1 is among deny_addresses")
        refuse_denied("10.0.0.1", DENIED)
