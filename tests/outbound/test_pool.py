"""What the pool hands out and what it gives up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.pool import Pool, PoolLimits


def make_pool(per_origin: int = 3, total: int = 4) -> Pool[str]:
    return Pool(PoolLimits(per_origin=per_origin, total=total, idle_seconds=10))


class PoolTests(SynchronousTestCase):
    """Connections are strings here; the pool does not look into them."""

    def test_newest_first(self) -> None:
        """The connection that became idle last is used first."""
        pool = make_pool()
        pool.put("a", "a1", 0)
        pool.put("a", "a2", 1)
        assert [pool.take("a"), pool.take("a"), pool.take("a")] == ["a2", "a1", None]

    def test_other_origin_gets_nothing(self) -> None:
        """A connection is handed out for its own origin only."""
        pool = make_pool()
        pool.put("a", "a1", 0)
        assert [pool.take("b"), len(pool)] == [None, 1]

    def test_limit_per_origin_closes_its_oldest(self) -> None:
        """One connection too many of one origin costs that origin its oldest."""
        pool = make_pool(per_origin=2)
        closed = [pool.put(*entry, 0) for entry in (("b", "b1"), ("a", "a1"), ("a", "a2"))]
        assert [*closed, pool.put("a", "a3", 0)] == [[], [], [], ["a1"]]

    def test_limit_in_all_closes_the_oldest(self) -> None:
        """One connection too many in all costs the oldest of any origin."""
        pool = make_pool(total=2)
        pool.put("a", "a1", 0)
        pool.put("b", "b1", 0)
        assert pool.put("c", "c1", 0) == ["a1"]
        assert [pool.take("a"), pool.take("b")] == [None, "b1"]

    def test_limit_of_zero_keeps_nothing(self) -> None:
        """Without room the connection just offered is the one to close."""
        assert make_pool(per_origin=0).put("a", "a1", 0) == ["a1"]
        assert make_pool(total=0).put("a", "a1", 0) == ["a1"]

    def test_expire_gives_up_those_idle_for_too_long(self) -> None:
        """Only connections that reached the idle time-out are given up."""
        pool = make_pool()
        pool.put("a", "a1", 0)
        pool.put("b", "b1", 5)
        assert [pool.expire(9.9), pool.expire(10), pool.expire(14)] == [[], ["a1"], []]
        assert [pool.take("a"), pool.take("b")] == [None, "b1"]

    def test_reuse_starts_the_idle_time_anew(self) -> None:
        """Idle time counts from the last use."""
        pool = make_pool()
        pool.put("a", "a1", 0)
        pool.put("b", "b1", 1)
        pool.take("a")
        pool.put("a", "a1", 8)
        assert [pool.expire(12), pool.take("a")] == [["b1"], "a1"]

    def test_discard_tells_whether_it_was_idle(self) -> None:
        """A lost connection is not handed out; a busy one is none of the pool's."""
        pool = make_pool()
        pool.put("a", "a1", 0)
        assert [pool.discard("a1"), pool.discard("a1"), pool.take("a")] == [True, False, None]

    def test_clear_gives_up_all(self) -> None:
        """Closing the agent closes every idle connection."""
        pool = make_pool()
        pool.put("a", "a1", 0)
        pool.put("b", "b1", 0)
        assert [pool.clear(), len(pool), pool.take("a")] == [["a1", "b1"], 0, None]

    @given(st.lists(st.tuples(st.sampled_from("ptde"), st.sampled_from("abc")), max_size=60))
    def test_limits_always_hold(self, steps: list[tuple[str, str]]) -> None:
        """After any steps: limits kept, and no connection is both idle and given up or busy."""
        pool, now, made = make_pool(per_origin=2, total=3), 0.0, 0
        idle: dict[str, str] = {}
        for step, key in steps:
            now += 3
            if step == "p":
                made += 1
                idle[f"{key}{made}"] = key
                gone = pool.put(key, f"{key}{made}", now)
            elif step == "t":
                taken = pool.take(key)
                assert (taken is None) == (key not in idle.values())
                gone = [taken] if taken else []
            elif step == "d":
                gone = [one for one in list(idle) if one[0] == key][:1]
                for one in gone:
                    assert pool.discard(one)
            else:
                gone = pool.expire(now)
            for one in gone:
                del idle[one]
            assert len(pool) == len(idle)
            assert len(idle) <= 3
            assert all(list(idle.values()).count(key) <= 2 for key in "abc")
