"""A YAML file of a Spring Boot application, flat. Pure.

Source: Spring Boot documentation, "Externalized Configuration": keys may have dots in them, and
``apiHost``, ``api-host`` and ``api_host`` are the same key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from attrs import field, frozen

from promproxy.errors import ConfigError

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*)(?::[^}]*)?\}")
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
    """The settings below one key, by the keys that lead to them, all in one spelling."""

    _found: Mapping[tuple[str, ...], Setting]

    def __iter__(self) -> Iterator[Setting]:
        return iter(sorted(self._found.values(), key=lambda setting: setting.line))

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


def ours(value: str) -> str:
    """A value with Spring's placeholders as promproxy writes them; other dollars are escaped."""
    pieces, at = [], 0
    for match in _PLACEHOLDER.finditer(value):
        pieces += [value[at : match.start()].replace("$", "$$"), f"${{{match[1]}}}"]
        at = match.end()
    return "".join([*pieces, value[at:].replace("$", "$$")])


def has_placeholder(value: str) -> bool:
    """Whether the environment has a part in the value."""
    return _PLACEHOLDER.search(value) is not None


def spelling(name: str) -> tuple[str, ...]:
    """The keys in a dotted name, in one spelling."""
    return tuple(re.sub("[-_]", "", key).lower() for key in _KEY.findall(name))


def read_settings(node: yaml.Node | None, file: Path) -> Settings:
    """All settings of a file. Raises ConfigError, for example if it is not a mapping."""
    if node is None:
        raise ConfigError(f"{file}: is empty")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file}: expected a mapping with 'cf' and 'promregator'")
    try:
        return Settings({spelling(setting.name): setting for setting in _walk(node, "")})
    except RecursionError as error:  # also an alias that leads back to where it stands
        raise ConfigError(f"{file}: nested too deeply") from error


def _walk(node: yaml.Node, name: str) -> Iterator[Setting]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(value, f"{name}.{key.value}" if name else str(key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            if item.value == []:  # it is there, although it says nothing
                yield Setting(f"{name}[{number}]", "", item.start_mark.line + 1)
            yield from _walk(item, f"{name}[{number}]")
    else:
        yield Setting(name, str(node.value), node.start_mark.line + 1)
