"""Where the secrets of an imported configuration go: to files, or to the environment. Pure."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import define, field

from promproxy.migration.placeholders import Placeholder, pieces, placeholders, variable_of
from promproxy.migration.spring import Settings


@define(eq=False)
class Secrets:
    """Yields references to secrets, and collects what has to be put where they point to.

    With a ``folder``, secrets in the file are to be written below it, to ``files``;
    without one they are left to variables of the environment.
    """

    _folder: Path | None = None
    files: dict[Path, str] = field(factory=dict, init=False)
    variables: list[str] = field(factory=list, init=False)
    missing_files: list[str] = field(factory=list, init=False)

    def reference(self, key: str, settings: Settings, name: str, whole: str) -> dict[str, str]:
        """The entry for a secret, ``key`` or ``key_file``.

        ``whole`` is its full name in Promregator, from which Spring makes the name of a variable.
        """
        setting = settings.get(name)
        if setting is not None and placeholders(setting.value):
            return {key: _without_defaults(setting.value)}
        if setting is not None and self._folder is not None:
            path = self._folder / _file_name(whole)
            self.files[path] = setting.value
            return {f"{key}_file": str(path)}
        variable = variable_of(whole)
        self.variables.append(variable)
        return {key: f"${{{variable}}}"}

    def pem_file(self, settings: Settings, name: str, whole: str) -> str:
        """The path for a certificate or key that is in the file."""
        path = (self._folder or Path()) / f"{_file_name(whole)}.pem"
        setting = settings.get(name)
        is_here = setting is not None and not placeholders(setting.value)
        if setting is not None and is_here and self._folder is not None:
            self.files[path] = setting.value.replace("\\n", "\n")
        else:
            self.missing_files.append(str(path))
        return str(path)


def _without_defaults(value: str) -> str:
    """A secret's value as promproxy writes it. The default of a placeholder is a secret too."""
    return "".join(
        f"${{{piece.variable}}}" if isinstance(piece, Placeholder) else piece.replace("$", "$$")
        for piece in pieces(value)
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
