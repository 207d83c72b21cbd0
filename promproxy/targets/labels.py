"""Labels that Prometheus accepts.

One label with a bad name, or a value that is not a string, makes Prometheus refuse a whole
discovery document, so nothing else may ever reach it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promproxy.targets.target import Dropped

MAX_LABEL_BYTES = 4096
MAX_NAME_LENGTH = 1024

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_CONSUMED = re.compile(r"__address__|__scheme__|__metrics_path__|__param_.*|instance", re.DOTALL)
_PASSED = re.compile(r"(?!__)\w+|__meta_\w+|__scrape_\w+__")


def is_label_name(name: object) -> bool:
    """Whether name may be a label's name (Prometheus data model)."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_own_names(labels: Mapping[str, object]) -> None:
    """Raise ValueError for a name that the configuration may not give to a label of targets."""
    for name in labels:
        if not is_label_name(name) or name.startswith("__"):
            raise ValueError(f"labels: {name!r} is not a label name")
        if name in ("instance", "job"):
            raise ValueError(f"labels: {name!r} is what Prometheus tells series apart by")


def problem_with_label(name: object, value: object) -> str | None:
    """Why Prometheus would refuse this label, as a metric's label value, or None."""
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH or not is_label_name(name):
        return "label_name"
    if not isinstance(value, str):
        return "label_value_type"
    try:
        too_long = len(value.encode()) > MAX_LABEL_BYTES
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
        return "label_value_type"
    return "label_value_length" if too_long else None


def passed_labels(
    raw: Mapping[object, object], *, honor_job: bool, where: str
) -> tuple[dict[str, str], list[Dropped]]:
    """A source's labels that pass on to Prometheus, and those that are dropped.

    Labels that say how we scrape are consumed without a word; ``where`` names the target or group.
    """
    labels: dict[str, str] = {}
    dropped = []
    for name, value in raw.items():
        if value is None and is_label_name(name):  # to Prometheus the same as no label
            continue
        reason = problem_with_label(name, value)
        if reason is None and _CONSUMED.fullmatch(str(name)):
            continue
        if reason is None and not _PASSED.fullmatch(str(name)):
            reason = "label_reserved"
        if reason is None and name == "job" and not honor_job:
            reason = "label_job"
        if reason is None:
            labels[str(name)] = str(value)
        else:
            dropped.append(Dropped(f"label {shown(name)} of {where}", reason))
    return labels, dropped


def shown(value: object) -> str:
    """A foreign value, quoted and short enough for a log line."""
    try:
        text = repr(value[:80] if isinstance(value, str) else value)
    except (ValueError, RecursionError):  # a number too long, or lists nested too deeply, to write
        return f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
