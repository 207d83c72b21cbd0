"""The token: got from UAA, renewed before it expires, by one request at a time.

Source: the UAA's API documentation, "Token", and RFC 6749.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import quote

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from promproxy.errors import ConfigError, ScrapeError, SourceError
from promproxy.outbound.fetch import Answer, Fetcher
from promproxy.outbound.oauth2 import Token, token_from
from promproxy.outbound.origin import basic_credentials
from promproxy.secret import Secret

# UAA locks an account after five failures within an hour.
SECONDS_AFTER_REFUSAL = 900.0
# A token is renewed after a day, however long it is said to be good.
LONGEST_USE_SECONDS = 86400.0

# Nothing that was encoded, such as a header or a form, passes for these.
_WORDS = re.compile(r"[A-Za-z_']{1,20}(?:[ ,.:;!-]{1,3}[A-Za-z_']{1,20}){0,40}[.!]?")

log = Logger()


@frozen(kw_only=True)
class Credentials:
    """A user, who logs in through the client ``cf``, or a client of its own without a user."""

    username: str = ""
    password: Secret = Secret()
    client_id: str = "cf"
    client_secret: Secret = Secret()

    @property
    def grant(self) -> dict[str, str]:
        """The form that asks for a token."""
        if not self.username:
            return {"grant_type": "client_credentials"}
        password = self.password.reveal()
        return {"grant_type": "password", "username": self.username, "password": password}

    @property
    def who(self) -> str:
        """Whose credentials these are, for messages."""
        return f"user {self.username!r}" if self.username else f"client {self.client_id!r}"


@frozen
class _Refusal:
    """Refused credentials, and until when they are not tried again."""

    grant: dict[str, str] = field(repr=False)
    until: float
    message: str


class _Refused(SourceError):
    """UAA knows us not; asking again could lock the account."""


@define(eq=False)
class TokenKeeper:
    """Hands out a token that is good for some time yet.

    ``uaa_url`` yields where UAA is. A refusal is remembered for a quarter of an hour, or until
    the credentials are others or somebody asks.
    """

    _fetcher: Fetcher
    _clock: IReactorTime
    _credentials: Credentials
    _uaa_url: Callable[[], Deferred[str]]
    _token: Token | None = field(default=None, init=False)
    _renew_at: float = field(default=0.0, init=False)
    _lock: DeferredLock = field(factory=DeferredLock, init=False)
    _refusal: _Refusal | None = field(default=None, init=False)

    async def token(self) -> str:
        """A token's text. Raises SourceError."""
        await self._lock.acquire()
        try:
            if self._token is None or self._clock.seconds() >= self._renew_at:
                self._token = await self._renew()
                use = min(self._token.renew_after, LONGEST_USE_SECONDS)
                self._renew_at = self._clock.seconds() + use
            return self._token.access
        except ConfigError as error:  # a file that holds a secret
            raise SourceError(str(error)) from error
        finally:
            self._lock.release()

    def reset_backoff(self) -> None:
        """Try even refused credentials again: the operator may have fixed UAA."""
        self._refusal = None

    def refused(self, access: str) -> None:
        """The API did not accept this token: the next one asked for must be another."""
        if self._token is not None and self._token.access == access:
            self._renew_at = self._clock.seconds()

    def forget(self, access: str) -> None:
        """The API takes this token, but does not let it read: log in anew for the next one.

        What a user or client may do is written into its tokens when it logs in.
        """
        if self._token is not None and self._token.access == access:
            self._token = None

    async def _renew(self) -> Token:
        grant = self._credentials.grant
        refusal = self._refusal
        if refusal and refusal.grant == grant and self._clock.seconds() < refusal.until:
            raise SourceError(refusal.message)
        if self._token is not None and self._token.refresh:
            form = {"grant_type": "refresh_token", "refresh_token": self._token.refresh}
            try:
                token = await self._ask(form)
                # One that is not rotated need not come again.
                return evolve(token, refresh=token.refresh or self._token.refresh)
            except _Refused:
                log.debug("the refresh token was refused; logging in again")
        try:
            return await self._ask(grant)
        except _Refused as error:
            message = f"{error}; not asked again for {SECONDS_AFTER_REFUSAL / 60:.0f} minutes"
            until = self._clock.seconds() + SECONDS_AFTER_REFUSAL
            self._refusal = _Refusal(grant, until, message)
            raise SourceError(message) from error

    async def _ask(self, form: dict[str, str]) -> Token:
        url = f"{(await self._uaa_url()).rstrip('/')}/oauth/token"
        # UAA decodes both as parts of a URL (RFC 6749, section 2.3.1).
        client = quote(self._credentials.client_id, safe="")
        secret = quote(self._credentials.client_secret.reveal(), safe="")
        headers = {
            "Accept": "application/json",
            "Authorization": basic_credentials(client, secret).decode("ascii"),
            # Without it, one in its URI-encoding compatibility mode does not decode them.
            "X-CF-ENCODED-CREDENTIALS": "true",
        }
        try:
            answer = await self._fetcher.fetch("POST", url, headers, form)
        except ScrapeError as error:
            raise SourceError(f"UAA: POST {url}: {error.reason}") from error
        if not 200 <= answer.status < 300:
            self._explain_refusal(answer, url)
        try:
            # One without a lifetime is good until the API refuses it.
            return token_from(answer, default_seconds=math.inf)
        except ValueError as error:
            raise SourceError(f"UAA: POST {url}: {error}") from error

    def _explain_refusal(self, answer: Answer, url: str) -> NoReturn:
        why = _error_of(answer, self._credentials)
        if answer.status in (400, 401):
            raise _Refused(f"UAA does not accept the credentials of {self._credentials.who}: {why}")
        raise SourceError(f"UAA: POST {url}: status {answer.status}: {why}")


def _error_of(answer: Answer, credentials: Credentials) -> str:
    """UAA's own words for an error, as long as they are words and repeat no secret."""
    try:
        data: Any = json.loads(answer.body)
        said = str(data.get("error_description") or data.get("error"))
    except (ValueError, AttributeError, RecursionError):
        return "no reason given"
    secrets = (credentials.password.reveal(), credentials.client_secret.reveal())
    if not _WORDS.fullmatch(said) or any(secret and secret in said for secret in secrets):
        return "the reason given is not plain text"
    return said
