"""Everything that one configuration is built into, and what the next one takes over from it.

Nothing here listens, asks or closes anything, and the generation before is only read: a
configuration that cannot be used changes nothing, and all of it may happen in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from attrs import field, frozen
from twisted.internet.interfaces import IStreamServerEndpoint

from promproxy.config import schema
from promproxy.daemon.outputs import output_settings
from promproxy.daemon.profiles import make_profile
from promproxy.daemon.sources import SourceBuilder
from promproxy.daemon.tls import TLSProfiles
from promproxy.disk.file_watch import digests_of
from promproxy.disk.output_files import OutputSettings
from promproxy.errors import ConfigError
from promproxy.outbound.agent import OutboundAgent
from promproxy.outbound.client import Outbound, Profile
from promproxy.outbound.settings import HttpClient
from promproxy.server.endpoints import make_endpoint
from promproxy.settings.files import files_in, world_readable_secrets
from promproxy.sources import Source
from promproxy.sources.settings import SourceSettings
from promproxy.targets.document import EntryStyle
from promproxy.targets.target import Target
from promproxy.timing.threads import InThread
from promproxy.tunnel.agent import TunnelAgent

T = TypeVar("T")


@frozen(eq=False)
class Built(Generic[T]):
    """Something that settings were built into. Equal ``settings`` would lead to an equal value.

    ``agents`` are those whose connections are the value's own.
    """

    value: T
    settings: object
    agents: tuple[OutboundAgent, ...] = ()


@frozen(eq=False, kw_only=True)
class Generation:
    """One configuration, built. ``render`` makes a target's discovery entry.

    ``files`` are those with secrets, certificates and keys; ``warnings`` are for the author of
    the configuration, a line each.
    """

    config: schema.Config
    endpoints: Sequence[IStreamServerEndpoint]
    outputs: OutputSettings
    style: EntryStyle
    render: Callable[[Target], bytes]
    profiles: Mapping[str, Built[Profile]]
    sources: Mapping[str, Built[Source]]
    files: Sequence[Path] = ()
    warnings: Sequence[str] = ()

    @property
    def agents(self) -> set[OutboundAgent]:
        """Those of all sources; profiles' own are closed by the outbound client."""
        return {agent for built in self.sources.values() for agent in built.agents}

    def changes(self, before: Generation) -> str:
        """A description of what a reload changed in the sources."""
        here, there = self.sources.keys(), before.sources.keys()
        kinds = {"new": here - there, "changed": self.changed(before), "removed": there - here}
        parts = [f"{kind} {', '.join(sorted(names))}" for kind, names in kinds.items() if names]
        return f"sources {'; '.join(parts)}" if parts else "no source has changed"

    def renewed(self, before: Generation) -> list[str]:
        """The profiles and sources, as an operator calls them, that are not those of before."""
        profiles = [
            f"profile '{name}'" if name else "the default profile"
            for name, built in self.profiles.items()
            if before.profiles.get(name) is not built
        ]
        return profiles + [f"source '{name}'" for name in self.changed(before)]

    def kept(self, before: Generation) -> list[str]:
        """The sources that are those of before."""
        return [name for name, built in self.sources.items() if before.sources.get(name) is built]

    def changed(self, before: Generation) -> list[str]:
        """The sources that were there before, but of other settings."""
        return [
            name
            for name, built in self.sources.items()
            if name in before.sources and before.sources[name] is not built
        ]


@frozen(kw_only=True)
class GenerationBuilder:
    """Makes generations. ``outbound`` is what sources that ask targets themselves ask by.

    ``scheme`` is how we are reached where ``discovery.scheme`` does not say.
    """

    reactor: Any
    in_thread: InThread
    outbound: Outbound
    tunnel: TunnelAgent
    scheme: str = "http"
    tls_profiles: TLSProfiles = field(factory=TLSProfiles)

    def build(self, config: schema.Config, before: Generation | None = None) -> Generation:
        """Build a generation; unchanged parts are taken from ``before``. Raises ConfigError."""
        discovery = config.discovery
        style = EntryStyle(
            scheme=discovery.scheme or self.scheme,
            path_prefix=discovery.path_prefix,
            promregator_labels=discovery.promregator_labels,
        )
        is_same_style = before is not None and before.style == style
        profiles = {"": HttpClient(), **config.outbound}
        return Generation(
            config=config,
            endpoints=[make_endpoint(self.reactor, text) for text in config.listen],
            outputs=output_settings(config, style),
            style=style,
            render=before.render if before is not None and is_same_style else style.target_entry,
            profiles={
                name: self._profile(name, http, before.profiles.get(name) if before else None)
                for name, http in profiles.items()
            },
            sources={
                source.name: self._source(
                    source, config, before.sources.get(source.name) if before else None
                )
                for source in config.sources
            },
            files=tuple(files_in(config)),
            warnings=[*world_readable_secrets(config), *_warnings(config)],
        )

    def _profile(
        self, name: str, http: HttpClient, before: Built[Profile] | None
    ) -> Built[Profile]:
        settings = (http, referenced_digests(http))
        if before is not None and before.settings == settings:
            return before
        with _naming(f"outbound.{name}"):
            profile = make_profile(self.reactor, http, self.tls_profiles.get)
        return Built(profile, settings, profile.agents)

    def _source(
        self, source: SourceSettings, config: schema.Config, before: Built[Source] | None
    ) -> Built[Source]:
        # Of the profiles only this decides which targets there are; all else of them does not
        # concern the source.
        settings = (
            source,
            referenced_digests(source),
            config.credentialed & source.profiles,
            config.discovery.promregator_labels,
        )
        if before is not None and before.settings == settings:
            return before
        builder = SourceBuilder(
            reactor=self.reactor,
            in_thread=self.in_thread,
            outbound=self.outbound,
            tunnel=self.tunnel,
            promregator_labels=config.discovery.promregator_labels,
            tls_profiles=self.tls_profiles,
        )
        with _naming(f"sources: '{source.name}'"):
            built = builder.build(source, config)
        return Built(built, settings, tuple(builder.agents))


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Errors say which part of the configuration they are about."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def _warnings(config: schema.Config) -> Iterator[str]:
    """What is valid, but probably a mistake."""
    if not config.sources:  # such as a file that was cut short
        yield "no sources: only promproxy itself is listed"


def referenced_digests(settings: object) -> dict[Path, bytes]:
    """What the files hold, as a hash, that settings stand for: secrets, certificates, keys.

    Unreadable files are skipped: their user reports them.
    """
    return digests_of(files_in(settings))
