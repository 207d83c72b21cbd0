"""Tests of promproxy.scrape.outcome."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import (
    BadUpstream,
    Busy,
    DeadlinePassed,
    LoopDetected,
    ScrapeError,
    Unreachable,
)
from promproxy.outbound.connection import StaleConnection
from promproxy.scrape.outcome import outcome_of, status_of


class StatusTests(SynchronousTestCase):
    """Errors as statuses."""

    def test_each_error_has_the_status_that_the_design_gives_it(self) -> None:
        """A name of its own in the metrics."""
        for kind, status, outcome in (
            (Unreachable, 502, "unreachable"),
            (BadUpstream, 502, "bad_answer"),
            (Busy, 503, "busy"),
            (DeadlinePassed, 504, "timeout"),
            (LoopDetected, 508, "loop"),
        ):
            error = kind("why")
            self.assertEqual((status_of(error), outcome_of(error)), (status, outcome))

    def test_every_scrape_error_has_one(self) -> None:
        """Those that are made later as well."""
        for kind in ScrapeError.__subclasses__():
            self.assertGreaterEqual(status_of(kind("why")), 500)

    def test_more_special_error_is_answered_as_its_family(self) -> None:
        """An error may have subclasses."""
        self.assertEqual(status_of(StaleConnection("why")), 502)
