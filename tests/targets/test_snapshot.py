"""Tests of promproxy.targets.snapshot."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.snapshot import Snapshot, SourceTargets
from promproxy.targets.target import Delivery, Target


def make_target(source: str, name: str, instance: str = "") -> Target:
    return Target(
        id=name,
        source=source,
        scheme="http",
        host=name,
        port=80,
        path="/metrics",
        instance=instance or name,
    )


def make_listing(source: str, *names: str) -> SourceTargets:
    targets = tuple(make_target(source, name) for name in names)
    return SourceTargets(Delivery(targets), [f"{source}:{name}".encode() for name in names])


class SnapshotTests(SynchronousTestCase):
    def test_empty(self) -> None:
        """Before any source has delivered there is nothing."""
        empty = Snapshot()
        self.assertEqual((dict(empty.by_id), empty.entries()), ({}, []))
        self.assertEqual((empty.shadowed_count(), empty.duplicate_instances()), (0, []))

    def test_all_targets_are_found_by_id(self) -> None:
        """Those of every source, in the order of the sources."""
        snapshot = Snapshot.of({"a": make_listing("a", "x", "y"), "b": make_listing("b", "z")})
        self.assertEqual(set(snapshot.by_id), {"x", "y", "z"})
        self.assertEqual(snapshot.entries(), [b"a:x", b"a:y", b"b:z"])

    def test_fragments_of_one_source(self) -> None:
        """Its own, and none for a source that has not delivered or does not exist."""
        snapshot = Snapshot.of({"a": make_listing("a", "x"), "b": make_listing("b", "z")})
        self.assertEqual(snapshot.entries("b"), [b"b:z"])
        self.assertEqual(snapshot.entries("c"), [])

    def test_one_id_in_two_sources(self) -> None:
        """The first source's target is listed and served, the other is counted."""
        snapshot = Snapshot.of({"a": make_listing("a", "x"), "b": make_listing("b", "x", "y")})
        self.assertEqual(snapshot.by_id["x"].source, "a")
        self.assertEqual(snapshot.entries(), [b"a:x", b"b:y"])
        self.assertEqual(snapshot.entries("b"), [b"b:y"])
        self.assertEqual((snapshot.shadowed_count(), snapshot.conflicting_ids()), (1, ["x"]))

    def test_one_id_twice_in_a_source(self) -> None:
        """The first one is listed and served."""
        first, second = make_target("a", "x", "first"), make_target("a", "x", "second")
        listing = SourceTargets(Delivery((first, second)), [b"first", b"second"])
        snapshot = Snapshot.of({"a": listing})
        self.assertIs(snapshot.by_id["x"], first)
        self.assertEqual(snapshot.entries(), [b"first"])
        self.assertEqual((snapshot.shadowed_count(), snapshot.conflicting_ids()), (1, ["x"]))

    def test_duplicate_instances(self) -> None:
        """Each that several targets have, once, also across sources."""
        targets = [make_target("a", name, name[0]) for name in ("p1", "q1", "p2", "o1", "o2")]
        snapshot = Snapshot.of({"a": SourceTargets(Delivery(tuple(targets)), [b""] * 5)})
        self.assertEqual(snapshot.duplicate_instances(), ["o", "p"])
        self.assertEqual(snapshot.shadowed_count(), 0)

    def test_an_older_snapshot_stays_as_it_was(self) -> None:
        """A reader that holds one sees no half of a refresh."""
        before = Snapshot.of({"a": make_listing("a", "x")})
        Snapshot.of({**before.listings, "a": make_listing("a", "y")})
        self.assertEqual((list(before.by_id), before.entries()), (["x"], [b"a:x"]))
