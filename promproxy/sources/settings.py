"""The settings of sources: what all kinds have in common, and the small kinds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from promproxy.outbound.settings import HttpClient
from promproxy.settings.readers import (
    boolean,
    list_of,
    matching,
    path,
    positive_duration,
    section,
    setting,
    size,
    text,
    url,
    without_query,
)
from promproxy.sources.cloud_foundry.settings import CloudFoundry
from promproxy.sources.pushprox.settings import PushProx
from promproxy.targets.document import OWN_SOURCE

source_name = matching("[a-z][a-z0-9-]{0,30}", "a name such as prod-1: a-z, 0-9 and -, at most 31")


@frozen(kw_only=True)
class Files:
    """Targets from files in file_sd format."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "files": "write paths: [...]",
        "refresh_interval": "it stands one level up, beside files",
    }

    paths: tuple[Path, ...] = setting(
        list_of(path), doc="globs of JSON (.json) and YAML (.yml, .yaml) files"
    )

    def __attrs_post_init__(self) -> None:
        for found in self.paths:
            if found.suffix.lower() not in (".json", ".yml", ".yaml"):
                raise ValueError(f"paths: {found.name} must end in .json, .yml or .yaml")


@frozen(kw_only=True)
class HttpSd(HttpClient):
    """Targets from an http_sd document."""

    HINTS: ClassVar[Mapping[str, str]] = {
        **HttpClient.HINTS,
        "refresh_interval": "it stands one level up, beside http_sd",
    }

    url: str = setting(url, doc="URL of the document", shown=without_query)
    timeout: float = setting(positive_duration, default=30.0, doc="limit for one request")
    max_size: int = setting(size, default=64 * 1024**2, doc="largest document")
    allowed_hosts: tuple[str, ...] = setting(
        list_of(text),
        default=(),
        doc="hosts that may become targets, as patterns (*.example.org); empty: all",
    )


@frozen(kw_only=True)
class SourceSettings:
    """A source of targets: common settings, and exactly one kind."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "job_name": "a source has a name: [a-z][a-z0-9-]*",
        "static_configs": "write the targets to a file, and files: {paths: [...]} here",
        "file_sd_configs": "write files: {paths: [...]}",
        "http_sd_configs": "write http_sd: {url: ...}, one source for each",
        "scrape_interval": "Prometheus decides it: leave it out, or see refresh_interval",
        "scrape_timeout": "Prometheus decides it: leave it out",
        "metrics_path": "write it as the label __metrics_path__ of the targets",
        "scheme": "write it as the label __scheme__ of the targets",
        "params": "write them as labels __param_<name> of the targets",
    }

    name: str = setting(source_name, doc="name in ids, labels and metrics")
    refresh_interval: float = setting(
        positive_duration,
        default=0.0,
        doc="time between refreshes; by default 5s for files and pushprox, else 60s",
    )
    outbound: str = setting(text, default="", doc="outbound profile for all its targets")
    honor_job: bool = setting(
        boolean,
        default=False,
        doc="pass on a job label, which overrides Prometheus's job name",
    )
    cloud_foundry: CloudFoundry | None = setting(
        section(CloudFoundry), default=None, doc="a Cloud Foundry foundation"
    )
    files: Files | None = setting(section(Files), default=None, doc="target files")
    http_sd: HttpSd | None = setting(section(HttpSd), default=None, doc="an http_sd document")
    pushprox: PushProx | None = setting(
        section(PushProx), default=None, doc="hosts behind NAT that run PushProx's client"
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
