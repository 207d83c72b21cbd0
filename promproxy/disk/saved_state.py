"""Saved state: the last good targets of a source, as a file keeps them over a restart.

One JSON document, on its first line everything but the targets, then a line for each of them. So a
thread encodes and decodes it in small steps, which leave the reactor its turns. It holds what a
source found and the names of outbound profiles, never a credential of the configuration.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen
from twisted.logger import Logger

from promproxy.errors import StateError
from promproxy.targets.target import Target

VERSION = 1

_END = b"]}\n"
_BETWEEN = b",\n"


@frozen
class SavedState:
    """The targets that a source delivered; ``settings`` is a hash of those it found them under."""

    source: str
    settings: str
    targets: tuple[Target, ...] = attrs.field(repr=False)


def encode(state: SavedState, yield_cpu: Callable[[], None] = lambda: None) -> bytes:
    """The file's content. ``yield_cpu`` is called now and then, so that other threads run."""
    lines = []
    for number, target in enumerate(state.targets):
        lines.append(json.dumps(_fields_of(target), separators=(",", ":")).encode())
        if number % 100 == 99:
            yield_cpu()
    body = _BETWEEN.join(lines) + (b"\n" if lines else b"") + _END
    head = {
        "promproxy_state": VERSION,
        "source": state.source,
        "settings": state.settings,
        "sha256": sha256(body).hexdigest(),
    }
    return json.dumps(head)[:-1].encode() + b', "targets": [\n' + body


def decode(content: bytes) -> SavedState:
    """The state in a file's content. Raises StateError."""
    first, _, body = content.partition(b"\n")
    head = _head(first)
    version = head["promproxy_state"]
    if version != VERSION:
        raise StateError(f"it is of version {version!r}, and this promproxy reads {VERSION}")
    if head.get("sha256") != sha256(body).hexdigest() or not body.endswith(_END):
        raise StateError("it is damaged")
    try:
        source = _text(head["source"])
        return SavedState(
            source=source,
            settings=_text(head["settings"]),
            targets=tuple(_targets(body, source)),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StateError("it holds something else than targets") from error


def _head(line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line + b"]}")
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or "promproxy_state" not in head:
        raise StateError("it is not a saved state of promproxy")
    return head


def _targets(body: bytes, source: str) -> Iterator[Target]:
    lines = body[: -len(_END)].rstrip(b"\n")
    for line in lines.split(_BETWEEN) if lines else []:
        fields = json.loads(line)
        values: dict[str, Any] = {name: _READERS[name](fields[name]) for name in fields}
        yield Target(source=source, **values)


def _fields_of(target: Target) -> dict[str, object]:
    """All fields except the source and empty ones."""
    values = {name: getattr(target, name) for name in _READERS}
    return {name: value for name, value in values.items() if value or name in _REQUIRED}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no string")
    return value


def _visible(value: object) -> str:
    """Text that becomes part of a request."""
    text = _text(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError("characters that no request may hold")
    return text


def _port(value: object) -> int:
    if type(value) is not int or not 0 < value < 65536:
        raise TypeError("no port")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _labels(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise TypeError("no mapping")
    return {_text(name): _text(text) for name, text in value.items()}


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return tuple((_visible(name), _visible(text)) for name, text in value)


_READER_OF_TYPE: Mapping[str, Callable[[object], object]] = {
    "str": _visible,
    "int": _port,
    "bool": _flag,
    "Mapping[str, str]": _labels,
    "tuple[tuple[str, str], ...]": _headers,
}
_READERS = {
    field.name: _text if field.name == "instance" else _READER_OF_TYPE[str(field.type)]
    for field in attrs.fields(Target)
    if field.name != "source"
}
_REQUIRED = {field.name for field in attrs.fields(Target) if field.default is attrs.NOTHING}


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
    """A source's saved state; None if there is none, or none that can be used.

    A file that is not a state of this source is renamed, so that it can still be examined and its
    place is free. It blocks. Everything but a missing file is logged.
    """
    path = state_path(folder, source)
    try:
        if not os.path.lexists(path):
            return None
        if not path.is_file():
            raise StateError("it is not a regular file")
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
