"""Every option of Promregator, and what becomes of it. Pure.

Source: Promregator's documentation, ``docs/config.md``, of 1.x and of the older versions whose
options are still found in the wild.
"""

from __future__ import annotations

import re

from attrs import frozen

from promproxy.migration.spring import spelling

_NO_CACHE = "there is no cache: each refresh reads whole lists, in few requests"
_NO_POOL = "one thread serves all connections, and there is nothing to size"
_BULK = "requests are other ones, for whole lists; cloud_foundry.timeout is for one of them, 30s"
_DEADLINE = "the deadline of a scrape, which Prometheus names, covers all of its parts"
_OWN_METRICS = "the metrics are other ones; see docs/migrating.md"
_SPRING = "a setting of Spring, Tomcat or the JVM"
_WATCHDOG = "connections are checked when they are used, and refreshes that fail are retried"


@frozen
class Option:
    """One option; ``[]`` stands for a number, ``*`` for any key, and last for whatever comes there.

    ``becomes`` is the key of promproxy.yml, ``""`` where it has no counterpart; then ``why`` says
    what takes care of it.
    """

    name: str
    becomes: str = ""
    why: str = ""

    def is_meant_by(self, name: str) -> bool:
        """Whether a name in a file, in any of its spellings, is that of this option."""
        own, other = spelling(self.name.replace("[]", "[0]")), spelling(_numberless(name))
        if own[-1] == "*" and len(other) >= len(own):
            own, other = own[:-1], other[: len(own) - 1]
        return len(own) == len(other) and all(
            one in ("*", another) for one, another in zip(own, other, strict=True)
        )


def _numberless(name: str) -> str:
    return re.sub(r"\[\d+\]", "[0]", name)


def _authenticator(prefix: str) -> tuple[Option, ...]:
    oauth2 = "outbound.*.oauth2"
    options = [
        Option(f"{prefix}.type", "outbound"),
        Option(f"{prefix}.basic.username", "outbound.*.basic_auth.username"),
        Option(f"{prefix}.basic.password", "outbound.*.basic_auth.password"),
    ]
    for kind in ("oauth2xsuaa", "oauth2xsuaaBasic"):
        options += [
            Option(f"{prefix}.{kind}.tokenServiceURL", f"{oauth2}.token_url"),
            Option(f"{prefix}.{kind}.client_id", f"{oauth2}.client_id"),
            Option(f"{prefix}.{kind}.client_secret", f"{oauth2}.client_secret"),
            Option(f"{prefix}.{kind}.scopes[]", f"{oauth2}.scopes"),
            Option(f"{prefix}.{kind}.scopes", f"{oauth2}.scopes"),
        ]
    kind = "oauth2xsuaaCertificate"
    return (
        *options,
        Option(f"{prefix}.{kind}.tokenServiceCertURL", f"{oauth2}.token_url"),
        Option(f"{prefix}.{kind}.client_id", f"{oauth2}.client_id"),
        Option(f"{prefix}.{kind}.client_certificates", f"{oauth2}.tls_config.cert_file"),
        Option(f"{prefix}.{kind}.client_key", f"{oauth2}.tls_config.key_file"),
        Option(f"{prefix}.{kind}.scopes[]", f"{oauth2}.scopes"),
        Option(f"{prefix}.{kind}.scopes", f"{oauth2}.scopes"),
    )


def _foundation(prefix: str, host: str, port: str) -> tuple[Option, ...]:
    cf = "sources[].cloud_foundry"
    return (
        Option(f"{prefix}.{host}", f"{cf}.api_url"),
        Option(f"{prefix}.{port}", f"{cf}.api_url"),
        Option(f"{prefix}.username", f"{cf}.username"),
        Option(f"{prefix}.password", f"{cf}.password"),
        Option(f"{prefix}.skipSslValidation", f"{cf}.tls_config.insecure_skip_verify"),
        Option(f"{prefix}.proxy.host", f"{cf}.proxy_url"),
        Option(f"{prefix}.proxy.port", f"{cf}.proxy_url"),
        Option(f"{prefix}.connectionPool.*", why=_NO_POOL),
        Option(f"{prefix}.threadPool.*", why=_NO_POOL),
    )


_SELECT = "sources[].cloud_foundry.select[]"
_TARGET = "promregator.targets[]"

OPTIONS = (
    *_foundation("cf", "api_host", "apiPort"),
    Option("cf.proxyHost", "sources[].cloud_foundry.proxy_url"),
    Option("cf.proxyPort", "sources[].cloud_foundry.proxy_url"),
    Option("cf.request.rateLimit", "sources[].cloud_foundry.max_requests_per_second"),
    Option("cf.request.timeout.*", why=_BULK),
    Option("cf.request.cacheDuration", why=_NO_CACHE),
    Option("cf.request.backoff", why="refreshes that fail are tried again after 5s, 10s, 20s, ..."),
    Option("cf.cache.timeout.application", "sources[].refresh_interval"),
    Option("cf.cache.timeout.route", "sources[].refresh_interval"),
    Option("cf.cache.timeout.process", "sources[].refresh_interval"),
    Option("cf.cache.timeout.resolver", "sources[].refresh_interval"),
    Option("cf.cache.timeout.*", why=_NO_CACHE),
    Option("cf.cache.expiry.*", why=_NO_CACHE),
    Option("cf.cache.type", why=_NO_CACHE),
    Option("cf.cache.aggregator.*", why=_BULK),
    Option("cf.watchdog.*", why=_WATCHDOG),
    Option("cf.watchdog", why=_WATCHDOG),
    Option(_TARGET, _SELECT),
    Option(f"{_TARGET}.orgName", f"{_SELECT}.org"),
    Option(f"{_TARGET}.orgRegex", f"{_SELECT}.org_regex"),
    Option(f"{_TARGET}.spaceName", f"{_SELECT}.space"),
    Option(f"{_TARGET}.spaceRegex", f"{_SELECT}.space_regex"),
    Option(f"{_TARGET}.applicationName", f"{_SELECT}.app"),
    Option(f"{_TARGET}.applicationRegex", f"{_SELECT}.app_regex"),
    Option(f"{_TARGET}.path", f"{_SELECT}.path"),
    Option(f"{_TARGET}.protocol", f"{_SELECT}.scheme"),
    Option(f"{_TARGET}.preferredRouteRegex", f"{_SELECT}.preferred_route_regex"),
    Option(f"{_TARGET}.preferredRouteRegex[]", f"{_SELECT}.preferred_route_regex"),
    Option(f"{_TARGET}.internalRoutePort", f"{_SELECT}.internal_route_port"),
    Option("promregator.defaultInternalRoutePort", f"{_SELECT}.internal_route_port"),
    Option(f"{_TARGET}.kubernetesAnnotations", f"{_SELECT}.annotations"),
    Option(f"{_TARGET}.overrideRouteAndPath", f"{_SELECT}.override_route_and_path"),
    Option(f"{_TARGET}.authenticatorId", f"{_SELECT}.outbound"),
    Option(f"{_TARGET}.api", "sources[]"),
    *_authenticator("promregator.authenticator"),
    Option("promregator.targetAuthenticators[].id", "outbound"),
    *_authenticator("promregator.targetAuthenticators[]"),
    Option("promregator.discovery.hostname", "discovery.address"),
    Option("promregator.discovery.port", "discovery.address"),
    Option("promregator.discovery.scheme", "discovery.scheme"),
    Option("promregator.discovery.ownMetricsEndpoint", "discovery.own_metrics"),
    Option("promregator.discovery.auth", "open_pages"),
    Option("promregator.endpoint.auth", "open_pages"),
    Option("promregator.metrics.auth", "open_pages"),
    Option("promregator.cache.invalidate.auth", "open_pages"),
    Option("promregator.authentication.basic.*", why="users are in the web configuration file"),
    Option("promregator.scraping.maxProcessingTime", "scrape.max_timeout"),
    Option("promregator.endpoint.maxProcessingTime", "scrape.max_timeout"),
    Option("promregator.scraping.proxy.host", "outbound.*.proxy_url"),
    Option("promregator.scraping.proxy.port", "outbound.*.proxy_url"),
    Option("promregator.scraping.connectionTimeout", why=_DEADLINE),
    Option("promregator.scraping.socketReadTimeout", why=_DEADLINE),
    Option("promregator.scraping.threads", why=_NO_POOL),
    Option("promregator.endpoint.threads", why=_NO_POOL),
    Option(
        "promregator.scraping.labelEnrichment",
        why="nothing is put into what a target says; relabel_configs does it in Prometheus",
    ),
    Option("promregator.metrics.*", why=_OWN_METRICS),
    Option("promregator.discoverer.timeout", why="no metric is kept for a target that is gone"),
    Option("promregator.internal.preCheckAPIVersion", why="each refresh says what the API refuses"),
    Option("promregator.simulation.*", why="promproxy simulate is a foundation to try things on"),
    Option("promregator.gc.rate", why=_SPRING),
    Option("promregator.reactor.debug", why=_SPRING),
    Option("promregator.workaround.dnscache.timeout", why="no answer of DNS is kept"),
    Option("server.port", "listen"),
    Option("server.address", "listen"),
    Option("server.*", why=f"{_SPRING}; TLS is in the web configuration file"),
    Option("spring.*", why=_SPRING),
    Option("management.*", why=_SPRING),
    Option("logging.*", why="the log has one level, and says each change of state once"),
    *_foundation("cf.api.*", "host", "port"),
)


def name_for_variable(variable: str) -> str | None:
    """The name of the option that Spring takes from a variable of the environment, if any."""
    plain = variable.replace("_", "")
    for option in OPTIONS:
        parts = re.split(r"(\[\]|\*)", option.name)
        pattern = "".join({"[]": r"(\d+)", "*": "([A-Z0-9]+)"}.get(p, _bare(p)) for p in parts)
        match = re.fullmatch(pattern, plain)
        if match is not None:
            values = iter(match.groups())
            return "".join(
                f"[{next(values)}]" if p == "[]" else next(values).lower() if p == "*" else p
                for p in parts
            )
    return None


def _bare(part: str) -> str:
    return re.sub("[._-]", "", part).upper()


def option_for(name: str) -> Option | None:
    """The option that a name in a file means, None where Promregator has none like it."""
    return next((option for option in OPTIONS if option.is_meant_by(name)), None)
