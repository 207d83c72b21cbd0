"""The daemon: a configuration becomes clients, sources, a registry, a web tree and listeners.

This is the only module that sees the configuration as a whole; everyone else is handed the few
values they need.
"""

from __future__ import annotations

import gc
import random
import resource
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from promproxy.config import schema
from promproxy.discovery import EntryStyle
from promproxy.errors import ConfigError
from promproxy.forwarding import Timeouts
from promproxy.http.outbound import Outbound
from promproxy.limits import Limits
from promproxy.metrics import Metrics
from promproxy.registry import Registry
from promproxy.web.admin import InvalidateResource, RefreshResource
from promproxy.web.api import TargetsResource
from promproxy.web.discovery import DiscoveryResource, DocumentCache
from promproxy.web.health import HealthyResource, ReadyResource
from promproxy.web.landing import LandingResource
from promproxy.web.metrics import MetricsResource
from promproxy.web.root import Pages, make_root
from promproxy.web.scrape import ScrapeResource
from promproxy.web.site import MAX_CONNECTIONS, PromproxySite
from promproxy.wiring.profiles import make_outbound
from promproxy.wiring.sources import SourceMaker

T = TypeVar("T")

STOP_SECONDS = 5.0

log = Logger()


class StartError(SystemExit, Exception):
    """The daemon cannot start; its text is all that is shown, and the exit status is 1.

    It is an Exception too, since that is all that a twistd in the background passes on to the one
    in the foreground, which would wait for ever.
    """


@define(eq=False)
class Daemon(Service):
    """Everything that runs, in the order in which it is started; it stops the other way round."""

    _reactor: Any
    _endpoints: Sequence[tuple[str, IStreamServerEndpoint]]
    _site: PromproxySite
    registry: Registry
    _scrapes: ScrapeResource
    _outbound: Outbound
    _ports: list[IListeningPort] = field(factory=list, init=False)

    def privilegedStartService(self) -> None:
        """Listen, while a privileged port may still be had.

        Raises StartError where an address cannot be had.
        """
        raise_file_limit()
        for description, endpoint in self._endpoints:
            listening = endpoint.listen(self._site)
            failures: list[Failure] = []
            listening.addCallbacks(self._ports.append, failures.append)
            if failures:
                failures[0].trap(CannotListenError, OSError)
                why = getattr(failures[0].value, "socketError", failures[0].value)
                raise StartError(f"promproxy: cannot listen on {description}: {why}")

    def startService(self) -> None:
        """Begin to refresh."""
        super().startService()
        # All that was loaded stays for good: a full collection need not look at it each time,
        # which took 40 ms.
        gc.collect()
        gc.freeze()
        self.registry.start()
        for port in self._ports:
            log.info("listening on {address}", address=port.getHost())

    def stopService(self) -> Deferred[None]:
        """Listen no more, answer what is under way for a few seconds, then let go of everything."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await DeferredList([maybeDeferred(port.stopListening) for port in self._ports])
        await self.registry.stop()
        idle = self._scrapes.when_idle()
        idle.addTimeout(STOP_SECONDS, self._reactor, onTimeoutCancel=lambda *_: None)
        await idle
        self._scrapes.cancel_all()
        await self._outbound.close()


def raise_file_limit() -> None:
    """Every connection takes a file descriptor, and the soft limit is often 1024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def default_max_connections() -> int:
    """Half of the files that may be open; the other half is for connections to targets."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2, MAX_CONNECTIONS)


def make_daemon(config: schema.Config, reactor: Any) -> Daemon:
    """The service for a configuration; nothing is listened on or asked yet. Raises ConfigError."""

    def in_thread(work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    style = EntryStyle(scheme=config.discovery.scheme, path_prefix=config.discovery.path_prefix)
    metrics = Metrics()
    outbound = make_outbound(reactor, config.outbound)
    maker = SourceMaker(
        reactor=reactor,
        in_thread=in_thread,
        outbound=outbound,
        promregator_labels=config.discovery.promregator_labels,
    )
    registry = Registry(
        sources=[maker.make(source, config) for source in config.sources],
        render=style.target_entry,
        clock=reactor,
        random=random.random,
        on_refresh=metrics.refreshed,
        startup_grace=config.discovery.startup_grace,
    )
    metrics.watch(lambda: registry.snapshot, lambda: registry.states)
    scrapes = ScrapeResource(
        registry=registry,
        outbound=outbound,
        timeouts=Timeouts(
            default=config.scrape.default_timeout,
            maximum=config.scrape.max_timeout,
            offset=config.scrape.timeout_offset,
        ),
        limits=Limits(
            config.scrape.max_concurrent,
            config.scrape.max_concurrent_per_host,
            config.scrape.max_concurrent_per_target,
        ),
        body_size_limit=config.scrape.body_size_limit,
        metrics=metrics,
        clock=reactor,
        process_id=secrets.token_hex(8).encode(),
    )
    own_entry = style.own_entry() if config.discovery.own_metrics else None
    pages = Pages(
        landing=LandingResource(registry),
        discovery=DiscoveryResource(
            registry, DocumentCache(in_thread, own_entry), config.discovery.address
        ),
        scrape=scrapes,
        metrics=MetricsResource(metrics.registry),
        healthy=HealthyResource(),
        ready=ReadyResource(registry),
        refresh=RefreshResource(registry, is_open=config.open_admin),
        invalidate=InvalidateResource(registry, is_open=config.open_admin),
        targets=TargetsResource(registry, scrapes.results),
    )
    site = PromproxySite(
        make_root(pages, config.discovery.path_prefix),
        reactor,
        max_connections=config.max_connections or default_max_connections(),
    )
    metrics.watch_connections(site.connections)
    endpoints = [(text, _endpoint(reactor, text)) for text in config.listen]
    return Daemon(reactor, endpoints, site, registry, scrapes, outbound)


def _endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # each endpoint's parser raises what it likes
        raise ConfigError(
            f"listen: {description!r} is no endpoint, such as tcp:8080 or "
            r"tcp6:8080:interface=\:\:1: "
            f"{error}"
        ) from error
    return endpoint
