"""Tests of promproxy.web.admin."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy.web.admin import InvalidateResource, RefreshResource
from tests.fakes import Answer, Caller, ScriptedSource, delivery_of, make_registry, settle


class AdminTestCase(SynchronousTestCase):
    """Both resources over two sources that were read 100 s ago."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sources = [ScriptedSource([delivery_of("a:1", source=n)], name=n) for n in "xy"]
        registry = make_registry(self.clock, *self.sources)
        registry.start()
        settle(self.clock)
        self.root = Resource()
        self.root.putChild(b"refresh", RefreshResource(registry))
        self.root.putChild(b"invalidate", InvalidateResource(registry))

    def ask(self, method: str, path: str) -> Answer:
        caller = Caller(self.root, self.clock)
        caller.send(method, path)
        return caller.answer()

    @property
    def calls(self) -> list[int]:
        """How often each source was asked again."""
        settle(self.clock)
        return [source.calls - 1 for source in self.sources]


class RefreshTests(AdminTestCase):
    """POST /-/refresh."""

    def test_all_sources(self) -> None:
        """They are asked at once."""
        answer = self.ask("POST", "/refresh")
        self.assertEqual((answer.status, answer.body), (202, b"refreshing all sources\n"))
        self.assertEqual(self.calls, [1, 1])

    def test_one_source(self) -> None:
        """The others are not."""
        answer = self.ask("POST", "/refresh?source=y")
        self.assertEqual((answer.status, answer.body), (202, b"refreshing y\n"))
        self.assertEqual(self.calls, [0, 1])

    def test_unknown_source(self) -> None:
        """404, which names those that there are; nothing is asked."""
        for name in ("z", "", "x%00", "%ff", "x,y"):
            answer = self.ask("POST", f"/refresh?source={name}")
            expected = (404, b"no such source; there are: x, y\n")
            self.assertEqual((answer.status, answer.body), expected)
        self.assertEqual(self.calls, [0, 0])

    def test_other_methods(self) -> None:
        """A link that someone follows does nothing."""
        for method in ("GET", "HEAD"):
            self.assertEqual(self.ask(method, "/refresh").status, 405)
        for method in ("PUT", "DELETE"):
            self.assertIn(self.ask(method, "/refresh").status, (405, 501))
        self.assertEqual(self.calls, [0, 0])


class InvalidateTests(AdminTestCase):
    """GET /cache/invalidate, as Promregator has it."""

    def test_any_of_its_caches(self) -> None:
        """204 without a body; all sources are asked."""
        answer = self.ask("GET", "/invalidate?org=1&space=1&source=nope")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(self.calls, [1, 1])

    def test_other_methods(self) -> None:
        self.assertEqual(self.ask("POST", "/invalidate").status, 405)
