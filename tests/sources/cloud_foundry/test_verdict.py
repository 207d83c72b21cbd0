"""Tests of promproxy.sources.cloud_foundry.verdict."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.fetch import Answer
from promproxy.simulation.faults import ANSWERS
from promproxy.sources.cloud_foundry.verdict import Verdict, classify
from tests.simulation.support import sample
from tests.sources.cloud_foundry.support import answer

HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>"
NOW = 1_700_000_000.0


def verdict(of: Answer) -> Verdict:
    """What is to be done."""
    return classify(of, NOW).verdict


def wait(**headers: str) -> float | None:
    """How long a 429 with these headers tells us to wait."""
    return classify(answer(b"slow down", 429, **headers), NOW).wait


class VerdictTests(SynchronousTestCase):
    """The table of answers."""

    def check(self, table: list[tuple[Answer, Verdict]]) -> None:
        for given_answer, expected in table:
            with self.subTest(f"{given_answer.status} {given_answer.body[:40]!r}"):
                self.assertIs(verdict(given_answer), expected)

    def test_recorded_errors(self) -> None:
        """Of the Cloud Controller itself."""
        self.check(
            [
                (answer(sample("apps")), Verdict.GOOD),
                (answer(sample("error_400"), 400), Verdict.GIVE_UP),
                (answer(sample("error_400_per_page"), 400), Verdict.SMALLER_PAGES),
                (answer(sample("error_401"), 401), Verdict.REAUTHENTICATE),
                (answer(sample("error_401_no_token"), 401), Verdict.REAUTHENTICATE),
                (answer(sample("error_403"), 403), Verdict.FORBIDDEN),
                (answer(sample("error_404"), 404), Verdict.NOT_FOUND),
                (answer(sample("error_404_unknown_request"), 404), Verdict.NOT_FOUND),
                (answer(sample("error_429"), 429), Verdict.RETRY),
                (answer(sample("error_429_unauthenticated"), 429), Verdict.RETRY),
                (answer(sample("error_500"), 500), Verdict.RETRY),
                (answer(sample("error_502_uaa"), 502), Verdict.RETRY),
                (answer(sample("error_503"), 503), Verdict.RETRY),
            ]
        )

    def test_answers_of_what_stands_in_front(self) -> None:
        """Whatever the status, what is no JSON means that the API is down."""
        self.check(
            [
                (answer(HTML, status), Verdict.RETRY)
                for status in (200, 301, 400, 401, 403, 404, 414, 429, 502, 503, 504)
            ]
        )
        self.check([(answer(b"", 200), Verdict.RETRY), (answer(b"[]", 200), Verdict.RETRY)])

    def test_answers_of_the_gorouter(self) -> None:
        """Its 404 never means that something is gone, even in JSON."""
        json = {"errors": []}
        for status, error in (
            (404, "unknown_route"),
            (503, "no_endpoints"),
            (400, "x"),
            (401, "x"),
        ):
            self.check(
                [
                    (answer(b"404 Not Found", status, X_Cf_RouterError=error), Verdict.RETRY),
                    (answer(json, status, X_Cf_RouterError=error), Verdict.RETRY),
                ]
            )

    def test_every_fault_of_the_simulation_but_two_is_asked_again(self) -> None:
        """A token may have expired; garbage that begins like JSON is found out later."""
        expected = {"invalid_token": Verdict.REAUTHENTICATE, "garbage": Verdict.GOOD}
        for name, fault in ANSWERS.items():
            given_answer = answer(fault.body, fault.status)
            self.assertIs(verdict(given_answer), expected.get(name, Verdict.RETRY), name)

    def test_page_sizes_that_are_refused(self) -> None:
        """By the Cloud Controller's own limit, or its operator's."""
        for detail, expected in (
            ("The query parameter is invalid: Per page must be between 1 and 5000", "smaller"),
            ("Maximum result (page * per_page) must be less than 1000", "smaller"),
            ("Unknown query parameter(s): 'x'", "no"),
            (None, "no"),
        ):
            given_answer = answer({"errors": [{"detail": detail}]}, 400)
            known = {"smaller": Verdict.SMALLER_PAGES, "no": Verdict.GIVE_UP}[expected]
            self.assertIs(verdict(given_answer), known)
        second = {"errors": [{"detail": "x"}, {"detail": "Per page must be positive"}]}
        self.assertIs(verdict(answer(second, 400)), Verdict.SMALLER_PAGES)

    def test_odd_bodies_of_errors(self) -> None:
        """JSON that is no error of the API."""
        deep = b'{"errors":' + b"[" * 100_000
        for body in (
            b"{",
            b"{}",
            b'{"errors":5}',
            b'{"errors":[5,null]}',
            b'{"errors":[{}]}',
            deep,
        ):
            self.assertIs(verdict(answer(body, 400)), Verdict.GIVE_UP)

    @given(st.integers(100, 599), st.binary(max_size=40))
    def test_any_answer_is_judged(self, status: int, rest: bytes) -> None:
        """Only a 200 is ever good."""
        judgement = classify(answer(b"{" + rest, status), NOW)
        self.assertEqual(judgement.verdict is Verdict.GOOD, status == 200)


class WaitTests(SynchronousTestCase):
    """How long to wait after a 429."""

    def test_retry_after_in_seconds(self) -> None:
        """It comes before the other header."""
        self.assertEqual(wait(Retry_After="120"), 120.0)
        self.assertEqual(wait(Retry_After="7", X_RateLimit_Reset=str(NOW + 60)), 7.0)

    def test_reset_is_a_moment(self) -> None:
        """In seconds since the epoch; one that is past means no wait."""
        self.assertEqual(wait(X_RateLimit_Reset=str(int(NOW) + 60)), 60.0)
        self.assertEqual(wait(X_RateLimit_Reset=str(int(NOW) - 60)), 0.0)

    def test_nothing_that_helps(self) -> None:
        """We choose ourselves how long."""
        self.assertIsNone(wait())
        for value in ("soon", "Wed, 99 Foo 2015 77:28:00 GMT", "nan", "inf", "-inf", "1e999"):
            self.assertIsNone(wait(Retry_After=value), value)
            self.assertIsNone(wait(X_RateLimit_Reset=value), value)

    def test_retry_after_that_can_only_be_a_moment(self) -> None:
        """Cloud Controllers of some years put the reset time there."""
        self.assertEqual(wait(Retry_After=str(int(NOW) + 90)), 90.0)
        self.assertEqual(wait(Retry_After=str(int(NOW) - 90)), 0.0)

    def test_retry_after_as_a_date(self) -> None:
        """RFC 9110, section 10.2.3."""
        self.assertEqual(wait(Retry_After="Tue, 14 Nov 2023 22:15:20 GMT"), 120.0)
        self.assertEqual(wait(Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), 0.0)

    def test_reset_that_can_only_be_a_delay(self) -> None:
        """As proxies write it."""
        self.assertEqual(wait(X_RateLimit_Reset="45"), 45.0)

    def test_garbage_in_one_header_leaves_the_other(self) -> None:
        """The first usable one counts."""
        self.assertEqual(wait(Retry_After="soon", X_RateLimit_Reset=str(NOW + 60)), 60.0)

    @given(st.text(alphabet="0123456789.-+einfaNx ", max_size=10))
    def test_any_value(self, value: str) -> None:
        """A finite number of seconds, or none."""
        for found in (wait(Retry_After=value), wait(X_RateLimit_Reset=value)):
            self.assertTrue(found is None or 0 <= found < math.inf)

    def test_negative_is_no_wait(self) -> None:
        """As if it were zero."""
        self.assertEqual(wait(Retry_After="-5"), 0.0)


class ReasonTests(SynchronousTestCase):
    """What people are told."""

    def reason(self, of: Answer) -> str:
        return classify(of, NOW).reason

    def test_error_of_the_api_with_the_request_s_id(self) -> None:
        """With which its operator finds it in the log."""
        reason = self.reason(answer(sample("error_500"), 500, X_Vcap_Request_Id="abc::def"))
        self.assertIn("status 500, UnknownError", reason)
        self.assertIn("abc::def", reason)

    def test_missing_scope_is_guessed(self) -> None:
        """A new token would not help."""
        self.assertIn("cloud_controller.read", self.reason(answer(sample("error_403"), 403)))

    def test_router_and_html(self) -> None:
        """Where the answer came from."""
        found = self.reason(answer(b"404", 404, X_Cf_RouterError="unknown_route"))
        self.assertIn("from the router: unknown_route", found)
        self.assertEqual(self.reason(answer(HTML, 502)), "status 502, no JSON")

    def test_foreign_text_is_bounded(self) -> None:
        """A page of it is not put into one line of the log."""
        errors = {"errors": [{"title": "x" * 9000, "detail": "y" * 9000}]}
        found = self.reason(answer(errors, 400, X_Vcap_Request_Id="z" * 9000))
        self.assertLess(len(found), 600)
