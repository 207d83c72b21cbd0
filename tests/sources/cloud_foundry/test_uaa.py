"""Tests of promproxy.sources.cloud_foundry.uaa."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import DeadlinePassed, SourceError, Unreachable
from promproxy.outbound.fetch import Answer
from promproxy.secret import Secret
from promproxy.simulation.uaa import Client
from promproxy.sources.cloud_foundry.uaa import SECONDS_AFTER_REFUSAL, Credentials, TokenKeeper
from tests.simulation.support import World, sample
from tests.sources.cloud_foundry.support import (
    Answering,
    FakeFetcher,
    answer,
    answer_in_turn,
    answer_of,
    begin,
)

URL = "https://uaa.example"
USER = Credentials(username="scraper", password=Secret("secret"))
CLIENT = Credentials(client_id="monitor", client_secret=Secret("secret"))


def token(access: str = "t-1", refresh: str | None = "r-1", expires_in: Any = 1200) -> Answer:
    """A token as UAA issues it."""
    return answer({"access_token": access, "expires_in": expires_in, "refresh_token": refresh})


REFUSED = answer(sample("token_error"), 401)


class UaaTestCase(SynchronousTestCase):
    """A keeper on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()

    def keeper(self, answering: Answering, credentials: Credentials = USER) -> TokenKeeper:
        self.fetcher = FakeFetcher(self.clock, answering)
        return TokenKeeper(self.fetcher, self.clock, credentials, lambda: succeed(URL))

    def get(self, keeper: TokenKeeper) -> str:
        return self.successResultOf(begin(keeper.token(), self.clock))

    def error(self, keeper: TokenKeeper) -> str:
        failure = self.failureResultOf(begin(keeper.token(), self.clock), SourceError)
        return str(failure.value)

    @property
    def grants(self) -> list[str]:
        return [(asked.form or {})["grant_type"] for asked in self.fetcher.asked]


class GrantTests(UaaTestCase):
    """What UAA is asked for."""

    def test_password(self) -> None:
        """Through the client cf, which has no secret; all in the body of a POST."""
        self.assertEqual(self.get(self.keeper(answer_in_turn(token()))), "t-1")
        (asked,) = self.fetcher.asked
        self.assertEqual((asked.method, asked.url), ("POST", f"{URL}/oauth/token"))
        form = {"grant_type": "password", "username": "scraper", "password": "secret"}
        self.assertEqual(asked.form, form)
        self.assertEqual(asked.headers["Authorization"], "Basic Y2Y6")
        self.assertEqual(asked.headers["Accept"], "application/json")

    def test_client_credentials(self) -> None:
        """The secret is in the header only."""
        self.get(self.keeper(answer_in_turn(token(refresh=None)), CLIENT))
        (asked,) = self.fetcher.asked
        self.assertEqual(asked.form, {"grant_type": "client_credentials"})
        expected = base64.b64encode(b"monitor:secret").decode()
        self.assertEqual(asked.headers["Authorization"], f"Basic {expected}")

    def test_client_and_secret_are_percent_encoded(self) -> None:
        odd = Credentials(client_id="a:b%", client_secret=Secret("ü+&"))
        self.get(self.keeper(answer_in_turn(token()), odd))
        sent = base64.b64decode(self.fetcher.asked[0].headers["Authorization"].partition(" ")[2])
        self.assertEqual(sent, b"a%3Ab%25:%C3%BC%2B%26")

    def test_uaa_that_decodes_only_what_is_called_encoded(self) -> None:
        """And one that always does: the same request is right for both."""
        odd = Credentials(client_id="a:b%", client_secret=Secret("ü+&%41"))
        for compatible in (False, True):
            world = World(clock=self.clock)
            world.simulation.faults.uri_encoding_compatibility = compatible
            grants = ("client_credentials",)
            world.simulation.uaa.clients["a:b%"] = Client(secret="ü+&%41", grants=grants)
            self.get(self.keeper(answer_of(world), odd))

    def test_recorded_answers(self) -> None:
        for name in ("token", "token_client_credentials", "token_refresh"):
            recorded = sample(name)
            keeper = self.keeper(answer_in_turn(answer(recorded)))
            self.assertEqual(self.get(keeper), recorded["access_token"])

    def test_simulated_uaa(self) -> None:
        """Both grants, and the renewal of both."""
        for credentials in (USER, CLIENT):
            world = World(clock=self.clock)
            keeper = self.keeper(answer_of(world), credentials)
            before = self.get(keeper)
            self.clock.advance(50_000)
            self.assertNotEqual(self.get(keeper), before)
        self.assertEqual(self.grants, ["client_credentials", "client_credentials"])


class RenewalTests(UaaTestCase):
    """When another token is asked for."""

    def test_token_is_kept_until_a_minute_before_its_end(self) -> None:
        """Then the refresh token is used."""
        keeper = self.keeper(answer_in_turn(token(), token("t-2")))
        for seconds, expected in ((0, "t-1"), (1139.9, "t-1"), (0.1, "t-2"), (1139.9, "t-2")):
            self.clock.advance(seconds)
            self.assertEqual(self.get(keeper), expected)
        self.assertEqual(self.grants, ["password", "refresh_token"])
        form = {"grant_type": "refresh_token", "refresh_token": "r-1"}
        self.assertEqual(self.fetcher.asked[1].form, form)

    def test_short_token_is_kept_for_half_of_its_life(self) -> None:
        """A minute before its end would be too early."""
        keeper = self.keeper(answer_in_turn(token(expires_in=60), token("t-2")))
        for seconds, expected in ((0, "t-1"), (29.9, "t-1"), (0.1, "t-2")):
            self.clock.advance(seconds)
            self.assertEqual(self.get(keeper), expected)

    def test_token_without_an_end_is_renewed_once_a_day(self) -> None:
        keeper = self.keeper(answer_in_turn(token(expires_in=1e12), token("t-2")))
        self.get(keeper)
        self.clock.advance(86_399)
        self.assertEqual(self.get(keeper), "t-1")
        self.clock.advance(1)
        self.assertEqual(self.get(keeper), "t-2")

    def test_rotated_refresh_token_is_the_next_one(self) -> None:
        """One that is not sent again stays good."""
        keeper = self.keeper(
            answer_in_turn(token(), token("t-2", "r-2"), token("t-3", None), token("t-4", ""))
        )
        for _ in range(5):
            self.get(keeper)
            self.clock.advance(1200)
        used = [(asked.form or {}).get("refresh_token") for asked in self.fetcher.asked]
        self.assertEqual(used, [None, "r-1", "r-2", "r-2", "r-2"])

    def test_simulated_rotation(self) -> None:
        """Where a refresh token is good once."""
        world = World(clock=self.clock)
        world.simulation.faults.rotate_refresh_tokens = True
        keeper = self.keeper(answer_of(world))
        for _ in range(4):
            self.get(keeper)
            self.clock.advance(1200)
        self.assertEqual(self.grants, ["password", *["refresh_token"] * 3])

    def test_refused_refresh_token_falls_back_to_the_credentials(self) -> None:
        """Whether it is 400 or 401, at once."""
        for status in (400, 401):
            refusal = answer(sample("token_error_refresh"), status)
            keeper = self.keeper(answer_in_turn(token(), refusal, token("t-2", "r-2")))
            self.get(keeper)
            self.clock.advance(1200)
            self.assertEqual(self.get(keeper), "t-2")
            self.assertEqual(self.grants, ["password", "refresh_token", "password"])

    def test_broken_renewal_keeps_the_refresh_token(self) -> None:
        """The credentials are not used for what time will heal."""
        keeper = self.keeper(
            answer_in_turn(token(), answer(b"", 503), Unreachable("no"), token("t-2"))
        )
        self.get(keeper)
        self.clock.advance(1200)
        self.assertIn("503", self.error(keeper))
        self.assertIn("no", self.error(keeper))
        self.assertEqual(self.get(keeper), "t-2")
        self.assertEqual(self.grants, ["password", *["refresh_token"] * 3])

    def test_token_that_the_api_refused_is_renewed(self) -> None:
        """Once, by however many requests it was refused."""
        keeper = self.keeper(answer_in_turn(token(), token("t-2")))
        self.get(keeper)
        keeper.refused("t-1")
        keeper.refused("t-1")
        self.assertEqual(self.get(keeper), "t-2")
        keeper.refused("t-1")
        self.assertEqual(self.get(keeper), "t-2")
        self.assertEqual(self.grants, ["password", "refresh_token"])

    def test_one_renewal_at_a_time(self) -> None:
        """All who wait for it share it."""
        waiting: Deferred[Answer] = Deferred()
        keeper = self.keeper(lambda _: waiting)
        begun = [begin(keeper.token(), self.clock) for _ in range(5)]
        self.assertEqual(len(self.fetcher.asked), 1)
        waiting.callback(token())
        self.assertEqual([self.successResultOf(one) for one in begun], ["t-1"] * 5)
        self.assertEqual(len(self.fetcher.asked), 1)

    def test_one_who_waits_may_leave(self) -> None:
        """The renewal goes on for the others, and if it is given up another one asks."""
        waiting: list[Deferred[Answer]] = []

        def answering(_: object) -> Deferred[Answer]:
            waiting.append(Deferred())
            return waiting[-1]

        keeper = self.keeper(answering)
        first, second, third = (begin(keeper.token(), self.clock) for _ in range(3))
        second.cancel()
        self.failureResultOf(second)
        first.cancel()
        self.failureResultOf(first)
        self.assertEqual(len(waiting), 2)
        waiting[1].callback(token())
        self.assertEqual(self.successResultOf(third), "t-1")


class RefusalTests(UaaTestCase):
    """Credentials that UAA does not accept; accounts lock after a few of these."""

    def test_refusal_is_remembered_for_a_quarter_of_an_hour(self) -> None:
        """However often a token is wanted."""
        for status in (400, 401):
            keeper = self.keeper(answer_in_turn(answer(sample("token_error"), status), token()))
            message = self.error(keeper)
            self.assertIn("user 'scraper'", message)
            self.assertIn("Bad credentials", message)
            self.assertIn("15 minutes", message)
            for _ in range(30):
                self.clock.advance(SECONDS_AFTER_REFUSAL / 30 - 0.01)
                self.assertEqual(self.error(keeper), message)
            self.assertEqual(len(self.fetcher.asked), 1)
            self.clock.advance(1)
            self.assertEqual(self.get(keeper), "t-1")

    def test_corrected_password_is_tried_at_once(self) -> None:
        """The file that holds it was mended."""
        path = Path(self.mktemp())
        path.write_text("wrong")
        credentials = Credentials(username="scraper", password=Secret(path=path))
        keeper = self.keeper(answer_in_turn(REFUSED, token()), credentials)
        self.error(keeper)
        self.error(keeper)
        path.write_text("right")
        self.assertEqual(self.get(keeper), "t-1")
        self.assertEqual(len(self.fetcher.asked), 2)

    def test_somebody_who_asks_has_it_tried_at_once(self) -> None:
        """The password is right again at UAA's side, such as after a lock."""
        keeper = self.keeper(answer_in_turn(REFUSED, token()))
        self.error(keeper)
        keeper.reset_backoff()
        self.assertEqual(self.get(keeper), "t-1")

    def test_account_is_never_locked(self) -> None:
        """In a day of wrong passwords, where the simulated UAA locks after five in a row."""
        world = World(clock=self.clock)
        wrong = Credentials(username="scraper", password=Secret("wrong"))
        keeper = self.keeper(answer_of(world), wrong)
        for _ in range(24 * 60):
            self.error(keeper)
            self.clock.advance(60)
        self.assertLessEqual(len(self.fetcher.asked), 24 * 4)

    def test_client_that_is_refused_is_named(self) -> None:
        self.assertIn("client 'monitor'", self.error(self.keeper(answer_in_turn(REFUSED), CLIENT)))

    def test_refusal_after_good_days(self) -> None:
        """The password was changed: the refresh token is dead too."""
        keeper = self.keeper(answer_in_turn(token(), REFUSED, REFUSED, token("t-2")))
        self.get(keeper)
        self.clock.advance(1200)
        self.error(keeper)
        self.error(keeper)
        self.assertEqual(self.grants, ["password", "refresh_token", "password"])

    def test_password_file_that_cannot_be_read(self) -> None:
        """Is an error of the source, which says where it should be."""
        path = Path(self.mktemp())
        missing = Credentials(username="scraper", password=Secret(path=path))
        self.assertIn(str(path), self.error(self.keeper(answer_in_turn(token()), missing)))
        missing = Credentials(client_id="monitor", client_secret=Secret(path=path))
        self.assertIn(str(path), self.error(self.keeper(answer_in_turn(token()), missing)))
        self.assertEqual(self.fetcher.asked, [])


class HostileTests(UaaTestCase):
    """Answers that are none."""

    def test_answer_without_a_good_token(self) -> None:
        """It would go into a header, and its life decides how often UAA is asked."""
        bad: list[Any] = [b"", b"{", b"[]", b"null", b"\xff", b'{"access_token":' + b"[" * 100_000]
        bad += [{}, {"expires_in": 5}]
        good = {"access_token": "t", "expires_in": 1200, "refresh_token": "r"}
        for name, values in (
            ("access_token", (None, 5, "a\r\nX: y", "é", "", ["t"])),
            ("expires_in", ("soon", [], {}, float("nan"), float("inf"), "inf", "-inf")),
            ("refresh_token", (5, ["r"])),
        ):
            bad += [{**good, name: value} for value in values]
        for document in bad:
            message = self.error(self.keeper(answer_in_turn(answer(document))))
            self.assertEqual(message, f"UAA: POST {URL}/oauth/token: the answer holds no token")

    def test_token_without_a_life(self) -> None:
        """It is good until the API refuses it, and for a day at most; not asked for each time."""
        for life in ({}, {"expires_in": None}, {"expires_in": 0}, {"expires_in": -1}):
            first, second = ({"access_token": name, **life} for name in ("t-1", "t-2"))
            keeper = self.keeper(answer_in_turn(answer(first, 201), answer(second)))
            for _ in range(3):
                self.assertEqual(self.get(keeper), "t-1")
                self.clock.advance(20_000)
            keeper.refused("t-1")
            self.assertEqual(self.get(keeper), "t-2")
            self.assertEqual(len(self.fetcher.asked), 2)

    def test_life_as_text_is_understood(self) -> None:
        """Some write it so."""
        keeper = self.keeper(answer_in_turn(token(expires_in="1200")))
        self.get(keeper)
        self.clock.advance(1000)
        self.get(keeper)
        self.assertEqual(len(self.fetcher.asked), 1)

    def test_errors_are_not_taken_for_refusals(self) -> None:
        """Whoever asks next asks UAA again."""
        for bad in (answer(b"<html>", 502), answer(b"", 429), answer(b"{}", 404), answer(b"", 302)):
            keeper = self.keeper(answer_in_turn(bad, token()))
            self.assertIn(f"status {bad.status}", self.error(keeper))
            self.assertEqual(self.get(keeper), "t-1")

    def test_no_answer(self) -> None:
        """The reason is told."""
        keeper = self.keeper(answer_in_turn(DeadlinePassed("too late"), token()))
        self.assertIn("too late", self.error(keeper))
        self.assertEqual(self.get(keeper), "t-1")

    def test_odd_errors(self) -> None:
        """Whatever JSON is in them; long ones are cut."""
        for document in (b"", b"<html>", [], None, {}, {"error_description": "x" * 9000}):
            message = self.error(self.keeper(answer_in_turn(answer(document, 401))))
            self.assertIn("does not accept", message)
            self.assertLess(len(message), 400)


class SecrecyTests(UaaTestCase):
    """Secrets never show."""

    def test_reason_that_repeats_what_we_sent(self) -> None:
        """As it is, or encoded in any way; UAA's own texts are shown."""
        for said, shown in (
            ("Bad credentials", "Bad credentials"),
            ("Your account has been locked, sorry!", "Your account has been locked, sorry!"),
            ("wrong password: secret", "the reason given is not plain text"),
            ("Authorization: Basic Y2Y6MQ", "the reason given is not plain text"),
            ("a%20b", "the reason given is not plain text"),
            ("a" * 21, "the reason given is not plain text"),
            ("a " * 10_000 + "!!", "the reason given is not plain text"),
        ):
            document = {"error": "unauthorized", "error_description": said}
            message = self.error(self.keeper(answer_in_turn(answer(document, 401))))
            self.assertIn(f": {shown}; not asked again", message)

    def test_nothing_secret_in_errors_logs_and_reprs(self) -> None:
        """Neither password, nor secret, nor any token."""
        header = base64.b64encode(b"cf:cl1ent").decode()
        secrets = ("pass-w0rd", "cl1ent", "acc-ess", "ref-resh", header)
        both = Credentials(
            username="scraper",
            password=Secret("pass-w0rd"),
            client_id="cf",
            client_secret=Secret("cl1ent"),
        )
        steps = [
            token("acc-ess", "ref-resh"),
            REFUSED,
            answer(b"", 500),
            Unreachable("connection refused"),
            answer({"access_token": "acc-ess", "refresh_token": ["ref-resh"]}),
            REFUSED,
        ]
        keeper = self.keeper(answer_in_turn(*steps), both)
        seen = [repr(both), str(both)]
        with capturedLogs() as events:
            self.get(keeper)
            seen.append(repr(keeper))
            for _ in range(5):
                self.clock.advance(1200)
                failure = self.failureResultOf(begin(keeper.token(), self.clock))
                seen += [str(failure.value), failure.getTraceback(), repr(keeper)]
        seen.append(json.dumps([repr(event) for event in events]))
        for secret in secrets:
            for text in seen:
                self.assertNotIn(secret, text)
