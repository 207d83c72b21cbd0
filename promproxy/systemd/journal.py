"""Log lines for systemd's journal, with their level and their fields, by its native protocol.

The unit runs ``twistd --logger=promproxy.systemd.journal.observer``. The protocol is described in
systemd's documentation, "Native Journal Protocol".
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from attrs import frozen
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    textFileLogObserver,
)
from zope.interface import implementer

SOCKET = Path("/run/systemd/journal/socket")

#: What syslog(3) calls the levels.
_PRIORITIES = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
# What Twisted puts into events of its older kind, beside what the message is made of.
_NO_FIELDS = {"format", "isError", "message", "system", "time", "why"}
_PORT_STARTS = re.compile(r"\w+ (?:\(TLS\) )?starting on \S+")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,50}")


def observer() -> ILogObserver:
    """For ``twistd --logger``: writes to the journal where stderr leads there, else to stdout."""
    stderr = sys.stderr
    if is_journal(os.environ, stderr.fileno()):
        return JournalObserver(SOCKET, stderr)
    return textFileLogObserver(sys.stdout)


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether systemd has connected this file descriptor to the journal (systemd.exec(5))."""
    status = os.fstat(descriptor)
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def priority(event: LogEvent) -> int:
    """The event's level as the journal counts it: 2 critical … 7 debug."""
    return _PRIORITIES[event.get("log_level", LogLevel.info)]


def entry(event: LogEvent) -> bytes:
    """The event as a datagram of the native protocol.

    What the message was made of becomes ``PROMPROXY_SOURCE`` and so on.
    """
    fields = {
        "MESSAGE": _text(event),
        "PRIORITY": str(priority(event)),
        "SYSLOG_IDENTIFIER": "promproxy",
        "LOGGER": str(event.get("log_namespace", "")),
        **dict(_own_fields(event)),
    }
    return b"".join(_field(name, value) for name, value in fields.items())


def prefixed(event: LogEvent) -> str:
    """The event as lines for a stream to the journal, each with its priority: sd-daemon(3)."""
    return "".join(f"<{priority(event)}>{line}\n" for line in _text(event).splitlines())


@implementer(ILogObserver)
@frozen
class JournalObserver:
    """Sends events to the journal's socket; what does not get through goes to its stream instead.

    That is what is too large for a datagram, or comes faster than the journal reads. What Twisted
    says of each port is left out, since we say ourselves what listens where.
    """

    _address: Path
    _stream: IO[str]

    def __call__(self, event: LogEvent) -> None:
        if _PORT_STARTS.fullmatch(_text(event)):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(entry(event), str(self._address))
        except OSError:
            self._stream.write(prefixed(event))
            self._stream.flush()


def _text(event: LogEvent) -> str:
    """The message, and the traceback if there is one."""
    return eventAsText(event, includeTimestamp=False, includeSystem=False)


def _own_fields(event: LogEvent) -> Iterator[tuple[str, str]]:
    for name, value in event.items():
        is_ours = not name.startswith("log_") and name not in _NO_FIELDS
        if is_ours and _FIELD.fullmatch(name) and isinstance(value, (str, int, float)):
            yield f"PROMPROXY_{name.upper()}", str(value)


def _field(name: str, text: str) -> bytes:
    value = text.encode("utf-8", "replace")
    if "\n" not in text:
        return b"%b=%b\n" % (name.encode(), value)
    return b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(value)), value)
