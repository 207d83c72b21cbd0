"""Shards: the same sets as Prometheus's own ``hashmod`` relabelling makes.

Source: Prometheus's ``model/relabel/relabel.go``: the last eight bytes of the MD5 of the value, as
a big-endian number, modulo the number of shards.
"""

from __future__ import annotations

from hashlib import md5

from attrs import frozen

MAX_SHARDS = 64


@frozen
class Shard:
    """Part ``index`` (from 0) of ``of``; the default is everything."""

    index: int = 0
    of: int = 1

    def holds(self, instance: str) -> bool:
        """Whether targets with this ``instance`` label belong to it."""
        if self.of == 1:
            return True
        digest = md5(instance.encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[8:], "big") % self.of == self.index


EVERYTHING = Shard()


def shard_from(index: str | None, of: str | None) -> Shard:
    """The shard that ``?shard=I&of=N`` asks for. Raises ValueError, saying what is wrong."""
    if index is None and of is None:
        return Shard()
    if index is None or of is None:
        raise ValueError("shard and of go together: shard=I&of=N")
    if not of.isascii() or not of.isdigit() or not 1 <= int(of[:9]) <= MAX_SHARDS:
        raise ValueError(f"of is a number from 1 to {MAX_SHARDS}")
    if not index.isascii() or not index.isdigit() or int(index[:9]) >= int(of):
        raise ValueError(f"shard is a number from 0 to {int(of) - 1}")
    return Shard(int(index), int(of))
