"""Tests of promproxy.sync.follower."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent
from zope.interface import implementer

from promproxy.outbound.document import DocumentClient
from promproxy.outbound.fetch import Fetcher
from promproxy.sync.follower import Follower, OutputPaths
from promproxy.sync.metrics import Figures
from tests.fakes import DocumentServer, settle

URL = "http://sd.example/discovery?token=secret"
OTHER = b'[{"targets": ["b:1", "c:1"]}]'


@implementer(IAgent)
class SilentAgent:
    """The server never answers."""

    def request(self, *_: Any, **__: Any) -> Deferred[Any]:
        return Deferred()


class FollowerTests(SynchronousTestCase):
    """Attempts against a server in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "targets.json"
        self.server = DocumentServer()
        self.follower = self.make()

    def make(self, agent: Any = None, **paths: Any) -> Follower:
        agent = agent or RequestTraversalAgent(self.server)
        fetcher = Fetcher(agent=agent, clock=self.clock, timeout=30.0, max_size=1000)
        client = DocumentClient(URL, 60.0, fetcher)
        return Follower(
            client=lambda: client,
            paths=OutputPaths(**{"file": self.file, **paths}),
            figures=Figures(file=str(self.file)),
            clock=self.clock,
            in_thread=maybeDeferred,
        )

    def begin(self) -> Deferred[list[str]]:
        begun = Deferred.fromCoroutine(self.follower.attempt())
        settle(self.clock)
        return begun

    def attempt(self) -> list[str]:
        return self.successResultOf(self.begin())

    def outcomes(self) -> dict[str, int]:
        assert self.follower.figures.attempts is not None
        return dict(self.follower.figures.attempts)

    def test_writes_what_the_server_says(self) -> None:
        """Byte for byte, with the mode that was asked for, and counts the targets."""
        self.follower = self.make(mode=0o640)
        self.server.body = OTHER
        self.assertEqual(self.attempt(), [])
        self.assertEqual(self.file.read_bytes(), OTHER)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.follower.figures.targets, 2)
        self.assertEqual(self.follower.figures.last_success, 1000)
        self.assertEqual(os.listdir(self.folder), ["targets.json"])

    def test_unchanged_document_is_not_written(self) -> None:
        """Neither after a 304 nor after the same bytes: Prometheus would read it again."""
        for etag in (b'"v1"', None):
            self.server.etag = etag
            self.follower = self.make()
            self.attempt()
            before = self.file.stat()
            self.clock.advance(60)
            self.assertEqual(self.attempt(), [])
            after = self.file.stat()
            self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))
            self.assertEqual(self.outcomes().get("unchanged", 0), 1 if etag else 2)
            self.assertEqual(self.follower.figures.last_success, self.clock.seconds())

    def test_changed_document_replaces_the_file(self) -> None:
        """As a whole: whoever has it open goes on reading the old one."""
        self.attempt()
        with self.file.open("rb") as opened:
            self.server.body = OTHER
            self.assertEqual(self.attempt(), [])
            self.assertEqual(opened.read(), b'[{"targets": ["a:1"]}]')
        self.assertEqual(self.file.read_bytes(), OTHER)

    def test_file_that_someone_removed_or_changed_comes_back(self) -> None:
        """The server is asked for all of it then."""
        self.server.etag = b'"v1"'
        self.attempt()
        for spoil in (self.file.unlink, lambda: self.file.write_text("[]")):
            spoil()
            self.assertEqual(self.attempt(), [])
            self.assertEqual(self.file.read_bytes(), self.server.body)

    def test_failures_keep_the_file(self) -> None:
        """Each with its reason; the query is not shown."""
        self.attempt()
        good = self.file.read_bytes()
        for spoil, reason in (
            ({"status": 503}, "status 503, expected 200"),
            ({"status": 302}, "status 302, expected 200"),
            ({"status": 304}, "status 304, expected 200"),
            ({"content_type": "text/html"}, "content type 'text/html', expected application/json"),
            ({"body": b'[{"targets": ["a:1"'}, "the answer is not a JSON array"),
            ({"body": b""}, "the answer is not a JSON array"),
            ({"body": b'[{"labels": {"a-b": "c"}}]'}, "group 1: 'a-b' is not a label name"),
            ({"body": b"[" + b" " * 1000 + b"]"}, "larger than 1000 bytes"),
        ):
            vars(self.server).update(
                {"status": 200, "body": OTHER}, content_type="application/json"
            )
            vars(self.server).update(spoil)
            (error,) = self.attempt()
            self.assertTrue(error.startswith("GET http://sd.example/discovery: "), error)
            self.assertIn(reason, error)
            self.assertTrue(error.endswith(f"; {self.file} stays as it is"), error)
            self.assertEqual(self.file.read_bytes(), good)
        self.assertEqual(self.follower.failures, 8)
        self.assertEqual(self.follower.figures.last_success, 1000)
        self.assertFalse(self.follower.figures.succeeded)

    def test_bad_document_is_looked_at_again(self) -> None:
        """An ETag is remembered only of one that was of use."""
        self.server.etag = b'"v1"'
        self.server.body = b"{}"
        self.assertEqual(len(self.attempt()), 1)
        self.server.body = b"[]"
        self.assertEqual(self.attempt(), [])
        self.assertIsNone(self.server.requests[-1].getHeader("If-None-Match"))
        self.assertEqual(self.follower.failures, 0)

    def test_server_that_hangs(self) -> None:
        """There is an end to that."""
        self.follower = self.make(SilentAgent())
        begun = self.begin()
        self.assertNoResult(begun)
        self.clock.advance(30)
        (error,) = self.successResultOf(begun)
        self.assertIn("no complete answer within 30 s", error)
        self.assertEqual(self.follower.figures.seconds, 30)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_folder_that_is_not_there(self) -> None:
        """That is said, and tried again."""
        self.follower = self.make(file=self.folder / "missing" / "targets.json")
        (error,) = self.attempt()
        self.assertIn("missing/targets.json: No such file or directory", error)
        (self.folder / "missing").mkdir()
        self.assertEqual(self.attempt(), [])

    def test_metrics_file(self) -> None:
        """Written after each attempt, also a failed one; its own failure does no harm."""
        metrics = self.folder / "promproxy.prom"
        self.follower = self.make(metrics=metrics)
        self.server.status = 503
        self.attempt()
        self.assertIn(b"_last_attempt_successful", metrics.read_bytes())
        self.assertNotIn(b"_last_success_timestamp", metrics.read_bytes())
        self.server.status = 200
        self.assertEqual(self.attempt(), [])
        self.assertIn(b"_last_success_timestamp", metrics.read_bytes())
        self.follower = self.make(metrics=self.folder / "missing" / "promproxy.prom")
        self.assertEqual(
            self.attempt(),
            [f"cannot write {self.follower.paths.metrics}: No such file or directory"],
        )
        self.assertTrue(self.follower.figures.succeeded)

    def test_unexpected_error(self) -> None:
        """It is logged in full, counted, and does not end the attempts."""
        client = self.follower.client
        self.follower.client = lambda: 1 / 0  # type: ignore[assignment, return-value]
        self.assertEqual(self.attempt(), ["an unexpected error, see the log"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.follower.failures, 1)
        self.follower.client = client
        self.assertEqual(self.attempt(), [])

    def test_stopped_in_the_middle(self) -> None:
        """That is no failure of the server's, and the file stays."""
        self.attempt()
        self.follower = self.make(SilentAgent())
        begun = self.begin()
        begun.cancel()
        self.failureResultOf(begun)
        self.assertTrue(self.file.exists())

    def test_a_failure_is_logged_once(self) -> None:
        """Until it is another one, or is over."""
        self.attempt()
        with capturedLogs() as logged:
            for status in (503, 503, 503, 500, 200, 200):
                self.server.status = status
                self.attempt()
        levels = [event["log_level"].name for event in logged]
        self.assertEqual(levels, ["error", "error", "info"])
