"""A slow, obvious reader of one answer, to compare the fast one with.

It sees all bytes at once and goes by the text of RFC 9112, with our own limits and refusals.
"""

from __future__ import annotations

import re
import string

from attrs import frozen

from promproxy.http.bodies import MAX_CHUNK_LINE, MAX_TRAILERS
from promproxy.http.framing import MAX_HEAD, MAX_INTERIM

TOKEN = set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
TEXT = {9, *range(32, 127), *range(128, 256)}


@frozen
class Outcome:
    """What became of a connection: ``end`` is "bad" (no answer), "done" or "cut"."""

    end: str
    code: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    reusable: bool = False


BAD = Outcome("bad")


def read(data: bytes, *, head_only: bool, clean: bool) -> Outcome:
    """What the bytes of a whole connection amount to."""
    for _ in range(MAX_INTERIM + 1):
        head, size, rest = _split(data)
        parsed = _head(head) if 0 < size <= MAX_HEAD else None
        if parsed is None:
            return BAD
        minor, code, headers = parsed
        framing = _framing(minor, headers)
        if framing is None or code == 101:
            return BAD
        data = rest
        if code >= 200:
            break
    else:
        return BAD
    if head_only or code in (204, 304):
        framing = "0"
    if framing == "close":
        return Outcome("done" if clean else "cut", code, headers, data)
    if framing == "chunked":
        body, rest_or_none = _chunked(data)
    else:
        size = int(framing)
        body, rest_or_none = data[:size], data[size:] if len(data) >= size else None
    if rest_or_none is None:
        return Outcome("cut", code, headers, body)
    return Outcome("done", code, headers, body, _persists(minor, headers) and not rest_or_none)


def _split(data: bytes) -> tuple[list[bytes], int, bytes]:
    """The lines of the head, its size with the blank line (0 where that is missing), the rest."""
    lines, at = [], 0
    while (end := data.find(b"\n", at)) >= 0:
        line = data[at:end].removesuffix(b"\r")
        at = end + 1
        if not line and lines:
            return lines, at, data[at:]
        lines.append(line)
    return [], 0, b""


def _head(lines: list[bytes]) -> tuple[int, int, tuple[tuple[bytes, bytes], ...]] | None:
    status = re.fullmatch(rb"HTTP/1\.(\d) +([1-9]\d\d)(?: (.*))?", lines[0], re.DOTALL)
    if status is None or not set(status[3] or b"") <= TEXT:
        return None
    headers = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and headers:
            if not set(line) <= TEXT:
                return None
            name, value = headers.pop()
            headers.append((name, (value + b" " + line.strip(b" \t")).strip(b" \t")))
            continue
        name, colon, value = line.partition(b":")
        if not colon or not name or not set(name) <= TOKEN or not set(value) <= TEXT:
            return None
        headers.append((name, value.strip(b" \t")))
    return min(int(status[1]), 1), int(status[2]), tuple(headers)


def _framing(minor: int, headers: tuple[tuple[bytes, bytes], ...]) -> str | None:
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    if len(set(lengths)) > 1 or len(codings) > 1:
        return None
    if codings:
        return "chunked" if codings[0].lower() == b"chunked" and minor == 1 else None
    if lengths:
        digits = lengths[0]
        if not digits:
            return "close"
        return digits.decode() if re.fullmatch(rb"[0-9]{1,18}", digits) else None
    return "close"


def _persists(minor: int, headers: tuple[tuple[bytes, bytes], ...]) -> bool:
    options = [
        option.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for option in value.split(b",")
    ]
    names = {name.lower() for name, _ in headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        return False
    return b"close" not in options and (minor == 1 or b"keep-alive" in options)


def _chunked(data: bytes) -> tuple[bytes, bytes | None]:
    """The body, and what follows it; None if it does not end here."""
    body = b""
    while True:
        line, ended, rest = data.partition(b"\r\n")
        size = re.fullmatch(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", line, re.DOTALL)
        if not ended or size is None or not set(line) <= TEXT or len(line) + 2 > MAX_CHUNK_LINE:
            return body, None
        length = int(size[1], 16)
        if length == 0:
            return body, _after_trailers(rest)
        body += rest[:length]
        if rest[length : length + 2] != b"\r\n":
            return body, None
        data = rest[length + 2 :]


def _after_trailers(data: bytes) -> bytes | None:
    total = 0
    while True:
        line, ended, data = data.partition(b"\r\n")
        if not ended:
            return None
        if not line:
            return data
        total += len(line) + 2
        name, colon, value = line.partition(b":")
        if not colon or not name or not set(name) <= TOKEN or not set(value) <= TEXT:
            return None
        if total >= MAX_TRAILERS:
            return None
