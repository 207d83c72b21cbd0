"""Which targets a merged scrape asks, in which order, and the labels of their series. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from attrs import field, frozen

from promproxy.exposition.labels import SeriesLabels
from promproxy.scrape.history import TargetRecord
from promproxy.targets.shards import Shard, shard_from
from promproxy.targets.snapshot import Profiles, Snapshot
from promproxy.targets.target import Target

#: Promregator 0.x's labels, and the labels of a Cloud Foundry target that they are made of.
DEFAULT_LABELS = {
    "org_name": "__meta_cf_org_name",
    "space_name": "__meta_cf_space_name",
    "app_name": "__meta_cf_app_name",
    "cf_instance_id": "__meta_cf_app_guid:__meta_cf_instance_index",
    "cf_instance_number": "__meta_cf_instance_index",
}
_SOURCE_LABEL = "__meta_promproxy_source"


@frozen
class Selection:
    """What a request asks for: all targets, or those of a source, with labels, of a shard."""

    source: str | None = None
    match: tuple[tuple[str, str], ...] = ()
    shard: Shard = Shard()

    def holds(self, target: Target) -> bool:
        """Whether a target is asked for."""
        return (
            (self.source is None or target.source == self.source)
            and self.shard.holds(target.instance)
            and all(_label(target, name) == value for name, value in self.match)
        )


@frozen
class Labelled:
    """A target, the labels that its series get, and the profiles that it was listed with."""

    target: Target
    labels: SeriesLabels
    profiles: Profiles


@frozen
class Plan:
    """What a merged scrape does: ``duplicates`` are ids left out, since another target has exactly
    their labels, and their series would be lost.
    """

    targets: tuple[Labelled, ...]
    duplicates: tuple[str, ...] = field(default=())


def selection_from(args: Mapping[bytes, Sequence[bytes]]) -> Selection:
    """The selection of a request's parameters. Raises ValueError, saying what is wrong."""
    unknown = args.keys() - {b"source", b"match", b"shard", b"of", b"grouped"}
    if unknown:
        raise ValueError(f"unknown parameter {min(unknown).decode('utf-8', 'replace')!r}")
    match = []
    for text in args.get(b"match", ()):
        name, equals, value = text.decode("utf-8", "replace").partition("=")
        if not equals or not name:
            raise ValueError("match is LABEL=VALUE")
        match.append((name, value))
    return Selection(_last(args, b"source"), tuple(match), _shard(args))


def plan_for(
    snapshot: Snapshot,
    selection: Selection,
    labels: Mapping[str, str],
    *,
    honor_labels: bool,
) -> Plan:
    """The targets that a selection holds, by id, each with its labels."""
    taken: set[tuple[tuple[str, str], ...]] = set()
    targets, duplicates = [], []
    for target in sorted(snapshot.by_id.values(), key=lambda target: target.id):
        if not selection.holds(target):
            continue
        own = series_labels(target, labels)
        identity = tuple(sorted(own.items()))
        if identity in taken:
            duplicates.append(target.id)
            continue
        taken.add(identity)
        labelled = SeriesLabels(own, honor_labels)
        targets.append(Labelled(target, labelled, snapshot.profiles_of(target)))
    return Plan(tuple(targets), tuple(duplicates))


def series_labels(target: Target, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of a target's series: ``instance``, its plain ones, then the configured ones.

    ``labels`` maps a label to those of the target that it is made of, joined by ``:``; where one of
    them is missing, so is the label.
    """
    result = {"instance": target.instance}
    result |= {n: v for n, v in target.labels.items() if v and not n.startswith("__")}
    for name, made_of in labels.items():
        values = [_label(target, part) for part in made_of.split(":")]
        if all(values):
            result.setdefault(name, ":".join(values))
    return result


def in_order(
    targets: Iterable[Labelled], last: Callable[[str], TargetRecord | None]
) -> list[Labelled]:
    """Fast ones first, those that failed last time last, so that they take no slot from others.

    ``last`` knows how the last scrape of a target ended, by its id.
    """

    def key(labelled: Labelled) -> tuple[bool, float]:
        record = last(labelled.target.id)
        if record is None or not record.outcome:
            return (False, inf)
        return (not record.is_up, record.seconds)

    return sorted(targets, key=key)


def _label(target: Target, name: str) -> str:
    if name == "instance":
        return target.instance
    return target.source if name == _SOURCE_LABEL else target.labels.get(name, "")


def _last(args: Mapping[bytes, Sequence[bytes]], name: bytes) -> str | None:
    values = args.get(name)
    return None if not values else values[-1].decode("utf-8", "replace")


def _shard(args: Mapping[bytes, Sequence[bytes]]) -> Shard:
    return shard_from(_last(args, b"shard"), _last(args, b"of"))
