"""What subcommands share: kinds of arguments, and the reactor run for as long as one takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from promproxy.errors import PromproxyError


def count(text: str) -> int:
    """A whole number of at least 0. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def port(text: str) -> int:
    """A port's number. Raises ArgumentTypeError."""
    number = count(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return number


def run_under_reactor(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a coroutine function under the reactor; its result is the exit status.

    A PromproxyError is printed to stderr, and the status is 1.
    """
    result: list[int] = []

    async def run() -> None:
        try:
            result.append(await work())
        except PromproxyError as error:
            print(f"promproxy: {error}", file=sys.stderr)
            result.append(1)

    try:
        react(lambda _reactor: Deferred.fromCoroutine(run()))
    except SystemExit as error:
        if not result:
            return error.code if isinstance(error.code, int) else 1
    return result[0] if result else 1
