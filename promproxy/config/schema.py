"""The whole configuration. Durations are in seconds, sizes in bytes, paths are absolute.

Field names are those of Prometheus wherever it has the field (its documentation, "Configuration").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from promproxy.disk.settings import FileSd
from promproxy.outbound.networks import Network, network
from promproxy.outbound.settings import HttpClient
from promproxy.scrape.merged.settings import MergedSettings
from promproxy.scrape.settings import ScrapeSettings
from promproxy.server.endpoints import endpoint
from promproxy.server.permissions import OPENABLE
from promproxy.server.settings import Role
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import (
    boolean,
    integer,
    list_of,
    mapping_of,
    one_of,
    path,
    section,
    setting,
    text,
)
from promproxy.sources.settings import SourceSettings
from promproxy.targets.settings import Discovery


def address_or_network(node: ConfigNode) -> Network:
    """An address, or a network such as ``10.0.0.0/8`` or ``fd00::/8``."""
    try:
        return network(text(node))
    except ValueError:
        node.expected("an address, or a network such as 10.0.0.0/8")


@frozen(kw_only=True)
class Config:
    """The whole file."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "scrape_configs": "that is for Prometheus; here targets come from sources",
        "global": "that is for Prometheus; here deadlines stand in scrape",
    }

    listen: tuple[str, ...] = setting(
        list_of(endpoint), default=("tcp:8080",), doc="where callers reach us"
    )
    discovery: Discovery = setting(
        section(Discovery), default=Discovery(), doc="the discovery document"
    )
    scrape: ScrapeSettings = setting(
        section(ScrapeSettings), default=ScrapeSettings(), doc="deadlines and limits"
    )
    merged: MergedSettings | None = setting(
        section(MergedSettings), default=None, doc="merged scrapes: all targets in one answer"
    )
    outbound: Mapping[str, HttpClient] = setting(
        mapping_of(section(HttpClient)), default={}, doc="named profiles"
    )
    max_connections: int = setting(
        integer,
        default=0,
        doc="callers' connections at a time; 0: half of the open-file limit, at most 16384",
    )
    deny_addresses: tuple[Network, ...] = setting(
        list_of(address_or_network),
        default=tuple(network(text) for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254")),
        doc="addresses that hosts from discovery (``http_sd``, and ``cloud_foundry`` without "
        "``router``) must not have; by default the metadata services of clouds",
    )
    open_admin: bool = setting(
        boolean,
        default=False,
        doc="without users: let callers from other hosts refresh and reload too",
    )
    open_pages: tuple[str, ...] = setting(
        list_of(one_of(*OPENABLE)),
        default=("healthy", "ready"),
        doc="pages that need no permission, even with users",
    )
    roles: tuple[Role, ...] = setting(
        list_of(section(Role)),
        default=(),
        doc="which callers may do what; without roles every user may scrape and administer",
    )
    state_dir: Path | None = setting(
        path,
        default=None,
        doc="folder for the last good targets, which survive a restart; unset: not saved",
    )
    file_sd: FileSd | None = setting(
        section(FileSd), default=None, doc="also write the discovery document to a file"
    )
    sources: tuple[SourceSettings, ...] = setting(
        list_of(section(SourceSettings)), default=(), doc="where targets come from"
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

    @property
    def credentialed(self) -> frozenset[str]:
        """The outbound profiles that have credentials."""
        return frozenset(name for name, p in self.outbound.items() if p.has_credentials)

    def _check_profile(self, source: SourceSettings) -> None:
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
