"""The schema as plain data: what the reference manual and the manual page are written from.

Texts are as in docstrings: code stands between double backquotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import yaml
from attrs import frozen

from promproxy.config.schema import Config
from promproxy.settings.readers import (
    ListOf,
    MappingOf,
    Matching,
    OneOf,
    Section,
    boolean,
    integer,
    secret,
    text,
)
from promproxy.settings.show import written

_PLAIN_WORDS = {text: "string", boolean: "boolean", integer: "integer"}


@frozen(kw_only=True)
class Setting:
    """One setting. ``kind`` says in words what may be written, see `kinds` for those in <>.

    ``section`` is the place of the section that it holds, one or several, ``""`` where it holds
    none. ``default`` is as YAML writes it, ``""`` where there is nothing to write, and None where
    the setting must be given. Where ``has_file``, ``NAME_file`` may stand in its place.
    """

    name: str
    kind: str
    section: str
    default: str | None
    doc: str
    has_file: bool


@frozen(kw_only=True)
class SectionReference:
    """One section. ``places`` is where it may stand, as paths of keys such as ``sources[].files``.

    The file as a whole is at ``""``.
    """

    places: tuple[str, ...]
    doc: str
    settings: tuple[Setting, ...]


def sections(whole: type = Config) -> list[SectionReference]:
    """Every section, the file as a whole first, each followed by those inside it."""
    places: dict[type, list[str]] = {}
    for cls, place in _walk(whole, ""):
        places.setdefault(cls, []).append(place)
    return [
        SectionReference(
            places=tuple(where),
            doc=_first_line(cls),
            settings=tuple(_setting(field, places) for field in _fields(cls)),
        )
        for cls, where in places.items()
    ]


def kinds(whole: type = Config) -> dict[str, str]:
    """What each kind of value that a setting names in <> is, in a line, by its name."""
    readers = (reader for cls, _ in _walk(whole, "") for reader in _all_readers(cls))
    plain = (r for r in readers if not isinstance(r, Matching | OneOf | Section))
    return {_name(reader): _first_line(reader) for reader in sorted(plain, key=_name)}


def _fields(cls: type) -> tuple[Any, ...]:
    fields: tuple[Any, ...] = attrs.fields(cls)
    return fields


def _walk(cls: type, place: str) -> Iterator[tuple[type, str]]:
    """A schema class and all that may stand in it, with their places."""
    yield cls, place
    for field in _fields(cls):
        suffix, reader = _innermost(field.metadata["reader"])
        if isinstance(reader, Section):
            yield from _walk(reader.cls, f"{place}.{field.name}{suffix}".lstrip("."))


def _innermost(reader: Any) -> tuple[str, Any]:
    """The reader inside of lists and mappings, and what they add to the path of keys."""
    suffix = ""
    while True:
        if isinstance(reader, ListOf):
            suffix, reader = f"{suffix}[]", reader.item
        elif isinstance(reader, MappingOf):
            suffix, reader = f"{suffix}.<name>", reader.value
        else:
            return suffix, reader


def _all_readers(cls: type) -> Iterator[Any]:
    return (_innermost(field.metadata["reader"])[1] for field in _fields(cls))


def _setting(field: Any, places: dict[type, list[str]]) -> Setting:
    reader = field.metadata["reader"]
    _, inner = _innermost(reader)
    return Setting(
        name=field.name,
        kind=_kind(reader),
        section=places[inner.cls][0] if isinstance(inner, Section) else "",
        default=_default(reader, field.default),
        doc=field.metadata["doc"],
        has_file=reader is secret,
    )


def _kind(reader: Any) -> str:
    if isinstance(reader, ListOf):
        return f"list of {_kind(reader.item)}"
    if isinstance(reader, MappingOf):
        return f"mapping of names to {_kind(reader.value)}"
    if isinstance(reader, Section):
        return "section"
    if isinstance(reader, OneOf):
        return " or ".join(f"``{word}``" for word in reader.words)
    if isinstance(reader, Matching):
        return reader.what
    return f"<{_name(reader)}>"


def _name(reader: Any) -> str:
    name: str = _PLAIN_WORDS.get(reader, reader.__name__)
    return name


def _default(reader: Any, value: Any) -> str | None:
    if value is attrs.NOTHING:
        return None
    if value in (None, "", (), {}) or attrs.has(type(value)):
        return ""
    text: str = yaml.safe_dump([written(reader, value)], default_flow_style=True, width=1000)
    return text.strip()[1:-1]


def _first_line(thing: Any) -> str:
    first: str = thing.__doc__.strip().partition("\n")[0]
    return first
