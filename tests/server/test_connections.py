"""Tests of promproxy.server.connections."""

from __future__ import annotations

from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from promproxy.server.connections import Connections, eviction_candidates


@define(eq=False)
class One:
    awaiting_head_since: float | None = None
    idle_since: float | None = None
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True


moments = st.one_of(st.none(), st.floats(0, 100))


class LeastWorthTests(SynchronousTestCase):
    @given(st.lists(st.builds(One, moments, moments)), st.integers(0, 20))
    def test_order(self, ones: list[One], count: int) -> None:
        """Never a busy one; idle ones after all that owe a head; the oldest first."""
        found = eviction_candidates(ones, count)
        free = [one for one in ones if (one.awaiting_head_since, one.idle_since) != (None, None)]
        self.assertEqual(len(found), min(count, len(free)))

        def rank(one: One) -> tuple[bool, float]:
            since = one.idle_since if one.awaiting_head_since is None else one.awaiting_head_since
            assert since is not None
            return one.awaiting_head_since is None, since

        left = [one for one in free if one not in found]
        if found and left:
            self.assertLessEqual(max(map(rank, found)), min(map(rank, left)))


class ConnectionsTests(SynchronousTestCase):
    def test_running_out_is_logged_once(self) -> None:
        """Again only after there was much room."""
        connections = Connections(10)
        busy = [One() for _ in range(10)]
        with capturedLogs() as logs:
            for _ in range(2):
                for one in busy:
                    connections.add(one)
                self.assertFalse(connections.evict())
                self.assertFalse(connections.evict())
                for one in busy:
                    connections.discard(one)
                self.assertTrue(connections.evict())
        self.assertEqual(len(logs), 2)
        self.assertIn("max_connections", logs[0]["log_format"])

    def test_several_are_closed_at_a_time(self) -> None:
        """So that the choice is not made anew for each."""
        connections = Connections(320)
        ones = [One(awaiting_head_since=1.0) for _ in range(320)]
        for one in ones:
            connections.add(one)
        self.assertTrue(connections.evict())
        self.assertEqual(sum(one.aborted for one in ones), 11)
        self.assertEqual((len(connections), connections.evicted), (309, 11))
