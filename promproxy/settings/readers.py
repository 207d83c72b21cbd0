"""Readers: each turns a place of a file into one kind of value, or raises ConfigError.

`setting` ties a reader to a field of a schema class, and `section` reads such a class: unknown
keys are errors, a missing key takes the field's default, and a secret may be in a file of its own.

The reference manual shows the readers' names and the first lines of their docstrings (see
`docs.reference`), so those say what may be written. Readers that are made of others are classes,
for the manual to look into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import attrs
from attrs import frozen

from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.settings import units
from promproxy.settings.node import ConfigNode

T = TypeVar("T")
Reader = Callable[[ConfigNode], T]


def setting(
    reader: Reader[Any],
    *,
    default: Any = attrs.NOTHING,
    doc: str,
    shown: bool | Callable[[Any], str] = True,
) -> Any:
    """An attrs field that is read from the file; ``doc`` is its line in the reference manual.

    ``shown`` says whether, or how, it is a part of the ``repr``; secrets never are.
    """
    return attrs.field(
        default=default,
        metadata={"reader": reader, "doc": doc},
        repr=shown if reader is not secret else False,
    )


@frozen
class Section(Generic[T]):
    """Reads a mapping as an instance of a schema class.

    The class may have ``HINTS``, what to write in place of keys that users bring from elsewhere,
    and ``EMPTY_IS_DEFAULT``, where null and ``""`` are as if the key were not there.
    """

    cls: type[T]

    def __call__(self, node: ConfigNode) -> T:
        """Raises ConfigError for a key that is unknown, missing or bad."""
        # mypy does not know that every schema class is an attrs class.
        fields = {f.name: f for f in attrs.fields(self.cls)}  # type: ignore[arg-type]
        twins = {f"{n}_file": n for n, f in fields.items() if f.metadata["reader"] is secret}
        values: dict[str, Any] = {}
        hints: Mapping[str, str] = getattr(self.cls, "HINTS", {})
        entries = node.entries()
        if getattr(self.cls, "EMPTY_IS_DEFAULT", False):
            entries = {k: at for k, at in entries.items() if not (k in fields and at.is_empty())}
        for key, at in entries.items():
            if key not in fields and key not in twins:
                if key in hints:
                    at.fail(hints[key])
                at.unknown_key(key, [*fields, *twins])
            name = twins.get(key, key)
            if name in values:
                at.fail(f"give either '{name}' or '{name}_file'")
            values[name] = secret_file(at) if key in twins else fields[key].metadata["reader"](at)
        for name, field in fields.items():
            if field.default is attrs.NOTHING and name not in values:
                node.fail(f"'{name}' is missing")
        try:
            return self.cls(**values)
        except ValueError as error:  # which may begin with the key that it is about
            key, _, message = str(error).partition(": ")
            if key in entries:
                entries[key].fail(message)
            node.fail(str(error))


section = Section


def text(node: ConfigNode) -> str:
    """A string; one that looks like a number, ``true`` or ``null`` needs quotes.

    A number is not taken for one, since YAML may have changed its digits.
    """
    value = node.scalar("a string")
    if not node.is_string():
        node.expected("a string; put it in quotes")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair: an escape, or an odd byte in a variable
        node.expected("a string that UTF-8 can write")
    return value


@frozen
class Matching:
    """Reads a string that matches the pattern as a whole; ``what`` says so in words."""

    pattern: str
    what: str

    def __call__(self, node: ConfigNode) -> str:
        value = text(node)
        if not re.fullmatch(self.pattern, value):
            node.expected(self.what)
        return value


matching = Matching


def integer(node: ConfigNode) -> int:
    """A whole number of at least 0."""
    value = node.scalar("a whole number")
    if not re.fullmatch("[0-9]{1,15}", value):
        node.expected("a whole number")
    return int(value)


def positive(node: ConfigNode) -> int:
    """A whole number of at least 1."""
    value = integer(node)
    if value < 1:
        node.expected("a whole number of at least 1")
    return value


def port(node: ConfigNode) -> int:
    """A port, from 1 to 65535."""
    value = integer(node)
    if not 0 < value < 65536:
        node.expected("a port from 1 to 65535")
    return value


def regex(node: ConfigNode) -> re.Pattern[str]:
    """A regular expression of Python's, which has no regard to case."""
    try:
        return re.compile(text(node), re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        node.fail(f"invalid regular expression: {error}")


def boolean(node: ConfigNode) -> bool:
    """``true`` or ``false``."""
    value = node.scalar("true or false").lower()
    if value not in ("true", "false"):
        node.expected("true or false")
    return value == "true"


def _in_units(parse: Callable[[str], T], node: ConfigNode) -> T:
    try:
        return parse(node.scalar("a value"))
    except ValueError as error:
        node.expected(str(error))


def duration(node: ConfigNode) -> float:
    """A duration such as ``30s``, ``500ms`` or ``1h30m``; read as seconds."""
    return _in_units(units.duration_from_text, node)


def positive_duration(node: ConfigNode) -> float:
    """A duration of more than 0."""
    seconds = duration(node)
    if seconds <= 0:
        node.expected("a duration of more than 0")
    return seconds


def size(node: ConfigNode) -> int:
    """A size such as ``512KB`` or ``10MB`` (1 KB is 1024 bytes), or ``0``; read as bytes."""
    return _in_units(units.size_from_text, node)


def path(node: ConfigNode) -> Path:
    """A path; a relative one starts at the folder of the configuration file."""
    value = text(node)
    if "\0" in value:
        node.expected("a path")
    return (node.file.parent / value).absolute()


def url(node: ConfigNode) -> str:
    """An http or https URL without credentials in it."""
    value = text(node)
    problem = problem_with_url(value)
    if problem is not None:
        node.fail(problem)
    return value


def problem_with_url(value: str) -> str | None:
    """Why this URL cannot be used, for an operator, or None."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, a bracket that does not close
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", value) or "#" in value:
        return "expected a URL that begins with http:// or https://"
    if parts.username is not None or parts.password is not None:
        return "credentials do not belong in a URL: it is shown in messages"
    return None


def without_query(value: str) -> str:
    """A URL as far as it may be shown: a parameter may be a token."""
    return value.partition("?")[0]


def secret(node: ConfigNode) -> Secret:
    """A string that is never shown; ``NAME_file`` names a file that holds it, in its place."""
    return Secret(text(node), written_in=None if node.has_variable() else node.file)


def secret_file(node: ConfigNode) -> Secret:
    """A secret in a file, which must be readable."""
    found = Secret(path=path(node))
    try:
        found.reveal()
    except ConfigError as error:
        node.fail(str(error))
    return found


@frozen
class OneOf:
    """Reads one of the words."""

    words: tuple[str, ...]

    def __call__(self, node: ConfigNode) -> str:
        value = text(node)
        if value not in self.words:
            node.expected(f"one of {', '.join(self.words)}")
        return value


def one_of(*words: str) -> OneOf:
    """A reader of one of the words."""
    return OneOf(words)


@frozen
class ListOf(Generic[T]):
    """Reads a list."""

    item: Reader[T]

    def __call__(self, node: ConfigNode) -> tuple[T, ...]:
        return tuple(self.item(item) for item in node.items())


list_of = ListOf


@frozen
class MappingOf(Generic[T]):
    """Reads a mapping with free keys."""

    value: Reader[T]

    def __call__(self, node: ConfigNode) -> dict[str, T]:
        """Its values by their keys."""
        return {key: self.value(at) for key, at in node.entries().items()}


mapping_of = MappingOf
