"""Tests of promproxy.sources.pushprox.source."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.pushprox.settings import TargetRule
from promproxy.sources.pushprox.source import PushProxSource
from promproxy.sources.pushprox.targets import (
    ClientRules,
)
from promproxy.targets.target import Delivery
from promproxy.tunnel.agent import HeldPoll, TunnelAgent
from tests.fakes import settle


class SourceTests(SynchronousTestCase):
    """What the registry gets."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tunnel = TunnelAgent(self.clock)
        self.source = self.make()

    def make(self, *targets: TargetRule) -> PushProxSource:
        rules = ClientRules(source="nat", targets=targets or (TargetRule(),))
        return PushProxSource("nat", 5.0, rules, 10.0, self.tunnel, self.clock)

    def poll(self, name: str) -> None:
        self.tunnel.hold(HeldPoll(name, give=lambda scrape: None, refuse=lambda why: None))

    def deliver(self, source: PushProxSource | None = None) -> list[str]:
        delivering = self.ensure(source or self.source)
        settle(self.clock)
        return [target.instance for target in self.successResultOf(delivering).targets]

    def ensure(self, source: PushProxSource) -> Deferred[Delivery]:
        return Deferred.fromCoroutine(source.targets())

    def test_first_delivery_waits_for_the_clients(self) -> None:
        """Who comes until then is in it."""
        delivering = self.ensure(self.source)
        self.poll("web-1")
        self.clock.advance(9.9)
        self.assertNoResult(delivering)
        self.poll("web-2")
        self.clock.advance(0.1)
        settle(self.clock)
        names = [target.instance for target in self.successResultOf(delivering).targets]
        self.assertEqual(names, ["web-1:9100", "web-2:9100"])

    def test_restored_clients_are_delivered_at_once(self) -> None:
        """There is nothing to wait for."""
        self.tunnel.restore(["web-1"])
        self.assertEqual(self.deliver(), ["web-1:9100"])

    def test_another_source_of_the_same_clients_does_not_wait(self) -> None:
        """After a reload it is known who is there."""
        delivering = self.ensure(self.source)
        self.clock.advance(10)
        settle(self.clock)
        self.successResultOf(delivering)
        self.poll("web-1")
        self.assertEqual(self.deliver(self.make(TargetRule(port=1))), ["web-1:1"])

    def test_same_delivery_while_nothing_changes(self) -> None:
        """So that nothing is rendered anew."""
        self.tunnel.restore(["web-1"])
        first, second = (self.ensure(self.source) for _ in range(2))
        settle(self.clock)
        self.poll("web-1")
        third = self.ensure(self.source)
        settle(self.clock)
        results = [self.successResultOf(one) for one in (first, second, third)]
        assert results[1] is results[2]

    def test_cancelled_while_it_waits(self) -> None:
        """No timer is left."""
        delivering = self.ensure(self.source)
        delivering.cancel()
        self.failureResultOf(delivering)
        self.assertEqual(self.clock.getDelayedCalls(), [])
