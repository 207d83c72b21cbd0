"""The UAA's token endpoint: password, client credentials and refresh token.

Statuses and texts of errors as in section "UAA tokens" of the UAA's API documentation and its
``TokenMvcMockTests``; a client must decide on the status only.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import parse_qs, unquote_plus

from attrs import define, field, frozen

from promproxy.simulation.exchange import Answer, Call, json_answer
from promproxy.simulation.faults import Faults
from promproxy.simulation.values import SimulationError

CLIENT_TOKEN_SECONDS = 43200
REFRESH_SECONDS = 2592000
LOCK_AFTER_FAILURES = 5
LOCK_SECONDS = 300
# A real access token is a JWT of 1 to 3 kB.
_TOKEN_BYTES = 1000
_USER_SCOPE = "openid cloud_controller.read cloud_controller.global_auditor password.write"
_GRANTS = ("password", "client_credentials", "refresh_token", "authorization_code")
_BAD_CREDENTIALS = "Bad credentials"
_LOCKED = "Your account has been locked because of too many failed attempts to login."
_REVOKED = "The token expired, was revoked, or the token ID is incorrect."


@frozen(kw_only=True)
class Client:
    """An OAuth client."""

    secret: str = field(repr=False)
    grants: tuple[str, ...]
    scope: str = ""


@define(kw_only=True)
class Token:
    """An issued access token; ``owner`` is the user or else the client."""

    owner: str
    scope: str
    expires: float
    uses: int = 0


@frozen(kw_only=True)
class _Refresh:
    client: str
    user: str
    expires: float


@define
class _Failures:
    count: int = 0
    locked_until: float = 0.0


class _RefusedError(SimulationError):
    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error


DEFAULT_USERS: Mapping[str, str] = {"scraper": "secret"}
DEFAULT_CLIENTS: Mapping[str, Client] = {
    "cf": Client(secret="", grants=("password", "refresh_token")),
    "monitor": Client(
        secret="secret", grants=("client_credentials",), scope="cloud_controller.global_auditor"
    ),
    # One whose tokens are good, but not for reading the API.
    "unprivileged": Client(secret="secret", grants=("client_credentials",), scope="uaa.none"),
}


class Uaa:
    """Issues tokens and checks them; ``grants`` counts requests by grant type and status."""

    def __init__(self, seconds: Callable[[], float], faults: Faults, random: Random) -> None:
        self._seconds = seconds
        self._faults = faults
        self._random = random
        self.users = dict(DEFAULT_USERS)
        self.clients = dict(DEFAULT_CLIENTS)
        self.grants: Counter[str] = Counter()
        self._tokens: dict[str, Token] = {}
        self._refresh_tokens: dict[str, _Refresh] = {}
        self._failures: dict[str, _Failures] = {}

    def use(self, access_token: str) -> Token | None:
        """The token if it is neither unknown, expired, nor used up."""
        token = self._tokens.get(access_token)
        if token is None or token.expires <= self._seconds():
            return None
        token.uses += 1
        limit = self._faults.token_calls
        return None if limit and token.uses > limit else token

    def answer(self, call: Call) -> Answer:
        """The answer to any call below ``/oauth``."""
        form = {
            name: values[-1]
            for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()
        }
        grant = form.get("grant_type", "")
        headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        try:
            answer = json_answer(200, self._issue(call, grant, form), headers)
        except _RefusedError as refused:
            answer = self._refusal(refused, headers)
        self.grants[f"{grant if grant in _GRANTS else 'other'} {answer.status}"] += 1
        return answer

    def _refusal(self, refused: _RefusedError, headers: dict[str, str]) -> Answer:
        if refused.status == 401:
            headers["WWW-Authenticate"] = (
                f'Basic realm="UAA/client", error="unauthorized", error_description="{refused}"'
            )
        document = {"error": refused.error, "error_description": str(refused)}
        return json_answer(refused.status, document, headers)

    def _issue(self, call: Call, grant: str, form: Mapping[str, str]) -> dict[str, object]:
        if call.path.rstrip("/") != "/oauth/token":
            raise _RefusedError(404, "not_found", "No such endpoint")
        if call.method != "POST":
            raise _RefusedError(
                405, "method_not_allowed", f"Request method '{call.method}' not supported"
            )
        # Only the hint of the identity provider may come in the query, as the cf CLI sends it.
        if set(parse_qs(call.query)) - {"login_hint"}:
            raise _RefusedError(
                406, "query_string_not_allowed", "Parameters must be passed in the body"
            )
        client_id = self._check_client(call, form)
        if not grant:
            raise _RefusedError(400, "invalid_request", "Missing grant type")
        if grant not in _GRANTS:
            raise _RefusedError(400, "unsupported_grant_type", "Unsupported grant type")
        client = self.clients[client_id]
        if grant not in client.grants:
            raise _RefusedError(401, "invalid_client", "Unauthorized grant type")
        if grant == "client_credentials":
            return self._token(client_id, client.scope, CLIENT_TOKEN_SECONDS)
        if grant == "password":
            user = self._check_user(form)
            return self._user_token(client_id, user, self._new_refresh_token(client_id, user))
        return self._refresh(client_id, form)

    def _check_client(self, call: Call, form: Mapping[str, str]) -> str:
        says_encoded = call.headers.get("x-cf-encoded-credentials", "").lower() == "true"
        is_decoded = says_encoded or not self._faults.uri_encoding_compatibility
        header = call.headers.get("authorization", "")
        client_id, secret = _basic_credentials(header, is_decoded) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        client = self.clients.get(client_id)
        if client is None or client.secret != secret:
            raise _RefusedError(401, "invalid_client", _BAD_CREDENTIALS)
        return client_id

    def _check_user(self, form: Mapping[str, str]) -> str:
        user = form.get("username", "")
        if user not in self.users:
            raise _RefusedError(401, "invalid_client", _BAD_CREDENTIALS)
        failures = self._failures.setdefault(user, _Failures())
        if failures.locked_until > self._seconds():
            raise _RefusedError(401, "unauthorized", _LOCKED)
        if form.get("password", "") != self.users[user]:
            failures.count += 1
            if failures.count >= LOCK_AFTER_FAILURES:
                self._failures[user] = _Failures(0, self._seconds() + LOCK_SECONDS)
            raise _RefusedError(401, "invalid_client", _BAD_CREDENTIALS)
        del self._failures[user]
        return user

    def _refresh(self, client_id: str, form: Mapping[str, str]) -> dict[str, object]:
        text = form.get("refresh_token", "")
        if not text:
            raise _RefusedError(400, "invalid_request", "refresh_token parameter not provided")
        known = self._refresh_tokens.get(text)
        if known is None or known.expires <= self._seconds() or self._faults.refuse_refresh_tokens:
            raise _RefusedError(401, "invalid_token", _REVOKED)
        if known.client != client_id:
            raise _RefusedError(400, "invalid_grant", "Wrong client for this refresh token")
        if self._faults.rotate_refresh_tokens:
            del self._refresh_tokens[text]
            text = self._new_refresh_token(client_id, known.user)
        return self._user_token(client_id, known.user, text)

    def _user_token(self, client_id: str, user: str, refresh_token: str) -> dict[str, object]:
        answer = self._token(user, _USER_SCOPE, self._faults.access_token_seconds)
        return {**answer, "refresh_token": refresh_token}

    def _token(self, owner: str, scope: str, seconds: int) -> dict[str, object]:
        now = self._seconds()
        self._tokens = {text: token for text, token in self._tokens.items() if token.expires > now}
        text = self._new_text()
        self._tokens[text] = Token(owner=owner, scope=scope, expires=now + seconds)
        return {
            "access_token": text,
            "token_type": "bearer",
            # A real UAA has lost a moment of it when it answers.
            "expires_in": max(0, seconds - 1),
            "scope": scope,
            "jti": text[:32],
        }

    def _new_refresh_token(self, client_id: str, user: str) -> str:
        now = self._seconds()
        known = self._refresh_tokens
        self._refresh_tokens = {text: item for text, item in known.items() if item.expires > now}
        text = self._new_text() + "-r"
        self._refresh_tokens[text] = _Refresh(
            client=client_id, user=user, expires=now + REFRESH_SECONDS
        )
        return text

    def _new_text(self) -> str:
        return base64.urlsafe_b64encode(self._random.randbytes(_TOKEN_BYTES)).decode().rstrip("=")


def _basic_credentials(header: str, is_decoded: bool) -> tuple[str, str] | None:
    """Client id and secret of a Basic header, each decoded as in a URL if ``is_decoded``; None
    without a colon.

    Source: ``ClientBasicAuthenticationFilter`` of cloudfoundry/uaa.
    """
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if not colon:
        return None
    return (unquote_plus(name), unquote_plus(secret)) if is_decoded else (name, secret)
