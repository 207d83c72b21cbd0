"""Which callers may do what: the setting ``roles``."""

from __future__ import annotations

import re
from fnmatch import translate

from attrs import frozen

from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.server import access
from promproxy.settings.readers import list_of, one_of, secret, section, setting, text


@frozen(kw_only=True)
class Token:
    """A token that a caller sends (``Authorization: Bearer``, RFC 6750)."""

    name: str = setting(text, doc="who that is: a client's name belongs to it")
    token: Secret = setting(secret, doc="the token: visible ASCII characters, no spaces")

    def __attrs_post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("name: expected a name")
        if not _is_token(self.token.reveal()):
            raise ValueError("token: expected visible ASCII characters without spaces")

    def reveal(self) -> str:
        """The token itself, from its file as that is now. Raises ConfigError."""
        token = self.token.reveal()
        if not _is_token(token):
            raise ConfigError(f"{self.token.path}: a token is visible ASCII without spaces")
        return token


def _is_token(text: str) -> bool:
    """Whether it can stand in a header field, behind its scheme."""
    return re.fullmatch("[!-~]+", text) is not None


@frozen(kw_only=True)
class Role:
    """What some users, or holders of tokens or client certificates, may do. Several add up."""

    users: tuple[str, ...] = setting(
        list_of(text), default=(), doc="users of the web configuration file's basic_auth_users"
    )
    tokens: tuple[Token, ...] = setting(
        list_of(section(Token)), default=(), doc="bearer tokens, of which a caller sends one"
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
        if not (self.users or self.tokens or self.client_sans):
            raise ValueError("a role is for somebody: give users, tokens or client_sans")
        if not self.permissions:
            raise ValueError("permissions: name at least one")
        if ("tunnel" in self.permissions) != bool(self.fqdns):
            raise ValueError("the permission tunnel and fqdns go together")

    def built(self) -> access.Role:
        """The role as it is applied."""
        return access.Role(
            users=frozenset(self.users),
            tokens=frozenset(token.name for token in self.tokens),
            client_sans=frozenset(self.client_sans),
            permissions=frozenset(self.permissions),
            fqdns=tuple(re.compile(translate(one.lower())) for one in self.fqdns),
        )
