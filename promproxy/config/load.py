"""A YAML file becomes a configuration, or one message that says what to change in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from promproxy.config.place import Place
from promproxy.config.read import section
from promproxy.config.schema import Config
from promproxy.errors import ConfigError


def load_config(file: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file. Raises ConfigError."""
    file = file.absolute()
    try:
        content = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from error
    return config_from_text(content, file, environ)


def config_from_text(content: str, file: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a text; ``file`` is for messages and relative paths."""
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError(f"{file}:{line}: no valid YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{file}: no valid YAML: {type(error).__name__}") from error
    if node is None:
        return Config()
    return section(Config)(Place(node=node, file=file, path="", environ=environ))
