"""Who polls, who scrapes, and what meets what. Pure: no sockets, no timers, no clock.

Four rules:

1. A client has one poll at a time; a newer one supersedes it.
2. A scrape is given to one poll. Where that one turns out to be dead, it goes to the next.
3. A scrape is answered once, and only by whoever had the poll that it was given to.
4. A client that polls is listed. One that does not is, for as long as its registration holds, or
   scrapes wait for it.

Moments are seconds of whatever clock the caller has. What is to be done is returned, never done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Generic, TypeVar

from attrs import define, field, frozen

from promproxy.errors import Busy, NameTaken, TooManyClients, UnknownScrape, Unreachable

_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


def is_host_name(name: str) -> bool:
    """Whether it is a host's name, such as containers have them too, or an address.

    More than RFC 1123, section 2.1, allows: underscores, hyphens at the end, a dot at the end.
    """
    if ":" not in name:
        return _NAME.fullmatch(name) is not None
    try:
        return IPv6Address(name).scope_id is None
    except ValueError:
        return False


def is_same_name(one: str, other: str) -> bool:
    """Whether both are the name of one client."""
    return _key(one) == _key(other)


def _key(name: str) -> str:
    return name.lower().removesuffix(".")


@frozen(kw_only=True)
class ExchangeLimits:
    """``max_waiting`` counts the scrapes of one client that wait for its poll."""

    registration_timeout: float = 300.0
    max_clients: int = 10_000
    max_waiting: int = 1024


@define(eq=False)
class Poll:
    """A client waits for something to scrape. ``identity`` tells who it is, ``""`` for anyone."""

    name: str
    identity: str = ""
    scrape: Scrape | None = field(default=None, init=False)  # that it was given


@define(eq=False)
class Scrape:
    """Somebody waits for an answer of a client. ``id`` is a secret between us and that client."""

    id: str
    name: str
    identity: str = field(default="", init=False)  # of the poll that it was given to last


P = TypeVar("P", bound=Poll)
S = TypeVar("S", bound=Scrape)


@define(eq=False)
class Client(Generic[P, S]):
    """A host that polls. ``name`` is as it spells it itself; ``seen`` is when it last did anything.

    ``identity`` is None where it is not known yet whose the name is.
    """

    name: str
    identity: str | None
    seen: float
    poll: P | None = None
    waiting: dict[str, S] = field(factory=dict)  # by their ids, the next one first

    def is_listed(self, now: float, registration_timeout: float) -> bool:
        """Whether it still counts as one of ours."""
        is_recent = now - self.seen < registration_timeout
        return self.poll is not None or bool(self.waiting) or is_recent


@frozen
class Polled(Generic[P, S]):
    """What a poll led to: another one to be refused, and a scrape for it to be given."""

    superseded: P | None
    scrape: S | None


@define(eq=False)
class Exchange(Generic[P, S]):
    """Names are compared without regard to case or to a dot at their end.

    ``version`` grows whenever the list changes.
    """

    limits: ExchangeLimits = field(factory=ExchangeLimits)
    version: int = field(default=0, init=False)
    _clients: dict[str, Client[P, S]] = field(factory=dict, init=False)
    _given: dict[str, S] = field(factory=dict, init=False)  # and not answered

    # What clients do.

    def poll(self, poll: P, now: float) -> Polled[P, S]:
        """A client is there. Raises NameTaken, TooManyClients."""
        client = self._clients.get(_key(poll.name))
        if client is None or not self._is_listed(client, now):
            client = self._register(poll.name, now)
        elif client.identity is not None and client.identity != poll.identity:
            raise NameTaken(f"{poll.name} is the name of a client with another identity")
        client.identity = poll.identity
        client.seen = now
        if client.name != poll.name:
            client.name = poll.name
            self.version += 1
        superseded, client.poll = client.poll, poll
        return Polled(superseded, self._next_scrape(client))

    def left(self, poll: P, now: float) -> None:
        """A poll is over that was given nothing."""
        client = self._clients.get(_key(poll.name))
        if client is not None and client.poll is poll:
            client.poll = None
            client.seen = now

    def requeue(self, poll: P) -> tuple[S, P | None] | None:
        """What a poll was given did not arrive: which scrape, and the poll to give it to now.

        Without a poll it is the first that the next one is given. None where nobody waits for the
        scrape any more, or it waits already.
        """
        scrape = self._given.get(poll.scrape.id) if poll.scrape is not None else None
        client = self._clients.get(_key(poll.name))
        if scrape is None or client is None or scrape.id in client.waiting:
            return None
        if client.identity != scrape.identity:  # the name has changed hands since
            return None
        client.waiting = {scrape.id: scrape, **client.waiting}
        return scrape, self._meet(client)

    def awaits_answer(self, poll: P) -> bool:
        """Whether somebody still waits for the answer to what a poll was given."""
        return poll.scrape is not None and poll.scrape.id in self._given

    def answered(self, scrape_id: str, identity: str, now: float) -> S:
        """A client brings an answer: whose it is. Raises UnknownScrape."""
        scrape = self._given.get(scrape_id)
        if scrape is None or scrape.identity != identity:
            raise UnknownScrape("no scrape waits for this answer")
        self.ended(scrape)
        client = self._clients.get(_key(scrape.name))
        if client is not None:
            client.seen = now
        return scrape

    # What those who scrape do.

    def scrape(self, scrape: S, now: float) -> P | None:
        """Somebody scrapes a client: the poll to give it to; None where it has to wait for one.

        Raises Unreachable where there is no such client, Busy where too many wait already.
        """
        client = self._clients.get(_key(scrape.name))
        if client is None or not self._is_listed(client, now):
            raise Unreachable("its client is not connected, and has not been for long")
        if client.poll is None and len(client.waiting) >= self.limits.max_waiting:
            raise Busy(f"{len(client.waiting)} scrapes wait for its client already")
        client.waiting[scrape.id] = scrape
        return self._meet(client)

    def ended(self, scrape: S) -> bool:
        """Nobody waits for it any more. Whether it was still waiting for a poll."""
        self._given.pop(scrape.id, None)
        client = self._clients.get(_key(scrape.name))
        return client is not None and client.waiting.pop(scrape.id, None) is not None

    # The clients.

    def restore(self, names: Iterable[str], now: float) -> None:
        """These were clients before we were started."""
        for name in names:
            if is_host_name(name) and _key(name) not in self._clients:
                self._clients[_key(name)] = Client(name, None, now)
                self.version += 1

    def expire(self, now: float) -> None:
        """Forget the clients that are gone for too long."""
        gone = [key for key, client in self._clients.items() if not self._is_listed(client, now)]
        for key in gone:
            del self._clients[key]
        self.version += bool(gone)

    def forget(self) -> None:
        """There are no clients any more. Those that poll must have been told."""
        self.version += bool(self._clients)
        self._clients.clear()

    def find(self, name: str, now: float) -> Client[P, S] | None:
        """A client that is listed."""
        client = self._clients.get(_key(name))
        return client if client is not None and self._is_listed(client, now) else None

    def names(self, now: float) -> list[str]:
        """Those of all that are listed, in their order."""
        return [c.name for _, c in sorted(self._clients.items()) if self._is_listed(c, now)]

    def polls(self) -> list[P]:
        return [client.poll for client in self._clients.values() if client.poll is not None]

    def waiting(self) -> list[S]:
        """All scrapes that no poll has been given, or not one that lived."""
        return [scrape for client in self._clients.values() for scrape in client.waiting.values()]

    def __len__(self) -> int:
        return len(self._clients)

    def _is_listed(self, client: Client[P, S], now: float) -> bool:
        return client.is_listed(now, self.limits.registration_timeout)

    def _register(self, name: str, now: float) -> Client[P, S]:
        if len(self._clients) >= self.limits.max_clients:
            self.expire(now)
        if len(self._clients) >= self.limits.max_clients:
            raise TooManyClients(f"there are {len(self._clients)} clients already")
        client: Client[P, S] = Client(name, None, now)
        self._clients[_key(name)] = client
        self.version += 1
        return client

    def _meet(self, client: Client[P, S]) -> P | None:
        """The client's poll, once it was given the first scrape that waits."""
        poll = client.poll
        return poll if self._next_scrape(client) is not None else None

    def _next_scrape(self, client: Client[P, S]) -> S | None:
        """Give the client's poll the first scrape that waits, if there are both."""
        poll = client.poll
        if poll is None or not client.waiting:
            return None
        scrape = client.waiting.pop(next(iter(client.waiting)))
        client.poll = None
        poll.scrape, scrape.identity = scrape, poll.identity
        self._given[scrape.id] = scrape
        return scrape
