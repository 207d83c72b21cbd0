"""Tests of promproxy.scrape.merged.selection."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.scrape.history import TargetRecord
from promproxy.scrape.merged.selection import (
    DEFAULT_LABELS,
    Selection,
    in_order,
    plan_for,
    selection_from,
    series_labels,
)
from promproxy.targets.shards import Shard
from promproxy.targets.snapshot import Snapshot, SourceTargets
from promproxy.targets.target import Delivery, Target
from tests.fakes import FakeProfiles


def target(name: str, source: str = "s", **labels: str) -> Target:
    """A target with this id and instance, unless its labels say otherwise."""
    instance = labels.pop("instance", name)
    return Target(
        id=name,
        source=source,
        scheme="http",
        host=name,
        port=80,
        path="/metrics",
        instance=instance,
        labels=labels,
    )


def snapshot(*targets: Target) -> Snapshot:
    listings = {}
    for source in dict.fromkeys(target.source for target in targets):
        own = tuple(target for target in targets if target.source == source)
        listings[source] = SourceTargets(Delivery(own), [b""] * len(own), FakeProfiles())
    return Snapshot.of(listings)


class SelectionFromTests(SynchronousTestCase):
    def test_parameters(self) -> None:
        self.assertEqual(selection_from({}), Selection())
        args = {b"source": [b"a"], b"match": [b"x=y", b"z==="], b"shard": [b"0"], b"of": [b"2"]}
        expected = Selection("a", (("x", "y"), ("z", "==")), Shard(0, 2))
        self.assertEqual(selection_from(args), expected)
        self.assertEqual(selection_from({b"grouped": [b"1"]}), Selection())

    def test_what_is_wrong_is_told(self) -> None:
        for args, message in (
            ({b"match": [b"x"]}, "match is LABEL=VALUE"),
            ({b"match": [b"=x"]}, "match is LABEL=VALUE"),
            ({b"shard": [b"1"]}, "shard and of go together: shard=I&of=N"),
            ({b"match[]": [b"x"]}, r"unknown parameter 'match\[\]'"),
        ):
            with self.assertRaisesRegex(ValueError, f"^{message}$"):
                selection_from(args)


class PlanTests(SynchronousTestCase):
    def test_each_target_keeps_the_profiles_that_it_was_listed_with(self) -> None:
        """A reload while the answer is under way gives it no other credentials."""
        listed = snapshot(target("a"))
        (labelled,) = plan_for(listed, Selection(), {}, honor_labels=False).targets
        self.assertIs(labelled.profiles, listed.profiles_of(labelled.target))

    def test_targets_are_selected(self) -> None:
        """By source, and by equality with labels; a label that is missing is empty."""
        everything = snapshot(target("a", env="x", __meta_z="1"), target("b", source="other"))

        def ids(**selection: object) -> list[str]:
            chosen = Selection(**selection)  # type: ignore[arg-type]
            plan = plan_for(everything, chosen, {}, honor_labels=False)
            return [labelled.target.id for labelled in plan.targets]

        self.assertEqual(ids(), ["a", "b"])
        self.assertEqual(ids(source="other"), ["b"])
        self.assertEqual(ids(match=(("env", "x"), ("__meta_z", "1"))), ["a"])
        self.assertEqual(ids(match=(("env", ""),)), ["b"])
        self.assertEqual(ids(match=(("__meta_promproxy_source", "s"),)), ["a"])
        self.assertEqual(ids(match=(("instance", "b"),)), ["b"])

    def test_equal_label_sets(self) -> None:
        """The later id is left out; a label that is no part of the series makes no difference."""
        same = snapshot(target("b", instance="x"), target("a", instance="x", __meta_z="1"))
        plan = plan_for(same, Selection(), {}, honor_labels=False)
        self.assertEqual([labelled.target.id for labelled in plan.targets], ["a"])
        self.assertEqual(plan.duplicates, ("b",))


class SeriesLabelsTests(SynchronousTestCase):
    def test_labels_of_a_cloud_foundry_target(self) -> None:
        """Those that Promregator 0.x had, after the plain ones."""
        meta = {"org_name": "o", "space_name": "s", "app_guid": "g", "instance_index": "3"}
        labels = {f"__meta_cf_{name}": value for name, value in meta.items()}
        found = series_labels(target("t", env="x", **labels), DEFAULT_LABELS)
        self.assertEqual(
            list(found.items()),
            [
                ("instance", "t"),
                ("env", "x"),
                ("org_name", "o"),
                ("space_name", "s"),
                ("cf_instance_id", "g:3"),
                ("cf_instance_number", "3"),
            ],
        )

    def test_a_plain_label_wins(self) -> None:
        found = series_labels(target("t", org_name="mine", __meta_cf_org_name="o"), DEFAULT_LABELS)
        self.assertEqual(found["org_name"], "mine")

    def test_empty_labels_are_none(self) -> None:
        self.assertEqual(series_labels(target("t", env=""), {}), {"instance": "t"})


class OrderTests(SynchronousTestCase):
    def test_failed_ones_last_fast_ones_first(self) -> None:
        """Those that were never asked come in between."""
        records = {}
        for name, outcome, seconds in (
            ("failed", "timeout", 1.0),
            ("slow", "success", 2.0),
            ("fast", "success", 0.1),
            ("unasked", "", 0.0),
        ):
            one = target(name)
            records[name] = TargetRecord(one, None, None, outcome, seconds=seconds)  # type: ignore[arg-type]
        everything = snapshot(*(target(name) for name in (*records, "new")))
        plan = plan_for(everything, Selection(), {}, honor_labels=False)
        found = [labelled.target.id for labelled in in_order(plan.targets, records.get)]
        self.assertEqual(found, ["fast", "slow", "new", "unasked", "failed"])
