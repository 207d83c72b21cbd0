"""Secrets: they come inline or from a file, and never show."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from promproxy.errors import ConfigError


@frozen(repr=False)
class Secret:
    """A password, a token or a key, of which ``repr`` and ``str`` show nothing."""

    _value: str = ""
    _path: Path | None = None

    @property
    def path(self) -> Path | None:
        """The file that it comes from, None for one that stands inline."""
        return self._path

    def reveal(self) -> str:
        """The secret itself; a file is read anew, without the white space around its text.

        Raises ConfigError where the file cannot be read.
        """
        if self._path is None:
            return self._value
        try:
            return self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"cannot read {self._path}: {why}") from error

    def __repr__(self) -> str:
        return "<secret>"
