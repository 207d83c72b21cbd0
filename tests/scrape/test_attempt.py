"""Tests of promproxy.scrape.attempt: why a scrape failed, in the words for its caller."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import BadUpstream, Busy, CutShort, DeadlinePassed, ScrapeError, Unreachable
from promproxy.scrape.attempt import Scrape, explain
from promproxy.scrape.settings import ScrapeSettings


def explained(error: Exception, **state: Any) -> ScrapeError:
    """What a scrape of 9.75 s with a limit of 10 bytes makes of an error."""
    unused: Any = None
    settings = ScrapeSettings(body_size_limit=10)
    scrape = Scrape(unused, settings, unused, unused, 0.0, 9.75, unused, **state)
    return explain(scrape, error, 9.75)


class ExplainTests(SynchronousTestCase):
    def test_each_reason(self) -> None:
        cancelled, cut = CancelledError(), CutShort("x")
        late, served = {"deadline_passed": True}, {"has_slot": True}
        for error, state, kind, reason in (
            (cancelled, late, Busy, "no scrape slot became free within 9.75 s"),
            (cancelled, {**late, **served}, DeadlinePassed, "no complete answer within 9.75 s"),
            (cancelled, served, Busy, "promproxy is stopping"),
            (cut, {**served, "size": 11}, BadUpstream, "its answer is larger than 10 bytes"),
            (cut, {**served, "size": 10}, BadUpstream, "its answer broke off"),
            (Unreachable("connection refused"), served, Unreachable, "connection refused"),
        ):
            found = explained(error, **state)
            self.assertEqual((type(found), found.reason), (kind, reason))

    def test_the_tunnel_knows_why_it_was_late(self) -> None:
        error = DeadlinePassed("the client did not poll")
        self.assertIs(explained(error, has_slot=True, deadline_passed=True), error)
