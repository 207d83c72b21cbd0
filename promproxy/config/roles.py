"""Which callers may do what: the setting ``roles``."""

from __future__ import annotations

import re
from fnmatch import translate

from attrs import frozen

from promproxy import access
from promproxy.config.read import list_of, one_of, setting, text


@frozen(kw_only=True)
class Role:
    """What some users, or holders of client certificates, may do. Several roles add up."""

    users: tuple[str, ...] = setting(
        list_of(text), default=(), doc="users of the web configuration file's basic_auth_users"
    )
    client_sans: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="subject alternative names, of which a verified client certificate has one",
    )
    permissions: tuple[str, ...] = setting(
        list_of(one_of(*access.PERMISSIONS)),
        doc="scrape: discovery, scrapes, metrics, status; admin: reload, refresh; tunnel: be a "
        "PushProx client",
    )
    fqdns: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="for tunnel: which names may be claimed, as patterns (*.example.org)",
    )

    def __attrs_post_init__(self) -> None:
        if not self.users and not self.client_sans:
            raise ValueError("a role is for somebody: give users, client_sans or both")
        if not self.permissions:
            raise ValueError("permissions: name at least one")
        if ("tunnel" in self.permissions) != bool(self.fqdns):
            raise ValueError("the permission tunnel and fqdns go together")

    def built(self) -> access.Role:
        """The role as it is applied."""
        return access.Role(
            users=frozenset(self.users),
            client_sans=frozenset(self.client_sans),
            permissions=frozenset(self.permissions),
            fqdns=tuple(re.compile(translate(one.lower())) for one in self.fqdns),
        )
