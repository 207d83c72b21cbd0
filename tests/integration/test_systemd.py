"""The daemon under systemd, whose part the tests play."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.case import PeersTestCase
from tests.integration.peers import CHECKOUT, HOST, Peer, eventually, twistd

WATCHDOG_SECONDS = 0.6
#: What systemd does for a service with a socket unit; the socket's number is the first argument.
AS_SYSTEMD = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; fd=$1; shift; eval "exec \\"\\$@\\" 3<&$fd"'


class SystemdTestCase(PeersTestCase):
    """A daemon with ``Type=notify``, ``WatchdogSec=`` and a socket unit.

    It listens on that socket; what its configuration names cannot be listened on.
    """

    def setUp(self) -> None:
        super().setUp()
        self.socket = socket.create_server((HOST, 0), backlog=100)
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind("")
        self.systemd.settimeout(20)
        self.addCleanup(self.socket.close)
        self.addCleanup(self.systemd.close)
        self.config = self.folder / "promproxy.yml"
        self.config.write_text("listen: ['tcp:1:interface=192.0.2.1']")
        daemon = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", str(self.config)]
        descriptor = self.socket.fileno()
        self.unit = Peer(
            command=["/bin/bash", "-c", AS_SYSTEMD, "systemd", str(descriptor), *daemon],
            port=self.socket.getsockname()[1],
            folder=self.folder,
            environment={
                "PYTHONPATH": str(CHECKOUT),
                "LISTEN_FDS": "1",
                "LISTEN_FDNAMES": "promproxy.socket",
                "NOTIFY_SOCKET": f"@{self.systemd.getsockname()[1:].decode()}",
                "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000)),
            },
            inherits=(descriptor,),
        )
        self.addCleanup(self.unit.stop)

    def await_told(self, message: str) -> None:
        """Until systemd is told this; each line of what it is told counts."""
        while message not in self.systemd.recv(4096).decode().split("\n"):
            pass

    @contextmanager
    def asking_all_the_time(self, failures: list[str]) -> Iterator[None]:
        """One request after the other, each on a connection of its own."""
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                try:
                    answer = self.unit.get("/-/healthy")
                except OSError as error:
                    failures.append(repr(error))
                else:
                    if answer.status != 200:
                        failures.append(str(answer))

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in asking:
                thread.join()


class NotifyTests(SystemdTestCase):
    """What systemd hears."""

    def test_start_reload_and_stop(self) -> None:
        """It hears so often of us that the watchdog is content."""
        self.unit.launch()
        self.await_told("READY=1")
        self.systemd.settimeout(WATCHDOG_SECONDS)
        for _ in range(3):
            self.await_told("WATCHDOG=1")
        self.systemd.settimeout(20)
        os.kill(self.unit.pid, signal.SIGHUP)
        self.await_told("RELOADING=1")
        self.await_told("READY=1")
        self.unit.stop()
        self.await_told("STOPPING=1")

    def test_a_reload_that_fails_ends_too(self) -> None:
        """Else `systemctl reload` would wait for it."""
        self.unit.launch()
        self.await_told("READY=1")
        self.config.write_text("listen: 7")
        os.kill(self.unit.pid, signal.SIGHUP)
        self.await_told("RELOADING=1")
        self.await_told("READY=1")
        eventually(lambda: self.assertIn("reload failed", self.unit.output))


class SocketTests(SystemdTestCase):
    """`promproxy.socket`."""

    def test_a_restart_refuses_nobody(self) -> None:
        """Who comes meanwhile waits until it is over."""
        self.unit.start()
        failures: list[str] = []
        with self.asking_all_the_time(failures):
            for _ in range(2):
                self.unit.stop()
                self.unit.start()
        self.assertEqual(failures, [])

    def test_a_socket_that_does_not_listen_is_a_failure(self) -> None:
        """As with Accept=yes, or ListenDatagram=."""
        for kind, family in (
            (socket.SOCK_DGRAM, socket.AF_INET),
            (socket.SOCK_STREAM, socket.AF_UNIX),
        ):
            with socket.socket(family, kind) as other:
                os.dup2(other.fileno(), self.socket.fileno())
            self.unit.launch()
            message = (
                "promproxy: the socket from systemd with file descriptor 3 does not listen for TCP "
                "connections: see ListenStream="
            )
            eventually(lambda message=message: self.assertIn(message, self.unit.output))
            self.unit.stop()
