"""Sources built from what the configuration says of them."""

from __future__ import annotations

import random
from typing import Any

from attrs import evolve, field, frozen

from promproxy.config import schema
from promproxy.daemon.profiles import make_fetcher, make_profile
from promproxy.daemon.tls import TLSProfiles
from promproxy.daemon.tunnel import client_rules
from promproxy.outbound.agent import OutboundAgent
from promproxy.outbound.client import Outbound
from promproxy.outbound.document import DocumentClient
from promproxy.outbound.fetch import Fetcher
from promproxy.outbound.settings import HttpClient
from promproxy.secret import Secret
from promproxy.settings.readers import without_query
from promproxy.sources import Source
from promproxy.sources.cloud_foundry.api import Api
from promproxy.sources.cloud_foundry.lists import Lists
from promproxy.sources.cloud_foundry.router_check import RouterCheck
from promproxy.sources.cloud_foundry.settings import CloudFoundry
from promproxy.sources.cloud_foundry.source import CloudFoundrySource
from promproxy.sources.cloud_foundry.targets import TargetOptions
from promproxy.sources.cloud_foundry.uaa import Credentials
from promproxy.sources.files import FilesSource
from promproxy.sources.groups import GroupRules
from promproxy.sources.http_sd import HttpSdSource
from promproxy.sources.pushprox.source import PushProxSource
from promproxy.sources.settings import HttpSd, SourceSettings
from promproxy.timing.backoff import longest_wait
from promproxy.timing.threads import InThread
from promproxy.tunnel.agent import TunnelAgent


@frozen(kw_only=True)
class SourceBuilder:
    """Builds sources of every kind; the fields are what they share.

    ``agents`` are those through which they ask for their targets.
    """

    reactor: Any
    in_thread: InThread
    outbound: Outbound
    tunnel: TunnelAgent
    promregator_labels: bool
    tls_profiles: TLSProfiles = field(factory=TLSProfiles)
    agents: list[OutboundAgent] = field(factory=list, init=False)

    def build(self, source: SourceSettings, config: schema.Config) -> Source:
        """The source that a part of the configuration describes. Raises ConfigError."""
        if source.cloud_foundry is not None:
            return self._cloud_foundry(source, source.cloud_foundry, config)
        if source.http_sd is not None:
            return self._http_sd(source, source.http_sd)
        if source.pushprox is not None:
            return PushProxSource(
                source.name,
                source.interval,
                client_rules(source),
                source.pushprox.startup_hold,
                self.tunnel,
                self.reactor,
            )
        assert source.files is not None  # the schema saw to it that there is one kind
        return FilesSource(
            source.name,
            source.interval,
            source.files.paths,
            _group_rules(source),
            self.reactor,
            self.in_thread,
        )

    def _http_sd(self, source: SourceSettings, http_sd: HttpSd) -> Source:
        fetcher = self._fetcher(http_sd, http_sd.timeout, http_sd.max_size)
        rules = evolve(
            _group_rules(source),
            allowed_hosts=http_sd.allowed_hosts,
            labels={"__meta_url": without_query(http_sd.url)},  # as Prometheus's http_sd has it
        )
        client = DocumentClient(http_sd.url, source.interval, fetcher)
        return HttpSdSource(source.name, source.interval, client, rules, self.reactor)

    def _cloud_foundry(
        self, source: SourceSettings, cf: CloudFoundry, config: schema.Config
    ) -> Source:
        credentials = Credentials(
            username=cf.username,
            password=cf.password or Secret(),
            client_id=cf.client_id or "cf",
            client_secret=cf.client_secret or Secret(),
        )
        api = Api.with_login(
            cf.api_url,
            self._fetcher(cf, cf.timeout, cf.max_page_size),
            self.reactor,
            random.random,
            cf.max_requests_per_second,
            credentials,
            longest_wait(source.interval),
        )
        options = TargetOptions(
            source=source.name,
            rules=cf.select,
            exclude=cf.exclude,
            by_process=cf.instance_routing == "process",
            router=cf.router,
            outbound=source.outbound,
            credentialed=config.credentialed,
            promregator_labels=self.promregator_labels,
        )
        return CloudFoundrySource(
            source.name,
            source.interval,
            Lists(api, self.reactor),
            options,
            self.reactor,
            cf.max_loss_percent / 100,
            RouterCheck(self.outbound),
        )

    def _fetcher(self, http: HttpClient, timeout: float, max_size: int) -> Fetcher:
        profile = make_profile(self.reactor, http, self.tls_profiles.get)
        self.agents.extend(profile.agents)
        return make_fetcher(self.reactor, profile, timeout, max_size)


def _group_rules(source: SourceSettings) -> GroupRules:
    return GroupRules(source=source.name, outbound=source.outbound, honor_job=source.honor_job)
