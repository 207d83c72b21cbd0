"""Tells systemd how the daemon is doing: sd_notify(3) and sd_watchdog_enabled(3), in Python.

Without systemd, which is to say without ``NOTIFY_SOCKET`` in the environment, nothing is told.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: The states of the daemon.
READY, RELOADING, STOPPING = "ready", "reloading", "stopping"

#: How often the watchdog hears of us within the time that it allows.
_PINGS = 3

log = Logger()


@define(eq=False)
class Notifier:
    """Passes states on to systemd, and shows its watchdog that the reactor turns.

    ``address`` is where systemd listens, empty where it does not. The watchdog allows
    ``watchdog_seconds`` between two signs of life, 0.0 where there is none.
    """

    address: str
    watchdog_seconds: float
    _clock: Any
    _monotonic: Callable[[], float] = time.monotonic
    _has_failed: bool = field(default=False, init=False)
    _watchdog: LoopingCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._watchdog = LoopingCall(self._send, "WATCHDOG=1")
        self._watchdog.clock = self._clock

    def __call__(self, state: str) -> None:
        """The daemon is READY, RELOADING or STOPPING."""
        if state == READY:
            self._send("READY=1")
            if self.watchdog_seconds and not self._watchdog.running:
                self._watchdog.start(self.watchdog_seconds / _PINGS)
        elif state == RELOADING:
            # systemd 253 tells by the time whether this is the reload that it asked for.
            self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._monotonic() * 1_000_000)}")
        elif state == STOPPING:
            self._send("STOPPING=1")
            if self._watchdog.running:  # from here on systemd allows TimeoutStopSec
                self._watchdog.stop()

    def _send(self, message: str) -> None:
        if not self.address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(message.encode(), self.address)
        except OSError as error:
            if not self._has_failed:
                log.error("cannot tell systemd {what}: {error}", what=message, error=error)
            self._has_failed = True
        else:
            self._has_failed = False


def notifier_from_environment(environ: Mapping[str, str], pid: int, clock: Any) -> Notifier:
    """What systemd wants to be told by the process with this number."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):  # so it writes the NUL of an abstract socket's name
        address = f"\0{address[1:]}"
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_for_us = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    watches = is_for_us and microseconds.isascii() and microseconds.isdigit()
    return Notifier(address, int(microseconds) / 1_000_000 if watches else 0.0, clock)
