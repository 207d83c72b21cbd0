"""Who a request is from, and whether its page is for them: decided here, before any page begins."""

from __future__ import annotations

from functools import lru_cache

from twisted.web.resource import IResource

from promproxy.access import PAGES, SCRAPE, Access, Caller
from promproxy.web.answers import plain_answer
from promproxy.web.request import PlainRequest

REMEMBERED_CALLERS = 1024


class Gate:
    """Stands before every page. ``access`` is what it goes by; see `use`."""

    access: Access

    def __init__(self, access: Access | None = None) -> None:
        self.use(access or Access())

    def use(self, access: Access) -> None:
        """Go by this from now on."""
        self.access = access
        self._caller = lru_cache(REMEMBERED_CALLERS)(access.caller)

    def admit(self, request: PlainRequest, resource: IResource) -> None:
        """Let a page answer, or answer in its place. Sets ``request.caller``."""
        peer = request.channel.peer
        caller = request.caller = self._caller("", peer.sans, is_local=peer.is_local)
        page = getattr(resource, "page", "")
        permission = PAGES.get(page, SCRAPE)
        if permission in caller.permissions or page in self.access.open_pages:
            request.render(resource)
        else:
            self._refuse(request, caller, permission)

    def _refuse(self, request: PlainRequest, caller: Caller, permission: str) -> None:
        if self.access.is_open:
            text = "only for callers on this host (see open_admin)"
        else:
            who = caller.identity or "whoever shows no certificate"
            text = f"{who} lacks the permission {permission} (see roles)"
        request.write(plain_answer(request, 403, text))
        request.finish()
