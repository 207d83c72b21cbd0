"""Tests of promproxy.server.passwords."""

from __future__ import annotations

import base64
from typing import Any

import bcrypt
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from promproxy.secret import Secret
from promproxy.server import passwords as module
from promproxy.server.passwords import (
    MAX_PASSWORD,
    CheckQueue,
    Credentials,
    Passwords,
    TooManyChecks,
    credentials_in,
)
from tests.fakes import ManualThread

ALICE = Secret("$2y$04$gfc9H8N7xRxq9xMdhKBz0ueFgsh5t6Kv.XG.kY4CPosU7u.JQTcva")


def hash_of(password: bytes, cost: int = 4) -> Secret:
    return Secret(bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode())


def basic(user: str, password: bytes | str, scheme: str = "Basic") -> bytes:
    if isinstance(password, str):
        password = password.encode()
    encoded = base64.b64encode(user.encode() + b":" + password)
    return scheme.encode() + b" " + encoded


class CredentialsTests(SynchronousTestCase):
    """What stands in the header."""

    def test_user_and_password(self) -> None:
        """Only the first colon divides; either may be empty; the scheme has no case."""
        for user, password in (("a", b"b:c"), ("", b""), ("ä ", b"\xff\0")):
            expected = Credentials(user, password)
            self.assertEqual(credentials_in(basic(user, password)), expected)
            self.assertEqual(credentials_in(basic(user, password, "bAsIc")), expected)

    def test_anything_else(self) -> None:
        for header in (
            *(b"", b"Basic", b"Basic ", b"Bearer YTpi", b"YTpi", b"Basic YTp"),
            *(b"Basic YW5vY29sb24=", b"Basic /zpi", b"Basic YT pi", b"Basic \xff", b"Basic\tYTpi"),
        ):
            self.assertIsNone(credentials_in(header), header)

    @given(st.binary())
    def test_any_bytes(self, header: bytes) -> None:
        credentials_in(b"Basic " + header)

    def test_password_does_not_show(self) -> None:
        """Where credentials are shown."""
        self.assertNotIn("hunter2", repr(Credentials("a", b"hunter2")))


class PasswordsTestCase(SynchronousTestCase):
    """Users alice (secret) and bob (other); what runs in a thread waits for `run`."""

    def setUp(self) -> None:
        self.thread = ManualThread()
        self.checked: list[bytes] = []
        self.patch(module.bcrypt, "checkpw", self.checkpw)
        users = {"alice": hash_of(b"secret"), "bob": hash_of(b"other", 5)}
        self.passwords = Passwords(users, CheckQueue(self.thread, 3))

    def checkpw(self, password: bytes, hashed: bytes) -> bool:
        self.checked.append(hashed)
        return bcrypt.hashpw(password, hashed) == hashed

    def ask(self, user: str, password: str) -> str | Deferred[str]:
        return self.passwords.user_of(basic(user, password))

    def check(self, user: str, password: str) -> str:
        """The same, with whatever has to run."""
        found = self.ask(user, password)
        self.thread.run()
        return self.successResultOf(found) if isinstance(found, Deferred) else found


class CheckTests(PasswordsTestCase):
    """What is right."""

    def test_users(self) -> None:
        """Each by their own password only."""
        self.assertEqual(self.check("alice", "secret"), "alice")
        self.assertEqual(self.check("bob", "other"), "bob")
        for user, password in (
            *(("alice", "other"), ("alice", ""), ("alice", "secret "), ("Alice", "secret")),
            *(("", "secret"), ("", ""), ("carol", "secret"), ("alice", "secre\0t")),
        ):
            self.assertEqual(self.check(user, password), "", (user, password))

    def test_hashes_of_other_tools(self) -> None:
        """That htpasswd has made, whose prefix is another."""
        self.passwords = Passwords({"alice": ALICE}, CheckQueue(self.thread))
        self.assertEqual(self.check("alice", "secret"), "alice")

    def test_unknown_users_take_as_long(self) -> None:
        """As the slowest known one: by a hash of that cost."""
        self.check("carol", "other")
        self.assertEqual([hashed[:7] for hashed in self.checked], [b"$2b$05$"])

    def test_too_long_a_password(self) -> None:
        """Is wrong with each version of bcrypt; one of the most bytes is not."""
        longest = "x" * MAX_PASSWORD
        users = {"alice": hash_of(longest.encode())}
        self.passwords = Passwords(users, CheckQueue(self.thread))
        self.assertEqual(self.ask("alice", longest + "x"), "")
        self.assertEqual(self.check("alice", longest), "alice")

    def test_whatever_bcrypt_raises(self) -> None:
        """Is a wrong password; the Rust in it raises what is no Exception."""

        class Panic(BaseException):
            pass

        for error in (ValueError("x"), Panic("x")):

            def fail(*_: Any, error: BaseException = error) -> bool:
                raise error

            self.patch(module.bcrypt, "checkpw", fail)
            found = self.ask("alice", repr(error))
            (work, waiting) = self.thread.waiting.pop()
            try:
                work()
            except BaseException as raised:
                waiting.errback(raised)  # type: ignore[no-untyped-call]
            assert isinstance(found, Deferred)
            self.assertEqual(self.successResultOf(found), "")


class MemoryTests(PasswordsTestCase):
    """What is remembered."""

    def test_right_ones(self) -> None:
        """They are checked once, and known at once after that."""
        self.check("alice", "secret")
        self.assertEqual(self.ask("alice", "secret"), "alice")
        self.assertEqual(len(self.checked), 1)

    def test_wrong_ones(self) -> None:
        """Too: a Prometheus with an old password asks many times a second."""
        self.check("alice", "old")
        self.assertEqual(self.ask("alice", "old"), "")
        self.assertEqual(len(self.checked), 1)

    def test_it_is_bounded(self) -> None:
        """Those that were used longest ago are forgotten; wrong ones push out no right one."""
        self.patch(module, "REMEMBERED", 2)
        self.check("alice", "secret")
        for password in ("1", "2", "3"):
            self.check("bob", password)
        self.assertEqual(self.ask("alice", "secret"), "alice")
        self.assertEqual(len(self.checked), 4)
        self.check("bob", "2")
        self.assertEqual(len(self.checked), 4)
        self.check("bob", "1")
        self.assertEqual(len(self.checked), 5)
        self.check("bob", "2")
        self.assertEqual(len(self.checked), 5)

    def test_no_password_is_kept(self) -> None:
        """Nor what could be turned into one."""
        header = basic("alice", "secret")
        self.passwords.user_of(header)
        self.thread.run()
        kept = repr(vars(self.passwords))
        for trace in ("secret", header.decode(), header.decode().partition(" ")[2]):
            self.assertNotIn(trace, kept)
        others = Passwords({"alice": hash_of(b"secret")}, CheckQueue(self.thread))
        others.user_of(header)
        self.thread.run()
        self.assertNotEqual(set(self.passwords._known), set(others._known))


class QueueTests(PasswordsTestCase):
    """Many at a time."""

    def test_same_credentials_are_checked_once(self) -> None:
        """As after a start, when every scrape of a Prometheus brings them."""
        asked = [self.ask("alice", "secret") for _ in range(10)]
        self.thread.run()
        for one in asked:
            assert isinstance(one, Deferred)
            self.assertEqual(self.successResultOf(one), "alice")
        self.assertEqual(len(self.checked), 1)

    def test_no_more_than_so_many(self) -> None:
        """The next is refused, until there is room again; what is known is not concerned."""
        self.check("alice", "secret")
        for password in "123":
            self.ask("bob", password)
        self.assertRaises(TooManyChecks, self.ask, "bob", "4")
        self.assertEqual(self.ask("alice", "secret"), "alice")
        self.assertIsInstance(self.ask("bob", "3"), Deferred)
        self.thread.run()
        self.assertEqual(self.check("bob", "other"), "bob")

    def test_nothing_is_said_of_passwords_that_were_not_checked(self) -> None:
        """At the end of the process: a right one is not called wrong."""
        queue = CheckQueue(self.thread)
        self.passwords = Passwords({"alice": hash_of(b"secret")}, queue)
        found = self.ask("alice", "secret")
        queue.stop()
        self.thread.run()
        assert isinstance(found, Deferred)
        self.assertNoResult(found)
        self.assertEqual(self.checked, [])
