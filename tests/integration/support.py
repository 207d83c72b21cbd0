"""Both ends of a scrape as raw sockets on the test's reactor, and the daemon between them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from promproxy.config.load import config_from_text
from promproxy.daemon.service import make_daemon
from tests.integration.peers import CHECKOUT, HOST, free_port, twistd

reactor: Any = _reactor


class Talk(Protocol):
    """One connection, of either side: all that arrived, and a wait for what one expects."""

    def __init__(self, heard: Callable[[Talk], None] = lambda talk: None) -> None:
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()
        self.reason: Failure | None = None
        self._heard = heard
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._heard(self)
        self._check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self._check()
        self.ended.callback(self.received)

    def send(self, data: bytes) -> None:
        """Write."""
        self.transport.write(data)

    async def until(self, expected: bytes) -> bytes:
        """All that has arrived, once that contains this; fails where the connection ends before."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((lambda: expected in self.received, waiting))
        self._check()
        await waiting
        return self.received

    def _check(self) -> None:
        for item in list(self._waiting):
            is_there, waiting = item
            if is_there():
                self._waiting.remove(item)
                waiting.callback(None)
            elif self.reason is not None:
                self._waiting.remove(item)
                waiting.errback(AssertionError(f"ended after {self.received[-200:]!r}"))


@define(eq=False)
class Upstream:
    """A server that does with each request what ``script`` does; it is given the connection."""

    script: Callable[[Talk], None]
    requests: list[bytes] = field(factory=list)
    talks: list[Talk] = field(factory=list)
    port: int = 0
    _waiting: list[Deferred[Talk]] = field(factory=list)

    async def listen(self, case: TestCase) -> None:
        """Serve until the test is over."""
        factory = Factory.forProtocol(self._make)
        endpoint = serverFromString(reactor, f"tcp:0:interface={HOST}")
        listening = await endpoint.listen(factory)
        case.addCleanup(listening.stopListening)
        self.port = listening.getHost().port

    def asked(self) -> Deferred[Talk]:
        """Fires with the connection of the next request."""
        waiting: Deferred[Talk] = Deferred()
        self._waiting.append(waiting)
        return waiting

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def _make(self) -> Talk:
        talk = Talk(self._heard)
        self.talks.append(talk)
        return talk

    def _heard(self, talk: Talk) -> None:
        while b"\r\n\r\n" in talk.received:
            request, _, talk.received = talk.received.partition(b"\r\n\r\n")
            self.requests.append(request)
            self.script(talk)
            if self._waiting:
                self._waiting.pop(0).callback(talk)


def sends(*pieces: bytes, then_close: bool = False) -> Callable[[Talk], None]:
    """A script: write these, and close."""

    def script(talk: Talk) -> None:
        for piece in pieces:
            talk.send(piece)
        if then_close:
            talk.transport.loseConnection()

    return script


class Process(ProcessProtocol):
    """A program that runs until the test is over: what it prints, and how it ends."""

    def __init__(self) -> None:
        self.output = b""
        self.status: int | None = None  # negative: the signal that ended it
        self.ended: Deferred[int] = Deferred()
        self._waiting: list[tuple[bytes, Deferred[None]]] = []

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.output += data
        for item in list(self._waiting):
            if item[0] in self.output:
                self._waiting.remove(item)
                item[1].callback(None)

    def processEnded(self, reason: Failure) -> None:
        end = reason.value
        self.status = -end.signal if end.exitCode is None else end.exitCode
        for _, waiting in self._waiting:
            waiting.errback(AssertionError(self.output))
        self.ended.callback(self.status)

    def until(self, text: bytes) -> Deferred[None]:
        """Fires when this has been printed, fails where the program ends before."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((text, waiting))
        self.childDataReceived(1, b"")
        return waiting

    @property
    def memory(self) -> int:
        """The most bytes of memory that it has had resident."""
        return 1024 * int(self._proc("status").partition("VmHWM:")[2].split()[0])

    @property
    def file_limits(self) -> tuple[str, str]:
        """Soft and hard."""
        soft, hard = self._proc("limits").partition("Max open files")[2].split()[:2]
        return soft, hard

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.transport.pid}/{name}").read_text()

    def stop(self) -> Deferred[int]:
        if self.status is None:
            self.transport.signalProcess("KILL")
        return self.ended


class SocketTestCase(TestCase):
    """Tests with sockets of the loopback, on the reactor of the tests."""

    timeout = 30

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.port = free_port()
        # Runs last: what was closed must be gone on both sides before the next test.
        self.addCleanup(self._all_closed)

    def run_case(self, case: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(case)

    def _all_closed(self) -> Deferred[None]:
        async def wait() -> None:
            while any(isinstance(reader, Connection) for reader in reactor.getReaders()):
                await pause()

        return Deferred.fromCoroutine(wait())

    async def upstream(self, script: Callable[[Talk], None]) -> Upstream:
        """A server with this script."""
        upstream = Upstream(script)
        await upstream.listen(self)
        return upstream

    def targets(self, *addresses: str, **labels: str) -> None:
        """List these in the file that the daemon reads."""
        groups = [{"targets": addresses, "labels": labels}]
        (self.folder / "targets.json").write_text(json.dumps(groups))

    def config(self, listen: str = "", more_sources: str = "") -> str:
        """A configuration that reads the targets' file (``listen``, more sources: YAML)."""
        listen = listen or f"'tcp:{self.port}:interface={HOST}'"
        source = "{name: vms, files: {paths: [targets.json]}}"
        return f"listen: [{listen}]\nsources: [{source}{more_sources}]\n"

    async def daemon(
        self, listen: str = "", more_sources: str = "", more: str = "", web: str | None = None
    ) -> None:
        """A daemon on this reactor; it has read its targets.

        ``more`` is configuration, ``web`` the web configuration.
        """
        config = config_from_text(
            self.config(listen, more_sources) + more, self.folder / "p.yml", {}
        )
        web_file = None if web is None else self.folder / "web.yml"
        if web_file is not None and web is not None:
            web_file.write_text(web)
        daemon = make_daemon(config, reactor, load=lambda: config, web_file=web_file)
        daemon.privilegedStartService()
        daemon.startService()
        self.addCleanup(daemon.stopService)
        while "vms" in daemon.registry.pending_sources():
            await pause()

    def twistd(self, config: str = "", prefix: str = "") -> Process:
        """A daemon in a process of its own; ``prefix`` is shell that runs before it.

        It has the web configuration file ``web.yml`` where that is in the folder.
        """
        (self.folder / "p.yml").write_text(config or self.config())
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", "p.yml"]
        if (self.folder / "web.yml").exists():
            command += ["--web-config-file", "web.yml"]
        process = Process()
        reactor.spawnProcess(
            process,
            "/bin/sh",
            ["sh", "-c", f'{prefix} exec "$@"', "sh", *command],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            path=str(self.folder),
        )
        self.addCleanup(process.stop)
        return process

    async def ready_twistd(self, prefix: str = "") -> Process:
        """The same; it has read its targets."""
        process = self.twistd(prefix=prefix)
        await process.until(b"source vms: ")
        return process

    async def connect(self, endpoint: str = "", protocol: Talk | None = None) -> Talk:
        """A caller's connection to the daemon."""
        endpoint = endpoint or f"tcp:{HOST}:{self.port}"
        talk = protocol or Talk()
        await connectProtocol(clientFromString(reactor, endpoint), talk)
        # A TLS connection that is closed cannot be aborted.
        self.addCleanup(lambda: talk.transport.abortConnection() if talk.reason is None else None)
        return talk

    async def get(self, path: str, *headers: str, method: str = "GET", **where: Any) -> bytes:
        """All that comes back for a request on a connection of its own."""
        talk = await self.connect(**where)
        talk.send(request(path, "Connection: close", *headers, method=method))
        return await talk.ended

    async def scrape(self, upstream: Upstream, *headers: str, **options: Any) -> bytes:
        """All that comes back for a scrape of this one."""
        return await self.get(scrape_path(upstream.address), *headers, **options)


def scrape_path(address: str) -> str:
    return f"/singleTargetMetrics/vms/{address}"


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request's bytes."""
    lines = [f"{method} {path} HTTP/{version}", "Host: proxy.example", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def pause() -> Deferred[None]:
    """A turn of the reactor, and a moment."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0.005, turned.callback, None)
    return turned
