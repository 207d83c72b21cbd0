"""Access tokens by OAuth 2 client credentials: how one is asked for, and what the answer says.

Source: RFC 6749, sections 2.3.1, 4.4 and 5; RFC 8705, section 2, for a client that is known by its
certificate.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from attrs import define, field, frozen

from promproxy.errors import BadUpstream, ConfigError, NoToken, ScrapeError
from promproxy.outbound.fetch import Answer, Fetcher
from promproxy.outbound.origin import basic_credentials
from promproxy.secret import Secret

#: A token that lives no longer than this would be asked for with nearly every scrape.
SHORTEST_LIFE = 1.0

_TOKEN = re.compile("[!-~]+")
_ERROR_CODE = re.compile("[a-z_]{1,40}")


@frozen
class Token:
    """A token server's answer; ``access`` is valid for ``seconds``."""

    access: str = field(repr=False)
    seconds: float
    refresh: str = field(default="", repr=False)

    @property
    def renew_after(self) -> float:
        """Seconds until it is renewed: a minute before its end, or at half-life if sooner."""
        return max(self.seconds - 60.0, self.seconds / 2)


def token_from(answer: Answer, *, default_seconds: float | None = None) -> Token:
    """The token in an answer of status 2xx. Raises ValueError where it holds none.

    ``default_seconds`` is the lifetime of a token that comes without one, or with one of 0 or less,
    which to Go's client is the same; None takes no token without one.
    """
    try:
        data = _members(answer.body)
        access, refresh = data["access_token"], data.get("refresh_token") or ""
        seconds = default_seconds if data.get("expires_in") is None else _finite(data["expires_in"])
        if seconds is not None and seconds <= 0 and default_seconds is not None:
            seconds = default_seconds
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the answer holds no token") from error
    # It becomes a part of a header.
    is_token = isinstance(access, str) and _TOKEN.fullmatch(access) is not None
    if not is_token or not isinstance(refresh, str) or seconds is None:
        raise ValueError("the answer holds no token")
    return Token(access, seconds, refresh)


def _members(body: bytes) -> Any:
    """What an answer says: JSON, or a form as some old servers send it."""
    try:
        return json.loads(body)
    except ValueError:
        return dict(parse_qsl(body.decode()))


def _finite(seconds: Any) -> float:
    number = float(seconds)
    if not math.isfinite(number):
        raise ValueError("no number of seconds")
    return number


@define(kw_only=True, eq=False)
class ClientCredentials:
    """Whose token is asked for, and where.

    Without a ``client_secret`` the connection's certificate says who we are. What is in ``params``
    is sent along, and wins.

    A server takes the secret in a header, in the form, or in both ways. As Go's client does, we
    try the header first and then the form; the way that worked is tried first from then on.
    """

    fetcher: Fetcher
    token_url: str = field(repr=False)  # a query may hold a secret
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...] = ()
    params: Mapping[str, Secret] = field(factory=dict)
    _secret_in_form: bool = field(default=False, init=False)

    async def ask(self) -> Token:
        """A token, new. Raises NoToken."""
        try:
            found = await self._try(in_form=self._secret_in_form)
            if isinstance(found, str) and self.client_secret is not None:
                other = await self._try(in_form=not self._secret_in_form)
                if isinstance(other, Token):
                    self._secret_in_form = not self._secret_in_form
                    return other
                if other != found:
                    way = "a header" if self._secret_in_form else "the form"
                    found = f"{found}; with the secret in {way}: {other}"
        except ScrapeError as error:
            raise self._failed(error.reason) from error
        except ConfigError as error:  # a secret's file
            raise self._failed(str(error)) from error
        if isinstance(found, str):
            raise self._failed(found)
        return found

    async def _try(self, *, in_form: bool) -> Token | str:
        """A token, or why the answer holds none. Raises ScrapeError, ConfigError."""
        headers, form = self._request(in_form=in_form)
        answer = await self.fetcher.fetch("POST", self.token_url, headers, form)
        if not 200 <= answer.status < 300:
            why = f"status {answer.status}{_error_code(answer)}"
            if 300 <= answer.status < 400:  # the wrong place, whichever way the secret goes
                raise BadUpstream(why)
            return why
        try:
            # One without a lifetime is good until a target refuses it.
            token = token_from(answer, default_seconds=math.inf)
        except ValueError as error:
            return str(error)
        return token if token.seconds >= SHORTEST_LIFE else "the token has expired already"

    def _request(self, *, in_form: bool) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and form."""
        headers = {"Accept": "application/json"}
        form = {"grant_type": "client_credentials"}
        if self.scopes:
            form["scope"] = " ".join(self.scopes)
        if self.client_secret is None:
            form["client_id"] = self.client_id
        elif in_form:
            form.update(client_id=self.client_id, client_secret=self.client_secret.reveal())
        else:
            # Both are encoded as parts of a form before they are joined (section 2.3.1).
            client, secret = (
                quote(part, safe="") for part in (self.client_id, self.client_secret.reveal())
            )
            # Cloud Foundry's token server, UAA, decodes them only so where it is set up so.
            headers["X-CF-ENCODED-CREDENTIALS"] = "true"
            headers["Authorization"] = basic_credentials(client, secret).decode("ascii")
        return headers, {**form, **{name: value.reveal() for name, value in self.params.items()}}

    def _failed(self, why: str) -> NoToken:
        # A query may hold a secret.
        return NoToken(f"no token from {self.token_url.partition('?')[0]}: {why}")


def _error_code(answer: Answer) -> str:
    """The error's code (section 5.2), without free text, which might repeat what we sent."""
    try:
        code: Any = json.loads(answer.body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
