"""A whole daemon in memory, between callers and targets that speak nearly HTTP.

Where the request is a good one, `tests.http.reference` says what its answer has to be.
"""

from __future__ import annotations

import gc
import json
import re
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet import task
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Cooperator
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from promproxy.config.load import config_from_text
from promproxy.daemon.service import make_daemon
from tests.fakes import Caller, MemoryReactor, Wire, settle
from tests.fuzz.mutation import cut, mutated
from tests.http import reference

TARGET = "192.0.2.1:9100"
SCRAPE = f"/singleTargetMetrics/vms/{TARGET}".encode()
CONFIG = """
listen: ["tcp:8080"]
sources:
  - {name: vms, refresh_interval: 1h, files: {paths: [targets.json]}}
  - {name: nat, pushprox: {startup_hold: 0s}}
"""
LINES = b" HTTP/1.1\r\nHost: p:8080\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n"
POLL = b"POST /poll HTTP/1.1\r\nHost: p\r\n"
PUSHED = b"HTTP/1.1 200 OK\r\nId: %b\r\nContent-Length: 2\r\n\r\nup"
REQUESTS = (
    *(b"GET " + SCRAPE + LINES + b"\r\n", b"HEAD " + SCRAPE + LINES + b"\r\n"),
    b"GET " + SCRAPE + LINES + b"Accept-Encoding: gzip\r\nVia: 1.1 x\r\nConnection: close\r\n\r\n",
    b"GET " + SCRAPE + b" HTTP/1.0\r\n\r\n",
    *(
        b"GET /discovery?source=vms" + LINES + b'If-None-Match: "x"\r\n\r\n',
        b"GET /?text=x&sort=oldest" + LINES + b"\r\n",
    ),
    *(b"GET /metrics" + LINES + b"\r\n", b"GET /api/v1/targets?limit=5&offset=1" + LINES + b"\r\n"),
    *(
        b"GET http://client.example:9100/metrics" + LINES + b"\r\n",
        b"GET /clients" + LINES + b"\r\n",
    ),
    b"POST /-/refresh" + LINES + b"Content-Length: 0\r\n\r\n",
    POLL + b"Content-Length: 14\r\n\r\nclient.example",
    POLL + b"Transfer-Encoding: chunked\r\n\r\n7\r\nclient.\r\n7;x=y\r\nexample\r\n0\r\n\r\n",
    b"POST /push HTTP/1.1\r\nHost: p\r\nContent-Length: 54\r\n\r\n" + PUSHED % b"0f0f0f0f-aaaa",
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nup 1\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nup 1\n\r\n3;a=b\r\nx 2\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n\x1f\x8b\x08\x00up",
    b"HTTP/1.0 200 OK\r\n\r\nup 1\nup 2\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nX-Cf-RouterError: unknown_route\r\n\r\noops",
    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
)
REDIRECTS = (301, 302, 303, 307, 308)  # which are not followed
#: All that promproxy may ever send to a target.
ASKED = re.compile(
    rb"((GET|HEAD) /metrics HTTP/1\.1\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\0\r\n]*\r\n)+\r\n)+"
)


@define(eq=False)
class Target:
    """One connection that promproxy has made to a target."""

    protocol: Any
    wire: Wire = field(factory=lambda: Wire())
    is_over: bool = False

    def send(self, data: bytes) -> None:
        """Some of an answer."""
        if not (self.is_over or self.wire.aborted or self.wire.disconnecting):
            self.protocol.dataReceived(data)

    def end(self, *, clean: bool = True) -> None:
        """The connection ends."""
        if not self.is_over:
            self.is_over = True
            self.protocol.connectionLost(Failure(ConnectionDone() if clean else ConnectionLost()))


class ScrapesWorld:
    """One daemon. Time stands still but where a case lets it go on."""

    doing = ""

    def __init__(self, random: Random) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="promproxy-fuzz-")
        folder = Path(self._folder.name)
        (folder / "targets.json").write_text(json.dumps([{"targets": [TARGET]}]))
        self.reactor = MemoryReactor()
        # Twisted pulls from pull producers by the global reactor, which does not run here.
        task._theCooperator = Cooperator(  # type: ignore[attr-defined]
            lambda: lambda: True, partial(self.reactor.callLater, 0)
        )
        self.daemon = make_daemon(config_from_text(CONFIG, folder / "p.yml", {}), self.reactor)
        self.daemon.privilegedStartService()
        self.daemon.startService()
        gc.unfreeze()  # there are many daemons here
        settle(self.reactor)
        self.site = self.reactor.tcpServers[0][1]
        self.targets: list[Target] = []
        self.said: list[str] = []
        globalLogPublisher.addObserver(self._note)

    def _note(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            failure = event.get("log_failure")
            trace = "" if failure is None else f"\n{failure.getTraceback()}"
            self.said.append(f"{formatEvent(event)}{trace}")

    def case(self, random: Random) -> None:
        """One connection of a caller."""
        caller = Caller(self.site, self.reactor)
        try:
            kind = random.choice((self._good_request, self._any_requests, self._push))
            self.doing = kind.__name__
            kind(random, caller)
        finally:
            self._end(caller)
        assert not self.said, self.said
        assert not self.site.connections._open, "a connection is still known"
        assert "promproxy_scrapes_in_flight 0.0" in self._metrics(), "a scrape goes on"

    def _good_request(self, random: Random, caller: Caller) -> None:
        """A scrape: what comes of it is what comes of the target's answer."""
        method = random.choice(("GET", "GET", "HEAD"))
        caller.send(method, SCRAPE.decode())
        settle(self.reactor)
        (target,) = self._connected(random, refuse=0.0)
        self._check_asked(target)
        data, clean = mutated(random, ANSWERS), random.random() < 0.7
        for piece in cut(random, data):
            target.send(piece)
            settle(self.reactor)
        target.end(clean=clean)
        settle(self.reactor)
        expected = reference.read(data, head_only=method == "HEAD", clean=clean)
        found = reference.read(
            caller.wire.value(), head_only=method == "HEAD", clean=not caller.wire.aborted
        )
        verdict = (found.end, found.code)
        if expected.end == "bad" or expected.code in REDIRECTS:
            assert verdict == ("done", 502), (data, found)
        elif expected.end == "cut":
            assert found.end == "cut" or found.code == 502, (data, found)
        else:
            assert verdict == ("done", expected.code), (data, expected, found)
            assert found.body == expected.body, (data, expected, found)

    def _push(self, random: Random, caller: Caller) -> None:
        """A scrape that a client fetches: what comes of it is what comes of the client's push."""
        client, pushing = Caller(self.site, self.reactor), Caller(self.site, self.reactor)
        client.channel.dataReceived(POLL + b"Content-Length: 14\r\n\r\nclient.example")
        settle(self.reactor)
        caller.send("GET", "http://client.example:9100/metrics")
        settle(self.reactor)
        found = re.search(rb"\r\nId: ([!-~]+)\r\n", client.wire.value())
        assert found is not None, client.wire.value()
        body = mutated(
            random,
            [
                PUSHED % found[1],
                *(a.replace(b"\r\n", b"\r\nId: %b\r\n" % found[1], 1) for a in ANSWERS),
            ],
        )
        head = b"POST /push HTTP/1.1\r\nHost: p\r\nContent-Length: %d\r\n\r\n" % len(body)
        for piece in cut(random, head + body):
            if not _is_closed(pushing):
                pushing.channel.dataReceived(piece)
                settle(self.reactor)
        taken = pushing.wire.value().startswith(b"HTTP/1.1 200 ")
        self.reactor.advance(20)
        settle(self.reactor)
        answer = reference.read(caller.wire.value(), head_only=False, clean=not caller.wire.aborted)
        expected = reference.read(body, head_only=False, clean=True)
        for one in (client, pushing):
            one.leave()
        if expected.code in REDIRECTS:
            assert answer.code in (502, 504), (body, answer)
        elif taken:
            assert (answer.end, answer.code) == ("done", expected.code), (body, expected, answer)
            assert answer.body == expected.body, (body, expected, answer)
        else:
            assert answer.code in (502, 504) or answer.end == "cut", (body, expected, answer)

    def _any_requests(self, random: Random, caller: Caller) -> None:
        """Requests of any kind, some of them nearly right, while targets and time go on."""
        data = b"".join(mutated(random, REQUESTS) for _ in range(random.randint(1, 3)))
        for piece in cut(random, data):
            if _is_closed(caller):
                break
            caller.channel.dataReceived(piece)
            self._answer(random)
            if random.random() < 0.1:
                self.reactor.advance(random.choice((0.01, 1.0, 11.0)))
        for _ in range(3):
            self._answer(random)
        said = caller.wire.value()
        head = said.partition(b"\r\n\r\n")[0].removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert not said or reference._head(head.split(b"\r\n")) is not None, said[:500]

    def _answer(self, random: Random) -> None:
        """Every target that was asked answers, or does something else."""
        settle(self.reactor)
        self.targets += self._connected(random, refuse=0.1)
        for target in list(self.targets):
            if not target.wire.value():
                continue
            self._check_asked(target)
            for piece in cut(random, mutated(random, ANSWERS)):
                target.send(piece)
                settle(self.reactor)
            if random.random() < 0.3:
                target.end(clean=random.random() < 0.5)
        settle(self.reactor)

    def _connected(self, random: Random, refuse: float) -> list[Target]:
        """The connections that were asked for since the last time."""
        found = []
        while self.reactor.tcpClients:
            host, port, factory, _, _ = self.reactor.tcpClients.pop(0)
            connector = self.reactor.connectors.pop(0)
            assert f"{host}:{port}" == TARGET, f"a connection to {host}:{port}"
            if connector.stoppedConnecting:  # its scrape is over
                continue
            if random.random() < refuse:
                factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
                continue
            target = Target(factory.buildProtocol(IPv4Address("TCP", host, port)))
            if target.protocol is not None:
                target.protocol.makeConnection(target.wire)
                found.append(target)
        self.targets += [target for target in found if target not in self.targets]
        return found

    def _check_asked(self, target: Target) -> None:
        asked = target.wire.value()
        assert ASKED.fullmatch(asked), asked
        target.wire.clear()

    def _end(self, caller: Caller) -> None:
        """All connections end, and all deadlines pass."""
        settle(self.reactor)
        caller.leave()
        for target in self.targets:
            target.end()
        self.targets.clear()
        self.reactor.advance(400)
        settle(self.reactor)
        self.reactor.tcpClients.clear()
        self.reactor.connectors.clear()

    def _metrics(self) -> str:
        found = self.daemon._runtime.metrics.in_flight
        return f"promproxy_scrapes_in_flight {found._value.get()}"

    def close(self) -> None:
        """Stop the daemon, of which nothing may be left."""
        stopping = self.daemon.stopService()
        for _ in range(20):
            self.reactor.advance(1)
        globalLogPublisher.removeObserver(self._note)
        self._folder.cleanup()
        assert stopping.called, "the daemon does not stop"
        assert not self.reactor.getDelayedCalls(), self.reactor.getDelayedCalls()
        assert not self.said, self.said


def _is_closed(caller: Caller) -> bool:
    return caller.wire.aborted or caller.wire.disconnecting
