"""Tests of promproxy.sync.metrics."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from promproxy.sync.metrics import Figures

FILE = "/etc/prometheus/targets.json"


class FiguresTests(SynchronousTestCase):
    """`Figures`."""

    def samples(self, figures: Figures) -> dict[str, str]:
        lines = figures.as_text().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    def test_all_of_them(self) -> None:
        """Each with the file, as node_exporter takes the metrics of all text files together."""
        figures = Figures(file=FILE, succeeded=False, seconds=0.5, last_success=7e8, targets=3)
        assert figures.attempts is not None
        figures.attempts["written"] += 2
        self.assertEqual(
            self.samples(figures),
            {
                f'promproxy_sync_attempts_total{{file="{FILE}",outcome="written"}}': "2.0",
                f'promproxy_sync_attempts_total{{file="{FILE}",outcome="unchanged"}}': "0.0",
                f'promproxy_sync_attempts_total{{file="{FILE}",outcome="failure"}}': "0.0",
                f'promproxy_sync_last_attempt_successful{{file="{FILE}"}}': "0.0",
                f'promproxy_sync_last_attempt_duration_seconds{{file="{FILE}"}}': "0.5",
                f'promproxy_sync_last_success_timestamp_seconds{{file="{FILE}"}}': "7e+08",
                f'promproxy_sync_targets{{file="{FILE}"}}': "3.0",
            },
        )

    def test_before_the_first_attempt(self) -> None:
        """Nothing is said of attempts that there were not."""
        self.assertEqual(self.samples(Figures(file=FILE, attempts=None)), {})

    def test_counts_only_where_there_is_more_than_one_attempt(self) -> None:
        """A cron job would begin anew each time."""
        figures = Figures(file=FILE, attempts=None, succeeded=True)
        self.assertNotIn("attempts_total", figures.as_text().decode())
        self.assertEqual(Figures(file=FILE).attempts, Counter())

    def test_the_last_success_outlives_the_process(self) -> None:
        """So that a failing cron job says since when it fails; of its own file alone."""
        for file, expected in ((FILE, 7.5e8), ("/other.json", None)):
            text = Figures(file=file, succeeded=True, last_success=7.5e8).as_text().decode()
            figures = Figures(file=FILE)
            figures.recall(text)
            self.assertEqual(figures.last_success, expected)

    def test_nonsense_is_passed_over(self) -> None:
        """Such as half a file that someone else wrote."""
        figures = Figures(file=FILE)
        for text in ("", "{", 'promproxy_sync_last_success_timestamp_seconds{file="', "a b c d"):
            figures.recall(text)
        self.assertIsNone(figures.last_success)
