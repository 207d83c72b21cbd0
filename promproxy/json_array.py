"""A JSON array decoded element by element.

``json.loads`` of a large document keeps the interpreter lock until it is done (40 ms for 7 MB), in
a thread as well; element by element the reactor gets its turns in between.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


def json_array_elements(text: str) -> Iterator[Any]:
    """The elements of the array that the text is. Raises ValueError where it is none."""
    return elements_from(text, _skip_space(text, 0), must_end=True)


def elements_from(text: str, start: int, *, must_end: bool = False) -> Generator[Any, None, int]:
    """The elements of the array that begins at ``start``; returns the index behind it.

    ``must_end``: nothing but white space may follow. Raises ValueError at what is no JSON.
    """
    decode = JSONDecoder().raw_decode
    at = _expect(text, start, "[")
    if text[at : at + 1] != "]":
        while True:
            try:
                element, at = decode(text, at)
            except RecursionError as error:
                raise ValueError("nested too deeply") from error
            yield element
            at = _skip_space(text, at)
            if text[at : at + 1] != ",":
                break
            at = _skip_space(text, at + 1)
    at = _expect(text, at, "]")
    if must_end and at != len(text):
        raise JSONDecodeError("Extra data", text, at)
    return at


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, character: str) -> int:
    """The index of what follows the character that must stand here."""
    if text[at : at + 1] != character:
        raise JSONDecodeError(f"Expecting '{character}'", text, at)
    return _skip_space(text, at + 1)
