"""Tests of promproxy.web.metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge
from twisted.trial.unittest import SynchronousTestCase

from promproxy.web.metrics import MetricsResource
from tests.fakes import Caller


class MetricsTests(SynchronousTestCase):
    """The exposition over HTTP."""

    def setUp(self) -> None:
        registry = CollectorRegistry()
        Gauge("some_gauge", "Some.", registry=registry).set(7)
        self.caller = Caller(MetricsResource(registry))

    def test_text_format_is_the_default(self) -> None:
        """For callers that ask for none."""
        answer = self.caller.get("/")
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version="))
        self.assertIn(b"some_gauge 7.0\n", answer.body)
        self.assertNotIn(b"# EOF", answer.body)

    def test_openmetrics_for_who_prefers_it(self) -> None:
        answer = self.caller.get("/", Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
        self.assertTrue(answer.headers["Content-Type"].startswith("application/openmetrics-text"))
        self.assertTrue(answer.body.endswith(b"# EOF\n"))

    def test_head(self) -> None:
        answer = self.caller.head("/")
        self.assertEqual((answer.status, answer.body), (200, b""))
