"""Tests of promproxy.disk.file_writer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from promproxy.disk.file_writer import LONGEST_PAUSE, SECONDS_BEFORE_RETRY, FileWriter
from tests.fakes import ManualThread, settle


class FileWriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.thread = ManualThread()
        self.ended: list[bool] = []
        self.writer = FileWriter(self.path, 0o644, self.thread, self.clock, self.ended.append)

    def made(self) -> bytes:
        return self.path.read_bytes()

    def run_thread(self, seconds: float = 0.0) -> None:
        """The thread does what waits for it; it takes so long."""
        self.clock.advance(seconds)
        self.thread.run()
        settle(self.clock)

    def break_disk(self) -> Callable[[], None]:
        """Writing fails until the result is called."""
        sync = os.fsync

        def fail(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(os, "fsync", fail)
        return lambda: self.patch(os, "fsync", sync)

    def test_writing(self) -> None:
        """Made and written in a thread."""
        calls: list[bytes] = []

        def make() -> bytes:
            calls.append(b"")
            return b"one"

        self.writer.write(make)
        self.assertEqual(calls, [])
        self.run_thread()
        self.assertEqual((self.made(), self.ended), (b"one", [True]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_newest_content_wins(self) -> None:
        """One write at a time; what was overtaken meanwhile is not even made."""
        self.writer.write(lambda: b"one")
        self.writer.write(lambda: [][0])
        self.writer.write(lambda: b"three")
        self.assertEqual(len(self.thread.waiting), 1)
        self.run_thread()
        self.assertEqual(self.made(), b"one")
        self.run_thread()
        self.assertEqual((self.made(), self.ended), (b"three", [True, True]))

    def test_pause(self) -> None:
        """Ten times as long as the write took, but a minute at most."""
        for took, pause in ((0.5, 5), (1000, LONGEST_PAUSE)):
            self.writer.write(lambda: b"one")
            self.run_thread(took)
            self.writer.write(lambda: b"two")
            self.clock.advance(pause - 0.1)
            self.assertEqual(self.thread.waiting, [])
            self.clock.advance(0.1)
            self.run_thread()
            self.assertEqual(self.made(), b"two")

    def test_failure(self) -> None:
        """Said once, tried again until it succeeds, and that is said too."""
        repair = self.break_disk()
        with capturedLogs() as events:
            self.writer.write(lambda: b"one")
            self.run_thread()
            for _ in range(2):
                self.clock.advance(SECONDS_BEFORE_RETRY)
                self.run_thread()
            repair()
            self.clock.advance(SECONDS_BEFORE_RETRY)
            self.run_thread()
        self.assertEqual((self.made(), self.ended), (b"one", [False, False, False, True]))
        failed, good = (event for event in events if "path" in event)
        self.assertEqual(
            (failed["path"], failed["why"]), (str(self.path), "No space left on device")
        )
        self.assertIn("can be written again", good["log_format"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_newer_content_after_a_failure(self) -> None:
        """The next attempt is with that."""
        repair = self.break_disk()
        self.writer.write(lambda: b"one")
        self.run_thread()
        self.writer.write(lambda: b"two")
        repair()
        self.clock.advance(SECONDS_BEFORE_RETRY)
        self.run_thread()
        self.assertEqual(self.made(), b"two")

    def test_bug_of_ours(self) -> None:
        """Logged; a later content is written."""
        self.writer.write(lambda: [][0])
        self.run_thread()
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)
        self.writer.write(lambda: b"two")
        self.clock.advance(SECONDS_BEFORE_RETRY)
        self.run_thread()
        self.assertEqual((self.made(), self.ended), (b"two", [False, True]))

    def close(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.writer.close())

    def test_close_waits_for_what_is_under_way_and_for_what_waits(self) -> None:
        """The last content is in the file when all has ended."""
        self.writer.write(lambda: b"one")
        self.writer.write(lambda: b"two")
        closing = self.close()
        self.run_thread()
        self.assertNoResult(closing)
        self.run_thread()
        self.successResultOf(closing)
        self.assertEqual(self.made(), b"two")

    def test_close_ends_a_pause(self) -> None:
        """What would have been written after it is written now."""
        self.writer.write(lambda: b"one")
        self.run_thread(5)
        self.writer.write(lambda: b"two")
        closing = self.close()
        settle(self.clock)
        self.run_thread()
        self.successResultOf(closing)
        self.assertEqual(self.made(), b"two")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_tries_once(self) -> None:
        """A full disk does not keep the daemon from its end."""
        self.break_disk()
        self.writer.write(lambda: b"one")
        closing = self.close()
        self.run_thread()
        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_of_one_that_has_nothing_to_do(self) -> None:
        self.successResultOf(self.close())
