"""Tests of promproxy.disk.state_files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from promproxy.disk.saved_state import SavedState, encode
from promproxy.disk.state_files import read_state, state_path
from tests.fakes import make_target

STATE = SavedState("vms", "f00", (make_target("a:1"),))


class ReadStateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = state_path(self.folder, "vms")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def refused(self) -> str:
        """What is said of the file."""
        with capturedLogs() as events:
            self.assertIsNone(read_state(self.folder, "vms"))
        (event,) = events
        self.assertEqual(event["path"], str(self.path))
        return str(event["why"])

    def test_good_file(self) -> None:
        """With the moment at which it was written."""
        self.path.write_bytes(encode(STATE))
        os.utime(self.path, (5, 7))
        saved = read_state(self.folder, "vms")
        assert saved is not None
        self.assertEqual((saved.state, saved.moment), (STATE, 7.0))
        self.assertEqual(self.names(), ["vms.state.json"])

    def test_no_file(self) -> None:
        """Nothing to say: that is how it is at the first start."""
        with capturedLogs() as events:
            self.assertIsNone(read_state(self.folder, "vms"))
            self.assertIsNone(read_state(self.folder / "no", "vms"))
        self.assertEqual(events, [])

    def test_damaged_file(self) -> None:
        """Set aside, in place of one that was set aside before, and reported."""
        for content in (encode(STATE)[:-9], b"[]"):
            self.path.write_bytes(content)
            self.refused()
            self.assertEqual(self.names(), ["vms.state.json.set-aside"])
            aside = self.folder / "vms.state.json.set-aside"
            self.assertEqual(aside.read_bytes(), content)

    def test_file_of_another_source(self) -> None:
        """Copied by someone: its targets have other ids."""
        state_path(self.folder, "vms").write_bytes(encode(SavedState("other", "f00", ())))
        self.assertEqual(self.refused(), "it is that of the source 'other'")
        self.assertEqual(self.names(), ["vms.state.json.set-aside"])

    def test_no_regular_file(self) -> None:
        """A pipe, which nobody may ever write to, or a folder."""
        os.mkfifo(self.path)
        self.assertEqual(self.refused(), "it is no regular file")
        (self.folder / "vms.state.json.set-aside").unlink()
        self.path.mkdir()
        self.assertEqual(self.refused(), "it is no regular file")

    def test_file_that_cannot_be_read(self) -> None:
        """It stays where it is."""
        self.path.write_bytes(encode(STATE))

        def fail(_path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        self.patch(Path, "read_bytes", fail)
        self.assertEqual(self.refused(), "Permission denied")
        self.assertEqual(self.names(), ["vms.state.json"])

    def test_file_that_cannot_be_set_aside(self) -> None:
        """Both are said; the start goes on."""
        self.path.write_bytes(b"[]")

        def fail(*_paths: Path) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(os, "replace", fail)
        with capturedLogs() as events:
            self.assertIsNone(read_state(self.folder, "vms"))
        self.assertEqual(
            [event["why"] for event in events], ["it is no state of promproxy", "Permission denied"]
        )
