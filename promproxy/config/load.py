"""The configuration files, read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from promproxy.config.schema import Config
from promproxy.server.settings import WebFile
from promproxy.settings.load import load_section, section_from_text


def load_config(file: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file. Raises ConfigError."""
    return load_section(Config, file, environ)


def load_web_file(file: Path) -> WebFile:
    """The web configuration in a file, whose format knows no variables. Raises ConfigError."""
    return load_section(WebFile, file, None)


def config_from_text(content: str, file: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a text; ``file`` is for messages and relative paths."""
    return section_from_text(Config, content, file, environ)
