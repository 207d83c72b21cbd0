"""Tests of promproxy.secret."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.secret import Secret


class SecretTests(SynchronousTestCase):
    def write(self, content: bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return path

    def test_inline(self) -> None:
        """It is given back as it is."""
        self.assertEqual(Secret(" hunter2\n").reveal(), " hunter2\n")

    def test_from_a_file(self) -> None:
        """White space around it, such as the last line end, is no part of it."""
        self.assertEqual(Secret(path=self.write("\thünter 2\r\n\n".encode())).reveal(), "hünter 2")

    def test_a_changed_file(self) -> None:
        """It is read anew each time, so a password can be changed without a restart."""
        path = self.write(b"old")
        secret = Secret(path=path)
        secret.reveal()
        path.write_bytes(b"new")
        self.assertEqual(secret.reveal(), "new")

    def test_no_file(self) -> None:
        """The error names it."""
        error = self.assertRaises(ConfigError, Secret(path=Path("/nowhere/x")).reveal)
        self.assertEqual(str(error), "cannot read /nowhere/x: No such file or directory")

    def test_a_file_that_is_no_text(self) -> None:
        """The error shows nothing of what is in it."""
        path = self.write(b"hunter2\xff")
        error = self.assertRaises(ConfigError, Secret(path=path).reveal)
        self.assertEqual(str(error), f"cannot read {path}: not UTF-8")

    def test_an_empty_file(self) -> None:
        """It is no secret, but a file that is being written, or a mistake."""
        path = self.write(b" \n")
        error = self.assertRaises(ConfigError, Secret(path=path).reveal)
        self.assertEqual(str(error), f"{path} is empty")

    def test_where_it_stands(self) -> None:
        """Its own file, or the one that it was written in; that makes it no other secret."""
        path = Path("/x")
        self.assertEqual(Secret(path=path).stands_in, path)
        self.assertEqual(Secret("a", written_in=path).stands_in, path)
        self.assertIsNone(Secret("a").stands_in)
        self.assertEqual(Secret("a", written_in=path), Secret("a"))

    def test_it_never_shows(self) -> None:
        """Not in any way of turning it into text."""
        secret = Secret("hunter2")
        for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % secret):  # noqa: UP031
            assert "hunter2" not in shown
