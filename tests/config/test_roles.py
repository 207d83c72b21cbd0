"""Tests of promproxy.config.roles."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.access import Access
from promproxy.config.roles import Role


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
