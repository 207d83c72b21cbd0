"""The ``promproxy`` command, beside the daemon. What it can do is in `promproxy.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from twisted.internet import reactor

from promproxy import __version__
from promproxy.commands import (
    check,
    demo,
    discover,
    hash_password,
    import_promregator,
    simulate,
    sync,
)
from promproxy.errors import PromproxyError

COMMANDS = (check, discover, sync, import_promregator, hash_password, simulate, demo)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status."""
    options = make_parser().parse_args(arguments)
    try:
        status: int = options.run(options, reactor)
    except PromproxyError as error:
        print(f"promproxy: {error}", file=sys.stderr)
        return 1
    return status


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="promproxy", description="Tools for promproxy; the daemon itself is twistd promproxy."
    )
    parser.add_argument("--version", action="version", version=f"promproxy {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
