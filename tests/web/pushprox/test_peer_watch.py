"""Tests of promproxy.web.pushprox.peer_watch."""

from __future__ import annotations

import socket
from typing import Any

from attrs import frozen
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from promproxy.web.pushprox.peer_watch import expect_to_be_heard, watch_peer


@frozen
class Plain:
    """As Twisted's TCP transports have it."""

    socket: socket.socket


@frozen
class Encrypted:
    """As Twisted's TLS has it."""

    transport: Plain


class PeerWatchTests(SynchronousTestCase):
    def tcp(self, family: int = socket.AF_INET) -> socket.socket:
        made = socket.socket(family)
        self.addCleanup(made.close)
        return made

    def options(self, tcp: socket.socket) -> list[int]:
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        return [tcp.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]

    def check(self, tcp: socket.socket, transport: Any) -> None:
        watch_peer(transport)
        self.assertEqual(tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        self.assertEqual(self.options(tcp), [15, 5, 3, 0])
        expect_to_be_heard(transport)
        self.assertEqual(self.options(tcp)[-1], 4000)
        watch_peer(transport)
        self.assertEqual(self.options(tcp)[-1], 0)

    def test_plain_and_encrypted(self) -> None:
        """Signs of life while it waits, and a limit for what it is sent, until it polls again."""
        for family in (socket.AF_INET, socket.AF_INET6):
            tcp = self.tcp(family)
            self.check(tcp, Plain(tcp))
            self.check(tcp, Encrypted(Plain(tcp)))

    def test_what_has_no_such_options(self) -> None:
        """In memory, and a socket in the file system: nothing is done."""
        unix = self.tcp(socket.AF_UNIX)
        for transport in (StringTransport(), Plain(unix)):
            watch_peer(transport)
            expect_to_be_heard(transport)
