"""Tests of promproxy.disk.atomic_file."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.disk.atomic_file import temporary_path, write_atomically


class WriteAtomicallyTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A folder with a file that held something before."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "targets.json"
        write_atomically(self.path, b"old")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def mode(self) -> int:
        return stat.S_IMODE(self.path.stat().st_mode)

    def test_new_content(self) -> None:
        """In place of the old, in the mode asked for whatever the umask says."""
        self.addCleanup(os.umask, os.umask(0o077))
        self.assertIs(write_atomically(self.path, b"new", mode=0o664), True)
        self.assertEqual((self.path.read_bytes(), self.mode()), (b"new", 0o664))
        self.assertEqual(self.names(), ["targets.json"])

    def test_readers_keep_what_they_opened(self) -> None:
        """The old file is replaced, not written to."""
        with self.path.open("rb") as reader:
            write_atomically(self.path, b"new")
            self.assertEqual(reader.read(), b"old")

    def test_same_content(self) -> None:
        """Nothing is written: it stays the same file."""
        before = self.path.stat()
        self.assertIs(write_atomically(self.path, b"old"), False)
        after = self.path.stat()
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_same_content_in_another_mode(self) -> None:
        """Whoever changes the mode wants to see it."""
        self.assertIs(write_atomically(self.path, b"old", mode=0o600), True)
        self.assertEqual(self.mode(), 0o600)

    def test_leftover_of_a_killed_writer(self) -> None:
        """However long it is, it is taken over."""
        temporary_path(self.path).write_bytes(b"x" * 1000)
        write_atomically(self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual(self.names(), ["targets.json"])

    def test_temporary_file_looks_like_no_target_file(self) -> None:
        """To Prometheus a star matches names with a dot in front too."""
        self.assertEqual(temporary_path(self.path).name, ".targets.json.tmp")

    def test_another_writer(self) -> None:
        """Refused; neither file is touched."""
        temporary = temporary_path(self.path)
        with temporary.open("wb") as other:
            other.write(b"theirs")
            other.flush()
            fcntl.flock(other, fcntl.LOCK_EX)
            error = self.assertRaises(BlockingIOError, write_atomically, self.path, b"new")
            self.assertEqual(error.strerror, "another process is writing this file")
            self.assertEqual(temporary.read_bytes(), b"theirs")
        self.assertEqual(self.path.read_bytes(), b"old")

    def test_file_system_without_locks(self) -> None:
        """As some of the network are: it is written all the same."""

        def fail(_descriptor: int, _operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        self.patch(fcntl, "flock", fail)
        write_atomically(self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_another_writer_finishes_in_between(self) -> None:
        """What we opened has become the real file: it is not written to."""
        lock = fcntl.flock

        def finish_other(descriptor: int, operation: int) -> None:
            self.patch(fcntl, "flock", lock)
            temporary = temporary_path(self.path)
            temporary.write_bytes(b"theirs")
            os.replace(temporary, self.path)
            self.reader = self.path.open("rb")
            self.addCleanup(self.reader.close)
            lock(descriptor, operation)

        self.patch(fcntl, "flock", finish_other)
        write_atomically(self.path, b"new")
        self.assertEqual(self.reader.read(), b"theirs")
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_disk_is_full(self) -> None:
        """The old content stays, nothing is left over, and the next attempt succeeds."""
        sync = os.fsync

        def fail(descriptor: int) -> None:
            self.patch(os, "fsync", sync)
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", fail)
        error = self.assertRaises(OSError, write_atomically, self.path, b"new")
        self.assertEqual(error.strerror, "No space left on device")
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(self.names(), ["targets.json"])
        self.assertIs(write_atomically(self.path, b"new"), True)

    def test_everything_is_on_disk_before_it_counts(self) -> None:
        """The content before the file gets its name, the folder after that."""
        order = []
        sync, replace = os.fsync, os.replace

        def note_sync(descriptor: int) -> None:
            order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
            sync(descriptor)

        def note_replace(source: Path, target: Path) -> None:
            order.append("replace")
            replace(source, target)

        self.patch(os, "fsync", note_sync)
        self.patch(os, "replace", note_replace)
        write_atomically(self.path, b"new")
        self.assertEqual(order, [".targets.json.tmp", "replace", self.folder.name])

    def test_symbolic_link(self) -> None:
        link = self.folder / "link.json"
        link.symlink_to("targets.json")
        write_atomically(link, b"new")
        self.assertTrue(link.is_symlink())
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_link_where_the_temporary_file_goes(self) -> None:
        """Nobody leads us to write to another file."""
        victim = self.folder / "victim"
        victim.write_bytes(b"precious")
        temporary_path(self.path).symlink_to("victim")
        self.assertRaises(OSError, write_atomically, self.path, b"new")
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_folder_is_missing(self) -> None:
        """An error of the system's, which names the path."""
        path = self.folder / "no" / "targets.json"
        error = self.assertRaises(FileNotFoundError, write_atomically, path, b"new")
        self.assertIn("no/.targets.json.tmp", str(error.filename))
