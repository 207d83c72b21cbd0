"""Requests to the Cloud Controller: few, one after the other where they must be, and patient."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import DeadlinePassed, ScrapeError, SourceError
from promproxy.outbound.fetch import Fetcher
from promproxy.outbound.origin import split_url
from promproxy.sources.cloud_foundry.uaa import Credentials, TokenKeeper
from promproxy.sources.cloud_foundry.verdict import Judgement, Verdict, classify
from promproxy.timing.pauses import Pauses

ATTEMPTS = 3
CONCURRENCY = 3
# A refresh does not wait for longer: it fails, and says for how long.
LONGEST_PAUSE_SECONDS = 30.0


class PageTooLarge(SourceError):
    """The API refuses pages of this size."""


class NotFound(SourceError):
    """The API, and not something in front of it, has no such list."""


class PageTooSlow(SourceError):
    """The API did not deliver a page in time."""


@define(eq=False)
class Api:
    """One foundation's Cloud Controller.

    ``url`` is its address; ``random`` yields from [0, 1). Whatever an answer asks for, the API is
    left alone for ``longest_wait`` seconds at most.
    """

    url: str
    _fetcher: Fetcher
    _clock: IReactorTime
    _random: Callable[[], float]
    _max_requests_per_second: float
    _longest_wait: float
    _pauses: Pauses = field(init=False)
    _tokens: TokenKeeper = field(init=False)
    _places: DeferredSemaphore = field(factory=lambda: DeferredSemaphore(CONCURRENCY), init=False)
    _uaa_url: str = field(default="", init=False)
    _next_slot: float = field(default=0.0, init=False)
    _not_before: float = field(default=0.0, init=False)

    @classmethod
    def with_login(
        cls,
        url: str,
        fetcher: Fetcher,
        clock: IReactorTime,
        random: Callable[[], float],
        max_requests_per_second: float,
        credentials: Credentials,
        longest_wait: float = 300.0,
    ) -> Api:
        """An API that logs in with these credentials at the UAA that its root names."""
        api = cls(
            url.rstrip("/"),
            fetcher,
            clock,
            random,
            max_requests_per_second,
            longest_wait,
        )
        api._pauses = Pauses(clock)
        api._tokens = TokenKeeper(
            fetcher, clock, credentials, lambda: Deferred.fromCoroutine(api._find_uaa())
        )
        return api

    def reset_backoff(self) -> None:
        """Forget how long the server told us to wait: an operator asks now."""
        self._not_before = 0.0
        self._tokens.reset_backoff()
        self._pauses.end_all()

    async def get(self, path: str) -> str:
        """The text of the JSON at a path with its query. Raises SourceError."""
        await self._places.acquire()
        try:
            return await self._get(path)
        finally:
            self._places.release()

    async def _get(self, path: str) -> str:
        has_new_token = False
        for attempt in range(1, ATTEMPTS + 1):
            access = await self._tokens.token()
            headers = {"Accept": "application/json", "Authorization": f"bearer {access}"}
            text, judgement = await self._ask(path, headers)
            if judgement.verdict is Verdict.GOOD:
                return text
            if judgement.verdict is Verdict.REAUTHENTICATE and not has_new_token:
                self._tokens.refused(access)
                has_new_token = True
            elif judgement.verdict is Verdict.SMALLER_PAGES:
                raise PageTooLarge(self._failed(path, judgement))
            elif judgement.verdict is Verdict.TOO_SLOW:
                raise PageTooSlow(self._failed(path, judgement))
            elif judgement.verdict is Verdict.NOT_FOUND:
                raise NotFound(self._failed(path, judgement))
            elif judgement.verdict is Verdict.FORBIDDEN:
                self._tokens.forget(access)
                break
            elif judgement.verdict is not Verdict.RETRY or attempt == ATTEMPTS:
                break
            else:
                await self._wait(judgement, attempt)
        raise SourceError(self._failed(path, judgement))

    async def _ask(self, path: str, headers: dict[str, str]) -> tuple[str, Judgement]:
        """One request; its text where the verdict is GOOD."""
        await self._turn(path)
        try:
            answer = await self._fetcher.fetch("GET", f"{self.url}{path}", headers)
        except DeadlinePassed as error:
            return "", Judgement(Verdict.TOO_SLOW, error.reason)
        except ScrapeError as error:
            return "", Judgement(Verdict.RETRY, error.reason)
        now = self._clock.seconds()
        judgement = classify(answer, now)
        if judgement.wait is not None:
            wait = min(judgement.wait, self._longest_wait)
            self._not_before = max(self._not_before, now + wait)
        if judgement.verdict is not Verdict.GOOD:
            return "", judgement
        try:
            return answer.body.decode(), judgement
        except UnicodeDecodeError:
            return "", Judgement(Verdict.RETRY, "the answer is not UTF-8")

    async def _turn(self, path: str) -> None:
        """Wait for this request's turn under our own rate limit, and under theirs."""
        now = self._clock.seconds()
        if self._not_before - now > LONGEST_PAUSE_SECONDS:
            left = math.ceil(self._not_before - now)
            raise SourceError(f"GET {self.url}{_shown(path)}: rate limited for {left} s more")
        start = max(now, self._next_slot, self._not_before)
        if self._max_requests_per_second:
            self._next_slot = start + 1 / self._max_requests_per_second
        if start > now:
            await self._pauses.pause(start - now)

    async def _wait(self, judgement: Judgement, attempt: int) -> None:
        """Before asking again: as long as we were told, else 1 s, 2 s and so on, with jitter."""
        if judgement.wait is not None:
            return  # the next turn waits, or says for how long we may not ask
        await self._pauses.pause(2.0 ** (attempt - 1) * (0.75 + self._random() / 2))

    async def _find_uaa(self) -> str:
        """Where UAA is, by the API's root, which needs no token."""
        if not self._uaa_url:
            text, judgement = await self._ask("/", {"Accept": "application/json"})
            if judgement.verdict is not Verdict.GOOD:
                raise SourceError(self._failed("/", judgement))
            self._uaa_url = self._uaa_url_from(text)
        return self._uaa_url

    def _uaa_url_from(self, text: str) -> str:
        try:
            links = json.loads(text)["links"]
            link = links.get("uaa") or links["login"]
            href: str = link["href"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise SourceError(f"GET {self.url}/: no Cloud Foundry API: it names no UAA") from error
        try:
            split_url(href)
        except (ValueError, TypeError, AttributeError) as error:
            raise SourceError(f"GET {self.url}/: its UAA has no http or https address") from error
        if self.url.startswith("https:") and not href.startswith("https:"):
            raise SourceError(f"GET {self.url}/: its UAA is not https, as the API is")
        return href

    def _failed(self, path: str, judgement: Judgement) -> str:
        return f"GET {self.url}{_shown(path)}: {judgement.reason}"


def _shown(path: str) -> str:
    """The path, without its query where that is long."""
    return path if len(path) <= 120 else f"{path.partition('?')[0]}?…"
