"""One file that follows one document."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from promproxy.disk.atomic_file import write_atomically
from promproxy.errors import SourceError
from promproxy.outbound.document import DocumentClient
from promproxy.sync.groups import target_counts
from promproxy.sync.metrics import Figures
from promproxy.timing.slices import in_slices
from promproxy.timing.threads import InThread

log = Logger()


@frozen(kw_only=True)
class OutputPaths:
    """The files that are written; paths are absolute. ``metrics`` is None where none are."""

    file: Path
    mode: int = 0o644
    metrics: Path | None = None


@define(eq=False, kw_only=True)
class Follower:
    """Fetches the document and, where it has changed and is sound, replaces the file.

    Whatever fails, the file stays as it is. ``client`` yields that for an attempt, or raises
    SourceError; ``in_thread`` runs what blocks.
    """

    client: Callable[[], DocumentClient]
    paths: OutputPaths
    figures: Figures
    clock: IReactorTime
    in_thread: InThread
    failures: int = field(default=0, init=False)
    _errors: list[str] = field(factory=list, init=False)
    _written: tuple[int, ...] | None = field(default=None, init=False)

    async def attempt(self) -> list[str]:
        """Fetch once, and tell node_exporter; what went wrong, which is logged when it changes."""
        errors = []
        for step in (self._fetch, self._tell):
            try:
                await step()
            except CancelledError:
                raise
            except SourceError as error:
                errors.append(str(error))
            except Exception:  # a bug, which must not end the attempts for good
                log.failure("an attempt failed")
                errors.append("an unexpected error, see the log")
        if errors != self._errors:
            for text in errors:
                log.error("{error}", error=text)
            if not errors:
                log.info("{file} follows again", file=str(self.paths.file))
        self._errors = errors
        return errors

    async def _fetch(self) -> None:
        """Update the file, and count that. Raises SourceError."""
        start, figures = self.clock.seconds(), self.figures
        outcome = "failure"
        try:
            outcome = "written" if await self._update() else "unchanged"
        except SourceError as error:
            raise SourceError(f"{error}; {self.paths.file} stays as it is") from error
        finally:
            figures.succeeded = outcome != "failure"
            figures.seconds = self.clock.seconds() - start
            self.failures = 0 if figures.succeeded else self.failures + 1
            if figures.succeeded:
                figures.last_success = self.clock.seconds()
            if figures.attempts is not None:
                figures.attempts[outcome] += 1

    async def _update(self) -> bool:
        """Whether the file was written."""
        client = self.client()
        if self._written is None or self._written != _state(self.paths.file):
            client.forget()  # someone else has changed it, or removed it
        document = await client.changed()
        if document is None:
            return False
        targets = 0

        def count() -> Any:
            nonlocal targets
            for number in target_counts(document.body):
                targets += number
                yield

        try:
            await in_slices(count(), self.clock)
        except SourceError as error:
            raise client.failed(str(error)) from error
        has_changed = await self._write(self.paths.file, document.body, self.paths.mode)
        client.keep(document)
        self.figures.targets = targets
        self._written = _state(self.paths.file)
        if has_changed:
            log.info("{file}: {targets} targets", file=str(self.paths.file), targets=targets)
        return has_changed

    async def _tell(self) -> None:
        if self.paths.metrics is not None:
            await self._write(self.paths.metrics, self.figures.as_text(), 0o644)

    async def _write(self, path: Path, content: bytes, mode: int) -> bool:
        try:
            written: bool = await self.in_thread(lambda: write_atomically(path, content, mode=mode))
        except OSError as error:
            raise SourceError(f"cannot write {path}: {error.strerror}") from error
        return written


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes when someone writes the file; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
