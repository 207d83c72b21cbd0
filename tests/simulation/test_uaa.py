"""Tests of promproxy.simulation.uaa."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.exchange import Answer, Call
from promproxy.simulation.uaa import Client
from tests.simulation.support import World, sample

PASSWORD: Mapping[str, str] = {
    "grant_type": "password",
    "username": "scraper",
    "password": "secret",
}


class UaaTests(SynchronousTestCase):
    """The token endpoint."""

    def setUp(self) -> None:
        """A fresh world."""
        self.world = World()
        self.uaa = self.world.simulation.uaa
        self.faults = self.world.simulation.faults

    def assertRefused(self, answer: Answer, status: int, error: str, text: str = "") -> None:
        document = json.loads(answer.body)
        assert (answer.status, document["error"]) == (status, error)
        assert text in document["error_description"]

    def token(self, **form: str) -> Any:
        answer = self.world.grant(**{**PASSWORD, **form})
        assert answer.status == 200
        return json.loads(answer.body)

    def test_password(self) -> None:
        """The recorded keys, a refresh token, and a token of realistic length."""
        token = self.token()
        assert set(token) == set(sample("token"))
        assert token["expires_in"] == 1199
        assert len(token["access_token"]) > 1000

    def test_compatibility_mode(self) -> None:
        """Encoded credentials are decoded only where a header says that they are encoded."""
        self.uaa.clients["a b"] = Client(secret="c%d", grants=("client_credentials",))
        self.faults.uri_encoding_compatibility = True
        assert self.world.grant("a b:c%d", grant_type="client_credentials").status == 200
        answer = self.world.grant("a%20b:c%25d", grant_type="client_credentials")
        self.assertRefused(answer, 401, "invalid_client")

    def test_client_credentials(self) -> None:
        answer = self.world.grant("monitor:secret", grant_type="client_credentials")
        assert set(json.loads(answer.body)) == set(sample("token_client_credentials"))

    def test_client_in_the_form(self) -> None:
        """Client id and secret may come in the form."""
        body = b"grant_type=client_credentials&client_id=monitor&client_secret=secret"
        answer = self.uaa.answer(Call(method="POST", path="/oauth/token", body=body))
        assert answer.status == 200

    def test_client_is_url_decoded(self) -> None:
        """Reserved characters of a secret are percent-encoded in the header."""
        self.uaa.clients["odd"] = Client(secret="a%b:c+d", grants=("client_credentials",))
        form = {"grant_type": "client_credentials"}
        assert self.world.grant("odd:a%25b%3Ac%2Bd", **form).status == 200
        assert self.world.grant("odd:a%b:c+d", **form).status == 401

    def test_bad_clients(self) -> None:
        """Wrong secret, unknown client, and a header without the colon."""
        for client in ("cf:x", "nobody:", "cf"):
            answer = self.world.grant(client, **PASSWORD)
            assert (answer.status, json.loads(answer.body)) == (401, sample("token_error"))
            assert "Basic realm=" in answer.headers["WWW-Authenticate"]

    def test_wrong_password(self) -> None:
        """401 as recorded."""
        answer = self.world.grant(**{**PASSWORD, "password": "x"})
        assert (answer.status, json.loads(answer.body)) == (401, sample("token_error"))

    def test_account_is_locked_after_five_failures(self) -> None:
        """Then the right password does not help either, until the lock is over."""
        for _ in range(5):
            self.world.grant(**{**PASSWORD, "password": "x"})
        answer = self.world.grant(**PASSWORD)
        assert json.loads(answer.body) == sample("token_error_locked")
        self.world.clock.advance(300)
        self.token()

    def test_success_forgets_failures(self) -> None:
        """Four failures, a success, and one more failure lock nothing."""
        for password in ("x", "x", "x", "x", "secret", "x"):
            self.world.grant(**{**PASSWORD, "password": password})
        self.token()

    def test_refresh(self) -> None:
        """A new access token and the same refresh token."""
        token = self.token()
        new = self.token(grant_type="refresh_token", refresh_token=token["refresh_token"])
        assert new["refresh_token"] == token["refresh_token"]
        assert new["access_token"] != token["access_token"]
        assert self.world.get("/v3/apps", token=new["access_token"]).status == 200

    def test_rotated_refresh_token_serves_once(self) -> None:
        """With rotation the answer has a new one, and the old one is gone."""
        self.faults.rotate_refresh_tokens = True
        form = {"grant_type": "refresh_token", "refresh_token": self.token()["refresh_token"]}
        assert self.token(**form)["refresh_token"] != form["refresh_token"]
        self.assertRefused(self.world.grant(**form), 401, "invalid_token")

    def test_refused_refresh_tokens(self) -> None:
        """Refused by switch, expired, unknown, missing, or of another client."""
        form = {"grant_type": "refresh_token", "refresh_token": self.token()["refresh_token"]}
        self.faults.refuse_refresh_tokens = True
        answer = self.world.grant(**form)
        assert json.loads(answer.body) == sample("token_error_refresh")
        self.faults.reset()
        self.uaa.clients["other"] = Client(secret="", grants=("refresh_token",))
        self.assertRefused(self.world.grant("other:", **form), 400, "invalid_grant")
        self.world.clock.advance(2592000)
        self.assertRefused(self.world.grant(**form), 401, "invalid_token")
        unknown = {**form, "refresh_token": "x"}
        self.assertRefused(self.world.grant(**unknown), 401, "invalid_token")
        missing = {"grant_type": "refresh_token"}
        self.assertRefused(self.world.grant(**missing), 400, "invalid_request", "not provided")

    def test_bad_grants(self) -> None:
        """Missing, unknown, or not allowed for the client."""
        self.assertRefused(self.world.grant(), 400, "invalid_request", "Missing grant type")
        self.assertRefused(self.world.grant(grant_type="x"), 400, "unsupported_grant_type")
        refused = self.world.grant("monitor:secret", **PASSWORD)
        self.assertRefused(refused, 401, "invalid_client", "Unauthorized grant type")

    def test_query_string(self) -> None:
        """Parameters in the query are refused, but for the hint of the provider."""
        headers = {"authorization": "Basic Y2Y6"}
        body = b"grant_type=password&username=scraper&password=secret"
        for query, status in (("username=scraper", 406), ("login_hint=%7B%7D", 200), ("", 200)):
            call = Call(method="POST", path="/oauth/token", query=query, body=body, headers=headers)
            assert self.uaa.answer(call).status == status
        answer = self.uaa.answer(Call(method="GET", path="/oauth/token", query="username=x"))
        self.assertRefused(answer, 405, "method_not_allowed")

    def test_grants_are_counted(self) -> None:
        """By grant type and status."""
        self.token()
        self.world.grant(**{**PASSWORD, "password": "x"})
        self.world.grant(grant_type="x")
        assert dict(self.uaa.grants) == {"password 200": 1, "password 401": 1, "other 400": 1}

    def test_life_of_tokens_can_be_set(self) -> None:
        """The switch holds for the next token."""
        self.faults.access_token_seconds = 10
        assert self.token()["expires_in"] == 9
