"""A place in a configuration file: a YAML node that knows its file, its line and its key path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NoReturn

import yaml
from attrs import frozen

from promproxy.errors import ConfigError

_VARIABLE = re.compile(r"\$(?:\$|\{([^}]*)\})")
_STRING, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"


@frozen(kw_only=True)
class ConfigNode:
    """One YAML node, and where it stands. Its methods raise ConfigError, which names the place.

    ``line`` is where its key stands, if it has one; ``path`` is that of the keys that lead here.
    ``environ`` is None where the format knows no variables.
    """

    content: yaml.Node
    file: Path
    line: int
    path: str
    environ: Mapping[str, str] | None

    def fail(self, message: str) -> NoReturn:
        """Raise the error that says what is wrong with this place."""
        path = f"{self.path}: " if self.path else ""
        raise ConfigError(f"{self.file}:{self.line}: {path}{message}")

    def expected(self, what: str) -> NoReturn:
        """Raise the error that says what belongs here. The value itself may be secret."""
        self.fail(f"expected {what}")

    def is_null(self) -> bool:
        """Whether this is null."""
        return self.content.tag == _NULL

    def is_empty(self) -> bool:
        """Whether this is null or a text without characters."""
        return self.is_null() or self.content.value == ""

    def scalar(self, what: str) -> str:
        """The text of a scalar; in a string ``${NAME}`` is the environment's, ``$$`` a ``$``.

        ``${NAME:-text}`` is the text where the variable is not set, or empty.
        """
        if not isinstance(self.content, yaml.ScalarNode) or self.is_null():
            self.expected(what)
        text: str = self.content.value
        if self.environ is None or self.content.tag != _STRING:
            return text
        return _VARIABLE.sub(partial(self._variable, self.environ), text)

    def is_string(self) -> bool:
        """Whether this is a string, not a number or a boolean."""
        return self.content.tag == _STRING

    def has_variable(self) -> bool:
        """Whether a part of it comes from the environment."""
        return any(match[1] is not None for match in _VARIABLE.finditer(self.content.value))

    def is_list(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.content, yaml.SequenceNode)

    def items(self, what: str = "a list") -> Iterator[ConfigNode]:
        """The nodes of a list."""
        if not self.is_list():
            self.expected(what)
        for index, node in enumerate(self.content.value):
            yield self._at(node, node, f"{self.path}[{index}]")

    def entries(self, what: str = "a mapping") -> dict[str, ConfigNode]:
        """The nodes of a mapping by their keys; a repeated key is an error."""
        if not isinstance(self.content, yaml.MappingNode):
            self.expected(what)
        found: dict[str, ConfigNode] = {}
        for key, value in self.content.value:
            if not isinstance(key, yaml.ScalarNode):
                self.expected("a plain key")
            child = self._at(value, key, f"{self.path}.{key.value}" if self.path else key.value)
            if key.value in found:
                child.fail("appears twice")
            found[key.value] = child
        return found

    def unknown_key(self, key: str, known: list[str]) -> NoReturn:
        """Raise the error for a key that the schema has not; names the nearest that it has."""
        near = get_close_matches(key, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(known))}"
        self.fail(f"unknown key; {hint}")

    def _at(self, node: yaml.Node, start: yaml.Node, path: str) -> ConfigNode:
        line = start.start_mark.line + 1
        return ConfigNode(content=node, file=self.file, line=line, path=path, environ=self.environ)

    def _variable(self, environ: Mapping[str, str], match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        name, colon, default = match[1].partition(":-")
        if colon and not environ.get(name):
            return default
        if name not in environ:
            # Anything but a name may be a part of a password.
            shown = f"variable {name!r}" if name.isidentifier() else "such variable"
            self.fail(f"the environment has no {shown} (a plain $ is written $$)")
        return environ[name]
