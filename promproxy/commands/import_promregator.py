"""``promproxy import-promregator``: Promregator's configuration as one of promproxy, on stdout."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from promproxy.disk.atomic_file import write_atomically
from promproxy.errors import ConfigError
from promproxy.migration.promregator import import_promregator
from promproxy.migration.promregator_options import option_for
from promproxy.migration.report import report
from promproxy.migration.secrets import Secrets
from promproxy.migration.spring_files import settings_from
from promproxy.settings.load import read_text

DESCRIPTION = """
Prints the equivalent promproxy.yml. Its comments say what became of each setting, and what is left
to do. Secrets are never printed: they become environment variables with Promregator's names, or
files.
"""


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser(
        "import-promregator",
        help="convert a Promregator configuration",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="such as promregator.yml; properties, or the output of env, will do too",
    )
    parser.add_argument(
        "--secrets-dir",
        type=lambda text: Path(text).absolute(),
        metavar="DIR",
        help="write the secrets in FILE to files in DIR that only their owner may read",
    )
    parser.set_defaults(run=run)


def run(options: Namespace, _reactor: Any) -> int:
    """The exit status. Raises ConfigError."""
    settings = settings_from(read_text(options.file), options.file)
    secrets = Secrets(options.secrets_dir)
    try:
        imported = import_promregator(settings, secrets)
    except ConfigError as error:
        raise ConfigError(f"{options.file}: {error}") from error
    for path, content in secrets.files.items():
        _write(path, content)
    print(report(imported, settings, options.file.name), end="")
    unknown = sum(option_for(setting.name) is None for setting in settings)
    if imported.to_do or unknown:
        _tell(len(imported.to_do), unknown)
    return 0


def _write(path: Path, content: str) -> None:
    try:
        write_atomically(path, content.encode(), mode=0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def _tell(to_do: int, unknown: int) -> None:
    print(
        f"promproxy: left to do: {to_do}, settings that are not known: {unknown}; see the comments "
        "at the top",
        file=sys.stderr,
    )
