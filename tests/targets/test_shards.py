"""Tests of promproxy.targets.shards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.shards import MAX_SHARDS, Shard, shard_from


class ShardTests(SynchronousTestCase):
    def test_the_sets_of_prometheus(self) -> None:
        """Values that Prometheus 2.42 gave for ``action: hashmod`` with ``modulus: 4``."""
        shards = {"a:80": 1, "b:80": 0, "10.0.0.1:9100": 1, "": 2}
        for instance, index in shards.items():
            found = [i for i in range(4) if Shard(i, 4).holds(instance)]
            self.assertEqual(found, [index], instance)

    @given(st.text(), st.integers(1, MAX_SHARDS))
    def test_each_target_is_in_one_shard(self, instance: str, of: int) -> None:
        """No target is scraped twice, or by none."""
        instance = instance.encode("utf-8", "replace").decode()
        self.assertEqual(sum(Shard(i, of).holds(instance) for i in range(of)), 1)

    def test_parameters(self) -> None:
        self.assertEqual(shard_from(None, None), Shard())
        self.assertEqual(shard_from("1", "2"), Shard(1, 2))
        for index, of in (
            *(("1", None), (None, "2"), ("2", "2"), ("-1", "2"), ("x", "2"), ("", "2")),
            *(("0", "0"), ("0", "65"), ("0", "x"), ("0", "9" * 99), ("9" * 99, "64"), ("²", "4")),
        ):
            self.assertRaises(ValueError, shard_from, index, of)
