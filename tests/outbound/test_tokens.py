"""Tests of promproxy.outbound.tokens."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface.verify import verifyObject

from promproxy.errors import NoToken
from promproxy.outbound.oauth2 import Token
from promproxy.outbound.tokens import SECONDS_BETWEEN_REFUSED, TokenAgent, Tokens
from tests.fakes import make_response


class TokensTestCase(SynchronousTestCase):
    """A keeper of tokens on a clock; the test answers what it asks."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[Token]] = []
        self.cancelled = 0
        self.tokens = Tokens(self.ask, self.clock, lambda: 0.0)

    async def ask(self) -> Token:
        def count(_asking: object) -> None:
            self.cancelled += 1

        self.asked.append(Deferred(count))
        return await self.asked[-1]

    def give(self, access: str = "t-1", seconds: float = 3600.0) -> None:
        self.asked[-1].callback(Token(access, seconds))

    def give_first(self, **token: Any) -> None:
        getting = self.tokens.get()
        self.give(**token)
        self.successResultOf(getting)

    def fail_with(self, reason: str = "no token from there: status 401") -> None:
        self.asked[-1].errback(NoToken(reason))


class CacheTests(TokensTestCase):
    """How long a token serves."""

    def test_first_one_is_waited_for_by_all(self) -> None:
        """One request serves them."""
        self.assertIsNone(self.tokens.value)
        waiting = [self.tokens.get() for _ in range(3)]
        self.assertEqual(len(self.asked), 1)
        self.give()
        for each in waiting:
            self.assertEqual(self.successResultOf(each), b"Bearer t-1")
        self.assertEqual(self.tokens.value, b"Bearer t-1")

    def test_one_who_leaves_does_not_end_it_for_the_others(self) -> None:
        """Nor for those who come later, even if the server is slower than any scrape."""
        first, second = self.tokens.get(), self.tokens.get()
        first.cancel()
        self.failureResultOf(first)
        second.cancel()
        self.failureResultOf(second)
        self.assertEqual(self.cancelled, 0)
        self.give()
        self.assertEqual(self.tokens.value, b"Bearer t-1")

    def test_renewed_before_it_expires_while_nobody_waits(self) -> None:
        """The old one serves meanwhile."""
        self.give_first(seconds=3600.0)
        self.clock.advance(3539)
        self.assertEqual((self.tokens.value, len(self.asked)), (b"Bearer t-1", 1))
        self.clock.advance(1)
        self.assertEqual((self.tokens.value, len(self.asked)), (b"Bearer t-1", 2))
        self.assertEqual((self.tokens.value, len(self.asked)), (b"Bearer t-1", 2))
        self.give("t-2")
        self.assertEqual(self.tokens.value, b"Bearer t-2")

    def test_not_sent_in_its_last_seconds(self) -> None:
        """It must be good when it arrives."""
        self.give_first(seconds=3600.0)
        self.clock.advance(3594.9)
        self.assertEqual(self.tokens.value, b"Bearer t-1")
        self.clock.advance(0.1)
        self.assertIsNone(self.tokens.value)

    def test_short_life(self) -> None:
        """Half of it is used."""
        self.give_first(seconds=8.0)
        self.clock.advance(3.9)
        self.assertEqual((self.tokens.value, len(self.asked)), (b"Bearer t-1", 1))
        self.clock.advance(0.1)
        self.assertIsNone(self.tokens.value)
        self.assertEqual(len(self.asked), 2)

    def test_no_end_of_life(self) -> None:
        """It serves until it is refused."""
        self.give_first(seconds=math.inf)
        self.clock.advance(1e9)
        self.assertEqual((self.tokens.value, len(self.asked)), (b"Bearer t-1", 1))

    def test_nothing_secret_in_a_repr(self) -> None:
        self.give_first()
        self.assertNotIn("t-1", repr(self.tokens))


class FailureTests(TokensTestCase):
    """A token server that gives none."""

    def test_all_who_wait_are_told(self) -> None:
        waiting = [self.tokens.get() for _ in range(2)]
        self.fail_with("no token from there: status 401")
        for each in waiting:
            error = self.failureResultOf(each, NoToken).value
            self.assertEqual(str(error), "no token from there: status 401")

    def test_not_hammered(self) -> None:
        """5 s at first, twice as long each time, 5 min at most; whoever comes is told at once."""
        for pause in (5, 10, 20, 40, 80, 160, 300, 300):
            before = len(self.asked)
            getting = self.tokens.get()
            self.assertEqual(len(self.asked), before + 1)
            self.fail_with()
            self.failureResultOf(getting, NoToken)
            self.clock.advance(pause - 0.1)
            self.failureResultOf(self.tokens.get(), NoToken)
            self.assertEqual(len(self.asked), before + 1)
            self.clock.advance(0.1)

    def test_somebody_who_asks_does_not_wait(self) -> None:
        self.tokens.get().addErrback(lambda _: None)
        self.fail_with()
        self.failureResultOf(self.tokens.get(), NoToken)
        self.tokens.reset_backoff()
        self.give_first()
        self.assertEqual(self.tokens.value, b"Bearer t-1")

    def test_serves_again_after_it(self) -> None:
        """The next failure begins with 5 s again."""
        for _ in range(3):
            self.tokens.get().addErrback(lambda _: None)
            self.fail_with()
            self.clock.advance(300)
        self.give_first(seconds=120.0)
        self.clock.advance(119)
        getting = self.tokens.get()
        self.fail_with()
        self.failureResultOf(getting, NoToken)
        self.clock.advance(4.9)
        self.assertIsNone(self.tokens.value)
        self.assertEqual(len(self.asked), 5)
        self.clock.advance(0.1)
        self.assertIsNone(self.tokens.value)
        self.assertEqual(len(self.asked), 6)

    def test_old_token_serves_while_it_is_good(self) -> None:
        """A token server that is away for less than a minute is not noticed."""
        self.give_first(seconds=3600.0)
        self.clock.advance(3540)
        self.assertEqual(self.tokens.value, b"Bearer t-1")
        self.fail_with()
        self.assertEqual(self.successResultOf(self.tokens.get()), b"Bearer t-1")
        self.clock.advance(5)
        self.assertEqual((self.tokens.value, len(self.asked)), (b"Bearer t-1", 3))

    def test_logged_once_for_each_reason(self) -> None:
        """When it is over."""
        with capturedLogs() as events:
            for reason in ("a", "a", "b"):
                self.tokens.get().addErrback(lambda _: None)
                self.fail_with(reason)
                self.clock.advance(300)
            self.give_first()
        self.assertEqual([event["error"] for event in events], ["a", "b", "b"])

    def test_unexpected_error(self) -> None:
        """Is logged in full, and those who wait are told of none of it."""
        getting = self.tokens.get()
        self.asked[-1].errback(RuntimeError("hunter2"))
        error = self.failureResultOf(getting, NoToken).value
        self.assertNotIn("hunter2", str(error))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_stop(self) -> None:
        """Gives the request up, and says so."""
        getting = self.tokens.get()
        self.tokens.stop()
        self.failureResultOf(getting, NoToken)
        self.assertEqual((self.cancelled, self.clock.getDelayedCalls()), (1, []))
        self.tokens.stop()


class RefusedTests(TokensTestCase):
    """A target that does not accept the token."""

    def test_another_one_is_asked_for_and_the_old_one_serves_meanwhile(self) -> None:
        """Other targets may like it."""
        self.give_first()
        self.assertTrue(self.tokens.refused(b"Bearer t-1"))
        getting = self.tokens.get(other_than=b"Bearer t-1")
        self.assertNoResult(getting)
        self.assertEqual(self.tokens.value, b"Bearer t-1")
        self.give("t-2")
        self.assertEqual(self.successResultOf(getting), b"Bearer t-2")

    def test_one_that_was_renewed_meanwhile(self) -> None:
        """The new one is there already."""
        self.give_first()
        self.tokens.refused(b"Bearer t-1")
        self.tokens.get(other_than=b"Bearer t-1")
        self.give("t-2")
        self.assertTrue(self.tokens.refused(b"Bearer t-1"))
        another = self.tokens.get(other_than=b"Bearer t-1")
        self.assertEqual(self.successResultOf(another), b"Bearer t-2")
        self.assertEqual(len(self.asked), 2)

    def test_target_that_refuses_every_token_costs_one_a_minute(self) -> None:
        """Its refusals are passed on in between."""
        self.give_first()
        self.assertTrue(self.tokens.refused(b"Bearer t-1"))
        self.tokens.get(other_than=b"Bearer t-1")
        self.give("t-2")
        self.clock.advance(SECONDS_BETWEEN_REFUSED - 1)
        self.assertFalse(self.tokens.refused(b"Bearer t-2"))
        self.assertEqual(self.tokens.value, b"Bearer t-2")
        self.clock.advance(1)
        self.assertTrue(self.tokens.refused(b"Bearer t-2"))

    def test_server_that_gives_the_same_one_again(self) -> None:
        """It is what there is."""
        self.give_first()
        self.tokens.refused(b"Bearer t-1")
        getting = self.tokens.get(other_than=b"Bearer t-1")
        self.give("t-1")
        self.assertEqual(self.successResultOf(getting), b"Bearer t-1")

    def test_server_that_fails(self) -> None:
        """Whoever waits for another is told; the old one serves others on."""
        self.give_first()
        self.tokens.refused(b"Bearer t-1")
        getting = self.tokens.get(other_than=b"Bearer t-1")
        self.fail_with()
        self.failureResultOf(getting, NoToken)
        self.assertEqual(self.tokens.value, b"Bearer t-1")
        self.clock.advance(SECONDS_BETWEEN_REFUSED)
        self.assertEqual(self.tokens.value, b"Bearer t-1")  # and asks again
        self.fail_with()
        self.assertFalse(self.tokens.refused(b"Bearer t-1"))


class FakeAgent:
    """Answers with these statuses, one after the other."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.sent: list[tuple[bytes, bytes, Headers, Any]] = []

    async def _answer(self) -> Any:
        return make_response(self.statuses.pop(0))[0]

    def request(self, method: bytes, uri: bytes, headers: Headers, producer: Any) -> Deferred[Any]:
        self.sent.append((method, uri, headers, producer))
        return Deferred.fromCoroutine(self._answer())


class TokenAgentTests(TokensTestCase):
    """An agent that shows tokens."""

    def agent(self, *statuses: int) -> TokenAgent:
        self.inner: Any = FakeAgent(*statuses)
        self.give_first()
        return TokenAgent(self.inner, self.tokens)

    def shown(self) -> list[list[bytes]]:
        return [headers.getRawHeaders(b"Authorization") for _, _, headers, _ in self.inner.sent]

    def test_interface(self) -> None:
        verifyObject(IAgent, self.agent())

    def test_token_is_shown_beside_the_headers(self) -> None:
        """Those of the caller stay as they are."""
        headers = Headers({"Accept": ["a"]})
        agent = self.agent(200)
        got: Any = self.successResultOf(agent.request(b"GET", b"http://a/", headers))
        self.assertEqual((got.code, self.shown()), (200, [[b"Bearer t-1"]]))
        self.assertEqual(self.inner.sent[0][2].getRawHeaders("Accept"), ["a"])
        self.assertFalse(headers.hasHeader("Authorization"))

    def test_refused_once(self) -> None:
        """Sent again with another token; whatever comes then is the answer."""
        for second in (200, 401):
            self.setUp()
            begun = self.agent(401, second).request(b"GET", b"http://a/")
            self.give("t-2")
            got: Any = self.successResultOf(begun)
            self.assertEqual((got.code, self.shown()), (second, [[b"Bearer t-1"], [b"Bearer t-2"]]))

    def test_request_with_a_body_is_not_sent_twice(self) -> None:
        """Its producer has produced."""
        producer: Any = object()
        got: Any = self.successResultOf(
            self.agent(401).request(b"POST", b"http://a/", None, producer)
        )
        self.assertEqual(got.code, 401)

    def test_no_token(self) -> None:
        """It fails, with nothing sent."""
        self.inner = FakeAgent()
        begun = TokenAgent(self.inner, self.tokens).request(b"GET", b"http://a/")
        self.fail_with()
        self.failureResultOf(begun, NoToken)
        self.assertEqual(self.inner.sent, [])
