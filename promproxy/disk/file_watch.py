"""Files that are looked at again and again, since they may be renewed at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from promproxy.timing.threads import InThread

LOOK_SECONDS = 5.0

log = Logger()


def digests_of(files: Iterable[Path]) -> dict[Path, bytes]:
    """Hashes of the files' contents; empty for an unreadable file."""
    found = {}
    for file in files:
        try:
            found[file] = sha256(file.read_bytes()).digest()
        except OSError:
            found[file] = b""
    return found


@define(eq=False)
class FileWatch:
    """Calls ``on_change`` when files have changed, and the first time.

    ``in_thread`` is given what reads them. ``files`` says each time which they are.
    """

    _clock: Any
    _in_thread: InThread
    _files: Callable[[], Iterable[Path]]
    _on_change: Callable[[], Deferred[None]]
    _seen: Mapping[Path, bytes] = field(factory=dict, init=False)
    _loop: LoopingCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = self._clock

    def start(self) -> None:
        """Begin to look, a while from now."""
        self._loop.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    async def _look(self) -> None:
        files = tuple(self._files())
        try:
            found = await self._in_thread(lambda: digests_of(files))
            if found != self._seen:
                self._seen = found
                await self._on_change()
                # What has changed meanwhile was perhaps read, and may be put back at any time.
                if await self._in_thread(lambda: digests_of(files)) != found:
                    self._seen = {}
        except Exception:  # else the loop would end
            log.failure("cannot look at {files}", files=files)
