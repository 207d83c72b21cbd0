"""Who asks, and what they may do. Pure."""

from __future__ import annotations

import re

from attrs import frozen

SCRAPE, ADMIN, TUNNEL = PERMISSIONS = ("scrape", "admin", "tunnel")


@frozen
class Caller:
    """Whoever sent a request, as far as it is known.

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
