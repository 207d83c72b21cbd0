"""Who asks, and what they may do. Pure.

`promproxy.server.permissions` says which permission each page takes, `Access` which caller has
which: without users everybody has nearly all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from promproxy.server.permissions import ADMIN, PERMISSIONS, SCRAPE, TUNNEL
from promproxy.server.settings import Role

_ANY_NAME = (re.compile(".*", re.DOTALL),)


@frozen
class Caller:
    """The caller of a request, once authenticated.

    ``identity`` tells callers apart; it is ``""`` without credentials.
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


@frozen
class Refusal:
    """Why a caller does not get a page: ``reason`` for the metrics, ``text`` for the caller.

    ``challenges`` say what would be accepted (RFC 9110, section 11.6.1).
    """

    reason: str
    status: int
    text: str
    challenges: Sequence[bytes] = ()


Decision = Caller | Refusal


@frozen(kw_only=True)
class Access:
    """The rules that decide what a caller may do.

    ``has_users``: there are passwords. ``needs_certificate``: every connection has shown a verified
    certificate. ``open_admin`` matters without users only.
    """

    roles: tuple[Role, ...] = ()
    open_pages: frozenset[str] = frozenset(("healthy", "ready"))
    open_admin: bool = False
    has_users: bool = False
    needs_certificate: bool = False

    @property
    def is_open(self) -> bool:
        """Whether callers need no credentials."""
        return not (self.has_users or self.needs_certificate or self.roles)

    @property
    def has_tokens(self) -> bool:
        """Whether any role has tokens."""
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
        permissions |= frozenset(role.permissions)
        fqdns += role.patterns
    return Caller(identity, permissions, fqdns)


def _certificate(sans: frozenset[str] | None) -> str:
    return f"certificate of {', '.join(sorted(sans or ()))}"
