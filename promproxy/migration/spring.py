"""The settings of a Spring Boot application, flat. Pure; `spring_files` reads them.

Source: Spring Boot documentation, "Externalized Configuration": keys may have dots in them, and
``apiHost``, ``api-host`` and ``api_host`` are the same key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from attrs import field, frozen

from promproxy.errors import ConfigError
from promproxy.migration.placeholders import ours

_KEY = re.compile(r"[^.\[\]]+|\[[0-9]+\]")


@frozen
class Setting:
    """What one line says. ``name`` is as it was written, ``value`` its text, never a number."""

    name: str
    value: str = field(repr=False)
    line: int

    @property
    def number(self) -> float:
        """The value as a number. Raises ConfigError."""
        try:
            number = float(self.value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"line {self.line}: {self.name}: expected a number")
        return number


@frozen
class Settings:
    """The settings below one key, by the keys that lead to them, all in one spelling.

    ``notes`` say what of a file could not be followed.
    """

    _found: Mapping[tuple[str, ...], Setting]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Setting]:
        return iter(sorted(self._found.values(), key=lambda setting: setting.line))

    @property
    def by_key(self) -> Mapping[tuple[str, ...], Setting]:
        return self._found

    def get(self, name: str) -> Setting | None:
        """The setting of this name, None where it is not there or empty."""
        setting = self._found.get(spelling(name))
        return setting if setting is not None and setting.value else None

    def text(self, name: str, default: str = "") -> str:
        """Its value as promproxy would write it, where a placeholder is the environment's."""
        setting = self.get(name)
        return default if setting is None else ours(setting.value)

    def is_true(self, name: str, default: bool = False) -> bool:
        setting = self.get(name)
        return default if setting is None else setting.value.lower() in ("true", "yes", "on")

    def texts(self, name: str) -> list[str]:
        """A list, which may also be one text with commas."""
        one = self.get(name)
        if one is not None:
            return [ours(part.strip()) for part in one.value.split(",") if part.strip()]
        return [ours(item.value) for item in self.below(name) if item.value]

    def below(self, name: str) -> Settings:
        """The settings below a key."""
        prefix = spelling(name)
        size = len(prefix)
        found = {k[size:]: s for k, s in self._found.items() if k[:size] == prefix and k[size:]}
        return Settings(found)

    def parts(self, name: str) -> dict[str, Settings]:
        """What is below a key, by the keys there: ``[0]`` and so on for a list."""
        below = self.below(name)
        return {first: below.below(first) for first, *_ in below._found}


def spelling(name: str) -> tuple[str, ...]:
    """The keys in a dotted name, in one spelling."""
    return tuple(re.sub("[-_]", "", key).lower() for key in _KEY.findall(name))
