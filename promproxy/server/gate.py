"""Who a request is from, and whether its page is for them: decided here, before any page begins."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from twisted.internet.defer import Deferred

from promproxy.server.access import Access, Caller, Decision, Refusal
from promproxy.server.bearer_tokens import Tokens, is_bearer
from promproxy.server.head import AUTHORIZATION, PROXY_AUTHORIZATION
from promproxy.server.passwords import Passwords, TooManyChecks
from promproxy.server.permissions import PAGES, SCRAPE
from promproxy.server.request import CallerRequest

REMEMBERED_CALLERS = 1024

_BASIC = b'Basic realm="promproxy", charset="UTF-8"'
_BEARER = b'Bearer realm="promproxy"'


class Gate:
    """Decides over every request before its page begins, by the rules in ``access``; see `use`.

    ``refused`` counts the requests that were refused, by reason.
    """

    access: Access

    def __init__(
        self,
        access: Access | None = None,
        passwords: Passwords | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.use(access or Access(), passwords, tokens)

    def use(
        self, access: Access, passwords: Passwords | None = None, tokens: Tokens | None = None
    ) -> None:
        """Use these rules from now on.

        There are passwords if ``access.has_users``, and tokens if ``access.has_tokens``.
        """
        self.access = access
        self._passwords = passwords
        self._tokens = tokens if access.has_tokens else None
        kinds = {_BASIC: access.has_users, _BEARER: access.has_tokens}
        self._challenges = [challenge for challenge, is_taken in kinds.items() if is_taken]
        self._caller = lru_cache(REMEMBERED_CALLERS)(access.caller)

    def authorize(self, request: CallerRequest, page: str) -> Decision | Deferred[Decision]:
        """Who asks for a page, or why they do not get it."""
        if not self._challenges or page in self.access.open_pages:
            return self._admit(request, page)
        name = PROXY_AUTHORIZATION if request.is_proxied else AUTHORIZATION
        header = request.credentials.get(name) or request.fields.last(name)
        if header is None:
            return self._admit(request, page)
        if self._tokens is not None and is_bearer(header):
            token = self._tokens.name_in(header)
            if token:
                return self._admit(request, page, token=token)
            return self._unauthorized("wrong_token", "wrong token")
        if self._passwords is None:
            return self._unauthorized("wrong_token", "bearer token required")
        return self._by_password(request, page, header, self._passwords)

    def _by_password(
        self, request: CallerRequest, page: str, header: bytes, passwords: Passwords
    ) -> Decision | Deferred[Decision]:
        try:
            user = passwords.user_of(header)
        except TooManyChecks as error:
            return Refusal("busy", 503, str(error))
        if isinstance(user, Deferred):
            return user.addCallback(lambda found: self._authenticated(request, page, found))
        return self._authenticated(request, page, user)

    def _authenticated(self, request: CallerRequest, page: str, user: str) -> Decision:
        """A password was right, or proves no ``user``."""
        if user:
            return self._admit(request, page, user)
        return self._unauthorized("wrong_password", "wrong user or password")

    def _admit(
        self, request: CallerRequest, page: str, user: str = "", token: str = ""
    ) -> Decision:
        if request.is_gone:  # while its password was checked
            return Caller()
        peer = request.channel.peer
        caller = self._caller(user, peer.sans, token=token, is_local=peer.is_local)
        permission = PAGES.get(page, SCRAPE)
        if permission in caller.permissions or page in self.access.open_pages:
            return caller
        if self._challenges and not caller.identity:
            return self._unauthorized("no_password", self._required())
        return Refusal("forbidden", 403, self._reason(caller, permission))

    def _unauthorized(self, reason: str, text: str) -> Refusal:
        return Refusal(reason, 401, text, self._challenges)

    def _reason(self, caller: Caller, permission: str) -> str:
        if self.access.is_open:
            return "only for callers on this host (see open_admin)"
        who = caller.identity or "a caller without a certificate that a role names"
        return f"{who} lacks the permission {permission} (see roles)"

    def _required(self) -> str:
        kinds = {"user and password": self.access.has_users, "bearer token": self.access.has_tokens}
        return f"{', or '.join(kind for kind, is_taken in kinds.items() if is_taken)} required"
