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
from urllib.parse import quote

from attrs import field, frozen

from promproxy.errors import ConfigError, NoToken, ScrapeError
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
    """The token in an answer of status 200. Raises ValueError where it holds none.

    ``default_seconds`` is the lifetime of a token that comes without one; None takes no such token.
    """
    try:
        data = json.loads(answer.body)
        access, refresh = data["access_token"], data.get("refresh_token") or ""
        seconds = default_seconds if data.get("expires_in") is None else _finite(data["expires_in"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the answer holds no token") from error
    # It becomes a part of a header.
    is_token = isinstance(access, str) and _TOKEN.fullmatch(access) is not None
    if not is_token or not isinstance(refresh, str) or seconds is None:
        raise ValueError("the answer holds no token")
    return Token(access, seconds, refresh)


def _finite(seconds: Any) -> float:
    number = float(seconds)
    if not math.isfinite(number):
        raise ValueError("no number of seconds")
    return number


@frozen(kw_only=True)
class ClientCredentials:
    """Whose token is asked for, and where.

    Without a ``client_secret`` the connection's certificate says who we are. What is in ``params``
    is sent along, and wins.
    """

    fetcher: Fetcher
    token_url: str = field(repr=False)  # a query may hold a secret
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...] = ()
    params: Mapping[str, Secret] = field(factory=dict)

    async def ask(self) -> Token:
        """A token, new. Raises NoToken."""
        try:
            answer = await self.fetcher.fetch("POST", self.token_url, self._headers, self._form)
            if answer.status == 200:
                # One without a lifetime is good until a target refuses it.
                token = token_from(answer, default_seconds=math.inf)
                if token.seconds >= SHORTEST_LIFE:
                    return token
                raise ValueError("the token has expired already")
            why = f"status {answer.status}{_error_code(answer)}"
        except ScrapeError as error:
            raise self._failed(error.reason) from error
        except (ConfigError, ValueError) as error:  # a secret's file; an answer without a token
            raise self._failed(str(error)) from error
        raise self._failed(why)

    @property
    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self.client_secret is not None:
            # Both are encoded as parts of a form before they are joined (section 2.3.1).
            client, secret = (
                quote(part, safe="") for part in (self.client_id, self.client_secret.reveal())
            )
            headers["Authorization"] = basic_credentials(client, secret).decode("ascii")
        return headers

    @property
    def _form(self) -> dict[str, str]:
        form = {"grant_type": "client_credentials"}
        if self.client_secret is None:
            form["client_id"] = self.client_id
        if self.scopes:
            form["scope"] = " ".join(self.scopes)
        return {**form, **{name: value.reveal() for name, value in self.params.items()}}

    def _failed(self, why: str) -> NoToken:
        # A query may hold a secret.
        return NoToken(f"no token from {self.token_url.partition('?')[0]}: {why}")


def _error_code(answer: Answer) -> str:
    """The error's code (section 5.2), and no free text: that might repeat what we sent."""
    try:
        code: Any = json.loads(answer.body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
