"""What lives as long as the process, whatever is configured meanwhile."""

from __future__ import annotations

import random
import resource
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.resource import Resource

from promproxy.config import schema
from promproxy.daemon.generation import Generation, GenerationBuilder
from promproxy.daemon.inbound import Inbound, InboundSettings
from promproxy.daemon.merged import MergedPage
from promproxy.daemon.profiles import guard_of
from promproxy.daemon.tunnel import BODY_PATHS, TunnelPages
from promproxy.disk.file_watch import FileWatch
from promproxy.disk.output_files import OutputFiles
from promproxy.errors import ConfigError
from promproxy.metrics import Metrics
from promproxy.registry import Registry
from promproxy.scrape.resource import ScrapeResource
from promproxy.server.site import MAX_CONNECTIONS, PromproxySite
from promproxy.settings.show import yaml_of
from promproxy.systemd.notify import READY, RELOADING
from promproxy.web.admin import InvalidateResource, RefreshResource, ReloadResource
from promproxy.web.api import TargetsResource
from promproxy.web.discovery import DiscoveryResource, DocumentCache
from promproxy.web.health import HealthyResource, ReadyResource
from promproxy.web.metrics import MetricsResource
from promproxy.web.root import Pages, make_root
from promproxy.web.status.resource import ConfigurationText, StatusResource

STOP_SECONDS = 5.0
#: How long who was let in just before the end may take to say what for.
LAST_HEADS_SECONDS = 0.5
_LOOK_SECONDS = 0.02

log = Logger()

T = TypeVar("T")


@define(eq=False)
class Runtime:
    """The registry, both sides of HTTP and the metrics, and what is configured at the moment.

    ``load`` reads the configuration anew, in a thread, and raises ConfigError. ``on_state`` is
    told RELOADING and, when that is over, READY. ``make_inbound`` sets the site up as the
    configuration wants it.
    """

    _builder: GenerationBuilder
    generation: Generation
    _load: Callable[[], schema.Config]
    _on_state: Callable[[str], None]
    _make_inbound: Callable[[PromproxySite], Inbound]
    metrics: Metrics = field(factory=Metrics, init=False)
    registry: Registry = field(init=False)
    inbound: Inbound = field(init=False)
    files: OutputFiles = field(init=False)
    site: PromproxySite = field(init=False)
    _scrapes: ScrapeResource = field(init=False)
    _merged: MergedPage = field(init=False)
    _tunnel: TunnelPages = field(init=False)
    _listen: Sequence[str] = field(init=False)
    _watches: Sequence[FileWatch] = field(init=False)
    _prefixes: set[str] = field(factory=set, init=False)
    _reloads: DeferredLock = field(factory=DeferredLock, init=False)
    _is_stopping: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        config, reactor = self.generation.config, self._builder.reactor
        self._listen = config.listen
        self.registry = Registry(reactor, random.random, self._refreshed)
        self.files = OutputFiles(
            self.registry,
            self._builder.in_thread,
            reactor,
            self.metrics.file_written,
            self.generation.outputs,
        )
        process_id = secrets.token_hex(8).encode()
        self._scrapes = ScrapeResource(
            registry=self.registry,
            outbound=self._builder.outbound,
            settings=config.scrape,
            metrics=self.metrics,
            clock=reactor,
            process_id=process_id,
        )
        self._merged = MergedPage(
            self.registry, self._builder.outbound, self._scrapes, self.metrics, reactor, process_id
        )
        self._tunnel = TunnelPages(
            self._builder.tunnel, self.registry, self._scrapes, self.metrics, reactor
        )
        self._tunnel.use(config)
        self.site = PromproxySite(self._root(), reactor, max_connections=max_connections(config))
        self.inbound = self._make_inbound(self.site)
        in_thread = self._builder.in_thread
        self._watches = (
            FileWatch(reactor, in_thread, lambda: self.inbound.files, self._web_files_changed),
            FileWatch(reactor, in_thread, lambda: self.generation.files, self._files_changed),
        )
        self._use_paths(config)
        self._supply()
        self.metrics.watch(lambda: self.registry.snapshot, lambda: self.registry.states)
        self.metrics.watch_connections(self.site.connections)
        self.metrics.watch_refused(self.site.gate.refused)
        self.metrics.reloaded(True, reactor.seconds())
        self._web_file_is_used()

    def start(self) -> None:
        """Begin to refresh, and to look at files."""
        self.inbound.start()
        for watch in self._watches:
            watch.start()
        self._warn(self.generation.warnings)
        self.registry.start()

    def reload(self) -> Deferred[list[str]]:
        """Read the configuration again and apply it, one reload at a time.

        Fires with what could not be applied, a line each. Fails with ConfigError, and then
        nothing has changed. Either was logged already.
        """
        return self._one_at_a_time(self._reload)

    async def _reload(self) -> list[str]:
        self._on_state(RELOADING)
        try:
            generation, inbound = await self._builder.in_thread(self._next)
            if self._is_stopping:
                raise ConfigError("promproxy is stopping")
            before = self.generation
            await self._apply(generation, inbound)
            self._reset_backoff(generation.kept(before))
            log.info("reloaded: {changes}", changes=generation.changes(before))
        except ConfigError as error:
            log.error("reload failed, keeping the running configuration: {error}", error=str(error))
            self.metrics.reloaded(False)
            raise
        except Exception as error:
            log.failure("cannot reload")
            self.metrics.reloaded(False)
            raise ConfigError("an unexpected error, see the log") from error
        finally:
            if not self._is_stopping:
                self._on_state(READY)
        self.metrics.reloaded(True, self._builder.reactor.seconds())
        return self._warnings()

    def _reset_backoff(self, sources: Iterable[str]) -> None:
        """An operator asks now, so no pause counts any more."""
        for built in self.generation.profiles.values():
            built.value.reset_backoff()
        for name in sources:
            self.registry.refresh_soon(name)

    def _next(self) -> tuple[Generation, InboundSettings]:
        config = self._load()
        return self._builder.build(config, self.generation), self.inbound.read(config)

    def _web_files_changed(self) -> Deferred[None]:
        return self._one_at_a_time(self._read_web_file)

    async def _read_web_file(self) -> None:
        config = self.generation.config
        try:
            inbound = await self._builder.in_thread(lambda: self.inbound.read(config))
        except ConfigError as error:
            log.error(
                "web configuration not reloaded, keeping the old one: {error}", error=str(error)
            )
            self.metrics.web_file_read(False)
        else:
            await self._apply(inbound=inbound)

    def _web_file_is_used(self) -> None:
        self.metrics.web_file_read(True, self._builder.reactor.seconds())
        if self.inbound.certificate_not_after is not None:
            self.metrics.certificate_ends(self.inbound.certificate_not_after)

    def _files_changed(self) -> Deferred[None]:
        return self._one_at_a_time(self._take_up_files)

    async def _take_up_files(self) -> None:
        """Secrets, certificates and keys on our side of targets and APIs may have been renewed."""
        before = self.generation
        try:
            generation = await self._builder.in_thread(
                lambda: self._builder.build(before.config, before)
            )
        except ConfigError as error:
            log.error(
                "credentials and certificates not reloaded, keeping the old ones: {error}",
                error=str(error),
            )
            return
        renewed = generation.renewed(before)
        if renewed and not self._is_stopping:
            await self._apply(generation)
            log.info("took up files that have changed: {renewed}", renewed=", ".join(renewed))

    def _warnings(self) -> list[str]:
        warnings = []
        if self.generation.config.listen != self._listen:
            warnings.append("listen has changed: that takes a restart")
        self._warn(warnings)
        return warnings

    def _warn(self, warnings: Iterable[str]) -> None:
        for text in warnings:
            log.warn("{text}", text=text)

    def _one_at_a_time(self, change: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        changing: Deferred[T] = self._reloads.run(lambda: Deferred.fromCoroutine(change()))
        return changing

    async def _apply(
        self, generation: Generation | None = None, inbound: InboundSettings | None = None
    ) -> None:
        """Apply changes: callers first, then targets."""
        if inbound is not None:
            self.inbound.use(inbound)
            self._web_file_is_used()
        if generation is not None:
            await self._use(generation)

    async def _use(self, generation: Generation) -> None:
        """Apply another configuration at once; slow parts are done when this returns.

        A scrape under way ends as it began.
        """
        before, self.generation = self.generation, generation
        if generation.config.scrape != before.config.scrape:
            self._scrapes.use(generation.config.scrape)
        self.files.settings = generation.outputs
        self._supply()
        self._tunnel.use(generation.config)
        self.site.connections.limit = max_connections(generation.config)
        self.site.resource = self._root()
        self._use_paths(generation.config)
        for agent in before.agents - generation.agents:
            agent.close()
        self._warn(text for text in generation.warnings if text not in before.warnings)
        await self.registry.render_again()
        self.files.update()

    def _supply(self) -> None:
        """Hand over profiles and sources."""
        generation, outbound = self.generation, self._builder.outbound
        outbound.use(
            {name: built.value for name, built in generation.profiles.items()},
            guard_of(generation.config),
        )
        self.registry.set_sources(
            [built.value for built in generation.sources.values()],
            generation.render,
            outbound.profiles,
            generation.config.discovery.startup_grace,
        )

    def _use_paths(self, config: schema.Config) -> None:
        """Configure requests in absolute form and requests with a body."""
        self.site.address = config.discovery.address
        self.site.proxy = self._tunnel.proxy()
        with_body = {
            f"{prefix}{path}".encode()
            for prefix in ("", *self._prefixes)
            for path in (BODY_PATHS if self._tunnel.pages else ())
        }
        self.site.takes_body = with_body.__contains__

    def _refreshed(self, source: str, seconds: float, succeeded: bool) -> None:
        self.metrics.refreshed(source, seconds, succeeded)
        self.files.update()

    def _root(self) -> Resource:
        """The tree of pages as the newest configuration wants it."""
        config, registry = self.generation.config, self.registry
        documents = DocumentCache(self._builder.in_thread, self.generation.outputs.own_entries)
        pages = Pages(
            status=StatusResource(
                registry,
                self._scrapes.history,
                ConfigurationText(self._builder.in_thread, lambda: yaml_of(config)),
                self._builder.reactor,
            ),
            discovery=DiscoveryResource(registry, documents, config.discovery.address),
            scrape=self._scrapes,
            merged=self._merged.resource(config),
            metrics=MetricsResource(self.metrics.registry),
            healthy=HealthyResource(),
            ready=ReadyResource(registry),
            refresh=RefreshResource(registry),
            reload=ReloadResource(self.reload),
            invalidate=InvalidateResource(registry),
            targets=TargetsResource(registry, self._scrapes.history),
            pushprox=self._tunnel.pages,
        )
        # Prometheus may go on for minutes with the paths that it was told before.
        self._prefixes.add(config.discovery.path_prefix)
        return make_root(pages, *sorted(self._prefixes))

    async def stop(self) -> None:
        """Finish what is under way for a few seconds, then release everything."""
        self._is_stopping = True
        self._tunnel.stop()
        for watch in self._watches:
            watch.stop()
        await self.registry.stop()
        await self._last_heads()
        idle = self._scrapes.when_idle()
        idle.addTimeout(STOP_SECONDS, self._builder.reactor, onTimeoutCancel=lambda *_: None)
        await idle
        self._scrapes.cancel_all()
        self._merged.cancel_all()
        writing = Deferred.fromCoroutine(self.files.close())
        writing.addTimeout(STOP_SECONDS, self._builder.reactor, onTimeoutCancel=lambda *_: None)
        await writing
        await self._builder.outbound.close()
        await gatherResults([agent.close() for agent in self.generation.agents])
        self.inbound.stop()

    async def _last_heads(self) -> None:
        """Wait for them: with a socket from systemd a restart fails no caller."""
        end = self._builder.reactor.seconds() + LAST_HEADS_SECONDS
        while self.site.connections.has_pending_heads and self._builder.reactor.seconds() < end:
            await deferLater(self._builder.reactor, _LOOK_SECONDS)


def max_connections(config: schema.Config) -> int:
    """How many connections callers may have; by default half of the files that may be open.

    The other half is for connections to targets.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return config.max_connections or min(hard // 2, MAX_CONNECTIONS)
