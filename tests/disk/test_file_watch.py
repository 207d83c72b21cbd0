"""Tests of promproxy.disk.file_watch."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.disk.file_watch import LOOK_SECONDS, FileWatch, digests_of
from tests.fakes import ManualThread, at_once


class FileWatchTests(SynchronousTestCase):
    """Two files, one of which is missing."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.file, self.missing = folder / "file", folder / "missing"
        self.file.write_text("one")
        self.clock = Clock()
        self.calls = 0
        self.answer: Deferred[None] = succeed(None)
        self.watch = self.make(at_once)

    def make(self, in_thread: object) -> FileWatch:
        return FileWatch(self.clock, in_thread, lambda: (self.file, self.missing), self.changed)

    def changed(self) -> Deferred[None]:
        self.calls += 1
        return self.answer

    def looks(self, count: int = 1) -> int:
        """How many changes are found by looking so often."""
        before = self.calls
        for _ in range(count):
            self.clock.advance(LOOK_SECONDS)
        return self.calls - before

    def test_first_look(self) -> None:
        """Is a change, since nobody knows what came before it; it is not at once."""
        self.watch.start()
        self.assertEqual(self.calls, 0)
        self.assertEqual(self.looks(3), 1)

    def test_what_counts_is_what_they_hold(self) -> None:
        """Not when or how they were written; one that comes or goes is a change too."""
        self.watch.start()
        self.looks()
        self.file.write_text("one")
        os.utime(self.file, (1, 1))
        self.assertEqual(self.looks(), 0)
        before = self.file.stat()
        self.file.write_text("two")
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual(self.looks(2), 1)
        self.missing.write_text("here")
        self.assertEqual(self.looks(2), 1)
        self.file.unlink()
        self.assertEqual(self.looks(2), 1)

    def test_change_while_it_is_taken_up(self) -> None:
        """Is taken up too, even where all is put back before the next look."""
        self.watch.start()
        self.looks()
        self.file.write_text("two")
        self.answer = Deferred()
        self.assertEqual(self.looks(), 1)
        self.file.write_text("broken")
        self.answer.callback(None)
        self.file.write_text("two")
        self.answer = succeed(None)
        self.assertEqual(self.looks(3), 1)

    def test_bug_does_not_end_it(self) -> None:
        """It is logged, and the next change counts."""
        self.watch.start()
        self.answer = fail(ZeroDivisionError())
        self.assertEqual(self.looks(2), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.file.write_text("two")
        self.answer = succeed(None)
        self.assertEqual(self.looks(2), 1)

    def test_it_waits_for_what_it_has_called(self) -> None:
        thread = ManualThread()
        self.watch = self.make(thread)
        self.watch.start()
        self.looks(3)
        self.assertEqual(len(thread.waiting), 1)
        self.answer = Deferred()
        thread.run()
        self.looks(3)
        self.assertEqual(thread.waiting, [])
        self.answer.callback(None)
        self.looks()
        self.assertEqual(len(thread.waiting), 1)

    def test_stop(self) -> None:
        """Leaves no timer, started or not."""
        self.watch.stop()
        self.watch.start()
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_contents(self) -> None:
        """A file that cannot be read holds nothing."""
        found = digests_of([self.file, self.missing])
        self.assertEqual(len(found[self.file]), 32)
        self.assertEqual(found[self.missing], b"")
