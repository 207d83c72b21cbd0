"""What a configuration may say. Durations are in seconds, sizes in bytes, paths are absolute.

Field names are those of Prometheus wherever it has the field (its documentation, "Configuration").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from promproxy.config.place import Place
from promproxy.config.read import (
    boolean,
    duration,
    list_of,
    mapping_of,
    matching,
    one_of,
    path,
    positive,
    positive_duration,
    secret,
    section,
    setting,
    size,
    text,
)
from promproxy.secret import Secret

OWN_SOURCE = "promproxy"  # what __meta_promproxy_source says of our own metrics endpoint

source_name = matching("[a-z][a-z0-9-]{0,30}", "a name such as prod-1: a-z, 0-9 and -, at most 31")
host_port = matching(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", "host:port")


def url(place: Place) -> str:
    """An http or https URL without credentials in it."""
    value = text(place)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, a bracket that does not close
        usable = False
    if not usable or not value.isascii() or any(c.isspace() for c in value):
        place.expected("a URL that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        place.fail("no credentials in a URL: use basic_auth")
    return value


@frozen(kw_only=True)
class BasicAuth:
    """RFC 7617."""

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


@frozen(kw_only=True)
class Discovery:
    """The discovery document."""

    address: str = setting(
        host_port,
        default="",
        doc="the host:port at which Prometheus reaches us; empty: the Host of each request",
    )
    scheme: str = setting(one_of("http", "https"), default="http", doc="how Prometheus reaches us")
    own_metrics: bool = setting(boolean, default=True, doc="list our own metrics endpoint too")
    startup_grace: float = setting(
        duration,
        default=0.0,
        doc="how long /discovery waits for every source after a start; 0s: as long as it takes",
    )
    path_prefix: str = setting(
        matching(r"|(/[A-Za-z0-9._~-]+)+", "a path such as /promproxy"),
        default="",
        doc="put before every path we announce; we answer with and without it",
    )


@frozen(kw_only=True)
class Scrape:
    """Deadlines and limits of scrapes."""

    default_timeout: float = setting(
        positive_duration, default=10.0, doc="where the request names no timeout"
    )
    max_timeout: float = setting(positive_duration, default=60.0, doc="no scrape takes longer")
    timeout_offset: float = setting(
        duration,
        default=0.25,
        doc="how much earlier than Prometheus we give up, so that our answer reaches it",
    )
    body_size_limit: int = setting(
        size, default=0, doc="a larger answer is refused or cut short; 0: none is"
    )
    max_concurrent: int = setting(positive, default=1024, doc="scrapes at a time, in all")
    max_concurrent_per_host: int = setting(
        positive, default=128, doc="scrapes at a time of one host and port"
    )
    max_concurrent_per_target: int = setting(
        positive, default=4, doc="scrapes at a time of one target"
    )


@frozen(kw_only=True)
class Files:
    """Targets from files in file_sd format."""

    paths: tuple[Path, ...] = setting(
        list_of(path), doc="globs of JSON (.json) and YAML (.yml, .yaml) files"
    )

    def __attrs_post_init__(self) -> None:
        for found in self.paths:
            if found.suffix not in (".json", ".yml", ".yaml"):
                raise ValueError(f"paths: {found.name} must end in .json, .yml or .yaml")


@frozen(kw_only=True)
class HttpSd(HttpClient):
    """Targets from an http_sd document."""

    url: str = setting(url, doc="where the document is")
    timeout: float = setting(positive_duration, default=30.0, doc="how long one request may take")
    max_size: int = setting(size, default=64 * 1024**2, doc="a larger document is refused")
    allowed_hosts: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="which hosts may become targets, as patterns (*.example.org); empty: all",
    )


@frozen(kw_only=True)
class Source:
    """Where targets come from: what all kinds have in common, and the one kind that it is of."""

    name: str = setting(source_name, doc="its name in ids, labels and metrics")
    refresh_interval: float = setting(
        positive_duration,
        default=0.0,
        doc="how often it is asked; by default 5s for files, else 60s",
    )
    outbound: str = setting(text, default="", doc="the outbound profile for all of its targets")
    honor_job: bool = setting(
        boolean,
        default=False,
        doc="pass on a job label, which overrides the job's name in Prometheus",
    )
    files: Files | None = setting(section(Files), default=None, doc="target files")
    http_sd: HttpSd | None = setting(section(HttpSd), default=None, doc="an http_sd document")

    def __attrs_post_init__(self) -> None:
        if (self.files is None) == (self.http_sd is None):
            raise ValueError("a source has exactly one of: files, http_sd")
        if self.name == OWN_SOURCE:
            raise ValueError(f"name: '{OWN_SOURCE}' is what we call ourselves; choose another")

    @property
    def interval(self) -> float:
        """Seconds between two refreshes."""
        return self.refresh_interval or (5.0 if self.files is not None else 60.0)


@frozen(kw_only=True)
class Config:
    """The whole file."""

    listen: tuple[str, ...] = setting(
        list_of(text), default=("tcp:8080",), doc="Twisted endpoint strings"
    )
    discovery: Discovery = setting(
        section(Discovery), default=Discovery(), doc="the discovery document"
    )
    scrape: Scrape = setting(section(Scrape), default=Scrape(), doc="deadlines and limits")
    outbound: Mapping[str, HttpClient] = setting(
        mapping_of(section(HttpClient)), default={}, doc="named profiles"
    )
    sources: tuple[Source, ...] = setting(
        list_of(section(Source)), default=(), doc="where targets come from"
    )

    def __attrs_post_init__(self) -> None:
        if not self.listen:
            raise ValueError("listen: name at least one endpoint, such as tcp:8080")
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"sources: two are called '{name}'")
        for source in self.sources:
            self._check_profile(source)

    def _check_profile(self, source: Source) -> None:
        if not source.outbound:
            return
        if source.outbound not in self.outbound:
            raise ValueError(
                f"sources: '{source.name}' names the profile '{source.outbound}', "
                "which 'outbound' does not define"
            )
        hosts_are_open = source.http_sd is not None and not source.http_sd.allowed_hosts
        if hosts_are_open and self.outbound[source.outbound].has_credentials:
            raise ValueError(
                f"sources: '{source.name}' would send the credentials of '{source.outbound}' to "
                "any host that its document names; list those it may go to in allowed_hosts"
            )
