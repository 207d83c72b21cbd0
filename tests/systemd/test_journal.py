"""Tests of promproxy.systemd.journal."""

from __future__ import annotations

import io
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from promproxy.systemd import journal
from promproxy.systemd.journal import JournalObserver, is_journal, observer


def parse(datagram: bytes) -> dict[str, str]:
    """The fields of an entry, as the journal reads them."""
    fields = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[8 + size :]
            assert datagram[:1] == b"\n"
            datagram = datagram[1:]
        fields[name.decode()] = value.decode()
    return fields


class JournalTestCase(SynchronousTestCase):
    """The journal is a socket here; datagrams to it arrive at once."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()  # a short path: it has at most 107 bytes
        self.addCleanup(folder.cleanup)
        self.address = Path(folder.name, "socket")
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.journal.bind(str(self.address))
        self.journal.setblocking(False)
        self.stream = io.StringIO()
        publisher = LogPublisher(JournalObserver(self.address, self.stream))
        self.log = Logger("promproxy.here", observer=publisher)

    def entry(self) -> dict[str, str]:
        return parse(self.journal.recv(1 << 20))


class EntryTests(JournalTestCase):
    """What the journal gets of an event."""

    def test_message_level_and_fields(self) -> None:
        """What the message was made of can be searched for."""
        self.log.warn("source {source}: {count} targets", source="vms", count=3)
        self.assertEqual(
            self.entry(),
            {
                "MESSAGE": "source vms: 3 targets",
                "PRIORITY": "4",
                "SYSLOG_IDENTIFIER": "promproxy",
                "LOGGER": "promproxy.here",
                "PROMPROXY_SOURCE": "vms",
                "PROMPROXY_COUNT": "3",
            },
        )
        self.assertEqual(self.stream.getvalue(), "")

    def test_every_level_has_a_priority(self) -> None:
        """Those of syslog(3)."""
        for level, expected in zip(LogLevel.iterconstants(), "76432", strict=True):
            self.log.emit(level, "x")
            self.assertEqual(self.entry()["PRIORITY"], expected, level)

    def test_a_traceback_stays_in_one_entry(self) -> None:
        """Its lines are not entries of their own."""
        try:
            raise RuntimeError("one\ntwo")
        except RuntimeError:
            self.log.failure("cannot", failure=Failure())
        message = self.entry()["MESSAGE"]
        self.assertTrue(message.startswith("cannot\nTraceback"), message)
        self.assertIn("one\ntwo", message)

    def test_objects_and_names_that_no_field_can_have_are_left_out(self) -> None:
        """The message has them anyway."""
        self.log.info("{_private} {a} {big}", _private=1, a=object, big="x", Ünicode="x")
        fields = self.entry()
        self.assertEqual(
            {name for name in fields if name.startswith("PROMPROXY_")}, {"PROMPROXY_BIG"}
        )

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        """As in a name from the file system."""
        self.log.info("file {name}", name="\udcff\n=")
        self.assertEqual(self.entry()["MESSAGE"], "file ?\n=")


class StreamTests(JournalTestCase):
    """Where the socket cannot be used."""

    def test_what_is_too_large_for_a_datagram_goes_to_the_stream(self) -> None:
        """With the priority before each line."""
        self.log.error("{text}", text="\n".join(["x" * 600_000] * 2))
        first, second, rest = self.stream.getvalue().split("\n")
        self.assertEqual({line[:4] for line in (first, second)}, {"<3>x"})
        self.assertEqual(rest, "")

    def test_a_journal_that_does_not_read_does_not_stop_us(self) -> None:
        """The rest goes to the stream."""
        for number in range(2000):
            self.log.info("number {number}", number=number)
        self.assertEqual(self.entry()["MESSAGE"], "number 0")
        self.assertTrue(self.stream.getvalue().endswith("<6>number 1999\n"))

    def test_no_journal(self) -> None:
        """It is being restarted, say."""
        self.address.unlink()
        self.log.info("here")
        self.assertEqual(self.stream.getvalue(), "<6>here\n")


class ObserverTests(SynchronousTestCase):
    """What `twistd --logger` gets."""

    def test_stream_is_known_by_device_and_inode(self) -> None:
        """As systemd.exec(5) says."""
        with open(os.devnull) as file:
            status = os.fstat(file.fileno())
            variable = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            self.assertTrue(is_journal(variable, file.fileno()))
            self.assertFalse(is_journal({"JOURNAL_STREAM": "8:1"}, file.fileno()))
            self.assertFalse(is_journal({}, file.fileno()))

    def made(self, environ: dict[str, str]) -> Any:
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", open(os.devnull, "w"))  # noqa: SIM115 - closed below
        self.addCleanup(sys.stderr.close)
        self.patch(journal.os, "environ", environ)
        made = observer()
        return made, out

    def test_without_the_journal_lines_go_to_stdout(self) -> None:
        """As twistd's own do."""
        made, out = self.made({})
        made({"log_format": "here", "log_time": 0.0, "log_level": LogLevel.info})
        self.assertIn("here\n", out.getvalue())

    def test_with_the_journal(self) -> None:
        status = os.stat(os.devnull)
        made, _ = self.made({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        self.assertIsInstance(made, JournalObserver)

    def test_ports_of_twisted_are_left_out(self) -> None:
        """Whatever their factory is called."""
        stream = io.StringIO()
        made = JournalObserver(Path("/nowhere"), stream)
        for text in ("PromproxySite starting on 8080", "TlsFactory (TLS) starting on 8080", "on"):
            made({"log_format": text, "log_level": LogLevel.info})
        self.assertEqual(stream.getvalue(), "<6>on\n")
