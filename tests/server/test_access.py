"""Tests of promproxy.server.access."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.secret import Secret
from promproxy.server.access import Access
from promproxy.server.access import Caller as Someone
from promproxy.server.permissions import ADMIN, OPENABLE, PAGES, PERMISSIONS, SCRAPE, TUNNEL
from promproxy.server.settings import Role, Token

CERTIFICATE = frozenset(("a.example.org", "10.0.0.1"))


def role(
    *permissions: str, users: str = "", sans: str = "", tokens: str = "", fqdns: str = ""
) -> Role:
    return Role(
        users=tuple(users.split()),
        tokens=tuple(Token(name=name, token=Secret("t0ken")) for name in tokens.split()),
        client_sans=tuple(sans.split()),
        permissions=permissions,
        fqdns=tuple(fqdns.split()),
    )


def permissions(caller: Someone) -> set[str]:
    return {one for one in PERMISSIONS if caller.may(one)}


class OpenTests(SynchronousTestCase):
    """Without users."""

    def test_everyone_has_all_but_admin(self) -> None:
        """Which callers on this host have; a tunnel may have any name."""
        access = Access()
        assert access.is_open
        stranger = access.caller()
        self.assertEqual(permissions(stranger), {SCRAPE, TUNNEL})
        self.assertEqual(permissions(access.caller(is_local=True)), set(PERMISSIONS))
        self.assertEqual(stranger.identity, "")
        assert stranger.may_claim("Any.Name") and stranger.may_claim("")

    def test_open_admin(self) -> None:
        self.assertEqual(permissions(Access(open_admin=True).caller()), set(PERMISSIONS))

    def test_certificate_that_nobody_has_to_show(self) -> None:
        self.assertEqual(permissions(Access().caller(sans=CERTIFICATE)), set(PERMISSIONS))


class UsersTests(SynchronousTestCase):
    """With users, or certificates that all must show, but no roles."""

    def test_every_user_may_scrape_and_administer(self) -> None:
        """To be a tunnel takes a role."""
        caller = Access(has_users=True).caller("alice")
        self.assertEqual((caller.identity, permissions(caller)), ("alice", {SCRAPE, ADMIN}))
        assert not caller.may_claim("a.example.org")

    def test_nobody_else_may_anything(self) -> None:
        """From this host neither, nor by open_admin, nor by a certificate alone."""
        access = Access(has_users=True, open_admin=True)
        assert not access.is_open
        caller = access.caller(is_local=True, sans=CERTIFICATE)
        self.assertEqual(caller, Someone())

    def test_certificate_in_place_of_a_user(self) -> None:
        """Where there are no passwords."""
        access = Access(needs_certificate=True)
        caller = access.caller(sans=CERTIFICATE)
        self.assertEqual(caller.identity, "certificate of 10.0.0.1, a.example.org")
        self.assertEqual(permissions(caller), {SCRAPE, ADMIN})
        self.assertEqual(permissions(access.caller(sans=frozenset())), {SCRAPE, ADMIN})
        self.assertEqual(permissions(access.caller(is_local=True)), set())


class RolesTests(SynchronousTestCase):
    """With roles."""

    access = Access(
        has_users=True,
        roles=(
            role(SCRAPE, users="prometheus alice"),
            role(ADMIN, users="alice"),
            role(TUNNEL, users="agent", sans="a.example.org", fqdns="*.example.org db"),
        ),
    )

    def test_roles_add_up(self) -> None:
        """Each gives what it gives, and no more."""
        self.assertEqual(permissions(self.access.caller("prometheus")), {SCRAPE})
        self.assertEqual(permissions(self.access.caller("alice")), {SCRAPE, ADMIN})
        both = self.access.caller("prometheus", CERTIFICATE)
        self.assertEqual((both.identity, permissions(both)), ("prometheus", {SCRAPE, TUNNEL}))

    def test_certificate_that_a_role_names(self) -> None:
        """Says who that is, without a password."""
        caller = self.access.caller(sans=CERTIFICATE)
        self.assertEqual(permissions(caller), {TUNNEL})
        assert caller.identity
        self.assertEqual(self.access.caller(sans=frozenset(("b.example.org",))), Someone())

    def test_token_that_a_role_names(self) -> None:
        """Is an identity of its own: a user of that name is somebody else."""
        roles = (role(TUNNEL, tokens="a", sans="10.0.0.1", fqdns="a"), role(SCRAPE, users="a"))
        access = Access(roles=roles)
        assert access.has_tokens and not access.is_open and not self.access.has_tokens
        caller = access.caller(token="a", is_local=True)
        self.assertEqual((caller.identity, permissions(caller)), ("token a", {TUNNEL}))
        user = access.caller("a")
        self.assertEqual((user.identity, permissions(user)), ("a", {SCRAPE}))
        self.assertEqual(access.caller(token="a", sans=CERTIFICATE).identity, "token a")
        self.assertEqual(access.caller(is_local=True), Someone())

    def test_user_without_a_role(self) -> None:
        caller = self.access.caller("mallory", is_local=True)
        self.assertEqual(caller, Someone("mallory"))

    def test_no_user_is_in_no_role(self) -> None:
        """Whatever is written there."""
        nobody = Role(users=("",), permissions=(ADMIN,))
        for one in (role(ADMIN, users="a", sans="b"), nobody):
            self.assertEqual(Access(roles=(one,)).caller(is_local=True), Someone())

    def test_names_that_may_be_claimed(self) -> None:
        """Whole names that a pattern matches, in any case."""
        agent = self.access.caller("agent")
        for name in ("x.example.org", "X.Example.ORG", "db"):
            assert agent.may_claim(name), name
        for name in ("example.org", "x.example.org.evil.test", "x.example.org\n", "dbx", ""):
            assert not agent.may_claim(name), name


class PagesTests(SynchronousTestCase):
    """The table of pages."""

    def test_only_tunnels_cannot_be_opened(self) -> None:
        """Every permission is one that there is."""
        self.assertEqual(set(PAGES) - set(OPENABLE), {"tunnel"})
        self.assertEqual(set(PAGES.values()), set(PERMISSIONS))
