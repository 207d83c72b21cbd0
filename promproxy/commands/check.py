"""``promproxy check``: would the daemon start with this configuration?"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from promproxy.config.load import load_config
from promproxy.daemon.service import make_daemon
from promproxy.sources.files import nothing_matches


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser("check", help="check a configuration file without starting")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--web-config-file", type=Path, metavar="FILE", help="check this web configuration file too"
    )
    parser.set_defaults(run=run)


def run(options: Namespace, reactor: Any) -> int:
    """The exit status. Raises ConfigError, which says what is wrong."""
    config = load_config(options.file, os.environ)
    # Finds what only building shows: certificates, endpoints.
    daemon = make_daemon(config, reactor, web_file=options.web_config_file)
    for warning in daemon.warnings:
        print(f"{options.file}: warning: {warning}", file=sys.stderr)
    for source in config.sources:
        for remark in nothing_matches(source.files.paths) if source.files else ():
            where = f"{options.file}: warning: {source.name}"
            print(f"{where}: {remark.what}: {remark.why}", file=sys.stderr)
    count = len(config.sources)
    print(f"{options.file}: ok, {count} source{'' if count == 1 else 's'}")
    return 0
