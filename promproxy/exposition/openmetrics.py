"""OpenMetrics 1.0 to text 0.0.4, sample for sample as Prometheus 2.42 ingests it.

1. ``# EOF`` is the last line; blank lines are errors; tokens are one space apart.
2. Units and exemplars are left out: the text format has neither.
3. Timestamps are seconds, and become milliseconds.
4. Metadata names a family, in the text format a series: ``# TYPE a counter`` becomes
   ``# TYPE a_total counter``, an info ``# TYPE a_info gauge``. A stateset is a gauge, what the text
   format does not know is untyped. Samples keep their names, ``_created`` too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator

from promproxy.exposition.text import BadExposition, is_value

SLICE_LINES = 1000

_LABELS = (
    rb'\{(?:[a-zA-Z_]\w*="[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    rb'(?:,[a-zA-Z_]\w*="[^"\\\n]*(?:\\.[^"\\\n]*)*")*)?\}'
)
_SAMPLE = re.compile(
    rb"([a-zA-Z_:][\w:]*(?:%b)?) ([^ \n]+)(?: ([^ \n#][^ \n]*))?"
    rb"(?: # %b ([^ \n]+)(?: ([^ \n]+))?)?" % (_LABELS, _LABELS)
)
_METADATA = re.compile(rb"# (HELP|TYPE|UNIT) ([a-zA-Z_:][\w:]*) (.*)")
#: What the text format calls a type, and what the names of its series end in.
_TYPES = {
    b"counter": (b"counter", b"_total"),
    b"gauge": (b"gauge", b""),
    b"histogram": (b"histogram", b""),
    b"gaugehistogram": (b"untyped", b""),
    b"summary": (b"summary", b""),
    b"info": (b"gauge", b"_info"),
    b"stateset": (b"gauge", b""),
    b"unknown": (b"untyped", b""),
}
_EOF = b"# EOF"


def to_text(body: bytes) -> Generator[None, None, bytes]:
    """Convert a body; yields after each thousand lines. Raises BadExposition."""
    lines = body.removesuffix(b"\n").split(b"\n")
    if lines.pop() != _EOF:
        raise BadExposition("OpenMetrics without # EOF as its last line")
    suffixes = {}
    helps = {}
    converted: list[bytes] = []
    for number, line in enumerate(lines, 1):
        if number % SLICE_LINES == 0:
            yield
        metadata = _METADATA.fullmatch(line)
        if metadata is None:
            converted.append(_sample(line, number))
        elif metadata[1] == b"TYPE":
            name, kind = metadata[2], metadata[3]
            if kind not in _TYPES:
                raise _bad(line, number)
            text_kind, suffixes[name] = _TYPES[kind]
            converted.append(b"# TYPE %b%b %b\n" % (name, suffixes[name], text_kind))
        elif metadata[1] == b"HELP":
            helps[metadata[2]] = metadata[3].replace(rb"\"", b'"')
        elif metadata[3] and not metadata[2].endswith(b"_" + metadata[3]):
            raise _bad(line, number)  # a unit that its metric's name does not end in
    told = [b"# HELP %b%b %b\n" % (n, suffixes.get(n, b""), text) for n, text in helps.items()]
    return b"".join(told + converted)


def _sample(line: bytes, number: int) -> bytes:
    sample = _SAMPLE.fullmatch(line)
    if sample is None or not is_value(sample[2]):
        raise _bad(line, number)
    series, value, timestamp, exemplar, exemplar_timestamp = sample.groups()
    if exemplar is not None and not is_value(exemplar):
        raise _bad(line, number)
    if exemplar_timestamp is not None and not _is_finite(exemplar_timestamp):
        raise _bad(line, number)
    if timestamp is None:
        return b"%b %b\n" % (series, value)
    if not _is_finite(timestamp):
        raise _bad(line, number)
    return b"%b %b %d\n" % (series, value, int(float(timestamp) * 1000))


def _is_finite(text: bytes) -> bool:
    return is_value(text) and math.isfinite(float(text))


def _bad(line: bytes, number: int) -> BadExposition:
    shown = line[:60].decode("utf-8", "replace")
    return BadExposition(f"line {number} is not OpenMetrics: {shown!r}")
