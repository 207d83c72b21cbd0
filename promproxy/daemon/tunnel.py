"""PushProx's pages, and what a configuration says of them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource

from promproxy.config import schema
from promproxy.metrics import Metrics
from promproxy.registry import Registry
from promproxy.scrape.resource import ScrapeResource
from promproxy.server.site import NoProxyResource
from promproxy.sources.pushprox.targets import ClientRules, client_in_id, targets_of_client
from promproxy.sources.settings import SourceSettings
from promproxy.targets.target import Target
from promproxy.tunnel.agent import TunnelAgent
from promproxy.tunnel.exchange import ExchangeLimits
from promproxy.web.pushprox.metrics import TunnelMetrics
from promproxy.web.pushprox.poll import PollResource
from promproxy.web.pushprox.proxied import ProxiedResource
from promproxy.web.pushprox.resource import ClientsResource, PushResource

BODY_PATHS = ("/poll", "/push")


def client_rules(source: SourceSettings) -> ClientRules:
    """The rules for clients of a pushprox source."""
    assert source.pushprox is not None
    return ClientRules(
        source=source.name,
        targets=source.pushprox.targets,
        allow=source.pushprox.allow,
        honor_job=source.honor_job,
    )


@define(eq=False)
class TunnelPages:
    """They live as long as the process, so that a reload keeps clients and their polls."""

    tunnel: TunnelAgent
    _registry: Registry
    _scrapes: ScrapeResource
    _metrics: Metrics
    _clock: IReactorTime
    _counts: TunnelMetrics = field(init=False)
    _poll: PollResource = field(init=False)
    _pages: Mapping[str, IResource] = field(init=False)
    _source: SourceSettings | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        tunnel, clock = self.tunnel, self._clock
        counts = self._counts = TunnelMetrics(tunnel)
        self._poll = PollResource(tunnel, counts, clock, max_age=0.0)
        self._pages = {
            "/poll": self._poll,
            "/push": PushResource(tunnel, counts, clock),
            "/clients": ClientsResource(tunnel, counts, clock),
        }
        tunnel.on_change = self._clients_changed
        self._scrapes.find_unlisted = self._find_unlisted

    @property
    def pages(self) -> Mapping[str, IResource]:
        """By path; none where no source needs them."""
        return self._pages if self._source is not None else {}

    def proxy(self) -> IResource:
        """What answers requests in absolute form."""
        if self._source is None:
            return NoProxyResource()
        rules = client_rules(self._source)
        return ProxiedResource(self.tunnel, self._registry, self._scrapes, self._counts, rules)

    def use(self, config: schema.Config) -> None:
        """Go on as another configuration says."""
        source = self._source = next((one for one in config.sources if one.pushprox), None)
        self._counts.watch(self._metrics.registry, source is not None)
        if source is None or source.pushprox is None:
            self.tunnel.dismiss("promproxy has no source of the kind pushprox any more")
            return
        settings = source.pushprox
        self._poll.max_age = settings.poll_max_age
        self.tunnel.use(
            ExchangeLimits(
                registration_timeout=settings.registration_timeout,
                max_clients=settings.max_clients,
                max_waiting=settings.max_waiting,
            ),
            settings.startup_hold,
        )

    def _find_unlisted(self, target_id: str) -> Target | None:
        """A target of a client that polls, or is about to, before the source has delivered."""
        if self._source is None or not self.tunnel.is_starting:
            return None
        name = client_in_id(target_id, self._source.name)
        if name is None:
            return None
        client = self.tunnel.find(name)
        found = targets_of_client(
            name if client is None else client.name, client_rules(self._source)
        )
        return next((t for t in found if isinstance(t, Target) and t.id == target_id), None)

    def _clients_changed(self) -> None:
        if self._source is not None:
            self._registry.notify_changed(self._source.name)

    def stop(self) -> None:
        """Send all clients away at once."""
        self.tunnel.stop()
        self._poll.stop()
