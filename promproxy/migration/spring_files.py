"""Files with the settings of a Spring Boot application: YAML, properties, or an environment. Pure.

Source: Spring Boot documentation, "Working With YAML" and "Externalized Configuration"; the format
of properties is that of ``java.util.Properties.load``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from attrs import evolve

from promproxy.errors import ConfigError
from promproxy.migration.placeholders import resolved
from promproxy.migration.promregator_options import name_for_variable
from promproxy.migration.spring import Setting, Settings, spelling
from promproxy.settings.load import compose_all

_MERGE, _NULL = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:null"
_ASSIGNMENT = re.compile(r"(?:export )?([\w.\[\]-]+) *=(.*)")
_PROPERTY = re.compile(r"((?:[^\\\s=:]|\\.)+)\s*[=:\s]?\s*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PROFILES = ("spring.config.activate.on-profile", "spring.profiles")
_ELSEWHERE = (
    *("spring.config.import", "spring.config.location", "spring.config.additional-location"),
    *("spring.profiles.active", "spring.profiles.include", "spring.cloud.config.uri"),
)


def settings_from(text: str, file: Path) -> Settings:
    """All settings of a file. Raises ConfigError, such as where it is something else."""
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#!"]
    is_plain = bool(lines) and all(_ASSIGNMENT.fullmatch(line) for line in lines)
    if is_plain or file.suffix == ".properties":
        documents = [list(_properties(text))]
    else:
        documents = [_document(node, file) for node in compose_all(text, file)]
    found, notes = _merged(documents)
    if not found:
        raise ConfigError(f"{file}: there are no settings in it")

    def look_up(name: str) -> str | None:
        setting = found.get(spelling(name))
        return None if setting is None else setting.value

    return Settings(
        {key: evolve(s, value=resolved(s.value, look_up)) for key, s in found.items()},
        (*notes, *_notes(found)),
    )


def _merged(
    documents: Iterable[list[Setting]],
) -> tuple[dict[tuple[str, ...], Setting], list[str]]:
    """What later documents say counts, a list as a whole; those of other profiles do not."""
    found: dict[tuple[str, ...], Setting] = {}
    notes = []
    for document in documents:
        own = {spelling(setting.name): setting for setting in document}
        profile = next((own[key] for key in map(spelling, _PROFILES) if key in own), None)
        active = found.get(spelling("spring.profiles.active"))
        names = [] if active is None else active.value.replace(" ", "").split(",")
        if profile is not None and profile.value not in names:
            notes.append(
                f"the document at line {document[0].line} is for the profile '{profile.value}' "
                "alone, and is left out"
            )
            continue
        lists = {key[: key.index("[0]")] for key in own if "[0]" in key}
        found = {
            key: setting
            for key, setting in found.items()
            if not any(key[: len(name)] == name and key[len(name) :] for name in lists)
        }
        found |= own
    return found, notes


def _notes(found: dict[tuple[str, ...], Setting]) -> Iterator[str]:
    for key in map(spelling, _ELSEWHERE):
        if key in found:
            setting = found[key]
            yield (
                f"{setting.name} (line {setting.line}) makes Promregator read other files too: "
                "import them by themselves, or put their settings into this one"
            )


def _document(node: yaml.Node, file: Path) -> list[Setting]:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file}: expected a mapping with 'cf' and 'promregator'")
    try:
        return list(_walk(node, ""))
    except RecursionError as error:  # also an alias that leads back to where it stands
        raise ConfigError(f"{file}: nested too deeply") from error


def _walk(node: yaml.Node, name: str) -> Iterator[Setting]:
    """Settings that are there twice count as they come last."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == _MERGE:
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):  # the first one counts
                    yield from _walk(source, name)
        for key, value in node.value:
            if key.tag != _MERGE:
                yield from _walk(value, f"{name}.{key.value}" if name else str(key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            if item.value == []:  # it is there, although it says nothing
                yield Setting(f"{name}[{number}]", "", item.start_mark.line + 1)
            yield from _walk(item, f"{name}[{number}]")
    else:
        yield Setting(name, "" if node.tag == _NULL else str(node.value), line)


def _properties(text: str) -> Iterator[Setting]:
    """Settings of a file of properties, or of what ``env`` prints."""
    whole, start = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if not whole:
            start = number
            if not line.strip() or line.lstrip()[0] in "#!":
                continue
        whole += line.lstrip()
        if re.search(r"(?<!\\)(?:\\\\)*\\$", whole):
            whole = whole[:-1]
            continue
        match, whole = _PROPERTY.fullmatch(re.sub("^export ", "", whole)), ""
        if match is not None:
            setting = _property(match[1], match[2], start)
            if setting is not None:
                yield setting


def _property(key: str, value: str, line: int) -> Setting | None:
    name = _unescaped(key)
    if re.fullmatch("[A-Z][A-Z0-9_]*", name):  # a variable, which a shell may have quoted
        known = name_for_variable(name)
        if known is None and not name.startswith(("CF_", "PROMREGATOR_")):
            return None
        return Setting(known or name, re.sub(r"""^(["'])(.*)\1$""", r"\2", value), line)
    return Setting(name, _unescaped(value), line)


def _unescaped(text: str) -> str:
    plain = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
    return _ESCAPE.sub(
        lambda m: chr(int(m[1][1:], 16)) if len(m[1]) > 1 else plain.get(m[1], m[1]), text
    )
