"""The source kind ``files``: target groups in JSON and YAML files, as file_sd has them."""

from __future__ import annotations

import glob
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG

import yaml
from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import SourceError
from promproxy.sources.building import deliver, joined
from promproxy.sources.groups import GroupRules, targets_from_groups
from promproxy.sources.json_array import json_groups
from promproxy.sources.yaml_groups import yaml_document
from promproxy.targets.target import Delivery, Remark, Target
from promproxy.timing.threads import InThread

#: Which file a target stands in, as Prometheus's file_sd has it.
FILEPATH_LABEL = "__meta_filepath"


@frozen
class _FileState:
    """What changes when a file does, also when it is replaced within one tick of the clock."""

    inode: int
    mtime_ns: int
    size: int


@frozen
class _Part:
    """What one file has yielded last, and what is wrong with it now, ``""`` for nothing.

    ``state`` is that of the file when it was read; None has it read again.
    """

    state: _FileState | None
    delivery: Delivery
    problem: str = ""

    @property
    def consequence(self) -> str:
        """The error and its consequence."""
        stay = "its last good targets stay" if self.delivery.targets else "it has no targets yet"
        return f"{self.problem}; {stay}"


@define
class FilesSource:
    """Reads a file again as soon as it has changed.

    One that cannot be read, or is no list of target groups, keeps its last good targets. Where all
    are so, the refresh fails. ``in_thread`` runs a function in a thread, since a disk may be slow.
    """

    name: str
    interval: float
    _paths: tuple[Path, ...]
    _rules: GroupRules
    _clock: IReactorTime
    _in_thread: InThread
    _parts: dict[Path, _Part] = field(factory=dict, init=False)
    _remarks: list[Remark] = field(factory=list, init=False)
    _delivery: Delivery | None = field(default=None, init=False)

    async def targets(self) -> Delivery:
        found, remarks = await self._in_thread(self._look)
        parts = {path: await self._part(path, state) for path, state in found.items()}
        problems = [part.problem for part in parts.values() if part.problem]
        is_unchanged = (
            self._delivery is not None
            and remarks == self._remarks
            and parts.keys() == self._parts.keys()
            and all(part is self._parts[path] for path, part in parts.items())
        )
        self._parts, self._remarks = parts, remarks
        if problems and len(problems) == len(parts):
            raise SourceError("; ".join(problems[:3]))
        if self._delivery is None or not is_unchanged:
            unreadable = [
                Remark("unreadable", str(path), part.consequence.removeprefix(f"{path}: "))
                for path, part in parts.items()
                if part.problem
            ]
            deliveries = [part.delivery for part in parts.values()]
            self._delivery = joined(deliveries, [*remarks, *unreadable])
        return self._delivery

    def restore(self, delivery: Delivery) -> None:
        """See `promproxy.sources.Restorable.restore`: each file has its saved targets."""
        targets: defaultdict[Path, list[Target]] = defaultdict(list)
        for target in delivery.targets:
            targets[Path(target.labels.get(FILEPATH_LABEL, ""))].append(target)
        self._parts = {path: _Part(None, Delivery(tuple(t))) for path, t in targets.items()}

    def _look(self) -> tuple[dict[Path, _FileState | SourceError], list[Remark]]:
        """The files that the patterns match, in the order of their paths; and what matches none."""
        paths = {found for path in self._paths for found in glob.glob(str(path))}
        files = {Path(path): _state(Path(path)) for path in sorted(paths)}
        return files, nothing_matches(self._paths)

    async def _part(self, path: Path, state: _FileState | SourceError) -> _Part:
        """What the file yields; the very object of before where nothing has changed."""
        before = self._parts.get(path)
        if before is not None and before.state == state and not before.problem:
            return before
        try:
            if isinstance(state, SourceError):
                raise state
            groups = await self._in_thread(lambda: _read(path))
            rules = evolve(self._rules, labels={FILEPATH_LABEL: str(path)})
            return _Part(state, await deliver(targets_from_groups(groups, rules), self._clock))
        except (SourceError, ValueError) as error:
            problem = str(error) if isinstance(error, SourceError) else f"invalid JSON: {error}"
            problem = problem if str(path) in problem else f"{path}: {problem}"
            if before is not None and before.problem == problem:
                return before
            return _Part(None, before.delivery if before else Delivery(()), problem)


def nothing_matches(paths: Iterable[Path]) -> list[Remark]:
    """A remark for each pattern that matches no file. It looks at the disk."""
    return [
        Remark("selects_nothing", f"paths: {path}", _why_nothing(path))
        for path in paths
        if not glob.glob(str(path))
    ]


def _why_nothing(path: Path) -> str:
    folder = path.parent
    if glob.has_magic(str(folder)) or folder.is_dir():
        return "no file matches"
    return f"no such folder: {folder}"


def _state(path: Path) -> _FileState | SourceError:
    try:
        found = path.stat()
    except OSError as error:
        return SourceError(f"cannot read {path}: {error.strerror}")
    # To open a pipe would wait for ever, and a device such as /dev/zero has no end.
    if not S_ISREG(found.st_mode):
        return SourceError(f"cannot read {path}: it is not a regular file")
    return _FileState(found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> Iterator[object]:
    """The groups in a file; those of a JSON file are decoded one by one as they are taken."""
    is_json = path.suffix.lower() == ".json"
    try:
        content = path.read_bytes()
        # In JSON Go replaces bytes that are not UTF-8. Its YAML refuses them, but knows UTF-16.
        is_utf_16 = not is_json and content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        encoding = "utf-16" if is_utf_16 else "utf-8-sig"
        text = content.decode(encoding, "replace" if is_json else "strict")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 at byte {error.start}") from error
    return json_groups(text) if is_json else _yaml_groups(text, path)


def _yaml_groups(text: str, path: Path) -> Iterator[object]:
    try:
        groups = yaml_document(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise SourceError(f"{path}:{line}: invalid YAML: {error.problem}") from error
    except Exception as error:  # what makes values of odd tags raises whatever it likes
        raise SourceError(f"{path}: invalid YAML: {type(error).__name__}") from error
    if groups is not None and not isinstance(groups, list):
        raise SourceError(f"{path}: no list of target groups")
    return iter(groups or ())
