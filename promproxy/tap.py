"""What ``twistd promproxy`` runs."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.python import usage

from promproxy import __version__
from promproxy.config.load import load_config
from promproxy.config.schema import Config
from promproxy.daemon.service import Daemon, make_daemon
from promproxy.errors import ConfigError
from promproxy.systemd.notify import notifier_from_environment
from promproxy.systemd.sockets import inherited_descriptors


class Options(usage.Options):
    """The command line behind ``twistd promproxy``."""

    optParameters = [  # noqa: RUF012 - twisted.python.usage reads it from the class
        ["config", "c", "/etc/promproxy/promproxy.yml", "The configuration file."],
        ["web-config-file", None, None, "TLS and users, in a file of Prometheus's format."],
    ]
    config: Config
    web_file: Path | None = None

    def opt_version(self) -> None:
        """Print promproxy's version, and end."""
        print(f"promproxy {__version__}")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration now, while there is still someone to read what is wrong."""
        # A twistd in the background changes to another folder.
        self["config"] = str(Path(self["config"]).absolute())
        if self["web-config-file"] is not None:
            self.web_file = Path(self["web-config-file"]).absolute()
        try:
            self.config = self.load()
        except ConfigError as error:
            # A UsageError would end Twisted 22.4's twistd with success, after a page of usage.
            raise SystemExit(f"promproxy: {error}") from error

    def load(self) -> Config:
        """The configuration as it is now. Raises ConfigError."""
        return load_config(Path(self["config"]), os.environ)


def makeService(options: Options) -> Daemon:
    """The daemon, for twistd to start. Raises SystemExit with one line."""
    try:
        return make_daemon(
            options.config,
            reactor,
            load=options.load,
            on_state=notifier_from_environment(os.environ, os.getpid(), reactor),
            inherited=inherited_descriptors(),
            web_file=options.web_file,
        )
    except ConfigError as error:
        raise SystemExit(f"promproxy: {error}") from error
