"""The page of merged scrapes, as the configuration wants it."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from promproxy.config import schema
from promproxy.metrics import Metrics
from promproxy.outbound.client import Outbound
from promproxy.registry import Registry
from promproxy.scrape.merged.fetch import Fetcher
from promproxy.scrape.merged.resource import MergedResource
from promproxy.scrape.resource import ScrapeResource


@define(eq=False)
class MergedPage:
    """Made when it is first configured, so that nothing of it is there before."""

    _registry: Registry
    _outbound: Outbound
    _scrapes: ScrapeResource
    _metrics: Metrics
    _clock: IReactorTime
    _process_id: bytes
    _resource: MergedResource | None = field(default=None, init=False)

    def resource(self, config: schema.Config) -> MergedResource | None:
        """The page, with the newest settings; None where it is not configured."""
        if config.merged is None:
            return None
        promregator = config.discovery.promregator_labels
        if self._resource is None:
            fetcher = Fetcher(
                self._registry,
                self._outbound,
                self._scrapes.history,
                self._metrics,
                self._clock,
                lambda: self._scrapes.is_busy,
            )
            self._resource = MergedResource(
                self._registry,
                self._scrapes,
                fetcher,
                config.merged,
                promregator,
                self._metrics.registry,
                self._clock,
                self._process_id,
            )
        self._resource.settings = config.merged
        self._resource.promregator = promregator
        return self._resource

    def cancel_all(self) -> None:
        """Break off every answer under way: the daemon stops."""
        if self._resource is not None:
            self._resource.cancel_all()
