"""Large JSON documents decoded piece by piece.

``json.loads`` of a large document keeps the interpreter lock until it is done (40 ms for 7 MB), in
a thread as well; piece by piece the reactor gets its turns in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any

_MEMBERS = frozenset(("targets", "labels"))
# Half of a character in UTF-16, which an escape may spell alone.
_MAYBE_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\n\r]*")


def json_array_elements(text: str) -> Iterator[Any]:
    """The elements of the array that the text is. Raises ValueError where it is none."""
    reader = JsonReader(text)
    for _ in reader.elements():
        yield reader.value()
    reader.end()


def json_groups(text: str) -> Iterator[Any]:
    """The target groups that the text is, as Go reads them: ``null`` is none, the names of a
    group's members are in any case, and half a character is replaced by U+FFFD. Raises ValueError
    where it is no array.
    """
    if text.strip(" \t\n\r") == "null":
        return
    may_have_halves = _MAYBE_HALF.search(text) is not None
    for group in json_array_elements(text):
        if may_have_halves:
            group = _without_halves(group)
        if isinstance(group, dict) and not _MEMBERS.issuperset(group):
            group = {k.lower() if k.lower() in _MEMBERS else k: v for k, v in group.items()}
        yield group


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        return {_without_halves(key): _without_halves(item) for key, item in value.items()}
    return value


class JsonReader:
    """Reads a JSON text from its start to its end. Every method raises ValueError at what is none.

    Each turn of `elements` and `members` stands before a value, which must be read, by `value` or
    by `elements` or `members` again, before the next turn.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._decode = JSONDecoder().raw_decode
        self._at = self._behind_space(0)

    def value(self) -> Any:
        """The value that comes next, as ``json.loads`` would give it."""
        try:
            value, at = self._decode(self._text, self._at)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        self._at = self._behind_space(at)
        return value

    def skip_null(self) -> bool:
        """Go past a null if it comes next."""
        if not self._text.startswith("null", self._at):
            return False
        self._at = self._behind_space(self._at + len("null"))
        return True

    def elements(self) -> Iterator[None]:
        """One turn for each element of the array that comes next."""
        self._take("[")
        if not self._try("]"):
            yield
            while not self._try("]"):
                self._take(",")
                yield

    def members(self) -> Iterator[str]:
        """The name of each member of the object that comes next."""
        self._take("{")
        if not self._try("}"):
            yield self._name()
            while not self._try("}"):
                self._take(",")
                yield self._name()

    def end(self) -> None:
        if self._at != len(self._text):
            raise JSONDecodeError("Extra data", self._text, self._at)

    def _name(self) -> str:
        name = self.value()
        if not isinstance(name, str):
            raise JSONDecodeError("Expecting a member's name", self._text, self._at)
        self._take(":")
        return name

    def _take(self, character: str) -> None:
        if not self._try(character):
            raise JSONDecodeError(f"Expecting '{character}'", self._text, self._at)

    def _try(self, character: str) -> bool:
        """Go past the character if it comes next."""
        if not self._text.startswith(character, self._at):
            return False
        self._at = self._behind_space(self._at + 1)
        return True

    def _behind_space(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at
