"""Tests of promproxy.server.endpoints."""

from __future__ import annotations

from pathlib import Path

import yaml
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.server.endpoints import BACKLOG, endpoint, make_endpoint
from promproxy.settings.node import ConfigNode


class EndpointTests(SynchronousTestCase):
    """What the reactor is asked for."""

    def backlog(self, description: str) -> int:
        reactor = MemoryReactor()
        self.successResultOf(make_endpoint(reactor, description).listen(Factory()))
        asked = [*reactor.tcpServers, *reactor.unixServers]
        return int(asked[0][2])

    def test_many_callers_may_wait_to_be_accepted(self) -> None:
        """More than Twisted's 50, whatever the kind."""
        for text in ("tcp:8080", r"tcp6:8080:interface=\:\:1", "unix:/nowhere/socket:mode=600"):
            self.assertEqual(self.backlog(text), BACKLOG, text)

    def test_what_the_description_says_of_it_holds(self) -> None:
        """An operator may know better."""
        self.assertEqual(self.backlog("tcp:8080:backlog=7"), 7)

    def test_host_and_port(self) -> None:
        """As Go's servers take them, IPv6 in brackets; without a host it is all of IPv4."""
        for text, port, interface in (
            ("0.0.0.0:8080", 8080, "0.0.0.0"),
            (":9115", 9115, ""),
            ("localhost:80", 80, "localhost"),
            ("scrape.example.org:80", 80, "scrape.example.org"),
            ("[::1]:8080", 8080, "::1"),
        ):
            reactor = MemoryReactor()
            self.successResultOf(make_endpoint(reactor, text).listen(Factory()))
            ((found, _, backlog, at),) = reactor.tcpServers
            self.assertEqual((found, at, backlog), (port, interface, BACKLOG), text)

    def test_files_are_read_later(self) -> None:
        """By the daemon; until then a missing one may still come."""
        text = "ssl:8443:privateKey=/nowhere/x.pem"
        node = ConfigNode(
            content=yaml.compose(f"'{text}'"), file=Path("x"), line=1, path="", environ={}
        )
        self.assertEqual(endpoint(node), text)

    def test_no_endpoint(self) -> None:
        """The message names it as it was written."""
        for text in ("8080", "tcp:http", "nonsense:1", "", "[::1]", "::1:8080", "0.0.0.0:99999"):
            error = self.assertRaises(ConfigError, make_endpoint, MemoryReactor(), text)
            self.assertIn(f"{text!r} is not an endpoint", str(error))

    def test_no_port(self) -> None:
        """Told when the configuration is read, not by a traceback of the socket at the start."""
        for text in ("tcp:65536", "tcp6:99999:interface=\\:\\:1", "tcp:port=99999:backlog=7"):
            error = self.assertRaises(ConfigError, make_endpoint, MemoryReactor(), text)
            self.assertIn(f"{text!r} is not an endpoint", str(error))
            self.assertIn("a port is at most 65535", str(error))
        self.assertEqual(self.backlog("tcp:65535"), BACKLOG)
