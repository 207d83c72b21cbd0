"""Tests of promproxy.http.outbound."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from promproxy.http.origin import HttpProxy, Origin
from promproxy.http.outbound import Outbound, Profile, router_from
from promproxy.target import Target
from tests.fakes import make_target

LINES = b"Accept: */*\r\n"


@define(eq=False)
class RecordingAgent:
    """Keeps what it is to send."""

    sent: list[tuple[Origin, bytes, bool]] = field(factory=list)
    closed: Deferred[None] = field(factory=Deferred)

    def send(self, origin: Origin, head: bytes, *, head_only: bool = False) -> Deferred[Any]:
        self.sent.append((origin, head, head_only))
        return succeed(None)

    def close(self) -> Deferred[None]:
        return self.closed


class OutboundTests(SynchronousTestCase):
    """From a target to a request's bytes."""

    def setUp(self) -> None:
        self.plain, self.special = RecordingAgent(), RecordingAgent()
        profile: Any = Profile
        self.outbound = Outbound(
            {
                "": profile(agent=self.plain),
                "special": profile(agent=self.special, authorization=b"Basic c2VjcmV0"),
            }
        )

    def send(self, target: Target, method: bytes = b"GET") -> None:
        self.outbound.send(self.outbound.prepare(target), method, LINES)

    def sent(self, method: bytes = b"GET", **changes: Any) -> tuple[Origin, list[str]]:
        """Where it goes, and its lines."""
        self.send(make_target("h.example:9100", **changes), method)
        origin, head, _ = (self.plain.sent + self.special.sent)[-1]
        *lines, end, nothing = head.decode().split("\r\n")
        self.assertEqual((end, nothing), ("", ""))
        return origin, lines

    def test_request_is_whole(self) -> None:
        """Path and query, Host, the headers given."""
        _, lines = self.sent(path="/m", query="a=1")
        self.assertEqual(lines, ["GET /m?a=1 HTTP/1.1", "Host: h.example:9100", "Accept: */*"])
        self.assertIs(self.plain.sent[0][2], False)

    def test_head_is_announced(self) -> None:
        """Its answer has no body."""
        _, lines = self.sent(b"HEAD")
        self.assertEqual(lines[0], "HEAD /metrics HTTP/1.1")
        self.assertIs(self.plain.sent[0][2], True)

    def test_credentials_go_to_the_targets_of_their_profile_only(self) -> None:
        """Neither bytes nor connections are shared."""
        _, lines = self.sent(outbound="special")
        self.assertIn("Authorization: Basic c2VjcmV0", lines)
        self.assertEqual((len(self.special.sent), len(self.plain.sent)), (1, 0))
        self.send(make_target())
        self.assertNotIn(b"Authorization", self.plain.sent[0][1])

    def test_router_is_connected_to_and_the_host_stays(self) -> None:
        """The router's scheme and port."""
        origin, lines = self.sent(router="https://10.0.0.5")
        self.assertEqual(lines[1], "Host: h.example:9100")
        self.assertEqual((origin.peer, origin.tls), (("10.0.0.5", 443), True))

    def test_routers(self) -> None:
        """With and without a port; IPv6."""
        for url, expected in (
            ("http://r", ("http", "r", 80)),
            ("https://r:8443", ("https", "r", 8443)),
            ("http://[2001:db8::1]:81", ("http", "2001:db8::1", 81)),
        ):
            router = router_from(url)
            assert router is not None
            self.assertEqual((router.scheme, router.host, router.port), expected)
        self.assertIsNone(router_from(""))

    def test_proxy_of_the_profile(self) -> None:
        """A plain request names the whole URL."""
        profile: Any = Profile
        proxy = HttpProxy(host="proxy.example", port=3128)
        self.outbound = Outbound({"": profile(agent=self.plain, proxy=proxy)})
        _, lines = self.sent()
        self.assertEqual(lines[0], "GET http://h.example:9100/metrics HTTP/1.1")

    def test_origin_of_a_target_is_made_once(self) -> None:
        """Targets of one host share it."""
        self.assertIs(self.sent()[0], self.sent()[0])

    def test_close_waits_for_every_profile(self) -> None:
        """Fires when all connections are closed."""
        closing = self.outbound.close()
        self.plain.closed.callback(None)
        self.assertNoResult(closing)
        self.special.closed.callback(None)
        self.successResultOf(closing)
