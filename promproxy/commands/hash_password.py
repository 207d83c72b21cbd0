"""``promproxy hash-password``: hashes a password for the web configuration file."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentTypeError, Namespace
from typing import Any

import bcrypt

from promproxy.commands.common import count
from promproxy.errors import PromproxyError
from promproxy.server.passwords import MAX_PASSWORD

_DEFAULT_COST = 10  # as in Prometheus's documentation; each step doubles the time
_COSTS = range(4, 18)


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser(
        "hash-password",
        help="hash a password for the web configuration file's basic_auth_users",
        description="Asks for a password, or reads it from standard input, and prints its hash.",
    )
    parser.add_argument(
        "--cost",
        type=_cost,
        default=_DEFAULT_COST,
        metavar="N",
        help=f"of bcrypt, each step doubles the time of a check; {_DEFAULT_COST}",
    )
    parser.set_defaults(run=run)


def _cost(text: str) -> int:
    cost = count(text)
    if cost not in _COSTS:
        raise ArgumentTypeError(f"{text!r} is not a cost from {_COSTS[0]} to {_COSTS[-1]}")
    return cost


def run(options: Namespace, _reactor: Any) -> int:
    """The exit status. Raises PromproxyError for what cannot be a password."""
    if sys.stdin.isatty():
        typed = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != typed:
            raise PromproxyError("these are two different passwords")
        password = typed.encode("utf-8", "surrogateescape")
    else:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n")
    print(hashed(password, options.cost))
    return 0


def hashed(password: bytes, cost: int) -> str:
    """The bcrypt hash. Raises PromproxyError for what bcrypt would not take as it is."""
    if not password or len(password) > MAX_PASSWORD or b"\0" in password:
        raise PromproxyError(f"a password has from 1 to {MAX_PASSWORD} bytes, and no NUL in it")
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()
