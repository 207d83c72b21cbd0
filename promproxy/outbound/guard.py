"""Hosts that others named must not lead to denied addresses, such as those of cloud metadata."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from promproxy.errors import Unreachable
from promproxy.outbound.hostname import NamedEndpoint
from promproxy.outbound.networks import Networks
from promproxy.targets.target import Target


@frozen(kw_only=True)
class Guard:
    """Hosts that these ``sources`` name are not connected to at addresses that are ``denied``.

    Not so the ``own_hosts``, which our own configuration names.
    """

    denied: Networks = Networks()
    sources: frozenset[str] = frozenset()
    own_hosts: frozenset[str] = frozenset()

    def denied_for(self, target: Target) -> Networks | None:
        """What this target's host must not lead to."""
        if target.router or target.source not in self.sources or target.host in self.own_hosts:
            return None
        return self.denied


NOTHING_DENIED = Guard()


def refuse_denied(address: str, denied: Networks) -> None:
    """Raise Unreachable for an address that is denied."""
    if denied.has(address):
        raise _denied(address)


def _denied(address: str) -> Unreachable:
    return Unreachable(f"its address {address} is among deny_addresses")


@implementer(IStreamClientEndpoint)
@frozen
class GuardedEndpoint:
    """Connects to a host by name, and to none of its addresses that are denied.

    The addresses that the name has at this moment are looked at, and only the others are tried.
    """

    _reactor: Any
    _host: str
    _port: int
    _timeout_seconds: float
    _denied: Networks

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fires with the protocol; fails with Unreachable where every address is denied."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        resolver = _Resolver(self._reactor.nameResolver, self._denied)
        reactor = _Reactor(self._reactor, resolver)
        endpoint = NamedEndpoint(reactor, self._host, self._port, timeout=self._timeout_seconds)
        try:
            return await endpoint.connect(factory)
        except DNSLookupError as error:
            if resolver.refused:
                raise _denied(resolver.refused[0]) from error
            raise


@implementer(IReactorPluggableNameResolver)
@frozen
class _Reactor:
    """The reactor, but for its look-up of names."""

    _reactor: Any
    nameResolver: IHostnameResolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IHostnameResolver)
@define
class _Resolver:
    """A resolver that leaves out denied addresses, and keeps them in ``refused``."""

    _resolver: Any
    _denied: Networks
    refused: list[str] = field(factory=list, init=False)

    def resolveHostName(
        self, resolutionReceiver: IResolutionReceiver, *args: Any, **options: Any
    ) -> IHostResolution:
        receiver = _Receiver(resolutionReceiver, self)
        resolution: IHostResolution = self._resolver.resolveHostName(receiver, *args, **options)
        return resolution

    def allows(self, address: str) -> bool:
        if self._denied.has(address):
            self.refused.append(address)
            return False
        return True


@implementer(IResolutionReceiver)
@frozen
class _Receiver:
    _receiver: Any
    _resolver: _Resolver

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: IAddress) -> None:
        if self._resolver.allows(address.host):  # type: ignore[attr-defined] # all have it
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()
