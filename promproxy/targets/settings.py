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
        doc="the host:port by which Prometheus reaches promproxy; empty: each request's Host",
    )
    scheme: str = setting(
        one_of("http", "https"),
        default="",
        doc="scheme by which Prometheus reaches promproxy; by default https with TLS in the web "
        "configuration file",
    )
    own_metrics: bool | tuple[str, ...] = setting(
        own_metrics,
        default=True,
        doc="also list promproxy's own metrics; or a list of each replica's host:port, if they "
        "share an address",
    )
    promregator_labels: bool = setting(
        boolean, default=False, doc="also give Cloud Foundry targets Promregator's labels"
    )
    startup_grace: float = setting(
        duration,
        default=0.0,
        doc="how long /discovery waits for all sources after a start; 0s: no limit",
    )
    path_prefix: str = setting(
        matching(r"|(/[A-Za-z0-9._~-]+)+", "a path such as /promproxy"),
        default="",
        doc="prefix of every announced path; requests may have it or not",
    )
