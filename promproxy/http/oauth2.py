"""Access tokens by OAuth 2 client credentials: asked for once, kept, renewed before they expire.

Source: RFC 6749, sections 2.3.1, 4.4 and 5; RFC 8705, section 2, for a client that is known by its
certificate.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast
from urllib.parse import quote

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from promproxy.backoff import next_delay
from promproxy.errors import ConfigError, NoToken, ScrapeError
from promproxy.http.agent import OutboundAgent
from promproxy.http.fetch import Answer, Fetcher
from promproxy.http.origin import basic_credentials
from promproxy.secret import Secret

#: A token that a target did not accept is renewed at once, but not more often than this.
SECONDS_BETWEEN_REFUSED = 60.0
#: A token is not sent in its last seconds, since it must still be good when it arrives.
LAST_SECONDS = 5.0
#: A token that lives no longer than this would be asked for with nearly every scrape.
SHORTEST_LIFE = 1.0
#: Failures wait as those of a source that is asked once a minute: 5 s at first, 5 min at most.
_USUAL_INTERVAL = 60.0

_TOKEN = re.compile("[!-~]+")
_ERROR_CODE = re.compile("[a-z_]{1,40}")

log = Logger()


@frozen
class Token:
    """What a token server gave us; ``access`` is good for so many ``seconds``."""

    access: str = field(repr=False)
    seconds: float
    refresh: str = field(default="", repr=False)


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


@define(eq=False)
class Tokens:
    """Keeps a token, as the value of the ``Authorization`` header that shows it.

    One request at a time gets a new one, for all who wait; that none of them waits any longer does
    not end it. After a failure nobody asks for a while: whoever wants a token is told the same.
    ``random`` yields from [0, 1).
    """

    _ask: Callable[[], Coroutine[Any, Any, Token]]
    _clock: IReactorTime
    _random: Callable[[], float]
    _value: bytes = field(default=b"", init=False, repr=False)
    _renew_at: float = field(default=-math.inf, init=False)
    _unusable_at: float = field(default=-math.inf, init=False)
    _asking: Deferred[None] | None = field(default=None, init=False)
    _waiting: list[Deferred[bytes]] = field(factory=list, init=False)
    _error: NoToken | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _not_before: float = field(default=-math.inf, init=False)
    _next_refused: float = field(default=-math.inf, init=False)

    @property
    def value(self) -> bytes | None:
        """The value to send now; None where `get` must be waited for.

        Shortly before the token expires this sees to it that there will be another.
        """
        now = self._clock.seconds()
        if now >= self._renew_at:
            self._renew(now)
        return self._value if now < self._unusable_at else None

    def get(self, other_than: bytes = b"") -> Deferred[bytes]:
        """Fires with a value to send, another one if possible. Fails with NoToken.

        May be cancelled.
        """
        value = self.value
        if value is not None and value != other_than:
            return succeed(value)
        if self._asking is None:
            return fail(self._error or NoToken("no token"))
        waiting: Deferred[bytes] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def refused(self, value: bytes) -> bool:
        """Whether `get` may have another value for a request that was refused with this one.

        Others go on with the old one until the new one is there: a target may refuse any token.
        """
        now = self._clock.seconds()
        if value != self._value:
            return True
        if now < max(self._next_refused, self._not_before):
            return False
        self._next_refused = now + SECONDS_BETWEEN_REFUSED
        self._renew_at = -math.inf
        return True

    def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def _renew(self, now: float) -> None:
        if self._asking is None and now >= self._not_before:
            asking = Deferred.fromCoroutine(self._ask())
            self._asking = asking.addCallbacks(self._take, self._failed)
            if asking.called:
                self._asking = None

    def _take(self, token: Token) -> None:
        now = self._clock.seconds()
        self._asking = None
        self._value = f"Bearer {token.access}".encode("ascii")
        # A minute early, or at half-life where that is short.
        self._renew_at = now + max(token.seconds - 60.0, token.seconds / 2)
        self._unusable_at = now + max(token.seconds - LAST_SECONDS, token.seconds / 2)
        if self._failures:
            log.info("there is a token again, after: {error}", error=str(self._error))
        self._failures = 0
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._value)

    def _failed(self, failure: Failure) -> None:
        self._asking = None
        error = failure.value
        if not isinstance(error, NoToken):
            if not isinstance(error, CancelledError):
                log.failure("asking for a token failed", failure)
            error = NoToken("no token: the request was given up")
        elif not self._failures or str(error) != str(self._error):
            log.error("{error} ({cause})", error=str(error), cause=repr(error.__cause__))
        self._error = error
        self._failures += 1
        wait = next_delay(interval=_USUAL_INTERVAL, failures=self._failures, random=self._random())
        self._not_before = self._clock.seconds() + wait
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(error)


@implementer(IAgent)
@frozen
class TokenAgent:
    """Sends requests with a token; a request without a body is sent once more if it was refused."""

    _agent: OutboundAgent
    _tokens: Tokens

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """``IAgent``; fails with NoToken too."""
        return Deferred.fromCoroutine(self._request(method, uri, headers, bodyProducer))

    async def _request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        producer: IBodyProducer | None,
    ) -> IResponse:
        value = await self._tokens.get()
        response: Any = await self._agent.request(method, uri, _with(headers, value), producer)
        if response.code != 401 or producer is not None or not self._tokens.refused(value):
            return cast(IResponse, response)
        response.stopProducing()
        value = await self._tokens.get(other_than=value)
        return await self._agent.request(method, uri, _with(headers, value), None)


def _with(headers: Headers | None, authorization: bytes) -> Headers:
    sent = Headers() if headers is None else headers.copy()
    sent.setRawHeaders(b"Authorization", [authorization])
    return sent
