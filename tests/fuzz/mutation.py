"""Samples changed at random, so that what comes out is nearly right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

MOST_CHANGES = 4
LONGEST_RUN = 70_000  # longer than any limit of a head

#: What is likely to mean something to whoever reads it.
WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"/", b"..", b"%"),
    *(b"%00", b"%2e", b"%0d%0a", b"?", b"#", b"@", b"\\", b'"', b"'", b"-", b"_", b"=", b"&"),
    *(b"0", b"1", b"-1", b"+1", b"0x1", b"1e999", b"9" * 20, b"9" * 5000, b"nan", b"null", b"true"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"[" * 3000,
        b'{"a":' * 3000,
        b'"\\ud800"',
        b'"\\u0000"',
        b"{}",
        b"[]",
    ),
    *(b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x16\x03\x01"),
    *(b"&a *a", b"!!python/object:os.system x", b"<<: *a", b"- ", b": ", b"|\n ", b"${X}", b"$$"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: p\r\n", b"HTTP/1.1"),
    *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b" folded\r\n", b"0\r\n\r\n", b"GET "),
    *(
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"Trailer: x\r\n",
        b"5\r\nhello\r\n",
        b"fffffffffffffff\r\n",
    ),
)


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples with a few changes, now and then with none."""
    data = random.choice(samples)
    for _ in range(random.randint(0, MOST_CHANGES)):
        data = _changed(random, data, samples)
    return data


def _changed(random: Random, data: bytes, samples: Sequence[bytes]) -> bytes:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.choice((0, 1, 2, 5, 20, 200)))
    kind = random.randrange(9)
    if kind == 0:  # without a piece
        return data[:start] + data[end:]
    if kind == 1:  # with a piece twice, or very often
        times = random.choice((2, 2, 3, 300))
        return data[:start] + data[start:end] * times + data[end:]
    if kind == 2:  # with a byte that is another
        return data[:start] + bytes([random.randrange(256)]) + data[start + 1 :]
    if kind == 3:  # cut short
        return data[:start]
    if kind == 4:  # with a piece of another one
        other = random.choice(samples)
        place = random.randint(0, len(other))
        return data[:start] + other[place : place + random.randint(0, 200)] + data[end:]
    if kind == 5 and not random.randrange(20):  # with a run of one byte
        return data[:start] + bytes([random.randrange(256)]) * LONGEST_RUN + data[start:]
    if kind == 6:  # with bytes that mean nothing
        return data[:start] + random.randbytes(random.randint(1, 8)) + data[end:]
    return data[:start] + random.choice(WORDS) + data[end:]


def cut(random: Random, data: bytes) -> list[bytes]:
    """The same in pieces, as a network may deliver it."""
    if len(data) < 2 or random.random() < 0.4:
        return [data] if data else []
    places = sorted(random.randrange(1, len(data)) for _ in range(random.choice((1, 2, 5, 20))))
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]
