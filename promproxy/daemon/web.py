"""What the web configuration file is made into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from promproxy.config.files import files_in
from promproxy.config.web_file import HttpServer, WebFile
from promproxy.daemon.server_tls import make_server_context
from promproxy.disk.file_watch import digests_of
from promproxy.errors import ConfigError
from promproxy.server.tls import ServerContext


@frozen(eq=False)
class Web:
    """How callers reach us. ``contents`` is what the files held that the settings name."""

    settings: WebFile = WebFile()
    tls: ServerContext | None = None
    contents: Mapping[Path, bytes] = field(factory=dict)


def make_web(settings: WebFile, before: Web | None = None) -> Web:
    """The same as ``before`` where nothing has changed. Raises ConfigError."""
    contents = digests_of(files_in(settings))
    if before is not None and (before.settings, before.contents) == (settings, contents):
        return before
    tls = settings.tls_server_config
    if before is not None and (before.tls is None) != (tls is None):
        raise ConfigError("tls_server_config: to begin or to end with TLS takes a restart")
    return Web(settings, None if tls is None else make_server_context(tls), contents)


def header_lines(http: HttpServer) -> bytes:
    """Header fields as they are sent."""
    return "".join(f"{name}: {value}\r\n" for name, value in http.headers.items()).encode()
