"""Who a request is from, and whether its page is for them: decided here, before any page begins."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from twisted.internet.defer import Deferred
from twisted.web.resource import IResource

from promproxy.server.access import Access, Caller
from promproxy.server.answers import RETRY_AFTER_SECONDS, plain_answer
from promproxy.server.bearer_tokens import Tokens, is_bearer
from promproxy.server.head import AUTHORIZATION, PROXY_AUTHORIZATION
from promproxy.server.passwords import Passwords, TooManyChecks
from promproxy.server.permissions import PAGES, SCRAPE
from promproxy.server.request import CallerRequest

REMEMBERED_CALLERS = 1024

_BASIC = b'Basic realm="promproxy", charset="UTF-8"'
_BEARER = b'Bearer realm="promproxy"'


class Gate:
    """Stands before every page. ``access`` is what it goes by; see `use`.

    ``refused`` counts the requests that it has refused, by reason.
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
        """Go by this from now on.

        There are passwords if ``access.has_users``, and tokens if ``access.has_tokens``.
        """
        self.access = access
        self._passwords = passwords
        self._tokens = tokens if access.has_tokens else None
        kinds = {_BASIC: access.has_users, _BEARER: access.has_tokens}
        self._challenges = [challenge for challenge, is_taken in kinds.items() if is_taken]
        self._caller = lru_cache(REMEMBERED_CALLERS)(access.caller)

    def authorize(self, request: CallerRequest, resource: IResource) -> None:
        """Let a page answer, or answer in its place. Sets ``request.caller``."""
        page = getattr(resource, "page", "")
        if not self._challenges or page in self.access.open_pages:
            self._admit(request, resource)
            return
        name = PROXY_AUTHORIZATION if request.is_proxied else AUTHORIZATION
        header = request.credentials.get(name) or request.fields.last(name)
        if header is None:
            self._admit(request, resource)
        elif self._tokens is not None and is_bearer(header):
            self._check_token(request, resource, self._tokens.name_in(header))
        elif self._passwords is not None:
            self._check_password(request, resource, header, self._passwords)
        else:
            self._refuse(request, "wrong_token", 401, "bearer token required")

    def _check_token(self, request: CallerRequest, resource: IResource, token: str) -> None:
        if token:
            self._admit(request, resource, token=token)
        else:
            self._refuse(request, "wrong_token", 401, "wrong token")

    def _check_password(
        self, request: CallerRequest, resource: IResource, header: bytes, passwords: Passwords
    ) -> None:
        try:
            user = passwords.user_of(header)
        except TooManyChecks as error:
            self._refuse(request, "busy", 503, str(error))
            return
        if isinstance(user, Deferred):
            user.addCallback(lambda found: self._authenticated(request, resource, found))
            user.addErrback(request.processingFailed)
        else:
            self._authenticated(request, resource, user)

    def _authenticated(self, request: CallerRequest, resource: IResource, user: str) -> None:
        """A password was right, or proves no ``user``."""
        if request.is_gone:
            return
        if user:
            self._admit(request, resource, user)
        else:
            self._refuse(request, "wrong_password", 401, "wrong user or password")

    def _admit(
        self, request: CallerRequest, resource: IResource, user: str = "", token: str = ""
    ) -> None:
        peer = request.channel.peer
        caller = self._caller(user, peer.sans, token=token, is_local=peer.is_local)
        request.caller = caller
        page = getattr(resource, "page", "")
        permission = PAGES.get(page, SCRAPE)
        if permission in caller.permissions or page in self.access.open_pages:
            request.render(resource)
        elif self._challenges and not caller.identity:
            self._refuse(request, "no_password", 401, self._wanted())
        else:
            self._refuse(request, "forbidden", 403, self._reason(caller, permission))

    def _reason(self, caller: Caller, permission: str) -> str:
        if self.access.is_open:
            return "only for callers on this host (see open_admin)"
        who = caller.identity or "whoever shows no certificate that a role is for"
        return f"{who} lacks the permission {permission} (see roles)"

    def _wanted(self) -> str:
        kinds = {"user and password": self.access.has_users, "bearer token": self.access.has_tokens}
        return f"{', or '.join(kind for kind, is_taken in kinds.items() if is_taken)} required"

    def _refuse(self, request: CallerRequest, reason: str, status: int, text: str) -> None:
        self.refused[reason] += 1
        if status == 401 and request.is_proxied:
            status = 407
            request.responseHeaders.setRawHeaders(b"Proxy-Authenticate", self._challenges)
        elif status == 401:
            request.responseHeaders.setRawHeaders(b"WWW-Authenticate", self._challenges)
        if status == 503:
            request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER_SECONDS)
        request.write(plain_answer(request, status, text))
        request.finish()
