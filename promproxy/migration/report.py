"""An imported configuration as a file, with comments that say what became of each setting. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

import yaml

from promproxy.migration.promregator import Imported
from promproxy.migration.promregator_options import option_for
from promproxy.migration.spring import Setting, Settings

_WIDTH = 96


def report(imported: Imported, settings: Settings, file_name: str) -> str:
    """The text of promproxy.yml. Its comments repeat no value of the other file."""
    body = yaml.safe_dump(imported.document, sort_keys=False, allow_unicode=True, width=_WIDTH)
    lines = [f"# Made from {_shown(file_name)} by promproxy import-promregator."]
    if imported.to_do:
        lines += ["#", "# To do before it runs:", *_items(imported.to_do)]
    lines += ["#", "# What became of each setting, and its line:", *_items(_fates(settings))]
    return "\n".join([*lines, "", body])


def _items(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text,
            _WIDTH,
            initial_indent="# - ",
            subsequent_indent="#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _fates(settings: Settings) -> Iterator[str]:
    """What became of settings, with all that it became of."""
    names: dict[str, list[str]] = {}
    for setting in settings:
        names.setdefault(_fate(setting), []).append(f"{_shown(setting.name)} ({setting.line})")
    return (f"{fate}: {', '.join(those)}" for fate, those in names.items())


def _fate(setting: Setting) -> str:
    option = option_for(setting.name)
    if option is None:
        return "LEFT OUT, since Promregator is not known to have such options"
    return option.becomes or f"left out ({option.why})"


def _shown(text: str) -> str:
    """Without line ends, which would end the comment."""
    return "".join(c if c.isprintable() else "?" for c in text)
