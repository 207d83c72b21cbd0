"""A file that follows something: written in a thread, after each change but not without a pause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from promproxy.disk.atomic_file import write_atomically
from promproxy.timing.threads import InThread

SECONDS_BEFORE_RETRY = 10.0
MAX_DUTY_CYCLE = 0.1  # that writing takes at most
LONGEST_PAUSE = 60.0

log = Logger()


@define(eq=False)
class FileWriter:
    """Writes one at a time; of the writes that wait only the newest counts.

    A file that cannot be written is tried again until it can. ``on_end`` is called after each
    write with whether it succeeded.
    """

    path: Path
    _mode: int
    _in_thread: InThread
    _clock: IReactorTime
    _on_end: Callable[[bool], None]
    _next: Callable[[], bytes] | None = field(default=None, init=False)
    _is_running: bool = field(default=False, init=False)
    _ended: Deferred[None] = field(init=False)
    _pause: IDelayedCall | None = field(default=None, init=False)
    _last_error: str = field(default="", init=False)
    _is_closing: bool = field(default=False, init=False)

    def write(self, make: Callable[[], bytes]) -> None:
        """Let the file hold what this returns, which is called in a thread."""
        self._next = make
        if not self._is_running:
            self._is_running = True
            self._ended = Deferred.fromCoroutine(self._run())

    async def close(self) -> None:
        """What waits is written, at once and for the last time."""
        self._is_closing = True
        if self._pause is not None:
            self._pause.reset(0)
        if self._is_running:
            await self._ended

    async def _run(self) -> None:
        while self._next is not None:
            make, self._next = self._next, None
            began = self._clock.seconds()
            succeeded = await self._write(make)
            took = self._clock.seconds() - began
            self._on_end(succeeded)
            if not succeeded and not self._is_closing:
                self._next = self._next or make
            pause = min(took / MAX_DUTY_CYCLE, LONGEST_PAUSE)
            await self._wait(pause if succeeded else SECONDS_BEFORE_RETRY)
        self._is_running = False

    async def _write(self, make: Callable[[], bytes]) -> bool:
        try:
            await self._in_thread(lambda: write_atomically(self.path, make(), mode=self._mode))
        except OSError as error:
            self._failed(error.strerror or type(error).__name__)
            return False
        except Exception:
            log.failure("cannot write {path}", path=str(self.path))
            return False
        if self._last_error:
            log.info("{path} can be written again", path=str(self.path))
        self._last_error = ""
        return True

    def _failed(self, why: str) -> None:
        if why != self._last_error:
            log.error(
                "cannot write {path}: {why}; it stays as it was, and is tried again",
                path=str(self.path),
                why=why,
            )
        self._last_error = why

    async def _wait(self, seconds: float) -> None:
        if self._is_closing:
            return
        pause: Deferred[None] = Deferred()
        self._pause = self._clock.callLater(seconds, pause.callback, None)
        await pause
        self._pause = None
