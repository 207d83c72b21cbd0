"""Tests of promproxy.outbound.client."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import NoToken, Unreachable
from promproxy.outbound.client import Outbound, Profile, Profiles, router_from
from promproxy.outbound.guard import Guard
from promproxy.outbound.networks import Networks, network
from promproxy.outbound.no_proxy import NoProxy
from promproxy.outbound.oauth2 import Token
from promproxy.outbound.origin import HttpProxy, Origin
from promproxy.outbound.tokens import Tokens
from promproxy.targets.target import Target
from tests.fakes import FakeConnection, make_response, make_target

LINES = b"Accept: */*\r\n"


@define(eq=False)
class RecordingAgent:
    """Keeps what it is to send."""

    sent: list[tuple[Origin, bytes, bool]] = field(factory=list)
    closed: Deferred[None] = field(factory=Deferred)
    statuses: list[int] = field(factory=list)
    connections: list[FakeConnection] = field(factory=list)

    def send(self, origin: Origin, head: bytes, *, head_only: bool = False) -> Deferred[Any]:
        self.sent.append((origin, head, head_only))
        response, connection = make_response(self.statuses.pop(0) if self.statuses else 200)
        self.connections.append(connection)
        return succeed(response)

    def close(self) -> Deferred[None]:
        return self.closed


class OutboundTests(SynchronousTestCase):
    """From a target to a request's bytes."""

    def setUp(self) -> None:
        self.plain, self.special = RecordingAgent(), RecordingAgent()
        profile: Any = Profile
        by_name = {
            "": profile(agent=self.plain),
            "special": profile(agent=self.special, authorization=b"Basic c2VjcmV0"),
        }
        self.outbound = Outbound(Profiles(by_name))

    def test_tunnelled_target(self) -> None:
        """In absolute form with the port, by the tunnel's agent; https is the client's affair."""
        tunnel = RecordingAgent()
        self.outbound = Outbound(Profiles(self.outbound.profiles.by_name, tunnel=tunnel))
        for changes, url in (
            ({}, "http://web-1:80/metrics"),
            ({"port": 9100, "query": "a=b"}, "http://web-1:9100/metrics?a=b"),
            ({"port": 443, "scheme": "https"}, "http://web-1:443/metrics?_scheme=https"),
            (
                {"scheme": "https", "query": "a=b", "port": 80},
                "http://web-1:80/metrics?a=b&_scheme=https",
            ),
        ):
            self.send(make_target("web-1", is_tunnelled=True, **changes), b"HEAD")
            origin, request, head_only = tunnel.sent.pop()
            self.assertEqual(request.split(b"\r\n")[0], f"HEAD {url} HTTP/1.1".encode())
            self.assertEqual(request.count(LINES), 1)
            self.assertEqual((origin.host, head_only), ("web-1", True))
        self.assertEqual(self.plain.sent, [])

    def send(self, target: Target, method: bytes = b"GET") -> None:
        self.outbound.send(self.outbound.profiles.template_for(target), method, LINES)

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
        self.outbound.use({"": profile(agent=self.plain, proxy=proxy)})
        _, lines = self.sent()
        self.assertEqual(lines[0], "GET http://h.example:9100/metrics HTTP/1.1")

    def test_proxy_is_passed_by_where_no_proxy_says_so(self) -> None:
        """Does not learn of it; with a router that is what counts."""
        proxy = HttpProxy(
            host="proxy.example",
            port=3128,
            authorization=b"Basic cHJveHk=",
            no_proxy=NoProxy("h.example,10.0.0.5"),
        )
        profile: Any = Profile
        self.outbound.use({"": profile(agent=self.plain, proxy=proxy)})
        origin, lines = self.sent()
        self.assertIsNone(origin.proxy)
        self.assertEqual(lines[0], "GET /metrics HTTP/1.1")
        self.assertNotIn("Proxy-Authorization", " ".join(lines))
        origin, lines = self.sent(host="other.example")
        self.assertEqual(origin.proxy, proxy)
        self.assertIn("Proxy-Authorization: Basic cHJveHk=", lines)
        self.assertIsNone(self.sent(router="http://10.0.0.5")[0].proxy)
        self.assertEqual(self.sent(router="http://10.0.0.6")[0].proxy, proxy)

    def test_proxy_that_wants_other_credentials(self) -> None:
        """Not the target's answer; without a proxy 407 is one like any other."""
        target = make_target()
        self.plain.statuses = [407, 407]
        answer = self.outbound.send(self.outbound.profiles.template_for(target), b"GET", LINES)
        self.assertEqual(self.successResultOf(answer).code, 407)
        profile: Any = Profile
        proxy = HttpProxy(host="proxy.example", port=3128)
        self.outbound.use({"": profile(agent=self.plain, proxy=proxy)})
        sending = self.outbound.send(self.outbound.profiles.template_for(target), b"GET", LINES)
        failure = self.failureResultOf(sending, Unreachable)
        self.assertEqual(failure.value.reason, "HTTP proxy asks for other credentials")
        self.assertTrue(self.plain.connections[-1].aborted)

    def test_guard(self) -> None:
        """Concerns hosts that sources name, not those of our own configuration."""
        denied = Networks((network("169.254.0.0/16"),))
        guard = Guard(denied=denied, sources=frozenset({"vms"}), own_hosts=frozenset({"ours"}))
        profile: Any = Profile
        profiles: Any = {"": profile(agent=self.plain)}
        self.outbound.use(profiles, guard=guard)
        self.assertEqual(self.sent()[0].denied, denied)
        for changes in ({"router": "http://10.0.0.5"}, {"host": "ours"}, {"source": "files"}):
            self.assertIsNone(self.sent(**changes)[0].denied)
        self.outbound.use(profiles)
        self.assertIsNone(self.sent()[0].denied)

    def test_guarded_target_shares_no_connection_with_others(self) -> None:
        """One that another may have been led to."""
        free = Origin(scheme="http", host="h", port=1)
        guarded = Origin(scheme="http", host="h", port=1, denied=Networks())
        self.assertNotEqual(free.key, guarded.key)

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


class TokenTests(SynchronousTestCase):
    """A profile whose credentials are tokens."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[Token]] = []
        self.agent, self.token_agent = RecordingAgent(), RecordingAgent()
        profile: Any = Profile
        tokens = Tokens(self.ask, self.clock, lambda: 0.0)
        only = profile(agent=self.agent, tokens=tokens, token_agent=self.token_agent)
        self.outbound = Outbound(Profiles({"": only}))
        self.template = self.outbound.profiles.template_for(make_target())

    async def ask(self) -> Token:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def send(self) -> Deferred[Any]:
        return self.outbound.send(self.template, b"GET", LINES)

    def give(self, access: str) -> None:
        self.asked[-1].callback(Token(access, 3600.0))

    @property
    def shown(self) -> list[str]:
        """The Authorization of each request that went to the target."""
        heads = [head.decode() for _, head, _ in self.agent.sent]
        for head in heads:
            self.assertTrue(head.endswith("\r\nAccept: */*\r\n\r\n"), head)
        return [head.partition("Authorization: ")[2].partition("\r\n")[0] for head in heads]

    def test_waits_for_the_first_token_and_then_sends_at_once(self) -> None:
        """A token that is there costs no turn of the reactor."""
        first = self.send()
        self.assertEqual(self.shown, [])
        self.give("t-1")
        self.assertEqual(self.successResultOf(first).code, 200)
        self.successResultOf(self.send())
        self.assertEqual(self.shown, ["Bearer t-1"] * 2)
        self.assertEqual((len(self.asked), self.clock.getDelayedCalls()), (1, []))

    def test_refused_token_is_renewed_once(self) -> None:
        """The refusal is not read any further; what the second try yields is the answer."""
        self.agent.statuses = [401, 401]
        sending = self.send()
        self.give("t-1")
        self.assertEqual((len(self.asked), self.agent.connections[0].aborted), (2, True))
        self.give("t-2")
        self.assertEqual(self.successResultOf(sending).code, 401)
        self.assertEqual(self.shown, ["Bearer t-1", "Bearer t-2"])
        self.assertFalse(self.agent.connections[1].aborted)

    def test_refusal_just_after_another_is_the_answer(self) -> None:
        """The token server is not asked with each scrape."""
        self.agent.statuses = [401, 401, 401]
        sending = self.send()
        self.give("t-1")
        self.give("t-2")
        self.successResultOf(sending)
        self.assertEqual(self.successResultOf(self.send()).code, 401)
        self.assertEqual((len(self.asked), len(self.agent.sent)), (2, 3))
        self.assertFalse(self.agent.connections[2].aborted)

    def test_no_token(self) -> None:
        """The target is not asked without."""
        sending = self.send()
        self.asked[-1].errback(NoToken("no token from there"))
        self.failureResultOf(sending, NoToken)
        self.assertEqual(self.agent.sent, [])

    def test_cancelled_while_it_waits(self) -> None:
        """Nothing is sent later."""
        sending = self.send()
        sending.cancel()
        self.failureResultOf(sending)
        self.give("t-1")
        self.assertEqual(self.agent.sent, [])

    def test_close(self) -> None:
        """Whoever waits for a token is told, and the token server's connections close too."""
        sending = self.send()
        closing = self.outbound.close()
        self.failureResultOf(sending, NoToken)
        self.agent.closed.callback(None)
        self.assertNoResult(closing)
        self.token_agent.closed.callback(None)
        self.successResultOf(closing)
