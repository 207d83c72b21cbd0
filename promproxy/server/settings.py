"""How callers reach us: the web configuration file, and ``roles``.

The file's format is that of Prometheus and its exporters (their documentation, "HTTPS and
authentication"); what has no meaning here is accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from pathlib import Path
from typing import Any, ClassVar

import attrs
from attrs import frozen

from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.server.permissions import PERMISSIONS
from promproxy.settings.files import PemFiles
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import (
    Section,
    list_of,
    mapping_of,
    one_of,
    path,
    secret,
    section,
    setting,
    text,
)

VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
OLDEST_VERSION = "TLS12"
CLIENT_AUTH_TYPES = (
    "NoClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "RequireClientCert",  # an old name of the one above
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
VERIFYING = CLIENT_AUTH_TYPES[-2:]

#: Those that the format knows, and what they may say where that is limited.
HEADERS = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
#: The cost doubles the time with each step; one more than this takes longer than a second.
USABLE_COST = 14


def bcrypt_hash(node: ConfigNode) -> Secret:
    """A bcrypt hash, as ``promproxy hash-password`` makes it."""
    value = text(node)
    if not _BCRYPT.fullmatch(value):
        node.expected("a bcrypt hash of cost 4 to 31, as promproxy hash-password makes it")
    return Secret(value, written_in=node.file)


def ignored(node: ConfigNode) -> bool:
    """Anything: it has no meaning here."""
    return True


def header_value(node: ConfigNode) -> str:
    """Text that fits into a line of a header; a number is one too."""
    value = "" if node.is_null() else node.scalar("one line of ASCII")
    if not re.fullmatch(r"[\t -~]*", value):
        node.expected("one line of ASCII")
    return value


def inline_key(node: ConfigNode) -> Secret:
    """A key in PEM; it is not shown."""
    return Secret(text(node), written_in=node.file)


@frozen(kw_only=True)
class TlsServer(PemFiles):
    """TLS, and what callers must show for it. A file counts before what stands here itself."""

    EMPTY_IS_DEFAULT: ClassVar[bool] = True

    cert_file: Path | None = setting(path, default=None, doc="the certificate, with its chain")
    key_file: Path | None = setting(path, default=None, doc="its key")
    cert: str = setting(text, default="", doc="the certificate itself, in PEM", shown=False)
    key: Secret = setting(inline_key, default=Secret(), doc="its key itself", shown=False)
    client_auth_type: str = setting(
        one_of(*CLIENT_AUTH_TYPES),
        default="NoClientCert",
        doc="which certificates callers must show",
    )
    client_ca_file: Path | None = setting(
        path,
        default=None,
        doc="who signs callers' certificates; unset: the system's authorities",
    )
    client_ca: str = setting(
        text, default="", doc="these certificates themselves, in PEM", shown=False
    )
    client_allowed_sans: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="subject alternative names, of which a caller's certificate must have one; empty: any",
    )
    min_version: str = setting(
        one_of(*VERSIONS), default="TLS12", doc="the oldest version, at least TLS12"
    )
    max_version: str = setting(one_of(*VERSIONS), default="TLS13", doc="the newest version")
    cipher_suites: bool = setting(ignored, default=False, doc="ignored")
    prefer_server_cipher_suites: bool = setting(ignored, default=False, doc="ignored")
    curve_preferences: bool = setting(ignored, default=False, doc="ignored")

    def __attrs_post_init__(self) -> None:
        if self.cert_file is None and not self.cert:
            raise ValueError("'cert_file' is missing")
        if self.key_file is None and not self.key.reveal():
            raise ValueError("'key_file' is missing")
        if self.max_version < OLDEST_VERSION:
            raise ValueError(f"max_version: the oldest version that is spoken is {OLDEST_VERSION}")
        if self.min_version > self.max_version:
            raise ValueError("max_version: is older than min_version")
        if self.client_auth_type == "NoClientCert":
            for key in ("client_ca_file", "client_ca"):
                if getattr(self, key):
                    raise ValueError(f"{key}: needs a client_auth_type that asks for certificates")
        # A caller without a certificate would pass, whatever names are allowed.
        if self.client_allowed_sans and not self.client_auth_type.startswith("Require"):
            raise ValueError(
                "client_allowed_sans: needs a client_auth_type that begins with Require"
            )

    @property
    def pem_files(self) -> tuple[Path | None, ...]:
        return self.client_ca_file, self.cert_file, self.key_file

    @property
    def has_client_ca(self) -> bool:
        """Whether the file says who signs callers' certificates."""
        return self.client_ca_file is not None or bool(self.client_ca)

    @property
    def verifies(self) -> bool:
        """Whether a certificate that a caller shows has been verified."""
        return self.client_auth_type in VERIFYING


class TlsSection(Section[TlsServer]):
    """Reads the section; an empty one is as none."""

    def __call__(self, node: ConfigNode) -> TlsServer | None:  # type: ignore[override]
        """Raises ConfigError."""
        return super().__call__(node) if node.entries() else None


@frozen(kw_only=True)
class HttpServer:
    """HTTP."""

    EMPTY_IS_DEFAULT: ClassVar[bool] = True

    http2: bool = setting(ignored, default=False, doc="ignored: HTTP/1.1 is spoken")
    headers: Mapping[str, str] = setting(
        mapping_of(header_value), default={}, doc="header fields of every answer"
    )

    def __attrs_post_init__(self) -> None:
        for name, value in self.headers.items():
            if name not in HEADERS:
                raise ValueError(f"headers: {name} is none of {', '.join(HEADERS)}")
            if HEADERS[name] and value.lower() not in HEADERS[name]:
                raise ValueError(f"headers: {name} may be {' or '.join(HEADERS[name])}")


@frozen(kw_only=True)
class WebFile:
    """The whole file."""

    EMPTY_IS_DEFAULT: ClassVar[bool] = True
    HINTS: ClassVar[Mapping[str, str]] = {
        "auth_excluded_paths": "pages without a password are open_pages in promproxy.yml"
    }

    tls_server_config: TlsServer | None = setting(TlsSection(TlsServer), default=None, doc="TLS")
    http_server_config: HttpServer = setting(section(HttpServer), default=HttpServer(), doc="HTTP")
    basic_auth_users: Mapping[str, Secret] = setting(
        mapping_of(bcrypt_hash), default={}, doc="users, and the bcrypt hashes of their passwords"
    )
    rate_limit: bool = setting(
        ignored, default=False, doc="ignored: limits are in promproxy.yml, in scrape"
    )

    def __attrs_post_init__(self) -> None:
        for name in self.basic_auth_users:
            if not name or ":" in name or not name.isprintable():
                raise ValueError("basic_auth_users: a name is not empty, and has no colon in it")

    @property
    def needs_certificate(self) -> bool:
        """Whether every caller has shown a certificate that was verified."""
        tls = self.tls_server_config
        return tls is not None and tls.client_auth_type == "RequireAndVerifyClientCert"

    @property
    def ignored(self) -> tuple[str, ...]:
        """The keys in it that have no meaning here."""
        return (
            *_ignored("", self),
            *_ignored("tls_server_config.", self.tls_server_config),
            *_ignored("http_server_config.", self.http_server_config),
        )

    @property
    def warnings(self) -> Iterator[str]:
        """What is read differently, or probably a mistake."""
        for key in self.ignored:
            yield f"the web configuration file's {key} has no meaning here and is ignored"
        tls = self.tls_server_config
        if tls is not None and tls.min_version < OLDEST_VERSION:
            yield f"tls_server_config.min_version: {OLDEST_VERSION} is the oldest that is spoken"
        for name, hashed in self.basic_auth_users.items():
            cost = int(hashed.reveal()[4:6])
            if cost > USABLE_COST:
                yield (
                    f"basic_auth_users: the hash of '{name}' has cost {cost}, so that a check of "
                    "the password takes seconds; promproxy hash-password makes a new one"
                )


def _ignored(prefix: str, found: Any) -> Iterator[str]:
    if found is not None:
        for field in attrs.fields(type(found)):
            if field.metadata["reader"] is ignored and getattr(found, field.name):
                yield f"{prefix}{field.name}"


@frozen(kw_only=True)
class Token:
    """A token that a caller sends (``Authorization: Bearer``, RFC 6750)."""

    name: str = setting(text, doc="the caller's identity, which owns the names of its clients")
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
    """Whether it fits into a header field, after its scheme."""
    return re.fullmatch("[!-~]+", text) is not None


@frozen(kw_only=True)
class Role:
    """What users, or holders of tokens or client certificates, may do. Roles add up."""

    users: tuple[str, ...] = setting(
        list_of(text), default=(), doc="users of the web configuration file's basic_auth_users"
    )
    tokens: tuple[Token, ...] = setting(
        list_of(section(Token)), default=(), doc="bearer tokens; a caller sends one of them"
    )
    client_sans: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="subject alternative names; a verified client certificate has one of them",
    )
    permissions: tuple[str, ...] = setting(
        list_of(one_of(*PERMISSIONS)),
        doc="scrape: discovery, scrapes, metrics, status; admin: reload, refresh; tunnel: be a "
        "PushProx client",
    )
    fqdns: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="for tunnel: names that clients may use, as patterns (*.example.org)",
    )

    def __attrs_post_init__(self) -> None:
        if not (self.users or self.tokens or self.client_sans):
            raise ValueError("a role needs users, tokens or client_sans")
        if not self.permissions:
            raise ValueError("permissions: name at least one")
        if ("tunnel" in self.permissions) != bool(self.fqdns):
            raise ValueError("the permission tunnel and fqdns go together")

    def is_for(self, user: str, token: str, sans: frozenset[str]) -> bool:
        """Whether a caller has it: by user, by the name of a token, or by certificate."""
        if user and user in self.users:  # a variable in the list may be empty
            return True
        if token and any(token == one.name for one in self.tokens):
            return True
        return not sans.isdisjoint(self.client_sans)

    @property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """`fqdns`, each for a whole name in lower case."""
        return tuple(re.compile(translate(one.lower())) for one in self.fqdns)
