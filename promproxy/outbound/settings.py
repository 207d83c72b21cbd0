"""The settings of HTTP clients: outbound profiles, and the sources' own connections.

Field names and meanings are those of Prometheus (its documentation, "Configuration").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from promproxy.http.grammar import TOKEN
from promproxy.outbound.no_proxy import NoProxy
from promproxy.secret import Secret
from promproxy.settings.files import PemFiles
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import (
    boolean,
    list_of,
    mapping_of,
    matching,
    one_of,
    path,
    secret,
    section,
    setting,
    text,
    url,
    without_query,
)


def parameter(node: ConfigNode) -> Secret:
    """A string that is not shown, since it may be a secret."""
    return Secret(text(node))


def no_proxy(node: ConfigNode) -> NoProxy:
    """Hosts with commas in between: ``10.0.0.0/8,.example.org,host:8080``; ``*`` for all."""
    try:
        return NoProxy(text(node))
    except ValueError as error:
        node.expected(str(error))


@frozen(kw_only=True)
class BasicAuth:
    """A user and a password, sent with every request (RFC 7617)."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "username_file": 'the user stands here itself, or in a variable: username: "${NAME}"'
    }

    username: str = setting(text, doc="the user")
    password: Secret = setting(secret, default=Secret(), doc="the password")


@frozen(kw_only=True)
class Authorization:
    """An ``Authorization`` header of any type."""

    type: str = setting(matching(TOKEN.decode(), "a word"), default="Bearer", doc="the scheme")
    credentials: Secret = setting(secret, doc="the credentials after the scheme")


@frozen(kw_only=True)
class TlsConfig(PemFiles):
    """TLS toward a server: what it must prove, and our own certificate."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "ca": "write the certificates to a file and name it in ca_file",
        "cert": "write the certificate to a file and name it in cert_file",
        "key": "write the key to a file and name it in key_file",
        "max_version": "leave it out: both sides use the newest version that they have",
    }

    ca_file: Path | None = setting(
        path,
        default=None,
        doc="authorities for the server's certificate, instead of the system's",
    )
    cert_file: Path | None = setting(path, default=None, doc="our certificate, with its chain")
    key_file: Path | None = setting(path, default=None, doc="our certificate's key")
    server_name: str = setting(
        text, default="", doc="name that the certificate must have, instead of the host's"
    )
    insecure_skip_verify: bool = setting(boolean, default=False, doc="accept any certificate")
    allow_unclean_close: bool = setting(
        boolean,
        default=False,
        doc="take a body that ends with the connection as whole although TLS did not say goodbye "
        "(close_notify), so that it may have been cut",
    )
    min_version: str = setting(one_of("TLS12", "TLS13"), default="TLS12", doc="the oldest version")

    def __attrs_post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")

    @property
    def pem_files(self) -> tuple[Path | None, ...]:
        return self.ca_file, self.cert_file, self.key_file


@frozen(kw_only=True)
class Connection:
    """How connections that we open are made."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "proxy_from_environment": "name the proxy in proxy_url, which may be a variable: "
        '"${HTTPS_PROXY}"',
        "proxy_connect_header": "user and password for the proxy go into proxy_basic_auth; other "
        "headers are not supported",
    }

    tls_config: TlsConfig = setting(section(TlsConfig), default=TlsConfig(), doc="TLS settings")
    proxy_url: str = setting(url, default="", doc="the HTTP proxy to go through; https by CONNECT")
    proxy_basic_auth: BasicAuth | None = setting(
        section(BasicAuth), default=None, doc="user and password for the proxy"
    )
    no_proxy: NoProxy = setting(
        no_proxy,
        default=NoProxy(),
        doc="hosts to connect to without the proxy",
    )

    def __attrs_post_init__(self) -> None:
        if not self.proxy_url and self.proxy_basic_auth is not None:
            raise ValueError("proxy_basic_auth: it takes a proxy_url")
        if not self.proxy_url and self.no_proxy:
            raise ValueError("no_proxy: it takes a proxy_url")


@frozen(kw_only=True)
class OAuth2(Connection):
    """Client credentials of RFC 6749; its connection is that to the token server."""

    client_id: str = setting(text, doc="the client")
    client_secret: Secret | None = setting(
        secret, default=None, doc="its secret; omit it with a client certificate"
    )
    token_url: str = setting(url, doc="the token server's URL", shown=without_query)
    scopes: tuple[str, ...] = setting(list_of(text), default=(), doc="scopes to request")
    endpoint_params: Mapping[str, Secret] = setting(
        mapping_of(parameter), default={}, doc="further parameters of the token request"
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.client_secret is None and self.tls_config.cert_file is None:
            raise ValueError("give client_secret, or a client certificate in tls_config")


@frozen(kw_only=True)
class HttpClient(Connection):
    """How to reach HTTP servers: an outbound profile, or a source's own connection."""

    HINTS: ClassVar[Mapping[str, str]] = {
        **Connection.HINTS,
        "bearer_token": "write authorization: {credentials: ...}",
        "bearer_token_file": "write authorization: {credentials_file: ...}",
        "enable_http2": "leave it out: connections speak HTTP/1.1",
        "follow_redirects": "leave it out: redirects are not followed; name the address that they "
        "lead to, which often differs by a slash at its end",
        "http_headers": "not supported; an Authorization header of any type goes into "
        "authorization",
    }

    basic_auth: BasicAuth | None = setting(
        section(BasicAuth), default=None, doc="user and password"
    )
    authorization: Authorization | None = setting(
        section(Authorization), default=None, doc="an Authorization header"
    )
    oauth2: OAuth2 | None = setting(
        section(OAuth2), default=None, doc="tokens by OAuth 2 client credentials"
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self._kinds_of_credentials > 1:
            raise ValueError("give one of basic_auth, authorization and oauth2")

    @property
    def _kinds_of_credentials(self) -> int:
        kinds = (self.basic_auth, self.authorization, self.oauth2)
        return sum(kind is not None for kind in kinds)

    @property
    def has_credentials(self) -> bool:
        """Whether the server learns a secret, or gets proof of our identity."""
        return self._kinds_of_credentials > 0 or self.tls_config.cert_file is not None
