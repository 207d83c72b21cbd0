"""What a configuration may say. Durations are in seconds, sizes in bytes, paths are absolute.

Field names are those of Prometheus wherever it has the field (its documentation, "Configuration").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from promproxy.config.cloud_foundry import CloudFoundry
from promproxy.config.http_client import HttpClient, url, without_query
from promproxy.config.merged import Merged
from promproxy.config.place import ConfigNode
from promproxy.config.pushprox import PushProx
from promproxy.config.read import (
    boolean,
    duration,
    integer,
    list_of,
    mapping_of,
    matching,
    one_of,
    path,
    positive,
    positive_duration,
    section,
    setting,
    size,
    text,
)
from promproxy.config.roles import Role
from promproxy.outbound.networks import Network, network
from promproxy.server.access import OPENABLE
from promproxy.targets.document import OWN_SOURCE, valid_address

source_name = matching("[a-z][a-z0-9-]{0,30}", "a name such as prod-1: a-z, 0-9 and -, at most 31")


def host_port(place: ConfigNode) -> str:
    """An address such as ``promproxy.example.org:8080``; the port may be left out."""
    value = text(place)
    if valid_address(value.encode()) is None:
        place.expected("host:port")
    return value


def own_metrics(place: ConfigNode) -> bool | tuple[str, ...]:
    """Whether, or at which addresses."""
    if not place.is_list():
        return boolean(place)
    addresses = list_of(host_port)(place)
    for address in addresses:
        if addresses.count(address) > 1:
            place.fail(f"{address} stands here twice")
    return addresses


def address_or_network(place: ConfigNode) -> Network:
    """An address, or a network such as ``10.0.0.0/8`` or ``fd00::/8``."""
    try:
        return network(text(place))
    except ValueError:
        place.expected("an address, or a network such as 10.0.0.0/8")


@frozen(kw_only=True)
class Discovery:
    """The discovery document."""

    address: str = setting(
        host_port,
        default="",
        doc="the host:port at which Prometheus reaches us; empty: the Host of each request",
    )
    scheme: str = setting(
        one_of("http", "https"),
        default="",
        doc="how Prometheus reaches us; by default https if the web configuration file has TLS",
    )
    own_metrics: bool | tuple[str, ...] = setting(
        own_metrics,
        default=True,
        doc="list our own metrics endpoint too; or the host:port of each replica, so that one "
        "behind a shared address is scraped for itself",
    )
    promregator_labels: bool = setting(
        boolean, default=False, doc="give Cloud Foundry targets Promregator's labels too"
    )
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

    url: str = setting(url, doc="where the document is", shown=without_query)
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
        doc="how often it is asked; by default 5s for files and pushprox, else 60s",
    )
    outbound: str = setting(text, default="", doc="the outbound profile for all of its targets")
    honor_job: bool = setting(
        boolean,
        default=False,
        doc="pass on a job label, which overrides the job's name in Prometheus",
    )
    cloud_foundry: CloudFoundry | None = setting(
        section(CloudFoundry), default=None, doc="a Cloud Foundry foundation"
    )
    files: Files | None = setting(section(Files), default=None, doc="target files")
    http_sd: HttpSd | None = setting(section(HttpSd), default=None, doc="an http_sd document")
    pushprox: PushProx | None = setting(
        section(PushProx), default=None, doc="hosts behind NAT, which run PushProx's client"
    )

    def __attrs_post_init__(self) -> None:
        kinds = [self.cloud_foundry, self.files, self.http_sd, self.pushprox]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a source has exactly one of: cloud_foundry, files, http_sd, pushprox")
        if self.pushprox is not None and self.outbound:
            raise ValueError("outbound: a pushprox source has none: its clients come to us")
        if self.name == OWN_SOURCE:
            raise ValueError(f"name: '{OWN_SOURCE}' is what we call ourselves; choose another")

    @property
    def profiles(self) -> frozenset[str]:
        """The outbound profiles that its targets may have."""
        rules = self.cloud_foundry.select if self.cloud_foundry is not None else ()
        return frozenset((self.outbound, *(rule.outbound for rule in rules))) - {""}

    @property
    def interval(self) -> float:
        """Seconds between two refreshes."""
        is_cheap = self.files is not None or self.pushprox is not None
        return self.refresh_interval or (5.0 if is_cheap else 60.0)


@frozen(kw_only=True)
class FileSd:
    """The discovery document as a file."""

    path: Path = setting(path, doc="the file, for file_sd_configs; its name ends in .json")

    def __attrs_post_init__(self) -> None:
        if self.path.suffix != ".json":
            raise ValueError("path: must end in .json, which tells Prometheus what is in it")


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
    merged: Merged | None = setting(
        section(Merged), default=None, doc="merged scrapes: all targets in one answer"
    )
    outbound: Mapping[str, HttpClient] = setting(
        mapping_of(section(HttpClient)), default={}, doc="named profiles"
    )
    max_connections: int = setting(
        integer,
        default=0,
        doc="connections that callers may have at a time; 0: half of the files that may be open, "
        "at most 16384",
    )
    deny_addresses: tuple[Network, ...] = setting(
        list_of(address_or_network),
        default=tuple(network(text) for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254")),
        doc="where hosts that come from discovery (of ``http_sd``, and of ``cloud_foundry`` "
        "without ``router``) must not lead; the default has the metadata services of clouds",
    )
    open_admin: bool = setting(
        boolean,
        default=False,
        doc="where there are no users: callers from other hosts may refresh and reload too",
    )
    open_pages: tuple[str, ...] = setting(
        list_of(one_of(*OPENABLE)),
        default=("healthy", "ready"),
        doc="pages that nobody needs a permission for, users or not",
    )
    roles: tuple[Role, ...] = setting(
        list_of(section(Role)),
        default=(),
        doc="which users may do what; without any, all of them may scrape and administer",
    )
    state_dir: Path | None = setting(
        path,
        default=None,
        doc="where the last good targets are kept over a restart; unset: nowhere",
    )
    file_sd: FileSd | None = setting(
        section(FileSd), default=None, doc="write the discovery document to a file too"
    )
    sources: tuple[Source, ...] = setting(
        list_of(section(Source)), default=(), doc="where targets come from"
    )

    def __attrs_post_init__(self) -> None:
        if not self.listen:
            raise ValueError("listen: name at least one endpoint, such as tcp:8080")
        if self.file_sd is not None and not self.discovery.address:
            raise ValueError(
                "file_sd: a file needs discovery.address, the host:port at which Prometheus "
                "reaches us"
            )
        _check_names("sources: two", [source.name for source in self.sources])
        tokens = [token.name for role in self.roles for token in role.tokens]
        _check_names("roles: two tokens", tokens)
        if sum(source.pushprox is not None for source in self.sources) > 1:
            raise ValueError("sources: at most one of them may be of the kind pushprox")
        for source in self.sources:
            self._check_profile(source)

    def _check_profile(self, source: Source) -> None:
        """Credentials go only where the operator meant them to."""
        hosts_are_open = source.http_sd is not None and not source.http_sd.allowed_hosts
        if self._has_credentials(source.outbound, f"'{source.name}'") and hosts_are_open:
            raise ValueError(
                f"sources: '{source.name}' would send the credentials of '{source.outbound}' to "
                "any host that its document names; list those it may go to in allowed_hosts"
            )
        for number, rule in enumerate(source.cloud_foundry.select if source.cloud_foundry else ()):
            where = f"'{source.name}', select[{number}],"
            if not self._has_credentials(rule.outbound or source.outbound, where):
                continue
            if not (rule.org or rule.org_guid or rule.trust_all_orgs):
                raise ValueError(
                    f"sources: {where} would send the credentials of "
                    f"'{rule.outbound or source.outbound}' to apps of any org; name the org, or "
                    "say trust_all_orgs: true"
                )

    def _has_credentials(self, profile: str, where: str) -> bool:
        if profile and profile not in self.outbound:
            raise ValueError(
                f"sources: {where} names the profile '{profile}', which 'outbound' does not define"
            )
        return bool(profile) and self.outbound[profile].has_credentials


def _check_names(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} are called '{name}'")
