"""Passwords of callers (RFC 7617), against the bcrypt hashes of users.

A check takes a tenth of a second on purpose, so it runs in a thread, never twice at a time for the
same credentials, and what came of it is remembered: by a keyed hash, since nobody should find
passwords in our memory long after they were sent.
"""

from __future__ import annotations

import base64
import secrets
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b

import bcrypt
from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from promproxy.errors import PromproxyError
from promproxy.secret import Secret
from promproxy.timing.threads import InThread

#: Checks that run or wait at a time. More would wait longer than a scrape does.
MAX_CHECKS = 32
#: Threads for them.
THREADS = 2
#: Credentials that are remembered, of each kind.
REMEMBERED = 1024
#: More bytes of a password bcrypt does not regard; its newer versions refuse them.
MAX_PASSWORD = 72


class TooManyChecks(PromproxyError):
    """The queue of password checks is full."""


@define(eq=False)
class CheckQueue:
    """Runs checks in threads, up to ``limit`` at a time.

    ``in_thread`` is given what blocks.
    """

    _in_thread: InThread
    _limit: int = MAX_CHECKS
    _count: int = field(default=0, init=False)
    is_stopped: bool = field(default=False, init=False)

    def run(self, check: Callable[[], bool]) -> Deferred[bool]:
        """What the check finds. Raises TooManyChecks."""
        if self._count >= self._limit:
            raise TooManyChecks("too many passwords are being checked")
        self._count += 1
        return self._in_thread(lambda: not self.is_stopped and check()).addBoth(self._ended)

    def stop(self) -> None:
        """Run no more of them; waiting ones get no answer."""
        self.is_stopped = True

    def _ended(self, result: bool) -> bool:
        self._count -= 1
        return result


@frozen
class Credentials:
    """A user and a password from a request."""

    user: str
    password: bytes = field(repr=False)


def credentials_in(header: bytes) -> Credentials | None:
    """What an ``Authorization`` header holds, None where that is not a user and a password."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return Credentials(user.decode(), password) if colon else None
    except (Base64Error, UnicodeDecodeError):
        return None


class Passwords:
    """The passwords of some users, of whom there is at least one."""

    def __init__(self, users: Mapping[str, Secret], queue: CheckQueue) -> None:
        self._hashes = {user: hashed.reveal().encode() for user, hashed in users.items()}
        # Unknown users take as long as the slowest known one: behind the prefix stands the cost.
        self._dummy_hash = max(self._hashes.values(), key=lambda hashed: hashed[4:6])
        self._queue = queue
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._wrong: OrderedDict[bytes, str] = OrderedDict()
        self._waiting: dict[bytes, list[Deferred[str]]] = {}

    def user_of(self, header: bytes) -> str | Deferred[str]:
        """The user that an ``Authorization`` header proves, ``""`` where it proves none.

        Raises TooManyChecks.
        """
        digest = blake2b(header, key=self._key, digest_size=16).digest()
        for remembered in (self._known, self._wrong):
            user = remembered.get(digest)
            if user is not None:
                remembered.move_to_end(digest)
                return user
        credentials = credentials_in(header)
        if credentials is None or len(credentials.password) > MAX_PASSWORD:
            return ""
        mine: Deferred[str] = Deferred()
        if digest in self._waiting:
            self._waiting[digest].append(mine)
        else:
            self._begin(digest, credentials, mine)
        return mine

    def _begin(self, digest: bytes, credentials: Credentials, waiting: Deferred[str]) -> None:
        hashed = self._hashes.get(credentials.user, self._dummy_hash)
        checking = self._queue.run(lambda: bcrypt.checkpw(credentials.password, hashed))
        self._waiting[digest] = [waiting]
        user = credentials.user if credentials.user in self._hashes else ""
        checking.addErrback(lambda _: False)  # whatever bcrypt raises
        checking.addCallback(lambda is_right: self._found(digest, user if is_right else ""))

    def _found(self, digest: bytes, user: str) -> None:
        if self._queue.is_stopped:  # it was perhaps never looked at
            return
        # Apart, so that a flood of wrong ones does not push out the right ones.
        remembered = self._known if user else self._wrong
        remembered[digest] = user
        if len(remembered) > REMEMBERED:
            remembered.popitem(last=False)
        for waiting in self._waiting.pop(digest):
            waiting.callback(user)
