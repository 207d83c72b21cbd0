"""Tests of promproxy.timing.backoff."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.timing.backoff import next_delay

INTERVALS = st.floats(0.001, 1e7)
RANDOM = st.floats(0, 1, exclude_max=True)


def delays(interval: float, failures: int) -> list[float]:
    """The delays after 0, 1, 2 … failures, without jitter."""
    return [next_delay(interval=interval, failures=n, random=0) for n in range(failures + 1)]


class NextDelayTests(SynchronousTestCase):
    def test_success_waits_for_the_interval(self) -> None:
        """However long it is."""
        self.assertEqual(delays(60, 0), [60])
        self.assertEqual(delays(86400, 0), [86400])

    def test_failures_double_up_to_five_intervals(self) -> None:
        """Beginning at 5 s."""
        self.assertEqual(delays(60, 8), [60, 5, 10, 20, 40, 80, 160, 300, 300])
        self.assertEqual(delays(10, 6), [10, 5, 10, 20, 40, 50, 50])

    def test_a_short_interval(self) -> None:
        """The first retry comes after the interval, the longest pause is at least 5 s."""
        self.assertEqual(delays(0.5, 6), [0.5, 0.5, 1, 2, 4, 5, 5])

    def test_a_long_interval(self) -> None:
        """Nobody waits more than 5 min for a source to come back."""
        self.assertEqual(delays(3600, 8), [3600, 5, 10, 20, 40, 80, 160, 300, 300])

    def test_jitter(self) -> None:
        """Up to a tenth less, so that nothing is ever later than promised."""
        self.assertAlmostEqual(next_delay(interval=60, failures=0, random=0), 60)
        self.assertAlmostEqual(next_delay(interval=60, failures=0, random=1), 54)

    @given(INTERVALS, st.integers(1, 100_000), RANDOM)
    def test_any_number_of_failures(self, interval: float, failures: int, random: float) -> None:
        """The pause stays positive and finite for however long a source is down."""
        delay = next_delay(interval=interval, failures=failures, random=random)
        assert 0 < delay <= min(300, max(5, 5 * interval))
        longer = next_delay(interval=interval, failures=failures + 1, random=random)
        assert delay <= longer
