"""Tokens that are kept, and renewed before they expire, and an agent that shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from promproxy.errors import NoToken
from promproxy.outbound.agent import OutboundAgent
from promproxy.outbound.oauth2 import Token
from promproxy.timing.backoff import next_delay

#: A token that a target did not accept is renewed at once, but not more often than this.
SECONDS_BETWEEN_REFUSED = 60.0
#: A token is not sent in its last seconds, since it must still be good when it arrives.
LAST_SECONDS = 5.0
#: Failures wait as those of a source that is asked once a minute: 5 s at first, 5 min at most.
_USUAL_INTERVAL = 60.0

log = Logger()


@define(eq=False)
class Tokens:
    """Keeps a token, as the value of the ``Authorization`` header that shows it.

    One request at a time gets a new one, for all who wait; that none of them waits any longer does
    not end it. After a failure there is a pause, in which every caller gets the same error.
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

    def reset_backoff(self) -> None:
        """Whoever wants a token next has one asked for, whatever was waited for."""
        self._not_before = self._next_refused = -math.inf

    def stop(self) -> None:
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
        self._renew_at = now + token.renew_after
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
