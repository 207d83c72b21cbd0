"""The settings of merged scrapes."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from promproxy.scrape.merged.selection import DEFAULT_LABELS
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import boolean, mapping_of, positive, setting, size, text
from promproxy.targets.labels import is_label_name


def label_map(node: ConfigNode) -> Mapping[str, str]:
    """Labels, and the names of a target's labels that each is made of, joined by colons."""
    labels = mapping_of(text)(node)
    for name, made_of in labels.items():
        if not is_label_name(name) or name.startswith("__") or name == "instance":
            node.fail(f"{name!r} cannot be a label of series here")
        if not all(is_label_name(part) for part in made_of.split(":")):
            node.fail(f"{name}: expected names of labels joined by :, such as __meta_cf_org_name")
    return labels


@frozen(kw_only=True)
class MergedSettings:
    """The page ``/mergedMetrics``, which exists only with this section."""

    labels: Mapping[str, str] = setting(
        label_map,
        default=DEFAULT_LABELS,
        doc="labels to add to series, beside ``instance`` and the target's plain ones; each is "
        "made of labels of the target, joined by ``:``",
    )
    honor_labels: bool = setting(
        boolean,
        default=False,
        doc="keep a series' own label if it has the same name",
    )
    own_metrics: bool = setting(boolean, default=True, doc="append promproxy's own metrics")
    concurrency: int = setting(positive, default=64, doc="targets asked at a time for one answer")
    buffer: int = setting(
        size,
        default=32 * 1024**2,
        doc="memory for one answer; also the largest body of a target, and the largest grouped "
        "answer",
    )

    def __attrs_post_init__(self) -> None:
        if self.buffer < 1024**2:
            raise ValueError("buffer: expected at least 1MB")
