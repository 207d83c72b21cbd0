"""Secrets: they come inline or from a file, and never show."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from promproxy.errors import ConfigError


@frozen(repr=False)
class Secret:
    """A password, a token or a key, of which ``repr`` and ``str`` show nothing.

    One that is given as it is may say in which file that was.
    """

    _value: str = ""
    _path: Path | None = None
    _written_in: Path | None = field(default=None, eq=False, kw_only=True)

    @property
    def path(self) -> Path | None:
        """The file that it comes from, None for one that stands inline."""
        return self._path

    @property
    def stands_in(self) -> Path | None:
        """The file whose readers know it, None where it is in no file that we know of."""
        return self._path or self._written_in

    def reveal(self) -> str:
        """The secret itself; a file is read anew, without the white space around its text.

        Raises ConfigError where the file cannot be read, or holds nothing.
        """
        if self._path is None:
            return self._value
        try:
            text = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"cannot read {self._path}: {why}") from error
        if not text:  # most likely it is being written
            raise ConfigError(f"{self._path} is empty")
        return text

    def __repr__(self) -> str:
        return "<secret>"
