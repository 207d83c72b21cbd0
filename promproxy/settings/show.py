"""A configuration written as YAML again, for people: nothing in it is secret.

What is written can be read again and means the same, but for the secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import yaml

from promproxy.secret import Secret
from promproxy.settings.readers import ListOf, MappingOf, duration, positive_duration, size, url
from promproxy.settings.units import text_from_duration, text_from_size

HIDDEN = "<secret>"


def _url_without_values(text: str) -> str:
    """A URL whose parameters have names but no values, since one may be a token."""
    query = urlsplit(text).query
    hidden = "&".join(_parameter_without_value(one) for one in query.split("&"))
    return text.replace(f"?{query}", f"?{hidden}", 1) if query else text


def _parameter_without_value(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if not equals:
        name, value = "", name
    return f"{name}{equals}{HIDDEN if value else ''}"


_WRITERS: Mapping[Any, Callable[[Any], str]] = {
    duration: text_from_duration,
    positive_duration: text_from_duration,
    size: text_from_size,
    url: _url_without_values,
}


def yaml_of(settings: Any) -> str:
    """An instance of a schema class as a YAML document, with the defaults in force filled in."""
    text: str = yaml.safe_dump(_mapping(settings), sort_keys=False, allow_unicode=True, width=100)
    return text


def written(reader: Any, value: Any) -> Any:
    """What the reader would read as this value, in the types that YAML has."""
    if value is not None and reader in _WRITERS:
        return _WRITERS[reader](value)
    if isinstance(value, tuple):
        item = reader.item if isinstance(reader, ListOf) else None
        return [written(item, one) for one in value]
    if isinstance(value, Mapping):
        item = reader.value if isinstance(reader, MappingOf) else None
        return {key: written(item, one) for key, one in value.items()}
    return _written_by_type(value)


def _written_by_type(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$(?=[${])", "$$", value)  # else it would name a variable
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, re.Pattern):
        return _written_by_type(value.pattern)
    if isinstance(value, Path) or not _is_section(value):
        return str(value)
    return _mapping(value)


def _is_section(value: Any) -> bool:
    cls = type(value)
    return attrs.has(cls) and all("reader" in field.metadata for field in attrs.fields(cls))


def _mapping(settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        if value == field.default and not value:  # nothing was said, and it does nothing
            continue
        if isinstance(value, Secret) and value.path is not None:
            found[f"{field.name}_file"] = str(value.path)
        else:
            found[field.name] = written(field.metadata["reader"], value)
    return found
