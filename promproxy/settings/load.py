"""Reads a YAML file as an instance of a schema class, or raises one clear error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import yaml

from promproxy.errors import ConfigError
from promproxy.settings.node import ConfigNode
from promproxy.settings.readers import section

T = TypeVar("T")

_NAMED = re.compile(r"(?<=undefined )(alias|tag handle) .*", re.DOTALL)


def load_section(cls: type[T], file: Path, environ: Mapping[str, str] | None) -> T:
    """An instance of a class whose fields all have defaults. Raises ConfigError."""
    file = file.absolute()
    return section_from_text(cls, read_text(file), file, environ)


def section_from_text(
    cls: type[T], content: str, file: Path, environ: Mapping[str, str] | None
) -> T:
    """The same from a text; ``file`` is for messages and relative paths."""
    node = compose(content, file)
    if node is None:
        return cls()
    line = node.start_mark.line + 1
    return section(cls)(ConfigNode(content=node, file=file, line=line, path="", environ=environ))


def read_text(file: Path) -> str:
    """A file's text. Raises ConfigError."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from error


def compose(content: str, file: Path) -> yaml.Node | None:
    """The YAML node that a text is, None where it says nothing. Raises ConfigError."""
    node: yaml.Node | None
    with _refusing(content, file):
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    return node


def compose_all(content: str, file: Path) -> list[yaml.Node]:
    """The YAML nodes of a text's documents, without empty ones. Raises ConfigError."""
    with _refusing(content, file):
        nodes = list(yaml.compose_all(content, Loader=yaml.SafeLoader))
    return [node for node in nodes if node is not None and node.value != ""]


@contextmanager
def _refusing(content: str, file: Path) -> Iterator[None]:
    """What PyYAML says of a text, as a ConfigError."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError(f"{file}:{line}: invalid YAML: {_problem(error)}") from error
    except yaml.reader.ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file}:{line}: invalid YAML: a control character") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deeply") from error
    except (ValueError, OverflowError) as error:  # PyYAML does not check the number
        raise ConfigError(f"{file}: invalid YAML: an escape that is not a character") from error


def _problem(error: yaml.MarkedYAMLError) -> str:
    """What PyYAML found, without what may be a password: an unquoted one with * or ! in front."""
    return _NAMED.sub(r"\1; a text that begins with * or ! needs quotes", error.problem or "")
