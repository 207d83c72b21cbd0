"""The settings of HTTP clients: outbound profiles, and the sources' own connections.

Field names and meanings are those of Prometheus (its documentation, "Configuration").
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from promproxy.config.place import Place
from promproxy.config.read import boolean, matching, one_of, path, secret, section, setting, text
from promproxy.secret import Secret


def url(place: Place) -> str:
    """An http or https URL without credentials in it."""
    value = text(place)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, a bracket that does not close
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", value) or "#" in value:
        place.expected("a URL that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        place.fail("credentials do not belong in a URL: it is shown in messages")
    return value


@frozen(kw_only=True)
class BasicAuth:
    """A user and a password, sent with every request (RFC 7617)."""

    username: str = setting(text, doc="the user")
    password: Secret = setting(secret, default=Secret(), doc="the password")


@frozen(kw_only=True)
class Authorization:
    """An ``Authorization`` header of any type."""

    type: str = setting(
        matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "a word"), default="Bearer", doc="the scheme"
    )
    credentials: Secret = setting(secret, doc="what follows the scheme")


@frozen(kw_only=True)
class TlsConfig:
    """How a TLS connection that we open is made and what the other side must prove."""

    ca_file: Path | None = setting(
        path,
        default=None,
        doc="who signs the server's certificate, in place of the system's authorities",
    )
    cert_file: Path | None = setting(path, default=None, doc="our certificate, with its chain")
    key_file: Path | None = setting(path, default=None, doc="our certificate's key")
    server_name: str = setting(
        text, default="", doc="the name the certificate must have, in place of the host's"
    )
    insecure_skip_verify: bool = setting(boolean, default=False, doc="accept any certificate")
    min_version: str = setting(one_of("TLS12", "TLS13"), default="TLS12", doc="the oldest version")

    def __attrs_post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")


@frozen(kw_only=True)
class HttpClient:
    """How we speak to other HTTP servers: an outbound profile, or a source's own connection."""

    basic_auth: BasicAuth | None = setting(
        section(BasicAuth), default=None, doc="user and password"
    )
    authorization: Authorization | None = setting(
        section(Authorization), default=None, doc="an Authorization header"
    )
    tls_config: TlsConfig = setting(section(TlsConfig), default=TlsConfig(), doc="TLS settings")
    proxy_url: str = setting(url, default="", doc="the HTTP proxy to go through; https by CONNECT")

    def __attrs_post_init__(self) -> None:
        if self.basic_auth is not None and self.authorization is not None:
            raise ValueError("give either basic_auth or authorization")

    @property
    def has_credentials(self) -> bool:
        """Whether whoever is asked this way learns a secret, or gets a proof of who we are."""
        auth = self.basic_auth is not None or self.authorization is not None
        return auth or self.tls_config.cert_file is not None
