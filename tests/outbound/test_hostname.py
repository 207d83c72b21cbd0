"""Tests of promproxy.outbound.hostname."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from promproxy.outbound.hostname import NamedEndpoint


@implementer(IHostnameResolver)
class Resolver:
    """Knows every name, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolveHostName(
        self, receiver: Any, host: str, portNumber: int = 0, *_: Any, **__: Any
    ) -> Any:
        self.asked.append(host)
        receiver.resolutionBegan(None)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        receiver.resolutionComplete()
        return receiver


@implementer(IReactorPluggableNameResolver)
class Reactor(MemoryReactorClock):
    """With a resolver, which that of Twisted 22.4 lacks."""

    def __init__(self, resolver: Resolver) -> None:
        super().__init__()
        self.nameResolver: Any = resolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError


class NamedEndpointTests(SynchronousTestCase):
    """It also fails where Twisted no longer calls what it overrides."""

    def connect(self, name: str) -> list[str]:
        """What the resolver is asked for."""
        resolver = Resolver()
        reactor: Any = Reactor(resolver)
        self.attempt = NamedEndpoint(reactor, name, 9100).connect(Factory())
        return resolver.asked

    def test_names_go_to_the_resolver_as_they_are(self) -> None:
        for name in ("node_exporter", "ab--cd.example", "a-.example", "xn--a", "_x.y", "h."):
            self.assertEqual(self.connect(name), [name])

    def test_labels_that_no_name_has(self) -> None:
        for name in ("a..b", ".a", "x" * 64 + ".example"):
            self.assertEqual(self.connect(name), [])
            self.failureResultOf(self.attempt, ValueError)
