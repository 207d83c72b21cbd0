"""The clients that poll, as targets."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from promproxy.sources.building import deliver
from promproxy.sources.pushprox.targets import ClientRules, targets_of_client
from promproxy.targets.target import Delivery, Dropped, Target
from promproxy.tunnel.agent import TunnelAgent


@define(eq=False)
class PushProxSource:
    """Delivers at once whenever asked, but for the first ``startup_hold`` seconds of the tunnel.

    Until then it is not known who is there: after a restart the clients come back one by one, and
    Prometheus must not take those for gone that have not come yet.
    """

    name: str
    interval: float
    rules: ClientRules
    _startup_hold: float
    _tunnel: TunnelAgent
    _clock: IReactorTime
    _version: int | None = field(default=None, init=False)
    _delivery: Delivery = field(default=Delivery(()), init=False, repr=False)
    _built: dict[str, tuple[Target | Dropped, ...]] = field(factory=dict, init=False, repr=False)

    async def targets(self) -> Delivery:
        left = self._tunnel.begin() + self._startup_hold - self._clock.seconds()
        if left > 0 and not self._tunnel.is_restored:
            await self._sleep(left)
        self._tunnel.expire()
        version = self._tunnel.version
        if version != self._version:
            self._delivery = await deliver(self._build(), self._clock)
            self._version = version
        return self._delivery

    def restore(self, delivery: Delivery) -> None:
        self._tunnel.restore({target.host for target in delivery.targets})

    def _build(self) -> Iterator[Target | Dropped]:
        before, self._built = self._built, {}
        for name in self._tunnel.names():
            found = before.get(name) or tuple(targets_of_client(name, self.rules))
            self._built[name] = found
            yield from found

    def _sleep(self, seconds: float) -> Deferred[None]:
        over: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(seconds, over.callback, None)
        return over
