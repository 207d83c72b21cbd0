"""Tests of promproxy.sources.cloud_foundry.api."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import DeadlinePassed, SourceError, Unreachable
from promproxy.outbound.fetch import Answer
from promproxy.secret import Secret
from promproxy.sources.cloud_foundry.api import Api, PageTooLarge, PageTooSlow
from promproxy.sources.cloud_foundry.uaa import Credentials
from tests.fakes import settle
from tests.simulation.support import sample
from tests.sources.cloud_foundry.support import (
    Asked,
    FakeFetcher,
    answer,
    answer_in_turn,
    begin,
    pass_time,
)

URL = "https://api.example.org"
GOOD = answer({"good": 1})
EXPIRED = answer(sample("error_401"), 401)
BUSY = answer(b"<html>", 503)
CREDENTIALS = Credentials(username="scraper", password=Secret("secret"))


class ApiTestCase(SynchronousTestCase):
    """An API without a rate limit of ours, on a clock, and with no jitter."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tokens = 0

    def api(
        self,
        *answers: Any,
        root: Any = None,
        url: str = URL,
        rate: float = 0.0,
        random: Callable[[], float] = lambda: 0.5,
    ) -> Api:
        """An API that gives these answers to what is neither its root nor UAA's."""
        root = answer(sample("root")) if root is None else root
        in_turn = answer_in_turn(*answers)

        def answering(asked: Asked) -> Any:
            if asked.url == f"{url.rstrip('/')}/":
                return root
            if asked.path == "/oauth/token":
                self.tokens += 1
                return answer({"access_token": f"t-{self.tokens}", "expires_in": 1200})
            return in_turn(asked)

        self.fetcher = FakeFetcher(self.clock, answering)
        return Api.with_login(url, self.fetcher, self.clock, random, rate, CREDENTIALS)

    def begin(self, api: Api, path: str = "/v3/apps") -> Deferred[str]:
        return begin(api.get(path), self.clock)

    def get(self, api: Api) -> str:
        """The text, when all that must be waited for is over."""
        begun = self.begin(api)
        pass_time(self.clock, begun)
        return self.successResultOf(begun)

    def error(self, api: Api, kind: type[SourceError] = SourceError) -> str:
        begun = self.begin(api)
        pass_time(self.clock, begun)
        failure = self.failureResultOf(begun, kind)
        self.assertIs(failure.type, kind)
        return str(failure.value)

    @property
    def asked(self) -> list[Asked]:
        """The requests to the API, without the root."""
        return [a for a in self.fetcher.asked if a.url.startswith(URL) and a.path != "/"]

    @property
    def moments(self) -> list[float]:
        return [round(asked.at, 3) for asked in self.asked]

    @property
    def used(self) -> list[str]:
        return [asked.headers["Authorization"] for asked in self.asked]


class LoginTests(ApiTestCase):
    """Root, UAA, token."""

    def test_uaa_is_found_by_the_root_once(self) -> None:
        """Which needs no token; then one token serves all requests."""
        api = self.api(GOOD, url=f"{URL}/")
        self.assertEqual(self.get(api), '{"good": 1}')
        self.get(api)
        self.assertEqual(
            [asked.url for asked in self.fetcher.asked],
            [f"{URL}/", "https://uaa.example.org/oauth/token", *[f"{URL}/v3/apps"] * 2],
        )
        self.assertNotIn("Authorization", self.fetcher.asked[0].headers)
        self.assertEqual(self.used, ["bearer t-1"] * 2)
        self.assertEqual(self.asked[0].headers["Accept"], "application/json")

    def test_login_stands_in_for_uaa(self) -> None:
        """Both are the same server."""
        links = {"uaa": None, "login": {"href": "https://login.example.org/"}}
        self.get(self.api(GOOD, root=answer({"links": links})))
        self.assertEqual(self.fetcher.asked[1].url, "https://login.example.org/oauth/token")

    def test_root_that_names_no_uaa(self) -> None:
        """Some other server, or garbage."""
        for document in (
            {},
            {"links": None},
            {"links": {}},
            {"links": {"uaa": None, "login": None}},
            {"links": {"uaa": "https://x"}},
            {"links": []},
            b'{"links":',
            b'{"links":' + b"[" * 100_000,
        ):
            message = self.error(self.api(GOOD, root=answer(document)))
            self.assertIn(f"GET {URL}/: no Cloud Foundry API", message)

    def test_uaa_whose_address_will_not_do(self) -> None:
        """The password goes there."""
        bad = (5, "", "uaa.example.org", "file:///etc/passwd", "ftp://x", "https://", ["https://x"])
        worse = ("https://u:p@x", "https://x:0", "https://x:99999", "https://[::1", "https://a b")
        for href in (*bad, *worse, "https://x\r\nHost: y", "https://é"):
            message = self.error(self.api(GOOD, root=answer({"links": {"uaa": {"href": href}}})))
            self.assertIn("UAA", message)
        http = answer({"links": {"uaa": {"href": "http://uaa.example.org"}}})
        self.assertIn("https", self.error(self.api(GOOD, root=http)))
        self.assertEqual(self.tokens, 0)

    def test_http_is_good_enough_where_the_api_is_http_too(self) -> None:
        """As in a simulation."""
        http = answer({"links": {"uaa": {"href": "http://uaa.example.org"}}})
        api = self.api(GOOD, root=http, url="http://api.example.org")
        self.assertEqual(self.get(api), '{"good": 1}')

    def test_root_that_cannot_be_had(self) -> None:
        """Asked for again by whoever comes next."""
        for root, expected in (
            (answer(b"404", 404, X_Cf_RouterError="unknown_route"), "from the router"),
            (answer(b"<html>", 502), "status 502"),
            (Unreachable("connection refused"), "connection refused"),
            (DeadlinePassed("too late"), "too late"),
        ):
            answers = [root, answer(sample("root"))]
            api = self.api(GOOD)
            before = self.fetcher.answering

            def answering(asked: Asked, answers: list[Any] = answers, before: Any = before) -> Any:
                return answers.pop(0) if asked.path == "/" else before(asked)

            self.fetcher.answering = answering
            self.assertIn(expected, self.error(api))
            self.assertEqual(self.get(api), '{"good": 1}')


class TokenTests(ApiTestCase):
    """Tokens that the API does not accept."""

    def test_one_401_renews_the_token_and_asks_again(self) -> None:
        self.assertEqual(self.get(self.api(EXPIRED, GOOD)), '{"good": 1}')
        self.assertEqual(self.used, ["bearer t-1", "bearer t-2"])
        self.assertEqual(self.moments, [0.0, 0.0])

    def test_second_401_is_an_error(self) -> None:
        """A third token would not be better."""
        message = self.error(self.api(EXPIRED))
        self.assertIn("status 401, CF-InvalidAuthToken", message)
        self.assertEqual((len(self.asked), self.tokens), (2, 2))

    def test_many_requests_with_an_expired_token_renew_it_once(self) -> None:
        """Whoever learns of it later takes the new one."""
        waiting: list[Deferred[Answer]] = []

        def answering(asked: Asked) -> Any:
            if asked.headers["Authorization"] == "bearer t-1":
                waiting.append(Deferred())
                return waiting[-1]
            return GOOD

        api = self.api(GOOD)
        in_turn = self.fetcher.answering
        self.fetcher.answering = lambda a: answering(a) if a.path == "/v3/apps" else in_turn(a)
        begun = [self.begin(api) for _ in range(3)]
        for one in waiting:
            one.callback(EXPIRED)
            settle(self.clock)
        self.assertEqual([self.successResultOf(one) for one in begun], ['{"good": 1}'] * 3)
        self.assertEqual(self.tokens, 2)

    def test_missing_scope_is_not_retried(self) -> None:
        """A new token would most likely lack it too."""
        message = self.error(self.api(answer(sample("error_403"), 403)))
        self.assertIn("cloud_controller.read", message)
        self.assertEqual((len(self.asked), self.tokens), (1, 1))

    def test_granted_scope_is_in_the_token_of_the_next_refresh(self) -> None:
        """However long the one without it is good."""
        api = self.api(answer(sample("error_403"), 403), GOOD)
        self.error(api)
        self.get(api)
        self.assertEqual((len(self.asked), self.tokens), (2, 2))


class RetryTests(ApiTestCase):
    """What is asked again, and when."""

    def test_waits_grow(self) -> None:
        """About 1 s, then 2 s; the third answer counts."""
        self.assertEqual(self.get(self.api(BUSY, Unreachable("no"), GOOD)), '{"good": 1}')
        self.assertEqual(self.moments, [0.0, 1.0, 3.0])

    def test_jitter_is_a_quarter_either_way(self) -> None:
        """Replicas do not come back all at once."""
        for random, moments in ((0.0, [0.0, 0.75, 2.25]), (1.0, [0.0, 1.25, 3.75])):
            self.clock = Clock()
            self.get(self.api(BUSY, BUSY, GOOD, random=lambda r=random: r))
            self.assertEqual(self.moments, moments)

    def test_third_failure_is_an_error(self) -> None:
        """Which says what the last answer was."""
        message = self.error(self.api(BUSY, BUSY, answer(sample("error_500"), 500), GOOD))
        self.assertIn(f"GET {URL}/v3/apps: status 500, UnknownError", message)
        self.assertEqual(len(self.asked), 3)

    def test_gorouter_s_404_is_retried(self) -> None:
        """It says that the API is down."""
        gone = answer(b"404 Not Found", 404, X_Cf_RouterError="unknown_route")
        self.assertEqual(self.get(self.api(gone, GOOD)), '{"good": 1}')

    def test_what_is_wrong_with_the_question_is_not_retried(self) -> None:
        """It would be wrong again."""
        self.error(self.api(answer(sample("error_400"), 400)))
        self.assertEqual(len(self.asked), 1)

    def test_text_that_is_no_utf_8(self) -> None:
        """As good as none."""
        self.assertIn("not UTF-8", self.error(self.api(answer(b'{"\xff\xfe'))))
        self.assertEqual(len(self.asked), 3)

    def test_page_sizes(self) -> None:
        """Refused, or too slow: whoever chose it must choose another, at once."""
        refused = answer(sample("error_400_per_page"), 400)
        self.assertIn("Per page", self.error(self.api(refused), PageTooLarge))
        self.assertIn("30 s", self.error(self.api(DeadlinePassed("in 30 s")), PageTooSlow))
        self.assertEqual(len(self.asked), 1)

    def test_cancelled_wait(self) -> None:
        """Nothing is left of it, and its place is free."""
        api = self.api(*[BUSY] * 3, GOOD)
        begun = [self.begin(api) for _ in range(3)]
        for one in begun:
            one.cancel()
            self.failureResultOf(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.get(api), '{"good": 1}')

    def test_long_queries_are_not_repeated_in_errors(self) -> None:
        """Guids by the dozen help nobody."""
        begun = self.begin(
            self.api(answer(sample("error_400"), 400)), f"/v3/apps?guids={'g,' * 999}"
        )
        self.assertIn("/v3/apps?…:", str(self.failureResultOf(begun).value))


class TheirRateLimitTests(ApiTestCase):
    """Status 429."""

    def limited(self, **headers: str) -> Answer:
        return answer(sample("error_429"), 429, **headers)

    def test_short_wait_is_obeyed(self) -> None:
        api = self.api(self.limited(Retry_After="20"), GOOD)
        first = self.begin(api)
        self.clock.advance(5)
        second = self.begin(api)
        pass_time(self.clock, second)
        self.successResultOf(first)
        self.assertEqual(self.moments, [0.0, 20.0, 20.0])

    def test_reset_is_obeyed(self) -> None:
        """A moment, by our clock."""
        self.clock.advance(1.7e9)
        self.get(self.api(self.limited(X_RateLimit_Reset="1700000025"), GOOD))
        self.assertEqual(self.moments, [1.7e9, 1.7e9 + 25])

    def test_without_a_time_we_choose(self) -> None:
        """As after any other failure; also when the time makes no sense."""
        for headers in ({}, {"Retry_After": "inf"}, {"Retry_After": "soon"}):
            self.clock = Clock()
            self.get(self.api(self.limited(**headers), GOOD))
            self.assertEqual(self.moments, [0.0, 1.0])

    def test_long_wait_fails_at_once_and_nothing_is_asked_until_then(self) -> None:
        """Each request before that fails without being sent."""
        api = self.api(self.limited(Retry_After="300"), GOOD)
        self.assertIn("rate limited for 300 s more", self.error(api))
        self.clock.advance(200)
        self.assertIn("rate limited for 100 s more", self.error(api))
        self.assertEqual(self.moments, [0.0])
        self.clock.advance(80)
        self.get(api)
        self.assertEqual(self.moments, [0.0, 300.0])

    def test_whatever_we_are_told_has_a_ceiling(self) -> None:
        """The limit is asked about again then; an hour's, a moment's, a date's."""
        far = "Fri, 31 Dec 9999 23:59:59 GMT"
        for headers in (
            {"Retry_After": "3600"},
            {"Retry_After": "1796099501"},
            {"Retry_After": far},
            {"Retry_After": "1e300"},
            {"X_RateLimit_Reset": "99999999999"},
        ):
            self.clock = Clock()
            api = self.api(self.limited(**headers), GOOD)
            self.assertIn("rate limited for 300 s more", self.error(api))
            self.clock.advance(300)
            self.get(api)
            self.assertEqual(self.moments, [0.0, 300.0])

    def test_somebody_who_asks_is_not_told_to_wait(self) -> None:
        api = self.api(self.limited(Retry_After="300"), GOOD)
        self.error(api)
        api.reset_backoff()
        self.get(api)
        self.assertEqual(self.moments, [0.0, 0.0])

    def test_pauses_under_way_end_for_somebody_who_asks(self) -> None:
        """Those for a limit, and those after a failure."""
        for first in (self.limited(Retry_After="20"), BUSY):
            self.clock = Clock()
            api = self.api(first, GOOD)
            begun = self.begin(api)
            self.assertNoResult(begun)
            api.reset_backoff()
            pass_time(self.clock, begun, 0.0)
            self.successResultOf(begun)

    def test_limit_met_by_the_last_attempt_is_remembered(self) -> None:
        """It holds for whatever comes next."""
        api = self.api(BUSY, BUSY, self.limited(Retry_After="3600"), GOOD)
        self.error(api)
        self.assertIn("rate limited", self.error(api))
        self.assertEqual(len(self.asked), 3)

    def test_shorter_wait_does_not_shorten_a_longer_one(self) -> None:
        """Of two requests that were refused at the same time."""
        waiting: list[Deferred[Answer]] = []

        def later(_: Asked) -> Deferred[Answer]:
            waiting.append(Deferred())
            return waiting[-1]

        api = self.api(GOOD)
        in_turn = self.fetcher.answering
        self.fetcher.answering = lambda a: later(a) if a.path == "/v3/apps" else in_turn(a)
        begun = [self.begin(api) for _ in range(2)]
        waiting[0].callback(self.limited(Retry_After="200"))
        waiting[1].callback(self.limited(Retry_After="1"))
        for one in begun:
            self.assertIn("rate limited for 200 s", str(self.failureResultOf(one).value))

    def test_zero_does_not_mean_without_end(self) -> None:
        """Three attempts, then an error."""
        self.error(self.api(self.limited(Retry_After="0")))
        self.assertEqual(len(self.asked), 3)


class OurLimitTests(ApiTestCase):
    """What we allow ourselves."""

    def test_requests_are_spaced(self) -> None:
        """The root counts too; UAA is another server."""
        api = self.api(GOOD, rate=2.0)
        begun = [self.begin(api) for _ in range(4)]
        pass_time(self.clock, begun[-1])
        self.assertEqual(self.moments, [0.5, 1.0, 1.5, 2.0])
        self.clock.advance(100)
        self.get(api)
        self.get(api)
        self.assertEqual(self.moments[4:], [102.0, 102.5])

    def test_three_at_a_time(self) -> None:
        """Each that ends makes room for one."""
        waiting: list[Deferred[Answer]] = []

        def later(_: Asked) -> Deferred[Answer]:
            waiting.append(Deferred())
            return waiting[-1]

        api = self.api(GOOD)
        in_turn = self.fetcher.answering
        self.fetcher.answering = lambda a: later(a) if a.path == "/v3/apps" else in_turn(a)
        begun = [self.begin(api) for _ in range(5)]
        self.assertEqual(len(waiting), 3)
        waiting[1].callback(GOOD)
        settle(self.clock)
        self.assertEqual(len(waiting), 4)
        waiting[0].errback(Unreachable("no"))
        settle(self.clock)
        self.assertEqual(len(waiting), 4)  # it waits to ask again, and keeps its place
        begun[2].cancel()
        self.failureResultOf(begun[2])
        self.assertEqual(len(waiting), 5)
