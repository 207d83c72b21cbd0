"""The ``promproxy`` command, beside the daemon."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.internet import reactor

from promproxy import __version__
from promproxy.config.load import load_config
from promproxy.errors import PromproxyError
from promproxy.service import make_daemon


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except PromproxyError as error:
        print(f"promproxy: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="promproxy", description="Tools for promproxy; the daemon itself is twistd promproxy."
    )
    parser.add_argument("--version", action="version", version=f"promproxy {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="check a configuration file without starting")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=_check)
    return parser


def _check(options: argparse.Namespace) -> int:
    config = load_config(options.file, os.environ)
    make_daemon(config, reactor)  # finds what only building shows: certificates, endpoints
    print(f"{options.file}: ok, {len(config.sources)} sources")
    return 0
