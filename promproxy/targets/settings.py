"""The settings of the discovery document."""

from __future__ import annotations

from attrs import frozen

from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import (
    boolean,
    duration,
    list_of,
    matching,
    one_of,
    setting,
    text,
)
from promproxy.targets.document import valid_address


def host_port(node: ConfigNode) -> str:
    """An address such as ``promproxy.example.org:8080``; the port may be left out."""
    value = text(node)
    if valid_address(value.encode()) is None:
        node.expected("host:port")
    return value


def own_metrics(node: ConfigNode) -> bool | tuple[str, ...]:
    """Whether, or at which addresses."""
    if not node.is_list():
        return boolean(node)
    addresses = list_of(host_port)(node)
    for address in addresses:
        if addresses.count(address) > 1:
            node.fail(f"{address} appears twice")
    return addresses


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
