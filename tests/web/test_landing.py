"""Tests of promproxy.web.landing."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy import __version__
from promproxy.errors import SourceError
from promproxy.web.landing import LandingResource
from tests.fakes import Caller, ScriptedSource, delivery_of, make_registry, settle


class LandingTests(SynchronousTestCase):
    """The page for people."""

    def setUp(self) -> None:
        clock = Clock()
        registry = make_registry(
            clock,
            ScriptedSource([delivery_of("a:1", "b:1")]),
            ScriptedSource([SourceError("<b>bold</b>")], name="broken"),
            ScriptedSource([Deferred()], name="slow"),
        )
        registry.start()
        settle(clock)
        page = LandingResource(registry)
        page.putChild(b"", page)
        self.answer = Caller(page).get("/")
        self.page = self.answer.body.decode()

    def test_page_shows_each_source(self) -> None:
        """How many targets it has, and how it is."""
        self.assertEqual(self.answer.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertIn(f"promproxy {__version__}", self.page)
        self.assertIn("<tr><td>vms</td><td>2</td><td>ok</td></tr>", self.page)
        self.assertIn(
            "<tr><td>slow</td><td>-</td><td>waiting for the first targets</td></tr>", self.page
        )

    def test_text_from_outside_is_escaped(self) -> None:
        """An error may quote what a server sent."""
        self.assertIn("<td>&lt;b&gt;bold&lt;/b&gt;</td>", self.page)

    def test_links_work_below_a_path_prefix(self) -> None:
        """So none begins with a slash."""
        self.assertIn('href="discovery"', self.page)
        self.assertNotIn('href="/', self.page)
