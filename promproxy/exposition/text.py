r"""The exact parser of the text format 0.0.4: what Prometheus 2.42 accepts, nothing else.

Rules, each of which a whole scrape depends on:

1. A line is blank, a comment, metadata (``# HELP``, ``# TYPE``), or a sample, which begins without
   white space. Between tokens white space is spaces and tabs; ``\r`` is not.
2. A label's value runs to the next ``"`` without a backslash before it, over ends of lines too.
3. Commas between labels may be missing, one may follow the last; two in a row may not.
4. A value is a decimal number, ``NaN`` or an infinity, in range of a float; no ``0x``, no ``_``.
5. A timestamp is digits, milliseconds, and fits 63 bits.
6. A label name occurs once in a series, and ``__name__`` never does.

More white space before a type than Prometheus takes is no error here: the line is written anew.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from attrs import frozen

from promproxy.errors import PromproxyError

TYPES = frozenset((b"counter", b"gauge", b"histogram", b"summary", b"untyped"))
#: How many bytes of a bad line a message shows.
_SHOWN = 60

_BLANKS = re.compile(rb"[ \t]*")
_COMMENT = re.compile(rb"#(?:[ \t]+(?:(HELP|TYPE)[ \t]+)?)?")
_REST = re.compile(rb"[^\n]*\n")
_NAME = re.compile(rb"([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*")
_BRACE = re.compile(rb"\{[ \t]*")
_BRACE_END = re.compile(rb"\}[ \t]*")
_LABEL = re.compile(
    rb'([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\]*(?:\\[^\n][^"\\]*)*)"[ \t]*(?:,[ \t]*)?'
)
_VALUE = re.compile(rb"([^{ \t\n]+)[ \t]*(?:([0-9]+)[ \t]*)?\n")
_FLOAT = re.compile(
    rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?"
    rb"|[nN][aA][nN]"
)
_MAX_TIMESTAMP = 2**63 - 1


class BadExposition(PromproxyError):
    """Prometheus would refuse the whole answer; the message shows the line."""


@frozen
class Sample:
    """One line with a value. ``labels`` keep their order and escapes; no timestamp is ``b""``."""

    name: bytes
    labels: tuple[tuple[bytes, bytes], ...]
    value: bytes
    timestamp: bytes


@frozen
class Metadata:
    """``# HELP`` or ``# TYPE``."""

    kind: bytes
    name: bytes
    text: bytes


def parse(body: bytes) -> Iterator[Sample | Metadata]:
    """Yield what a body says, comments left out. Raises BadExposition.

    The last line must end with a newline.
    """
    position, end = 0, len(body)
    if b"\0" in body:
        raise BadExposition("it holds a NUL byte")
    while position < end:
        start = _BLANKS.match(body, position).end()  # type: ignore[union-attr]
        comment = _COMMENT.match(body, start)
        if comment is not None:
            rest = _REST.match(body, comment.end())
            if rest is None:
                raise _bad(body, start)
            if comment[1]:
                yield _metadata(comment[1], body, start, comment.end(), rest.end())
            position = rest.end()
        elif body.startswith(b"\n", start):
            position = start + 1
        else:
            sample, position = _sample(body, position)
            yield sample


def is_value(text: bytes) -> bool:
    """Whether Go's ``ParseFloat`` takes this, without hexadecimal and underscores."""
    if _FLOAT.fullmatch(text) is None:
        return False
    return b"n" in text.lower() or not math.isinf(float(text))


def is_timestamp(text: bytes) -> bool:
    """Whether these digits, or none, are a timestamp in milliseconds."""
    digits = text.lstrip(b"0")  # Go takes any number of them, and Python converts no long number
    return len(digits) <= 19 and int(digits or b"0") <= _MAX_TIMESTAMP


def _metadata(kind: bytes, body: bytes, start: int, position: int, end: int) -> Metadata:
    name = _NAME.match(body, position, end)
    if name is None:
        raise _bad(body, start)
    text = body[name.end() : end - 1]
    if kind == b"TYPE" and text not in TYPES:
        raise _bad(body, start)
    if kind == b"HELP" and not _is_utf8(text):
        raise _bad(body, start)
    return Metadata(kind, name[1], text)


def _sample(body: bytes, start: int) -> tuple[Sample, int]:
    """The sample at ``start``, and where the next line begins."""
    name = _NAME.match(body, start)
    if name is None:
        raise _bad(body, start)
    position = name.end()
    labels: tuple[tuple[bytes, bytes], ...] = ()
    brace = _BRACE.match(body, position)
    if brace is not None:
        labels, position = _labels(body, start, brace.end())
    tail = _VALUE.match(body, position)
    if tail is None or not is_value(tail[1]) or not is_timestamp(tail[2] or b""):
        raise _bad(body, start)
    return Sample(name[1], labels, tail[1], tail[2] or b""), tail.end()


def _labels(body: bytes, start: int, position: int) -> tuple[tuple[tuple[bytes, bytes], ...], int]:
    labels = []
    while (end := _BRACE_END.match(body, position)) is None:
        label = _LABEL.match(body, position)
        if label is None or not _is_utf8(label[2]):
            raise _bad(body, start)
        labels.append((label[1], label[2]))
        position = label.end()
    names = {name for name, _ in labels}
    if len(names) < len(labels) or b"__name__" in names:
        raise _bad(body, start)
    return tuple(labels), end.end()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _bad(body: bytes, start: int) -> BadExposition:
    line = body[start : start + _SHOWN].split(b"\n", 1)[0]
    number = body.count(b"\n", 0, start) + 1
    return BadExposition(f"line {number} is not an exposition: {line.decode('utf-8', 'replace')!r}")
