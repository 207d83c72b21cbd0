"""The daemon: a configuration becomes something that runs, listens, and reads it again."""

from __future__ import annotations

import gc
import resource
import signal
from collections.abc import Callable, Iterable, Sequence
from os import fsdecode
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from promproxy.config import schema
from promproxy.config.load import load_web_file
from promproxy.daemon.generation import GenerationBuilder
from promproxy.daemon.inbound import Inbound, build_inbound
from promproxy.daemon.runtime import Runtime
from promproxy.errors import ConfigError
from promproxy.outbound.client import Outbound
from promproxy.registry import Registry
from promproxy.server.passwords import THREADS
from promproxy.server.settings import WebFile
from promproxy.server.site import PromproxySite
from promproxy.systemd.notify import READY, STOPPING
from promproxy.systemd.sockets import inherited_endpoint
from promproxy.targets.netloc import netloc
from promproxy.tunnel.agent import TunnelAgent

T = TypeVar("T")

log = Logger()


class StartError(SystemExit, Exception):
    """The daemon cannot start; its text is all that is shown, and the exit status is 1.

    ``why`` is the text without the program's name.

    It is an Exception too, since that is all that a twistd in the background passes on to the one
    in the foreground, which would wait for ever.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"promproxy: {why}")
        self.why = why


@define(eq=False)
class Daemon(Service):
    """Listens, starts, reloads when the signal for that comes, and stops."""

    _reactor: Any
    _runtime: Runtime
    _endpoints: Sequence[tuple[str, IStreamServerEndpoint]]
    _on_state: Callable[[str], None]
    _ports: list[IListeningPort] = field(factory=list, init=False)
    _handler_before: Any = field(default=None, init=False)

    @property
    def registry(self) -> Registry:
        """The registry of sources and targets."""
        return self._runtime.registry

    @property
    def site(self) -> PromproxySite:
        return self._runtime.site

    @property
    def warnings(self) -> list[str]:
        """What is valid, but probably a mistake, a line each."""
        return [*self._runtime.generation.warnings, *sorted(self._runtime.inbound.warnings)]

    def privilegedStartService(self) -> None:
        """Listen, while a privileged port may still be had.

        Raises StartError where an address cannot be had.
        """
        raise_file_limit()
        forbid_core_dumps()
        self._runtime.files.load()
        # twistd has no handler, and without one this signal ends the process.
        self._handler_before = signal.signal(signal.SIGHUP, self._hung_up)
        for description, endpoint in self._endpoints:
            listening = endpoint.listen(self._runtime.inbound.factory)
            failures: list[Failure] = []
            listening.addCallbacks(self._ports.append, failures.append)
            if failures:
                failures[0].trap(CannotListenError, OSError)
                why = getattr(failures[0].value, "socketError", failures[0].value)
                raise StartError(f"cannot listen on {description}: {why}")

    def startService(self) -> None:
        super().startService()
        # All that was loaded stays for good: a full collection need not look at it each time,
        # which took 40 ms.
        gc.collect()
        gc.freeze()
        self._runtime.start()
        log.info(
            "listening on {addresses}",
            addresses=", ".join(address_text(port.getHost()) for port in self._ports),
        )
        self._on_state(READY)

    def reload(self) -> None:
        """Read the configuration again; how that ends is logged."""
        self._runtime.reload().addErrback(lambda failure: failure.trap(ConfigError))

    def _hung_up(self, *_arguments: object) -> None:
        # In the middle of whatever the reactor does, so only this much.
        self._reactor.callFromThread(self.reload)

    def stopService(self) -> Deferred[None]:
        """Stop listening, finish what is under way for a few seconds, then release everything."""
        super().stopService()
        self._on_state(STOPPING)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await DeferredList([maybeDeferred(port.stopListening) for port in self._ports])
        await self._runtime.stop()
        if self._handler_before is not None:
            signal.signal(signal.SIGHUP, self._handler_before)


def address_text(address: IAddress) -> str:
    """Such as ``127.0.0.1:8080``, ``[::1]:8080`` or the path of a socket."""
    if isinstance(address, UNIXAddress):
        return str(fsdecode(address.name or b""))
    if isinstance(address, IPv4Address | IPv6Address):
        return netloc(address.host, address.port)
    return str(address)


def raise_file_limit() -> None:
    """Every connection takes a file descriptor, and the soft limit is often 1024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def forbid_core_dumps() -> None:
    """A core holds every secret. The hard limit stays, so that one can still debug."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _no_file() -> schema.Config:
    raise ConfigError("no configuration file to reload")


def make_daemon(
    config: schema.Config,
    reactor: Any,
    *,
    load: Callable[[], schema.Config] = _no_file,
    on_state: Callable[[str], None] = lambda state: None,
    inherited: Iterable[int] = (),
    web_file: Path | None = None,
) -> Daemon:
    """The service for a configuration; nothing is listened on or asked yet. Raises ConfigError.

    ``load`` reads the configuration anew. ``on_state`` is told READY, RELOADING and STOPPING.
    ``inherited`` are file descriptors of sockets to listen on instead of what is configured.
    ``web_file`` is the web configuration file.
    """

    def in_thread(work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    inbound = build_inbound(config, WebFile() if web_file is None else load_web_file(web_file))
    password_threads = ThreadPool(0, THREADS, "passwords")

    def make_inbound(site: PromproxySite) -> Inbound:
        return Inbound(reactor, site, password_threads, web_file, inbound)

    tunnel = TunnelAgent(reactor)
    builder = GenerationBuilder(
        reactor=reactor,
        in_thread=in_thread,
        outbound=Outbound(tunnel=tunnel),
        tunnel=tunnel,
        scheme="http" if inbound.web.tls is None else "https",
    )
    generation = builder.build(config)
    endpoints = [inherited_endpoint(reactor, descriptor) for descriptor in inherited]
    if not endpoints:
        endpoints = list(zip(config.listen, generation.endpoints, strict=True))
    runtime = Runtime(builder, generation, load, on_state, make_inbound)
    return Daemon(reactor, runtime, endpoints, on_state)
