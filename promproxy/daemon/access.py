"""Who may do what, from what both configuration files say of it."""

from __future__ import annotations

from collections.abc import Iterator

from promproxy.config import schema
from promproxy.config.files import world_readable_secrets
from promproxy.config.web_file import WebFile
from promproxy.errors import ConfigError
from promproxy.server.access import Access
from promproxy.server.bearer_tokens import Tokens


def make_access(config: schema.Config, web: WebFile) -> Access:
    """What decides over callers. Raises ConfigError where nobody can have a role."""
    roles = tuple(role.built() for role in config.roles)
    has_tokens = any(role.tokens for role in roles)
    if roles and not (web.basic_auth_users or has_tokens or verifies_certificates(web)):
        raise ConfigError(
            "roles: nobody can have one: there are neither tokens nor users nor client "
            "certificates that are verified; give tokens, or name a web configuration file that "
            "has some of the others (--web-config-file)"
        )
    return Access(
        roles=roles,
        open_pages=frozenset(config.open_pages),
        open_admin=config.open_admin,
        has_users=bool(web.basic_auth_users),
        needs_certificate=web.needs_certificate,
    )


def make_tokens(config: schema.Config, before: Tokens) -> Tokens:
    """All tokens of roles, as their files have them now. Raises ConfigError."""
    tokens: dict[str, str] = {}
    for one in (token for role in config.roles for token in role.tokens):
        token = one.reveal()
        for name, other in tokens.items():
            if other == token:
                raise ConfigError(f"roles: the tokens '{name}' and '{one.name}' are the same")
        tokens[one.name] = token
    return before.renewed(tokens)


def inbound_warnings(config: schema.Config, web: WebFile) -> Iterator[str]:
    """What is not wrong, but hardly meant."""
    yield from world_readable_secrets(web)
    for key in web.ignored:
        yield f"the web configuration file's {key} has no meaning here and is ignored"
    if not verifies_certificates(web) and any(role.client_sans for role in config.roles):
        yield "roles: client_sans without a client_auth_type that verifies certificates"
    has_tunnel = any(source.pushprox is not None for source in config.sources)
    if has_tunnel and make_access(config, web).is_open:
        yield (
            "pushprox: without users and roles any host can poll as any client, and is scraped in "
            "its place"
        )
    named = {user for role in config.roles for user in role.users}
    for user in sorted(named - web.basic_auth_users.keys()):
        yield f"roles: there is no user '{user}' in the web configuration file"


def verifies_certificates(web: WebFile) -> bool:
    """Whether certificates that callers show are verified."""
    return web.tls_server_config is not None and web.tls_server_config.verifies
