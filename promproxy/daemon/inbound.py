"""How callers reach us, which may change at any time: TLS, users and roles in force."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from promproxy.config import schema
from promproxy.config.load import load_web_file
from promproxy.daemon.manual import manual_page
from promproxy.daemon.server_tls import make_server_context
from promproxy.disk.file_watch import digests_of
from promproxy.errors import ConfigError
from promproxy.server.access import Access
from promproxy.server.bearer_tokens import Tokens
from promproxy.server.passwords import CheckQueue, Passwords
from promproxy.server.settings import HttpServer, WebFile
from promproxy.server.site import PromproxySite
from promproxy.server.tls import ServerConnections, ServerContext, TlsFactory
from promproxy.settings.files import files_in, world_readable_secrets


def make_access(config: schema.Config, web: WebFile) -> Access:
    """The rules for callers. Raises ConfigError if no caller can have any of the roles."""
    roles = config.roles
    has_tokens = any(role.tokens for role in roles)
    if roles and not (web.basic_auth_users or has_tokens or verifies_certificates(web)):
        raise ConfigError(
            "roles: no caller can have one: there are no tokens, no users and no client "
            "certificates that are verified; add tokens, or a web configuration file that "
            "has users or verifies certificates (--web-config-file)"
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
    """What is valid, but probably a mistake."""
    yield from world_readable_secrets(web)
    yield from web.warnings
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


@frozen(eq=False)
class Web:
    """How callers reach us. ``contents`` is what the files held that the settings name."""

    settings: WebFile = WebFile()
    tls: ServerContext | None = None
    contents: Mapping[Path, bytes] = field(factory=dict)


def make_web(settings: WebFile, before: Web | None = None) -> Web:
    """The same as ``before`` where nothing has changed. Raises ConfigError."""
    contents = digests_of(files_in(settings))
    if before is not None and (before.settings, before.contents) == (settings, contents):
        return before
    tls = settings.tls_server_config
    if before is not None and (before.tls is None) != (tls is None):
        raise ConfigError("tls_server_config: to begin or to end with TLS takes a restart")
    return Web(settings, None if tls is None else make_server_context(tls), contents)


def header_lines(http: HttpServer) -> bytes:
    """Header fields as they are sent."""
    return "".join(f"{name}: {value}\r\n" for name, value in http.headers.items() if value).encode()


log = Logger()


@frozen(eq=False)
class InboundSettings:
    """What both configuration files say of callers, checked and built; see `build_inbound`.

    ``files`` are those that they name for it.
    """

    web: Web
    access: Access
    tokens: Tokens
    warnings: frozenset[str]
    files: tuple[Path, ...]


def build_inbound(
    config: schema.Config, settings: WebFile, before: InboundSettings | None = None
) -> InboundSettings:
    """Build all that may fail, in a thread. Raises ConfigError."""
    for description in config.listen:
        if settings.tls_server_config is not None and description.startswith("ssl:"):
            raise ConfigError(f"listen: {description} would be TLS in TLS; write tcp: here")
    return InboundSettings(
        web=make_web(settings, before.web if before else None),
        access=make_access(config, settings),
        tokens=make_tokens(config, before.tokens if before else Tokens()),
        warnings=frozenset(inbound_warnings(config, settings)),
        files=named_files(config, settings),
    )


def named_files(config: schema.Config, settings: WebFile) -> tuple[Path, ...]:
    """Those of certificates, keys and tokens."""
    return (*files_in(settings), *files_in(config.roles))


@define(eq=False)
class Inbound:
    """Has a site reached as the settings say.

    ``file`` is the web configuration file, None without one. ``password_threads`` are for checks
    of passwords alone: a flood of those must not keep anything else waiting.
    """

    _reactor: Any
    _site: PromproxySite
    _password_threads: ThreadPool
    _file: Path | None
    _settings: InboundSettings
    files: tuple[Path, ...] = field(default=(), init=False)
    _checks: CheckQueue = field(init=False)
    _connections: ServerConnections | None = field(default=None, init=False)
    _passwords: Passwords | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self._settings
        self._checks = CheckQueue(
            lambda check: deferToThreadPool(self._reactor, self._password_threads, check)
        )
        self._watch(settings.files)
        if settings.web.tls is not None:
            self._connections = ServerConnections(settings.web.tls)
        self._use_users(settings.web)
        self._apply(settings)

    @property
    def certificate_not_after(self) -> float | None:
        """When our certificate ends, in seconds of the epoch; None without TLS."""
        tls = self._settings.web.tls
        return None if tls is None else tls.not_after

    @property
    def warnings(self) -> Collection[str]:
        """What is valid, but probably a mistake, a line each."""
        return self._settings.warnings

    def start(self) -> None:
        """Start the password threads, and log the warnings."""
        self._password_threads.start()
        self._warn(self._settings.warnings)
        self._warn_if_open()

    def stop(self) -> None:
        self._checks.stop()
        self._password_threads.stop()

    @property
    def factory(self) -> IProtocolFactory:
        if self._connections is None:
            return self._site
        return TlsFactory(self._connections, self._site)

    def read(self, config: schema.Config) -> InboundSettings:
        """Read the file again, in a thread, without applying it. Raises ConfigError."""
        settings = WebFile() if self._file is None else load_web_file(self._file)
        self._watch(named_files(config, settings))
        return build_inbound(config, settings, self._settings)

    def use(self, settings: InboundSettings) -> None:
        """Apply settings: TLS to new connections, the rest from the next request on."""
        before, self._settings = self._settings, settings
        if settings.web is not before.web:
            log.info("the web configuration file, or a file that it names, was read anew")
            if self._connections is not None and settings.web.tls is not None:
                self._connections.newest = settings.web.tls
            if settings.web.settings.basic_auth_users != before.web.settings.basic_auth_users:
                self._use_users(settings.web)
        if settings.tokens != before.tokens:
            log.info("the tokens of roles have changed")
        self._apply(settings)
        if settings.access.is_open and not before.access.is_open:
            self._warn_if_open()
        self._warn(settings.warnings - before.warnings)

    def _warn(self, warnings: Iterable[str]) -> None:
        for warning in sorted(warnings):
            log.warn("{text}", text=warning)

    def _warn_if_open(self) -> None:
        """Warn if callers need no credentials."""
        access = self._settings.access
        if access.is_open:
            log.warn(
                "no users are configured: every caller can read and scrape all targets, "
                "and {whom} can reload it (see {page})",
                page=manual_page("web-config.md"),
                whom="every caller" if access.open_admin else "callers on this host",
            )

    def _watch(self, files: Iterable[Path]) -> None:
        """Also where the settings cannot be used: a file may be put right."""
        self.files = (*files, *(() if self._file is None else (self._file,)))

    def _use_users(self, web: Web) -> None:
        users = web.settings.basic_auth_users
        self._passwords = Passwords(users, self._checks) if users else None

    def _apply(self, settings: InboundSettings) -> None:
        self._site.gate.use(settings.access, self._passwords, settings.tokens)
        self._site.header_lines = header_lines(settings.web.settings.http_server_config)
