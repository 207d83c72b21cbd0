"""Tests of promproxy.systemd.notify."""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from promproxy.systemd.notify import (
    READY,
    RELOADING,
    STOPPING,
    Notifier,
    notifier_from_environment,
)


class NotifierTestCase(SynchronousTestCase):
    """systemd is a socket here; datagrams to it arrive at once."""

    def setUp(self) -> None:
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.systemd.close)
        self.systemd.bind("")  # an abstract name that the system chooses
        self.systemd.setblocking(False)
        self.address = f"@{self.systemd.getsockname()[1:].decode()}"
        self.clock = Clock()

    def notifier(self, **environ: str) -> Notifier:
        environ = {"NOTIFY_SOCKET": self.address, **environ}
        return notifier_from_environment(environ, 7, self.clock)

    def heard(self) -> list[str]:
        """What systemd has been told since this was called before."""
        messages = []
        while True:
            try:
                messages.append(self.systemd.recv(4096).decode())
            except BlockingIOError:
                return messages


class StateTests(NotifierTestCase):
    """READY, RELOADING and STOPPING."""

    def test_each_state_is_told_once(self) -> None:
        """In the words of sd_notify(3)."""
        notifier = self.notifier()
        for state, message in ((READY, "READY=1"), (STOPPING, "STOPPING=1")):
            notifier(state)
            self.assertEqual(self.heard(), [message])

    def test_reload_comes_with_its_time(self) -> None:
        """In microseconds of the monotonic clock, which systemd 253 and later wants."""
        Notifier(self.notifier().address, 0.0, self.clock, lambda: 12.5)(RELOADING)
        self.assertEqual(self.heard(), ["RELOADING=1\nMONOTONIC_USEC=12500000"])

    def test_a_socket_in_the_file_system(self) -> None:
        """That is where systemd has it for services."""
        path = self.mktemp()[-100:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(path)
            self.notifier(NOTIFY_SOCKET=path)(READY)
            self.assertEqual(listening.recv(100), b"READY=1")

    def test_without_systemd_nothing_happens(self) -> None:
        """Nobody waits, nothing is logged."""
        with capturedLogs() as events:
            notifier_from_environment({}, 7, self.clock)(READY)
        self.assertEqual((events, self.clock.getDelayedCalls()), ([], []))

    def test_a_systemd_that_does_not_listen_is_logged_once(self) -> None:
        """Each time that it ceases to."""
        notifier = self.notifier()
        self.systemd.close()
        with capturedLogs() as events:
            notifier(READY)
            notifier(RELOADING)
        (event,) = events
        self.assertEqual(event["what"], "READY=1")


class WatchdogTests(NotifierTestCase):
    """WatchdogSec= of the unit."""

    def test_hears_of_us_while_the_reactor_turns(self) -> None:
        """Three times within what it allows, from readiness on."""
        notifier = self.notifier(WATCHDOG_USEC="30000000", WATCHDOG_PID="7")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        notifier(READY)
        self.assertEqual(self.heard(), ["READY=1", "WATCHDOG=1"])
        for _ in range(3):
            self.clock.advance(9.9)
            self.assertEqual(self.heard(), [])
            self.clock.advance(0.1)
            self.assertEqual(self.heard(), ["WATCHDOG=1"])

    def test_a_reload_leaves_it_as_it_is(self) -> None:
        """READY comes a second time then."""
        notifier = self.notifier(WATCHDOG_USEC="30000000")
        for state in (READY, RELOADING, READY):
            notifier(state)
        self.heard()
        self.clock.advance(10)
        self.assertEqual(self.heard(), ["WATCHDOG=1"])

    def test_ends_with_the_service(self) -> None:
        """Stopping has a limit of its own."""
        notifier = self.notifier(WATCHDOG_USEC="30000000")
        notifier(READY)
        notifier(STOPPING)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_not_for_us_or_nonsense_is_no_watchdog(self) -> None:
        """Another process's, or none at all."""
        for environ in (
            {},
            {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"},
            {"WATCHDOG_USEC": "often"},
            {"WATCHDOG_USEC": "0"},
        ):
            self.notifier(**environ)(READY)
            self.assertEqual(self.heard(), ["READY=1"], environ)
