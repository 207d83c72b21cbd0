"""Who asks, and what they may do. Pure.

`PAGES` says which permission each page takes, `Access` which caller has which: without users
everybody has nearly all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

SCRAPE, ADMIN, TUNNEL = PERMISSIONS = ("scrape", "admin", "tunnel")

#: The permission that a page takes. A resource names its page in its attribute ``page``; one that
#: names none takes `SCRAPE`, so that a stranger does not learn which paths there are.
PAGES = {
    "status": SCRAPE,
    "discovery": SCRAPE,
    "scrape": SCRAPE,
    "merged": SCRAPE,
    "metrics": SCRAPE,
    "targets": SCRAPE,
    "healthy": SCRAPE,
    "ready": SCRAPE,
    "clients": SCRAPE,
    "refresh": ADMIN,
    "reload": ADMIN,
    "invalidate": ADMIN,
    "tunnel": TUNNEL,
}

#: Those that may be opened to everyone: a tunnel is not, since it takes a name that may be claimed.
OPENABLE = tuple(page for page, permission in PAGES.items() if permission != TUNNEL)

_ANY_NAME = (re.compile(".*", re.DOTALL),)


@frozen
class Caller:
    """The caller of a request, once authenticated.

    ``identity`` is ``""`` where nobody has to say who they are, else it tells callers apart.
    ``fqdns`` are patterns, each for a whole name in lower case, of those that a caller with the
    permission ``tunnel`` may claim.
    """

    identity: str = ""
    permissions: frozenset[str] = frozenset()
    fqdns: tuple[re.Pattern[str], ...] = ()

    def may(self, permission: str) -> bool:
        """Whether this caller may scrape, administer, or be the end of a tunnel."""
        return permission in self.permissions

    def may_claim(self, fqdn: str) -> bool:
        """Whether this caller may poll as the client of that name."""
        return self.may(TUNNEL) and any(one.fullmatch(fqdn.lower()) for one in self.fqdns)


@frozen(kw_only=True)
class Role:
    """What some callers may do: these users, and whoever shows one of these tokens, which go by
    their names, or a certificate for one of these subject alternative names.
    """

    users: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    client_sans: frozenset[str] = frozenset()
    permissions: frozenset[str]
    fqdns: tuple[re.Pattern[str], ...] = ()

    def is_for(self, user: str, token: str, sans: frozenset[str]) -> bool:
        """Whether a caller has it."""
        if user and user in self.users:  # a variable in the list may be empty
            return True
        return (token != "" and token in self.tokens) or not self.client_sans.isdisjoint(sans)


@frozen(kw_only=True)
class Access:
    """All that decides what a caller may do.

    ``has_users`` says that there are passwords, ``needs_certificate`` that nobody is connected
    without a certificate that was verified. ``open_admin`` matters where there are no users.
    """

    roles: tuple[Role, ...] = ()
    open_pages: frozenset[str] = frozenset(("healthy", "ready"))
    open_admin: bool = False
    has_users: bool = False
    needs_certificate: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not (self.has_users or self.needs_certificate or self.roles)

    @property
    def has_tokens(self) -> bool:
        """Whether a token may be what says who somebody is."""
        return any(role.tokens for role in self.roles)

    def caller(
        self,
        user: str = "",
        sans: frozenset[str] | None = None,
        *,
        token: str = "",
        is_local: bool = False,
    ) -> Caller:
        """Who that is.

        ``user`` has proved it by a password, ``""`` is none; ``sans`` are the names in a
        certificate that was verified, None where there is none; ``token`` is the name of the one
        that was sent, ``""`` for none; ``is_local``: on this host.
        """
        if self.is_open:
            is_admin = self.open_admin or is_local or sans is not None
            permissions = PERMISSIONS if is_admin else (SCRAPE, TUNNEL)
            return Caller("", frozenset(permissions), _ANY_NAME)
        roles = [role for role in self.roles if role.is_for(user, token, sans or frozenset())]
        if roles:
            by_token = f"token {token}" if token else ""
            return _with_roles(user or by_token or _certificate(sans), roles)
        if not self.roles and (user or (sans is not None and not self.has_users)):
            return Caller(user or _certificate(sans), frozenset((SCRAPE, ADMIN)))
        return Caller(user)


def _with_roles(identity: str, roles: Iterable[Role]) -> Caller:
    permissions: frozenset[str] = frozenset()
    fqdns: tuple[re.Pattern[str], ...] = ()
    for role in roles:
        permissions |= role.permissions
        fqdns += role.fqdns
    return Caller(identity, permissions, fqdns)


def _certificate(sans: frozenset[str] | None) -> str:
    return f"certificate of {', '.join(sorted(sans or ()))}"
