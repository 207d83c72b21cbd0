"""The snapshot: all targets of all sources at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from promproxy.targets.shards import EVERYTHING, Shard
from promproxy.targets.target import Delivery, Target


class Profiles(Protocol):
    """What targets are reached by: `promproxy.outbound.client` has the real ones."""

    def template_for(self, target: Target) -> Any:
        """The constant part of a target's requests."""


class NoProfiles:
    """Reaches nothing."""

    def template_for(self, target: Target) -> Any:
        """There is none."""
        raise LookupError(target.id)


@frozen
class SourceTargets:
    """One source's part of a snapshot: its delivery, and each target as `/discovery` shows it.

    ``entries[i]`` belongs to ``delivery.targets[i]``. ``profiles`` are those that came with the
    settings by which the targets were found: credentials go to no others. ``found_by`` is the
    source as it was built from these settings.
    """

    delivery: Delivery
    entries: Sequence[bytes] = field(repr=False)
    profiles: Profiles = field(default=NoProfiles(), repr=False)
    found_by: object = field(default=None, repr=False)


@frozen
class Snapshot:
    """Immutable; a refresh makes a new one. Where two targets have one id, the first source's wins.

    ``listings`` is in the order of the configuration and holds those sources only that have
    delivered. ``by_id`` is what a scrape looks its target up in.
    """

    listings: Mapping[str, SourceTargets] = field(factory=dict)
    by_id: Mapping[str, Target] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, listings: Mapping[str, SourceTargets]) -> Snapshot:
        """The snapshot that has exactly these listings."""
        # From the end, so that of equal ids the first one wins.
        by_id: dict[str, Target] = {}
        for listing in reversed(list(listings.values())):
            by_id.update((target.id, target) for target in reversed(listing.delivery.targets))
        return cls(listings, by_id)

    def profiles_of(self, target: Target) -> Profiles:
        """What one of its targets is reached by."""
        return self.listings[target.source].profiles

    def targets(self) -> Iterator[Target]:
        """All served targets, in the order of the configuration and of each delivery."""
        return reversed(list(self.by_id.values()))  # filled from its end, see `of`

    def entries(self, source: str | None = None, shard: Shard = EVERYTHING) -> list[bytes]:
        """The discovery entries of one source, or of all; none for an unknown source."""
        if source is not None:
            listing = self.listings.get(source)
            return [] if listing is None else self._unique(listing, shard)
        return [e for listing in self.listings.values() for e in self._unique(listing, shard)]

    def _unique(self, listing: SourceTargets, shard: Shard) -> list[bytes]:
        """Its entries of a shard, without those whose id belongs to another target."""
        pairs = zip(listing.delivery.targets, listing.entries, strict=True)
        return [
            entry
            for target, entry in pairs
            if self.by_id[target.id] is target and shard.holds(target.instance)
        ]

    def shadowed_count(self) -> int:
        """How many targets are not served since another one has their id."""
        return sum(len(x.delivery.targets) for x in self.listings.values()) - len(self.by_id)

    def conflicting_ids(self) -> list[str]:
        """The ids that more than one target has; the first one of them is served."""
        targets = [t for x in self.listings.values() for t in x.delivery.targets]
        return sorted({target.id for target in targets if self.by_id[target.id] is not target})

    def duplicate_instances(self) -> list[str]:
        """The ``instance`` labels that more than one target has: in one job they would collide."""
        counts = Counter(target.instance for target in self.by_id.values())
        return sorted(instance for instance, count in counts.items() if count > 1)
