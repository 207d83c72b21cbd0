"""Tests of promproxy.daemon.service."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text
from promproxy.config.schema import Config
from promproxy.daemon.runtime import LAST_HEADS_SECONDS, STOP_SECONDS
from promproxy.daemon.service import Daemon, address_text, make_daemon, raise_file_limit
from promproxy.errors import ConfigError
from promproxy.server.permissions import PAGES
from tests.fakes import Caller, MemoryReactor, Wire, pull_by_clock, settle

SCRAPE = "/singleTargetMetrics/vms/192.0.2.1:9100"


class ServiceTestCase(SynchronousTestCase):
    """A whole daemon on a reactor in memory."""

    def make(self, text: str = "", *taken: int) -> Daemon:
        self.make_folder()
        self.reactor = MemoryReactor(*taken)
        pull_by_clock(self, self.reactor)
        self.text = text or "sources: [{name: vms, files: {paths: ['*.json']}}]"
        self.states: list[str] = []
        return make_daemon(self.load(), self.reactor, load=self.load, on_state=self.states.append)

    def make_folder(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "targets.json").write_text(json.dumps([{"targets": ["192.0.2.1:9100"]}]))

    def load(self) -> Config:
        """What the configuration says now."""
        return config_from_text(self.text, self.folder / "promproxy.yml", {})

    def start(self, text: str = "") -> Daemon:
        daemon = self.make(text)
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        daemon.privilegedStartService()
        daemon.startService()
        settle(self.reactor)
        return daemon

    def caller(self) -> Caller:
        """A connection to the first listener."""
        return Caller(self.reactor.tcpServers[0][1], self.reactor)

    def upstream(self) -> tuple[Any, Wire]:
        """The newest connection that the daemon asked for is made: its protocol and its wire."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 9100))
        wire = Wire()
        protocol.makeConnection(wire)
        return protocol, wire


class AddressTextTests(SynchronousTestCase):
    def test_as_an_operator_writes_it(self) -> None:
        for address, text in (
            (IPv4Address("TCP", "127.0.0.1", 80), "127.0.0.1:80"),
            (IPv6Address("TCP", "::1", 80), "[::1]:80"),
            (UNIXAddress(b"/run/p"), "/run/p"),
        ):
            self.assertEqual(address_text(address), text)


class StartTests(ServiceTestCase):
    """From a configuration to answers."""

    def test_making_a_daemon_does_nothing_yet(self) -> None:
        """`promproxy check` makes one too."""
        self.make()
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_listens_before_privileges_are_dropped_and_refreshes_after(self) -> None:
        """As a port below 1024 wants it."""
        daemon = self.make()
        daemon.privilegedStartService()
        self.assertEqual([server[0] for server in self.reactor.tcpServers], [8080])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        daemon.startService()
        settle(self.reactor)
        self.assertEqual(self.caller().get("/-/ready").status, 200)

    def test_every_page_is_there(self) -> None:
        """The document lists the target and ourselves."""
        self.start()
        for path in ("/", "/metrics", "/promregatorMetrics", "/-/healthy", "/-/ready"):
            self.assertEqual(self.caller().get(path).status, 200, path)
        groups = json.loads(self.caller().get("/discovery").body)
        paths = [group["labels"]["__metrics_path__"] for group in groups]
        self.assertEqual(paths, [SCRAPE, "/metrics"])

    def test_every_page_says_which_one_it_is(self) -> None:
        """So that the gate knows what it takes; only folders do not."""
        self.start("sources: [{name: nat, pushprox: {}}]\nmerged: {}")
        left, seen, pages = [self.reactor.tcpServers[0][1].resource], set(), set()
        while left:
            resource = left.pop()
            seen.add(resource)
            left += set(resource.children.values()) - seen
            if hasattr(resource, "page"):
                pages.add(resource.page)
            else:
                self.assertEqual(type(resource).__name__, "_Folder")
        self.assertEqual(pages, set(PAGES))

    def test_several_endpoints_serve_the_same(self) -> None:
        """IPv6 among them."""
        listen = r"listen: ['tcp:8080:interface=127.0.0.1', 'tcp6:8081:interface=\:\:1']"
        daemon = self.start(listen)
        servers = [(server[0], server[3]) for server in self.reactor.tcpServers]
        self.assertEqual(servers, [(8080, "127.0.0.1"), (8081, "::1")])
        self.assertIs(self.reactor.tcpServers[0][1], self.reactor.tcpServers[1][1])
        self.successResultOf(daemon.stopService())

    def test_taken_port_ends_the_start_with_one_line(self) -> None:
        """Which names the endpoint and the system's reason."""
        daemon = self.make("listen: ['tcp:1', 'tcp:2']", 2)
        error = self.assertRaises(SystemExit, daemon.privilegedStartService)
        self.assertEqual(str(error), "promproxy: cannot listen on tcp:2: in use, says the system")

    def test_bad_endpoint_is_an_error_of_the_configuration(self) -> None:
        for endpoint in ("8080x", "tcp", "tcp:x", "nonsense:1", "tcp:1:2:3:4:5"):
            error = self.assertRaises(ConfigError, self.make, f"listen: ['{endpoint}']")
            self.assertIn(f"'{endpoint}' is not an endpoint such as tcp:8080", str(error))

    def test_configuration_reaches_every_part(self) -> None:
        """Prefix, scheme, address, our own metrics, timeouts."""
        self.start(
            "discovery: {address: 'p:443', scheme: https, path_prefix: /x, own_metrics: false}\n"
            "scrape: {default_timeout: 4s, timeout_offset: 1s}\n"
            "sources: [{name: vms, files: {paths: ['*.json']}}]"
        )
        caller = self.caller()
        (group,) = json.loads(caller.get("/x/discovery").body)
        self.assertEqual(group["targets"], ["p:443"])
        self.assertEqual(group["labels"]["__scheme__"], "https")
        self.assertEqual(group["labels"]["__metrics_path__"], f"/x{SCRAPE}")
        caller.send("GET", f"/x{SCRAPE}")
        self.reactor.advance(3)
        self.assertEqual(caller.answer().status, 504)

    def test_soft_limit_of_open_files_becomes_the_hard_one(self) -> None:
        """Every connection takes one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        raise_file_limit()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (hard, hard))

    def test_no_core_is_written(self) -> None:
        """It would hold every secret; the hard limit is left to whoever needs one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.start()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_CORE), (0, hard))


class StopTests(ServiceTestCase):
    """The end."""

    def setUp(self) -> None:
        self.daemon = self.start()

    def begin_scrape(self) -> Caller:
        caller = self.caller()
        caller.send("GET", SCRAPE, X_Prometheus_Scrape_Timeout_Seconds="60")
        return caller

    def assert_nothing_is_left(self, *callers: Caller) -> None:
        for caller in callers:
            caller.leave()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_idle_daemon_stops_at_once(self) -> None:
        """Nothing is left in the reactor."""
        self.successResultOf(self.daemon.stopService())
        self.assert_nothing_is_left()

    def test_daemon_that_never_started_stops(self) -> None:
        """As after a failed start."""
        self.successResultOf(self.make().stopService())

    def test_scrape_under_way_is_answered(self) -> None:
        """The stop waits for it."""
        caller = self.begin_scrape()
        upstream, _ = self.upstream()
        stopping = self.daemon.stopService()
        self.reactor.advance(STOP_SECONDS - 0.1)
        self.assertNoResult(stopping)
        upstream.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
        self.assertEqual(caller.answer().body, b"up")
        upstream.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopping)
        self.assert_nothing_is_left(caller)

    def test_caller_that_was_let_in_just_before_is_answered(self) -> None:
        """It had no time to ask; with a socket from systemd nobody else would hear it."""
        caller = self.caller()
        stopping = self.daemon.stopService()
        self.reactor.advance(LAST_HEADS_SECONDS / 2)
        self.assertNoResult(stopping)
        self.assertEqual(caller.get("/-/healthy").status, 200)
        self.reactor.advance(0.1)
        self.successResultOf(stopping)
        self.assert_nothing_is_left(caller)

    def test_caller_that_asks_for_nothing_is_not_waited_for_long(self) -> None:
        caller = self.caller()
        stopping = self.daemon.stopService()
        self.reactor.pump([LAST_HEADS_SECONDS / 50] * 52)
        self.successResultOf(stopping)
        self.assert_nothing_is_left(caller)

    def test_wait_for_scrapes_is_bounded(self) -> None:
        """5 s; then they end with an error."""
        caller = self.begin_scrape()
        _, wire = self.upstream()
        stopping = self.daemon.stopService()
        self.reactor.advance(STOP_SECONDS - 0.1)
        self.assertEqual(caller.wire_bytes(), b"")
        self.reactor.advance(0.1)
        self.assertEqual(caller.answer().status, 503)
        self.assertTrue(wire.aborted)
        self.successResultOf(stopping)
        self.assert_nothing_is_left(caller)

    def test_idle_upstream_connections_are_closed(self) -> None:
        caller = self.begin_scrape()
        upstream, wire = self.upstream()
        upstream.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
        stopping = self.daemon.stopService()
        self.assertTrue(wire.disconnecting)
        self.assertNoResult(stopping)
        upstream.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopping)
        self.assert_nothing_is_left(caller)
