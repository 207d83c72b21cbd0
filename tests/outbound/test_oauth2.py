"""Tests of promproxy.outbound.oauth2."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from promproxy.errors import BadUpstream, ConfigError, NoToken, Unreachable
from promproxy.outbound.fetch import Answer
from promproxy.outbound.oauth2 import ClientCredentials, Token, token_from
from promproxy.secret import Secret

URL = "https://uaa.example/oauth/token?tenant=hidden"
SHOWN = "https://uaa.example/oauth/token"


def answer(document: Any, status: int = 200) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status, Headers(), body)


class ScriptedFetcher:
    """Answers with what it is given, and keeps the requests."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.asked: list[tuple[str, str, Any, Any]] = []

    async def fetch(self, method: str, url: str, headers: Any, data: Any = None) -> Answer:
        self.asked.append((method, url, headers, data))
        if isinstance(self.found, BaseException):
            raise self.found
        found: Answer = self.found(data) if callable(self.found) else self.found
        return found


class RequestTests(SynchronousTestCase):
    """What the token server is asked, and what is made of its answer."""

    def credentials(self, found: Any = None, **changes: Any) -> ClientCredentials:
        if found is None:
            found = answer({"access_token": "t-1", "expires_in": 3600})
        self.fetcher: Any = ScriptedFetcher(found)
        fields: dict[str, Any] = {
            "fetcher": self.fetcher,
            "token_url": URL,
            "client_id": "scraper",
            "client_secret": Secret("hunter2"),
        }
        return ClientCredentials(**{**fields, **changes})

    def ask(self, credentials: ClientCredentials) -> Token:
        return self.successResultOf(Deferred.fromCoroutine(credentials.ask()))

    def error(self, credentials: ClientCredentials) -> str:
        failure = self.failureResultOf(Deferred.fromCoroutine(credentials.ask()), NoToken)
        return str(failure.value)

    def test_secret_goes_in_a_basic_header(self) -> None:
        """Both parts encoded first, else a colon or percent sign would be misread."""
        self.ask(self.credentials(client_id="a:b", client_secret=Secret("c%:d e")))
        ((method, url, headers, form),) = self.fetcher.asked
        self.assertEqual((method, url), ("POST", URL))
        self.assertEqual(form, {"grant_type": "client_credentials"})
        kind, _, value = headers["Authorization"].partition(" ")
        self.assertEqual((kind, base64.b64decode(value)), ("Basic", b"a%3Ab:c%25%3Ad%20e"))

    def test_certificate_in_place_of_a_secret(self) -> None:
        """Then only the client's name is sent, in the form."""
        self.ask(self.credentials(client_secret=None))
        ((_, _, headers, form),) = self.fetcher.asked
        self.assertNotIn("Authorization", headers)
        self.assertEqual(form, {"grant_type": "client_credentials", "client_id": "scraper"})

    def test_scopes_and_parameters(self) -> None:
        """Parameters win, as some servers want a grant of their own."""
        params = {"audience": Secret("metrics"), "grant_type": Secret("x")}
        self.ask(self.credentials(scopes=("a.read", "b.read"), params=params))
        form = self.fetcher.asked[0][3]
        self.assertEqual(form, {"grant_type": "x", "scope": "a.read b.read", "audience": "metrics"})

    def test_token(self) -> None:
        """One without a lifetime is good until it is refused."""
        self.assertEqual(self.ask(self.credentials()), Token("t-1", 3600.0))
        token = self.ask(self.credentials(answer({"access_token": "t"})))
        self.assertEqual(token.seconds, math.inf)

    def test_lifetime_of_nothing(self) -> None:
        """To Go's client a token with 0 seconds never expires."""
        for seconds in (0, -1, "0"):
            found = answer({"access_token": "t", "expires_in": seconds})
            self.assertEqual(self.ask(self.credentials(found)), Token("t", math.inf), seconds)

    def test_answers_of_odd_servers(self) -> None:
        """Any status 2xx, and a form in place of JSON."""
        found = answer({"access_token": "t", "expires_in": "60"}, 201)
        self.assertEqual(self.ask(self.credentials(found)), Token("t", 60.0))
        found = answer(b"access_token=t%2F1&token_type=bearer&expires_in=60")
        self.assertEqual(self.ask(self.credentials(found)), Token("t/1", 60.0))

    def wants_form(self, form: Any) -> Answer:
        if form.get("client_secret") == "hunter2" and form["client_id"] == "scraper":
            return answer({"access_token": "t-1", "expires_in": 3600})
        return answer({"error": "invalid_client"}, 401)

    def test_server_that_wants_the_secret_in_the_form(self) -> None:
        """Is found out once: the header goes first, then no more."""
        credentials = self.credentials(self.wants_form)
        self.assertEqual(self.ask(credentials), Token("t-1", 3600.0))
        self.assertEqual(["Authorization" in a[2] for a in self.fetcher.asked], [True, False])
        self.ask(credentials)
        self.assertEqual(len(self.fetcher.asked), 3)
        assert "Authorization" not in self.fetcher.asked[2][2]

    def test_server_that_changes_its_mind(self) -> None:
        """Is followed back to the header."""
        credentials = self.credentials(self.wants_form)
        self.ask(credentials)
        self.fetcher.found = lambda form: (
            answer({"error": "x"}, 400)
            if "client_secret" in form
            else answer({"access_token": "t"})
        )
        self.assertEqual(self.ask(credentials).access, "t")

    def test_refused_both_ways(self) -> None:
        """Both reasons are told where they differ."""
        told = {True: "invalid_client", False: "invalid_request"}
        credentials = self.credentials(
            lambda form: answer({"error": told["client_secret" in form]}, 400)
        )
        self.assertEqual(
            self.error(credentials),
            f"no token from {SHOWN}: status 400 (invalid_request); "
            "with the secret in the form: status 400 (invalid_client)",
        )

    def test_one_way_only_without_an_answer_or_a_secret(self) -> None:
        """Nothing else could come of the second."""
        for found, changes in (
            (Unreachable("refused"), {}),
            (answer([], 302), {}),
            (answer([], 401), {"client_secret": None}),
        ):
            self.error(self.credentials(found, **changes))
            self.assertEqual(len(self.fetcher.asked), 1)

    def test_failures(self) -> None:
        """Each names the server, without the query, and never what the server says in free text."""
        told = {"error": "invalid_client", "error_description": "hunter2 is wrong"}
        for found, why in (
            (Unreachable("connection refused"), "connection refused"),
            (answer(told, 401), "status 401 (invalid_client)"),
            (answer({"error": "Hunter2 !"}, 400), "status 400"),
            (answer(b"<html>", 503), "status 503"),
            (answer([], 302), "status 302"),
            (answer(b"[" * 100_000, 500), "status 500"),
            (answer({"token": "x"}), "the answer holds no token"),
            (answer(b"token=x"), "the answer holds no token"),
            (answer({"access_token": "x", "expires_in": 0.5}), "the token has expired already"),
        ):
            self.assertEqual(self.error(self.credentials(found)), f"no token from {SHOWN}: {why}")

    def test_secret_that_cannot_be_read(self) -> None:
        """The file is named."""

        class Unreadable(Secret):
            def reveal(self) -> str:
                raise ConfigError("cannot read /x: gone")

        message = self.error(self.credentials(client_secret=Unreadable()))
        self.assertEqual(message, f"no token from {SHOWN}: cannot read /x: gone")

    def test_nothing_secret_in_a_repr(self) -> None:
        """Of the credentials, and of what came of them."""
        credentials = self.credentials(params={"password": Secret("hunter3")})
        token = self.ask(credentials)
        for text in (repr(credentials), repr(token)):
            for secret in ("hunter", "t-1", "tenant=hidden"):
                assert secret not in text, text

    def test_token_must_fit_into_a_header(self) -> None:
        """It is sent as it came."""
        for access in ("a\r\nX: y", "a b", "é", "", 5, None):
            self.assertRaises(ValueError, token_from, answer({"access_token": access}))


class KindTests(SynchronousTestCase):
    def test_no_token_is_no_bad_answer(self) -> None:
        """Metrics tell them apart."""
        assert not issubclass(NoToken, BadUpstream | Unreachable)
