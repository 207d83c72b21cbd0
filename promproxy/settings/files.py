"""The files that settings name or come from: secrets, certificates and keys."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from promproxy.secret import Secret


class PemFiles:
    """The base of sections that name files with certificates and a key."""

    key_file: Path | None

    @property
    def pem_files(self) -> tuple[Path | None, ...]:
        """All of them, the key's too."""
        raise NotImplementedError


def files_in(settings: object) -> Iterator[Path]:
    """Every such file that an instance of a schema class names, at whatever depth."""
    for value in _values(settings):
        if isinstance(value, PemFiles):
            yield from (file for file in value.pem_files if file is not None)
        elif value.path is not None:
            yield value.path


def world_readable_secrets(settings: object) -> list[str]:
    """A warning for each file in which a secret stands and which every user may read."""
    files: dict[Path | None, str] = {}
    for value in _values(settings):
        if isinstance(value, PemFiles):
            files[value.key_file] = "a key"
        else:
            files[value.stands_in] = "a secret"
    return [
        f"{file} holds {what} and every user of this host may read it: chmod o-r {file}"
        for file, what in files.items()
        if file is not None and _is_open(file)
    ]


def _is_open(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # its user reports it
        return False


def _values(settings: object) -> Iterator[Secret | PemFiles]:
    if isinstance(settings, Secret | PemFiles):
        yield settings
    if isinstance(settings, (tuple, Mapping)):
        for value in settings.values() if isinstance(settings, Mapping) else settings:
            yield from _values(value)
    elif attrs.has(cls := type(settings)):
        for field in attrs.fields(cls):
            yield from _values(getattr(settings, field.name))
