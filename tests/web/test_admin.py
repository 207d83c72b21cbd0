"""Tests of promproxy.web.admin."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy.web.admin import InvalidateResource, RefreshResource
from tests.fakes import Answer, Caller, ScriptedSource, Wire, delivery_of, make_registry, settle

LOCAL = IPv4Address("TCP", "127.0.0.1", 5)
REMOTE = IPv4Address("TCP", "192.0.2.1", 5)


class AdminTestCase(SynchronousTestCase):
    """Both resources over two sources that were read 100 s ago."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sources = [ScriptedSource([delivery_of("a:1", source=n)], name=n) for n in "xy"]
        registry = make_registry(self.clock, *self.sources)
        registry.start()
        settle(self.clock)
        self.roots = {is_open: self.root(registry, is_open=is_open) for is_open in (True, False)}

    def root(self, registry: Any, *, is_open: bool) -> Resource:
        root = Resource()
        root.putChild(b"refresh", RefreshResource(registry, is_open=is_open))
        root.putChild(b"invalidate", InvalidateResource(registry, is_open=is_open))
        return root

    def ask(self, method: str, path: str, peer: Any = LOCAL, *, is_open: bool = False) -> Answer:
        caller = Caller(self.roots[is_open], self.clock, wire=Wire(peerAddress=peer))
        caller.send(method, path)
        return caller.answer()

    @property
    def calls(self) -> list[int]:
        """How often each source was asked again."""
        settle(self.clock)
        return [source.calls - 1 for source in self.sources]


class RefreshTests(AdminTestCase):
    """POST /-/refresh."""

    def test_all_sources(self) -> None:
        """They are asked at once."""
        answer = self.ask("POST", "/refresh")
        self.assertEqual((answer.status, answer.body), (202, b"refreshing all sources\n"))
        self.assertEqual(self.calls, [1, 1])

    def test_one_source(self) -> None:
        """The others are not."""
        answer = self.ask("POST", "/refresh?source=y")
        self.assertEqual((answer.status, answer.body), (202, b"refreshing y\n"))
        self.assertEqual(self.calls, [0, 1])

    def test_unknown_source(self) -> None:
        """404, which names those that there are; nothing is asked."""
        for name in ("z", "", "x%00", "%ff", "x,y"):
            answer = self.ask("POST", f"/refresh?source={name}")
            expected = (404, b"no such source; there are: x, y\n")
            self.assertEqual((answer.status, answer.body), expected)
        self.assertEqual(self.calls, [0, 0])

    def test_other_methods(self) -> None:
        """A link that someone follows does nothing."""
        for method in ("GET", "HEAD"):
            self.assertEqual(self.ask(method, "/refresh").status, 405)
        for method in ("PUT", "DELETE"):
            self.assertIn(self.ask(method, "/refresh").status, (405, 501))
        self.assertEqual(self.calls, [0, 0])


class InvalidateTests(AdminTestCase):
    """GET /cache/invalidate, as Promregator has it."""

    def test_any_of_its_caches(self) -> None:
        """204 without a body; all sources are asked."""
        answer = self.ask("GET", "/invalidate?org=1&space=1&source=nope")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(self.calls, [1, 1])

    def test_other_methods(self) -> None:
        """Promregator has none."""
        self.assertEqual(self.ask("POST", "/invalidate").status, 405)


class CallerTests(AdminTestCase):
    """Who may ask."""

    def statuses(self, peer: Any, *, is_open: bool = False) -> tuple[int, int]:
        refresh = self.ask("POST", "/refresh", peer, is_open=is_open)
        return refresh.status, self.ask("GET", "/invalidate", peer, is_open=is_open).status

    def test_callers_on_this_host(self) -> None:
        """However the address is written, and through a socket in the file system."""
        for peer in (
            LOCAL,
            IPv4Address("TCP", "127.8.9.10", 5),
            IPv6Address("TCP", "::1", 5),
            IPv6Address("TCP", "::ffff:127.0.0.1", 5),
            UNIXAddress(None),
            UNIXAddress(b"/run/x"),
        ):
            self.assertEqual(self.statuses(peer), (202, 204), peer)

    def test_callers_from_elsewhere(self) -> None:
        """403, and nothing is asked; not even which sources there are is told."""
        for peer in (
            REMOTE,
            IPv4Address("TCP", "10.0.0.1", 5),
            IPv6Address("TCP", "2001:db8::1", 5),
            IPv6Address("TCP", "fe80::1%eth0", 5),
            IPv6Address("TCP", "::ffff:192.0.2.1", 5),
            IPv6Address("TCP", "::", 5),
        ):
            self.assertEqual(self.statuses(peer), (403, 403), peer)
            self.assertEqual(self.ask("POST", "/refresh?source=z", peer).status, 403)
        self.assertEqual(self.calls, [0, 0])
        self.assertIn(b"open_admin", self.ask("POST", "/refresh", REMOTE).body)

    def test_headers_cannot_make_a_caller_local(self) -> None:
        """Only the connection counts."""
        caller = Caller(self.roots[False], self.clock, wire=Wire(peerAddress=REMOTE))
        caller.send("POST", "/refresh", X_Forwarded_For="127.0.0.1", Forwarded="for=127.0.0.1")
        self.assertEqual(caller.answer().status, 403)

    def test_open_admin(self) -> None:
        """Anybody may."""
        self.assertEqual(self.statuses(REMOTE, is_open=True), (202, 204))
        self.assertEqual(self.ask("POST", "/refresh?source=z", REMOTE, is_open=True).status, 404)
