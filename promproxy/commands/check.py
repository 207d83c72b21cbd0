"""``promproxy check``: would the daemon start with this configuration?"""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from promproxy.config.load import load_config
from promproxy.service import make_daemon


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser("check", help="check a configuration file without starting")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: Namespace, reactor: Any) -> int:
    """The exit status. Raises ConfigError, which says what is wrong."""
    config = load_config(options.file, os.environ)
    make_daemon(config, reactor)  # finds what only building shows: certificates, endpoints
    print(f"{options.file}: ok, {len(config.sources)} sources")
    return 0
