"""The source kind ``files``: target groups in JSON and YAML files, as file_sd has them."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import yaml
from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import SourceError
from promproxy.sources.building import deliver
from promproxy.sources.groups import GroupRules, targets_from_groups
from promproxy.sources.json_array import json_array_elements
from promproxy.targets.target import Delivery, Dropped, Target
from promproxy.timing.threads import InThread

T = TypeVar("T")

# libyaml reads 10 000 groups in 0.3 s, the loader in Python takes 1.7 s. All scalars are strings,
# as Prometheus takes them: `shard: 1` is a label with the value "1".
_YamlLoader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@frozen
class _FileState:
    """What changes when a file does, also when it is replaced within one tick of the clock."""

    path: Path
    inode: int
    mtime_ns: int
    size: int


@define
class FilesSource:
    """Reads the files again as soon as one of them, or the set of them, has changed.

    A file that cannot be read, or is no list of target groups, fails the refresh as a whole.
    ``in_thread`` runs a function in a thread, since a disk may be slow.
    """

    name: str
    interval: float
    _paths: tuple[Path, ...]
    _rules: GroupRules
    _clock: IReactorTime
    _in_thread: InThread
    _seen: tuple[_FileState, ...] | None = field(default=None, init=False)
    _delivery: Delivery = field(default=Delivery(()), init=False)

    async def targets(self) -> Delivery:
        """See `promproxy.sources.Source.targets`."""
        files = await self._in_thread(self._look)
        if files != self._seen:
            groups = await self._in_thread(lambda: [(f.path, _read(f.path)) for f in files])
            self._delivery = await deliver(self._build(groups), self._clock)
            self._seen = files
        return self._delivery

    def _look(self) -> tuple[_FileState, ...]:
        """The files that the globs match, sorted by path."""
        paths = {found for path in self._paths for found in glob.glob(str(path))}
        return tuple(_state(Path(path)) for path in sorted(paths))

    def _build(self, contents: list[tuple[Path, Iterator[object]]]) -> Iterator[Target | Dropped]:
        for path, groups in contents:
            try:
                yield from targets_from_groups(groups, self._rules)
            except (SourceError, ValueError) as error:
                raise SourceError(f"{path}: {_explain(error)}") from error


def _state(path: Path) -> _FileState:
    try:
        found = path.stat()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    # To open a pipe would wait for ever, and a device such as /dev/zero has no end.
    if not S_ISREG(found.st_mode):
        raise SourceError(f"cannot read {path}: it is no regular file")
    return _FileState(path, found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> Iterator[object]:
    """The groups in a file; those of a JSON file are decoded one by one as they are taken."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 at byte {error.start}") from error
    return json_array_elements(text) if path.suffix == ".json" else _yaml_groups(text, path)


def _yaml_groups(text: str, path: Path) -> Iterator[object]:
    try:
        groups = yaml.load(text, Loader=_YamlLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise SourceError(f"{path}:{line}: no valid YAML: {error.problem}") from error
    except Exception as error:  # what makes values of odd tags raises whatever it likes
        raise SourceError(f"{path}: no valid YAML: {type(error).__name__}") from error
    if groups is not None and not isinstance(groups, list):
        raise SourceError(f"{path}: no list of target groups")
    return iter(groups or ())


def _explain(error: Exception) -> str:
    return str(error) if isinstance(error, SourceError) else f"no valid JSON: {error}"
