"""Tests of promproxy.server.roles."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.server.access import Access
from promproxy.server.roles import Role, Token


class BuiltTests(SynchronousTestCase):
    def test_role_as_it_is_applied(self) -> None:
        """The patterns are those of allowed_hosts: * is any text, dots too, and case is nothing."""
        role = Role(
            users=("a",), client_sans=("b",), permissions=("tunnel",), fqdns=("*.Example.org",)
        ).built()
        self.assertEqual((role.users, role.client_sans), ({"a"}, {"b"}))
        caller = Access(roles=(role,)).caller("a")
        for name in ("x.example.org", "x.y.EXAMPLE.org"):
            assert caller.may_claim(name), name
        for name in ("example.org", "xexample.org", "x.example-org", "x.example.org\n"):
            assert not caller.may_claim(name), name

    def test_role_of_tokens(self) -> None:
        """It knows their names alone."""
        token = Token(name="branch", token=Secret("hunter2"))
        role = Role(tokens=(token,), permissions=("tunnel",), fqdns=("web-*",)).built()
        self.assertEqual(role.tokens, {"branch"})
        self.assertNotIn("hunter2", f"{role} {token}")
        caller = Access(roles=(role,)).caller(token="branch")
        assert caller.may_claim("web-1") and not caller.may_claim("db-1")


class TokenTests(SynchronousTestCase):
    def test_file_that_changes(self) -> None:
        """Counts as it is now, and must hold a token."""
        file = Path(self.mktemp())
        file.write_text("hunter2\n")
        token = Token(name="branch", token=Secret(path=file))
        self.assertEqual(token.reveal(), "hunter2")
        file.write_text("hunter3")
        self.assertEqual(token.reveal(), "hunter3")
        for text in ("hunter\x002", "hunter 2", "hunter2\nhunter3", "hünter2"):
            file.write_text(text)
            error = self.assertRaises(ConfigError, token.reveal)
            self.assertEqual(str(error), f"{file}: a token is visible ASCII without spaces")
