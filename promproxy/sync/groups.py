"""Whether Prometheus would take a document, judged as strictly as it does itself.

Source: Prometheus, ``discovery/targetgroup/targetgroup.go``: an unknown key, a value of another
type or a label with a bad name, and the whole file is refused; ``null`` is an empty value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from promproxy.errors import SourceError
from promproxy.sources.json_array import json_groups
from promproxy.targets.labels import is_label_name, shown

_KEYS = {"targets", "labels"}


def target_counts(body: bytes) -> Iterator[int]:
    """How many targets each group has. Raises SourceError at what Prometheus would refuse."""
    try:
        for number, group in enumerate(json_groups(body.decode(errors="replace")), 1):
            yield _target_count(group, f"group {number}")
    except ValueError as error:
        raise SourceError(f"the answer is not a JSON array: {error}") from error


def _target_count(group: object, where: str) -> int:
    if not isinstance(group, Mapping):
        raise SourceError(f"{where} is not a mapping with 'targets' and 'labels'")
    for key in group:
        if key not in _KEYS:
            raise SourceError(f"{where}: unknown key {shown(key)}")
    targets, labels = (group.get(key) for key in ("targets", "labels"))
    targets = [] if targets is None else targets
    if not isinstance(targets, list) or not all(isinstance(t, str | None) for t in targets):
        raise SourceError(f"{where}: 'targets' is not a list of strings")
    if not isinstance(labels, Mapping | None):
        raise SourceError(f"{where}: 'labels' is not a mapping")
    for name, value in (labels or {}).items():
        if not is_label_name(name):
            raise SourceError(f"{where}: {shown(name)} is not a label name")
        if not isinstance(value, str | None):
            raise SourceError(f"{where}: the value of label {shown(name)} is not a string")
    return sum(target is not None for target in targets)
