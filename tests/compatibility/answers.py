"""Raw answers of targets, and where promproxy is meant to see them otherwise than Prometheus."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

BODY = b"answer 1\n"
OK = b"HTTP/1.1 200 OK\r\n"
TEXT = b"Content-Type: text/plain; version=0.0.4\r\n"
LENGTH = b"Content-Length: %d\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def counted(body: bytes = BODY, *fields: bytes, start: bytes = OK) -> bytes:
    """An answer of known length."""
    return start + TEXT + b"".join(fields) + LENGTH % len(body) + b"\r\n" + body


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n", fields: bytes = CHUNKED) -> bytes:
    """A chunked answer."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return OK + TEXT + fields + b"\r\n" + framed + end


def status_lines() -> Iterator[tuple[str, bytes]]:
    for name, line in (
        ("usual", b"HTTP/1.1 200 OK"),
        ("no phrase", b"HTTP/1.1 200"),
        ("blank phrase", b"HTTP/1.1 200 "),
        ("long phrase", b"HTTP/1.1 200 " + b"x" * 500),
        ("phrase in Latin", b"HTTP/1.1 200 \xe9t\xe9"),
        ("two blanks", b"HTTP/1.1  200 OK"),
        ("tab", b"HTTP/1.1\t200 OK"),
        ("1.0", b"HTTP/1.0 200 OK"),
        ("1.2", b"HTTP/1.2 200 OK"),
        ("1.9", b"HTTP/1.9 200 OK"),
        ("lower case", b"http/1.1 200 OK"),
        ("no version", b"HTTP 200 OK"),
        ("1", b"HTTP/1 200 OK"),
        ("1.10", b"HTTP/1.10 200 OK"),
        ("two digits", b"HTTP/1.1 20 OK"),
        ("four digits", b"HTTP/1.1 2000 OK"),
        ("no number", b"HTTP/1.1 abc OK"),
        ("sign", b"HTTP/1.1 +20 OK"),
        ("ICY", b"ICY 200 OK"),
        ("SSH", b"SSH-2.0-x"),
        ("empty", b""),
        *((f"status {code}", b"HTTP/1.1 %d X" % code) for code in OTHER_STATUSES),
    ):
        yield f"line: {name}", counted(start=line + b"\r\n")


OTHER_STATUSES = (201, 202, 203, 206, 299, 400, 401, 403, 404, 407, 408, 418, 429, 451, 499)
OTHER_STATUSES = (*OTHER_STATUSES, 500, 501, 502, 503, 504, 599, 600, 999)


def header_fields() -> Iterator[tuple[str, bytes]]:
    for name, field in (
        ("none", b""),
        ("empty value", b"A:\r\n"),
        ("no blank", b"A:b\r\n"),
        ("blanks around", b"A: \t b \t\r\n"),
        ("tab inside", b"A: b\tc\r\n"),
        ("Latin", b"A: \xe9\r\n"),
        ("UTF-8", "A: é\r\n".encode()),
        ("twice", b"A: b\r\nA: c\r\n"),
        ("many", b"".join(b"A%d: b\r\n" % n for n in range(300))),
        ("long", b"A: " + b"x" * 30000 + b"\r\n"),
        ("odd name", b"!#$%&'*+-.^_`|~: b\r\n"),
        ("bare LF", b"A: b\n"),
        ("folded by blank", b"A: b\r\n c\r\n"),
        ("folded by tab", b"A: b\r\n\tc\r\n"),
        ("folded and bare LF", b"A: b\n c\n"),
        ("folded twice", b"A: b\r\n c\r\n d\r\n"),
        ("bare CR", b"A: b\rc\r\n"),
        ("NUL", b"A: \0\r\n"),
        ("control byte", b"A: \x01\r\n"),
        ("DEL", b"A: \x7f\r\n"),
        ("no colon", b"A\r\n"),
        ("empty name", b": b\r\n"),
        ("blank in name", b"A b: c\r\n"),
        ("blank before colon", b"A : b\r\n"),
        ("parenthesis in name", b"A(b): c\r\n"),
        ("colon in value", b"A: b:c\r\n"),
        ("only commas", b"A: ,,,\r\n"),
        ("Set-Cookie", b"Set-Cookie: a=b\r\n"),
        ("Upgrade", b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
        ("close", b"Connection: close\r\n"),
        ("keep-alive", b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
        ("close twice", b"Connection: close\r\nConnection: close\r\n"),
        ("close in a list", b"Connection: foo, Close\r\n"),
        ("Trailer", b"Trailer: X\r\n"),
        ("Date that is none", b"Date: yesterday\r\n"),
        ("Expires", b"Expires: 0\r\nCache-Control: no-store\r\n"),
        ("Content-MD5", b"Content-MD5: x\r\n"),
        ("Content-Range", b"Content-Range: bytes 0-1/2\r\n"),
        ("Vary", b"Vary: *\r\n"),
        ("Location", b"Location: http://127.0.0.1:1/\r\n"),
    ):
        yield f"field: {name}", counted(BODY, field)
        yield f"last field: {name}", OK + TEXT + LENGTH % len(BODY) + field + b"\r\n" + BODY
    yield "first field folded", OK + b" A: b\r\n" + LENGTH % len(BODY) + b"\r\n" + BODY
    yield "all bare LF", counted().replace(b"\r\n", b"\n")
    yield "blank line bare LF", OK + TEXT + LENGTH % len(BODY) + b"\n" + BODY
    yield "leading blank line", b"\r\n" + counted()


def lengths() -> Iterator[tuple[str, bytes]]:
    size = b"%d" % len(BODY)
    for name, fields in (
        ("missing", b""),
        ("empty", b"Content-Length:\r\n"),
        ("blank", b"Content-Length:   \r\n"),
        ("zeros first", b"Content-Length: 000" + size + b"\r\n"),
        ("tab after", b"Content-Length: " + size + b"\t\r\n"),
        ("plus", b"Content-Length: +" + size + b"\r\n"),
        ("minus", b"Content-Length: -" + size + b"\r\n"),
        ("hexadecimal", b"Content-Length: 0x9\r\n"),
        ("fraction", b"Content-Length: 9.0\r\n"),
        ("blank inside", b"Content-Length: 9 9\r\n"),
        ("list", b"Content-Length: 9, 9\r\n"),
        ("twice", b"Content-Length: 9\r\nContent-Length: 9\r\n"),
        ("twice, blanks", b"Content-Length: 9\r\nContent-Length:  9 \r\n"),
        ("thrice", b"Content-Length: 9\r\n" * 3),
        ("two that differ", b"Content-Length: 9\r\nContent-Length: 8\r\n"),
        ("lower case", b"content-length: 9\r\n"),
        ("too long", b"Content-Length: 99\r\n"),
        ("huge", b"Content-Length: 99999999999999999999\r\n"),
        ("short", b"Content-Length: 0\r\n"),
        ("in the middle of a line", b"Content-Length: 4\r\n"),
        ("folded", b"Content-Length:\r\n 9\r\n"),
    ):
        yield f"length: {name}", OK + TEXT + fields + b"\r\n" + BODY
        yield f"length in 1.0: {name}", OK.replace(b"1.1", b"1.0") + fields + b"\r\n" + BODY


def transfer_codings() -> Iterator[tuple[str, bytes]]:
    whole = b"9\r\n" + BODY + b"\r\n0\r\n\r\n"
    for name, fields in (
        ("chunked", CHUNKED),
        ("upper case", b"TRANSFER-ENCODING: CHUNKED\r\n"),
        ("blank after", b"Transfer-Encoding: chunked \r\n"),
        ("tab after", b"Transfer-Encoding: chunked\t\r\n"),
        ("twice", CHUNKED * 2),
        ("list", b"Transfer-Encoding: chunked, chunked\r\n"),
        ("gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n"),
        ("gzip", b"Transfer-Encoding: gzip\r\n"),
        ("identity", b"Transfer-Encoding: identity\r\n"),
        ("empty", b"Transfer-Encoding:\r\n"),
        ("quoted", b'Transfer-Encoding: "chunked"\r\n'),
        ("with a length", CHUNKED + b"Content-Length: 9\r\n"),
        ("after a length", b"Content-Length: 9\r\n" + CHUNKED),
        ("with an odd length", CHUNKED + b"Content-Length: x\r\n"),
    ):
        yield f"coding: {name}", OK + TEXT + fields + b"\r\n" + whole
    for name, data in (
        ("two pieces", chunks(BODY[:3], BODY[3:])),
        ("bytes", chunks(*(BODY[n : n + 1] for n in range(len(BODY))))),
        ("empty", chunks()),
        ("extension", chunks(end=b"9;a=b\r\n" + BODY + b"\r\n0;c\r\n\r\n")),
        ("blank after size", chunks(end=b"9 \r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("zeros first", chunks(end=b"0009\r\n" + BODY + b"\r\n000\r\n\r\n")),
        ("capital hexadecimal", chunks(b"a" * 4 + b" 1\n" + b"#234567\n" * 2)),
        ("trailers", chunks(BODY, end=b"0\r\nA: b\r\nC: d\r\n\r\n")),
        ("no end", chunks(BODY, end=b"")),
        ("half an end", chunks(BODY, end=b"0\r\n")),
        ("bad size", chunks(end=b"zz\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("no size", chunks(end=b"\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("0x", chunks(end=b"0x9\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("minus", chunks(end=b"-9\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("longer than it says", chunks(end=b"4\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("shorter than it says", chunks(end=b"99\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("huge size", chunks(end=b"f" * 20 + b"\r\n" + BODY + b"\r\n0\r\n\r\n")),
        ("bare LF after size", chunks(end=b"9\n" + BODY + b"\r\n0\r\n\r\n")),
        ("bare LF after data", chunks(end=b"9\r\n" + BODY + b"\n0\r\n\r\n")),
    ):
        yield f"chunks: {name}", data


def contents() -> Iterator[tuple[str, bytes]]:
    for name, kind in (
        ("none", b""),
        ("empty", b"Content-Type:\r\n"),
        ("plain", b"Content-Type: text/plain\r\n"),
        ("no version", b"Content-Type: text/plain; charset=utf-8\r\n"),
        ("odd version", b"Content-Type: text/plain; version=9\r\n"),
        ("html", b"Content-Type: text/html\r\n"),
        ("json", b"Content-Type: application/json\r\n"),
        ("nonsense", b"Content-Type: nonsense\r\n"),
        ("bad parameter", b"Content-Type: text/plain; =\r\n"),
        ("upper case", b"CONTENT-TYPE: TEXT/PLAIN\r\n"),
        ("binary", b"Content-Type: application/octet-stream\r\n"),
    ):
        yield f"type: {name}", OK + kind + LENGTH % len(BODY) + b"\r\n" + BODY
    openmetrics = b"Content-Type: application/openmetrics-text; version=1.0.0\r\n"
    for name, body in (("with end", b"answer 1\n# EOF\n"), ("without end", BODY)):
        yield f"OpenMetrics: {name}", OK + openmetrics + LENGTH % len(body) + b"\r\n" + body
    packed = gzip.compress(BODY, mtime=0)
    for name, coding, body in (
        ("gzip", b"gzip", packed),
        ("GZIP", b"GZIP", packed),
        ("x-gzip", b"x-gzip", packed),
        ("gzip, blank after", b"gzip ", packed),
        ("gzip that is none", b"gzip", BODY),
        ("gzip cut short", b"gzip", packed[:-6]),
        ("gzip and more", b"gzip", packed + b"x"),
        ("gzip twice in a row", b"gzip", packed + gzip.compress(b"second 2\n", mtime=0)),
        ("gzip, wrong sum", b"gzip", packed[:-8] + b"\0\0\0\0" + packed[-4:]),
        ("deflate", b"deflate", zlib.compress(BODY)),
        ("identity", b"identity", BODY),
        ("br", b"br", BODY),
        ("empty", b"", BODY),
    ):
        yield f"encoding: {name}", counted(body, b"Content-Encoding: %b\r\n" % coding)


def interim_and_ends() -> Iterator[tuple[str, bytes]]:
    yield "100 first", b"HTTP/1.1 100 Continue\r\n\r\n" + counted()
    yield "103 first", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + counted()
    yield "three 102 first", b"HTTP/1.1 102 X\r\n\r\n" * 3 + counted()
    yield "100 with a length", b"HTTP/1.1 100 X\r\nContent-Length: 0\r\n\r\n" + counted()
    yield "101", b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + counted()
    yield "only 100", b"HTTP/1.1 100 Continue\r\n\r\n"
    yield "nothing", b""
    yield "half a head", OK + b"Content-Le"
    yield "half a body", counted()[:-4]
    yield "surplus", counted() + b"more 1\n"
    yield "second answer", counted() + counted(b"second 1\n")
    yield "no blank line", OK + TEXT + BODY
    yield "until close, 1.0", b"HTTP/1.0 200 OK\r\n\r\n" + BODY
    yield "until close, 1.1", OK + b"\r\n" + BODY
    yield "204", b"HTTP/1.1 204 No Content\r\n\r\n"
    yield "304", b"HTTP/1.1 304 Not Modified\r\n\r\n"
    yield "205", counted(start=b"HTTP/1.1 205 Reset\r\n")
    yield "empty body", counted(b"")
    yield "large body", counted(b"".join(b"large%d 1\n" % n for n in range(3000)))
    for code in (300, 301, 302, 303, 305, 307, 308):
        line = b"HTTP/1.1 %d X\r\nLocation: /line: usual\r\n" % code
        yield f"redirect {code}", line + LENGTH % 0 + b"\r\n"
    yield "redirect to nowhere", b"HTTP/1.1 302 X\r\n" + LENGTH % 0 + b"\r\n"


def cases() -> dict[str, bytes]:
    """All of them, by name."""
    return dict(
        pair
        for part in (
            status_lines,
            header_fields,
            lengths,
            transfer_codings,
            contents,
            interim_and_ends,
        )
        for pair in part()
    )


_CONTROL = "a control byte in a header may be meant to end a line for somebody else"
_NAME = "RFC 9110 has no such name, and another reader may take it for that of a framing field"
_CHUNK_LINE = "RFC 9112 ends a chunk's line by CRLF; readers that differ can be led apart by it"
_REFUSED_FIELDS = {
    "NUL": _CONTROL,
    "DEL": _CONTROL,
    "bare CR": _CONTROL,
    "control byte": _CONTROL,
    "blank before colon": _NAME,
    "blank in name": _NAME,
    "empty name": _NAME,
    "parenthesis in name": _NAME,
}

#: Why promproxy is meant to see these otherwise: it refuses them. Nothing else may differ.
DIFFERENCES = {
    **{f"field: {name}": why for name, why in _REFUSED_FIELDS.items()},
    **{f"last field: {name}": why for name, why in _REFUSED_FIELDS.items()},
    "chunks: bare LF after size": _CHUNK_LINE,
}
