"""Where saved states are, and what becomes of those that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen
from twisted.logger import Logger

from promproxy.disk.saved_state import SavedState, decode
from promproxy.errors import StateError

log = Logger()


@frozen
class Saved:
    """A state, and when it was saved (seconds since 1970)."""

    state: SavedState
    moment: float


def state_path(folder: Path, source: str) -> Path:
    """Where a source's state is."""
    return folder / f"{source}.state.json"


def read_state(folder: Path, source: str) -> Saved | None:
    """What was saved of a source; None where nothing was, or nothing that can be read.

    A file that is no state of this source is renamed, so that whoever wants to know what happened
    still has it, and its place is free. It blocks. Everything but a missing file is logged.
    """
    path = state_path(folder, source)
    try:
        if not os.path.lexists(path):
            return None
        if not path.is_file():
            raise StateError("it is no regular file")
        saved = Saved(decode(path.read_bytes()), path.stat().st_mtime)
        if saved.state.source != source:
            raise StateError(f"it is that of the source {saved.state.source!r}")
    except OSError as error:
        log.error("cannot read {path}: {why}", path=str(path), why=error.strerror)
        return None
    except StateError as error:
        _set_aside(path, str(error))
        return None
    return saved


def _set_aside(path: Path, why: str) -> None:
    aside = path.with_name(f"{path.name}.set-aside")
    log.error(
        "cannot use {path}: {why}; it becomes {aside}", path=str(path), why=why, aside=aside.name
    )
    try:
        os.replace(path, aside)
    except OSError as error:
        log.error("cannot rename {path}: {why}", path=str(path), why=error.strerror)
