"""Where the daemon listens, from what the configuration says of it."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

from promproxy.errors import ConfigError

#: How many callers may wait to be accepted. After a restart a Prometheus opens a connection for
#: each of its targets, and who finds no room tries again after one second, then after two more.
BACKLOG = 1024

_KINDS_WITH_BACKLOG = ("tcp:", "tcp4:", "tcp6:", "ssl:", "unix:")
# Twisted leaves it to the socket, whose error would come when the daemon has begun to start.
_PORT = re.compile(r"(?:tcp[46]?|ssl):(?:port=)?([0-9]+)(?::|$)")


def make_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """The endpoint that a Twisted endpoint string describes. Raises ConfigError."""
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, _with_backlog(description))
        port = _PORT.match(description)
        if port is not None and int(port[1]) > 65535:
            raise ValueError("a port is at most 65535")
    except Exception as error:  # each endpoint's parser raises what it likes
        raise ConfigError(
            f"listen: {description!r} is not an endpoint such as tcp:8080 or "
            r"tcp6:8080:interface=\:\:1: "
            f"{error}"
        ) from error
    return endpoint


def _with_backlog(description: str) -> str:
    """The same, with room for more callers than Twisted's 50 unless it says for how many."""
    if description.startswith(_KINDS_WITH_BACKLOG) and ":backlog=" not in description:
        return f"{description}:backlog={BACKLOG}"
    return description
