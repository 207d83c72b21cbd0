"""Who may do what, from what the configuration says of it."""

from __future__ import annotations

from promproxy.access import Access
from promproxy.config import schema


def make_access(config: schema.Config) -> Access:
    """What decides over callers."""
    return Access(
        roles=tuple(role.built() for role in config.roles),
        open_pages=frozenset(config.open_pages),
        open_admin=config.open_admin,
    )
