"""Where the daemon listens, from what the configuration says of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

from promproxy.errors import ConfigError


def make_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """The endpoint that a Twisted endpoint string describes. Raises ConfigError."""
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # each endpoint's parser raises what it likes
        raise ConfigError(
            f"listen: {description!r} is no endpoint, such as tcp:8080 or "
            r"tcp6:8080:interface=\:\:1: "
            f"{error}"
        ) from error
    return endpoint
