"""The files that follow the registry: each source's saved state, and the document for file_sd."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from promproxy.disk.file_writer import FileWriter
from promproxy.disk.saved_state import SavedState, encode, read_state, state_path
from promproxy.registry import Registry
from promproxy.targets.document import document_for
from promproxy.targets.snapshot import Snapshot
from promproxy.targets.target import Delivery
from promproxy.timing.threads import InThread

STATE_MODE = 0o600
FILE_SD_MODE = 0o644  # Prometheus reads it, as another user

log = Logger()


@frozen
class StateKey:
    """What decides whether a saved state is still good.

    ``fingerprint`` is a hash of all that decides which targets there are; ``profiles`` are the
    outbound profiles that these may have.
    """

    fingerprint: str
    profiles: Collection[str] = ()


@frozen(eq=False, kw_only=True)
class OutputSettings:
    """The settings of the files."""

    state_dir: Path | None = None
    sources: Mapping[str, StateKey] = field(factory=dict)
    file_sd: Path | None = None
    address: str = ""
    own_entries: Sequence[bytes] = ()


@define(eq=False)
class OutputFiles:
    """Writes them after a change. A file that is configured no more stays as it is.

    ``on_write`` is called after each write: the file's name, and whether it succeeded.
    """

    _registry: Registry
    _in_thread: InThread
    _clock: IReactorTime
    _on_write: Callable[[str, bool], None]
    settings: OutputSettings
    _writers: dict[Path, FileWriter] = field(factory=dict, init=False)
    _given: dict[Path, tuple[object, ...]] = field(factory=dict, init=False)

    def load(self) -> None:
        """Load saved targets into the registry. It blocks, so call it before serving."""
        folder = self.settings.state_dir
        if folder is None:
            return
        for name, settings in self.settings.sources.items():
            saved = read_state(folder, name)
            if saved is not None and _is_good(saved.state, settings):
                delivery = Delivery(saved.state.targets)
                self._given[state_path(folder, name)] = (delivery,)
                self._registry.restore(name, delivery, saved.moment)
                log.info(
                    "source {source}: {count} targets as they were saved",
                    source=name,
                    count=len(delivery.targets),
                )

    def update(self) -> None:
        """Let the files follow what the registry holds.

        Targets that were found under former settings of their source are not saved.
        """
        settings, snapshot = self.settings, self._registry.snapshot
        if settings.state_dir is not None:
            for name, source in settings.sources.items():
                listing = snapshot.listings.get(name)
                if listing is not None and self._registry.is_current(name):
                    state = SavedState(name, source.fingerprint, listing.delivery.targets)
                    path = state_path(settings.state_dir, name)
                    make = partial(_state, path, state)
                    self._write(path, STATE_MODE, make, listing.delivery)
        if settings.file_sd is not None and not self._registry.pending_sources():
            make = partial(_document, snapshot, settings)
            self._write(settings.file_sd, FILE_SD_MODE, make, snapshot, settings)

    async def close(self) -> None:
        """Write what waits, and then no more."""
        closing = [Deferred.fromCoroutine(writer.close()) for writer in self._writers.values()]
        await gatherResults(closing)
        # A state is written when the targets change, and is good for longer: for the next start
        # its date tells when they were last found to be so.
        folder = self.settings.state_dir
        if folder is not None:
            moments = {
                state_path(folder, state.name): state.last_success
                for state in self._registry.states.values()
                if state.last_success is not None
            }
            await self._in_thread(partial(_date, moments))

    def _write(self, path: Path, mode: int, make: Callable[[], bytes], *given: object) -> None:
        """Unless it was given these very things before, of which it is made."""
        before = self._given.get(path, ())
        if len(before) == len(given) and all(map(operator.is_, before, given)):
            return
        self._given[path] = given
        if path not in self._writers:
            self._writers[path] = FileWriter(
                path, mode, self._in_thread, self._clock, partial(self._on_write, path.name)
            )
        self._writers[path].write(make)


def _is_good(state: SavedState, settings: StateKey) -> bool:
    """Whether the current configuration may use the saved targets.

    A profile's credentials go only to targets that were chosen by the settings beside them. So
    there is no middle way, such as the targets without a profile.
    """
    if state.settings != settings.fingerprint:
        why = "they were found under other settings"
    elif not {target.outbound for target in state.targets} <= {"", *settings.profiles}:
        why = "they name outbound profiles that none of its rules does"
    else:
        return True
    log.warn("source {source}: saved targets are not used: {why}", source=state.source, why=why)
    return False


def _date(moments: Mapping[Path, float]) -> None:
    """In a thread."""
    for path, moment in moments.items():
        with suppress(OSError):  # it may not be there
            os.utime(path, (moment, moment))


def _state(path: Path, state: SavedState) -> bytes:
    """In a thread."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return encode(state, yield_cpu=lambda: time.sleep(0.0001))


def _document(snapshot: Snapshot, settings: OutputSettings) -> bytes:
    """In a thread."""
    return document_for([*snapshot.entries(), *settings.own_entries], settings.address).body
