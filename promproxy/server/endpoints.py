"""Where we listen: Twisted's endpoint strings, and ``host:port`` as Go's servers take it."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import getPlugins

from promproxy.errors import ConfigError
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import text

#: How many callers may wait to be accepted. After a restart a Prometheus opens a connection for
#: each of its targets, and who finds no room tries again after one second, then after two more.
BACKLOG = 1024

_KINDS_WITH_BACKLOG = ("tcp:", "tcp4:", "tcp6:", "ssl:", "unix:")
# Twisted leaves it to the socket, whose error would come when the daemon has begun to start.
_PORT = re.compile(r"(?:tcp[46]?|ssl):(?:port=)?([0-9]+)(?::|$)")
# A host without a dot could be a kind of endpoint, unless it is localhost.
_HOST_AND_PORT = re.compile(
    r"(localhost|[0-9]+(?:\.[0-9]+){3}|[\w-]+(?:\.[\w-]+)+|\[[0-9A-Fa-f:.]+\]|):([0-9]+)", re.ASCII
)


def endpoint(node: ConfigNode) -> str:
    """``host:port``, such as ``:8080``, or a Twisted endpoint string, such as ``tcp:8080``."""
    value = text(node)
    # `make_endpoint` parses these: plugins may use the reactor for it, and ssl: reads files.
    plugins = {str(plugin.prefix) for plugin in getPlugins(IStreamServerEndpointStringParser)}
    if value.partition(":")[0] not in {"ssl", *plugins}:
        try:
            make_endpoint(None, value)
        except ConfigError as error:
            node.fail(str(error))
    return value


def make_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """The endpoint that such a text describes. Raises ConfigError."""
    string = _endpoint_string(description)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, _with_backlog(string))
        port = _PORT.match(string)
        if port is not None and int(port[1]) > 65535:
            raise ValueError("a port is at most 65535")
    except Exception as error:  # each endpoint's parser raises what it likes
        raise ConfigError(
            f"{description!r} is not an endpoint such as tcp:8080, 127.0.0.1:8080 or [::1]:8080: "
            f"{error}"
        ) from error
    return endpoint


def _endpoint_string(description: str) -> str:
    """As a Twisted endpoint string."""
    match = _HOST_AND_PORT.fullmatch(description)
    if match is None:
        return description
    host, port = match.groups()
    if host.startswith("["):
        host = host.strip("[]").replace(":", r"\:")
        return f"tcp6:{port}:interface={host}"
    return f"tcp:{port}:interface={host}" if host else f"tcp:{port}"


def _with_backlog(description: str) -> str:
    """The same, with room for more callers than Twisted's 50 unless it says for how many."""
    if description.startswith(_KINDS_WITH_BACKLOG) and ":backlog=" not in description:
        return f"{description}:backlog={BACKLOG}"
    return description
