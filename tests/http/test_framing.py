"""Every way an answer can be framed, however its bytes are cut into pieces."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import BadUpstream, CutShort
from promproxy.http.framing import MAX_HEAD, MAX_INTERIM, ResponseReader
from tests.http.reference import BAD, Outcome, read

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def outcome_of(pieces: Iterable[bytes], *, head_only: bool, clean: bool) -> Outcome:
    """Feed the pieces, end the connection, and say what came of it."""
    reader = ResponseReader(head_only=head_only)
    body = b"".join([reader.feed(piece) for piece in pieces])
    reusable = reader.reusable
    reader.end(clean=clean)
    if reader.head is None:
        assert isinstance(reader.error, BadUpstream) and not body and not reader.done
        return BAD
    assert (reader.error is None) is reader.done
    assert reader.error is None or isinstance(reader.error, CutShort)
    head = reader.head
    end = "done" if reader.done else "cut"
    return Outcome(end, head.code, tuple(head.headers), body, reusable)


# data, (end, body, reusable); True for the last: another exchange may follow.
TABLE: dict[str, tuple[bytes, tuple[str, bytes, bool]]] = {
    "content-length": (OK + b"Content-Length: 2\r\n\r\nok", ("done", b"ok", True)),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", ("done", b"", True)),
    "length with a space after it": (OK + b"Content-Length: 2 \r\n\r\nok", ("done", b"ok", True)),
    "length cut short": (OK + b"Content-Length: 3\r\n\r\nok", ("cut", b"ok", False)),
    "surplus bytes": (OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1", ("done", b"ok", False)),
    "chunked": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", ("done", b"ok", True)),
    "chunked, empty": (CHUNKED + b"0\r\n\r\n", ("done", b"", True)),
    "chunked, capitals": (
        CHUNKED + b"00A\r\n0123456789\r\n000\r\n\r\n",
        ("done", b"0123456789", True),
    ),
    "chunked, several": (CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n", ("done", b"ok", True)),
    "chunk extensions": (
        CHUNKED + b'2;a=b;c="d;\xe9"\r\nok\r\n0 ; x\r\n\r\n',
        ("done", b"ok", True),
    ),
    "space after chunk size": (CHUNKED + b"2 \r\nok\r\n0\r\n\r\n", ("done", b"ok", True)),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\nC:\r\n\r\n", ("done", b"ok", True)),
    "length among the trailers": (
        CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n",
        ("done", b"ok", True),
    ),
    "chunked, surplus": (CHUNKED + b"2\r\nok\r\n0\r\n\r\nx", ("done", b"ok", False)),
    "chunked, cut in data": (CHUNKED + b"5\r\nok", ("cut", b"ok", False)),
    "chunked, cut before the last chunk": (CHUNKED + b"2\r\nok\r\n", ("cut", b"ok", False)),
    "chunked, cut in the trailers": (CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n", ("cut", b"ok", False)),
    "chunk size garbage": (CHUNKED + b"2\r\nok\r\nzz\r\n", ("cut", b"ok", False)),
    "chunk size negative": (CHUNKED + b"-2\r\nok\r\n0\r\n\r\n", ("cut", b"", False)),
    "chunk size 0x": (CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", ("cut", b"", False)),
    "chunk size too long": (CHUNKED + b"f" * 16 + b"\r\nok", ("cut", b"", False)),
    "chunk size empty": (CHUNKED + b"\r\nok", ("cut", b"", False)),
    "chunk size, bare LF": (CHUNKED + b"2\nok\r\n0\r\n\r\n", ("cut", b"", False)),
    "chunk longer than its size": (CHUNKED + b"2\r\nokX\r\n0\r\n\r\n", ("cut", b"ok", False)),
    "chunk shorter than its size": (CHUNKED + b"3\r\nok\r\n0\r\n\r\n", ("cut", b"ok\r", False)),
    "extension with a bare CR": (CHUNKED + b"2;a\rb\r\nok\r\n0\r\n\r\n", ("cut", b"", False)),
    "extension endless": (CHUNKED + b"2;" + b"x" * 5000 + b"\r\nok", ("cut", b"", False)),
    "trailer malformed": (CHUNKED + b"2\r\nok\r\n0\r\nfoo\r\n\r\n", ("cut", b"ok", False)),
    "trailer folded": (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", ("cut", b"", False)),
    "trailers endless": (CHUNKED + b"0\r\n" + b"A: bcde\r\n" * 2000 + b"\r\n", ("cut", b"", False)),
    "close-delimited": (OK + b"\r\nok", ("done", b"ok", False)),
    "close-delimited, empty": (OK + b"\r\n", ("done", b"", False)),
    "Connection: close": (
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
        ("done", b"ok", False),
    ),
    "Connection: close in a list": (
        OK + b"Connection: Foo , CLOSE\r\nContent-Length: 0\r\n\r\n",
        ("done", b"", False),
    ),
    "Connection twice": (
        OK + b"Connection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        ("done", b"", False),
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", ("done", b"ok", False)),
    "HTTP/1.0 keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
        ("done", b"ok", True),
    ),
    "HTTP/1.0 until close": (b"HTTP/1.0 200 OK\r\n\r\nok", ("done", b"ok", False)),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", ("done", b"", True)),
    "204 with a length": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        ("done", b"", True),
    ),
    "204 with a body": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        ("done", b"", False),
    ),
    "304 with a length": (b"HTTP/1.1 304 NM\r\nContent-Length: 9\r\n\r\n", ("done", b"", True)),
    "304 chunked": (b"HTTP/1.1 304 NM\r\nTransfer-Encoding: chunked\r\n\r\n", ("done", b"", True)),
    "100 and 103 first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nok",
        ("done", b"ok", True),
    ),
    "no phrase": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ("done", b"", True)),
    "Upgrade offered": (
        OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
        ("done", b"ok", True),
    ),
    "tabs and high bytes in a value": (
        OK + b"A: \tx\ty\xff\r\nContent-Length: 0\r\n\r\n",
        ("done", b"", True),
    ),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", ("done", b"ok", True)),
    "two spaces": (b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", ("done", b"", True)),
    "the same length twice": (
        OK + b"Content-Length: 2\r\nContent-Length:  2 \r\n\r\nok",
        ("done", b"ok", True),
    ),
    "length empty": (OK + b"Content-Length:\r\n\r\nok", ("done", b"ok", False)),
    "length with a tab": (OK + b"Content-Length: 2\t\r\n\r\nok", ("done", b"ok", True)),
    "chunked with a blank": (
        OK + b"Transfer-Encoding: chunked \t\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ("done", b"ok", True),
    ),
    "length and chunked": (
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ("done", b"ok", False),
    ),
    "chunked and length": (
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ("done", b"ok", False),
    ),
    "bare LF": (OK + b"A: b\nContent-Length: 2\r\n\r\nok", ("done", b"ok", True)),
    "bare LF only": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", ("done", b"ok", True)),
    "bare LF before a blank line with CR": (
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\r\nok",
        ("done", b"ok", True),
    ),
    "bare LF and a body with blank lines": (
        b"HTTP/1.1 200 OK\nContent-Length: 6\n\n\r\n\r\nok",
        ("done", b"\r\n\r\nok", True),
    ),
    "obs-fold": (OK + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\nok", ("done", b"ok", True)),
    "obs-fold of a length": (OK + b"Content-Length:\r\n\t 2\r\n\r\nok", ("done", b"ok", True)),
    "obs-fold and bare LF": (
        OK + b"A: b\nC: d\n e\r\nContent-Length: 0\r\n\r\n",
        ("done", b"", True),
    ),
    "largest head": (
        OK + b"Content-Length: 0\r\nA: " + b"x" * (MAX_HEAD - 43) + b"\r\n\r\n",
        ("done", b"", True),
    ),
}

BAD_TABLE: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "leading CRLF": b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\n\r\n",
    "only interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "too many interim": b"HTTP/1.1 100 C\r\n\r\n" * (MAX_INTERIM + 1)
    + OK
    + b"Content-Length: 0\r\n\r\n",
    "head cut short": OK + b"Content-Le",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "length with a sign": OK + b"Content-Length: +2\r\n\r\nok",
    "length negative": OK + b"Content-Length: -2\r\n\r\nok",
    "length huge": OK + b"Content-Length: 9999999999999999999\r\n\r\nok",
    "chunked twice": OK
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\nok",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare CR": OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n",
    "obs-fold of the status": OK + b" A: b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": OK + b"A : b\r\nContent-Length: 0\r\n\r\n",
    "space in name": OK + b"A b: c\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"foo\r\nContent-Length: 0\r\n\r\n",
    "empty name": OK + b": x\r\nContent-Length: 0\r\n\r\n",
    "NUL": OK + b"A:\x00\r\nContent-Length: 0\r\n\r\n",
    "DEL": OK + b"A: x\x7f\r\nContent-Length: 0\r\n\r\n",
    "head one byte too large": OK
    + b"Content-Length: 0\r\nA: "
    + b"x" * (MAX_HEAD - 42)
    + b"\r\n\r\n",
    "head endless": OK + b"A: b\r\n" * 20000,
}


class TableTests(SynchronousTestCase):
    """The table, fed whole and byte by byte, and judged by the reference reader."""

    def check(self, name: str, data: bytes, expected: Outcome, *, head_only: bool = False) -> None:
        whole = outcome_of([data], head_only=head_only, clean=True)
        bytewise = outcome_of(
            [data[i : i + 1] for i in range(len(data))], head_only=head_only, clean=True
        )
        assert (whole.end, whole.body, whole.reusable) == (
            expected.end,
            expected.body,
            expected.reusable,
        ), name
        assert bytewise == whole, name
        assert read(data, head_only=head_only, clean=True) == whole, name

    def test_usable_answers(self) -> None:
        """Each framing gives its body and its end, and tells if the connection survives."""
        for name, (data, (end, body, reusable)) in TABLE.items():
            self.check(name, data, Outcome(end, 200, (), body, reusable))

    def test_unusable_answers(self) -> None:
        """Each of these is refused before anything of it is handed on."""
        for name, data in BAD_TABLE.items():
            self.check(name, data, BAD)

    def test_answers_to_head(self) -> None:
        """An answer to HEAD has no body, whatever its head announces."""
        for announced in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""):
            data = OK + announced + b"\r\n"
            self.check("HEAD", data, Outcome("done", 200, (), b"", True), head_only=True)
            surplus = Outcome("done", 200, (), b"", False)
            self.check("HEAD with a body", data + b"hello", surplus, head_only=True)

    def test_unclean_end_cuts_a_close_delimited_body(self) -> None:
        """A reset is not mistaken for the end of a body that ends with the connection."""
        outcome = outcome_of([OK + b"\r\nok"], head_only=False, clean=False)
        assert (outcome.end, outcome.body) == ("cut", b"ok")

    def test_hopeless_heads_are_refused_at_once(self) -> None:
        """What can never become a head fails without waiting for its end."""
        for data in (b"S", b"HTTP/2", OK + b"A: " + b"x" * MAX_HEAD):
            reader = ResponseReader()
            reader.feed(data)
            assert isinstance(reader.error, BadUpstream)

    def test_hopeless_chunk_lines_are_refused_at_once(self) -> None:
        """A line of chunked framing cannot grow without limit."""
        for data in (b"2;" + b"x" * 5000, b"0\r\nA: " + b"x" * 17000, b"2\r\nokxx"):
            reader = ResponseReader()
            reader.feed(CHUNKED + data)
            assert isinstance(reader.error, CutShort)

    def test_surplus_after_the_end_is_noticed(self) -> None:
        """Bytes that come after a whole answer, in a piece of their own, forbid reuse."""
        for data in (OK + b"Content-Length: 2\r\n\r\nok", CHUNKED + b"2\r\nok\r\n0\r\n\r\n"):
            reader = ResponseReader()
            reader.feed(data)
            assert reader.reusable
            assert reader.feed(b"x") == b""
            assert not reader.reusable

    def test_much_behind_the_head(self) -> None:
        """Is the same body as in small pieces, whole, cut short or with a surplus."""
        body = bytes(range(256)) * 200
        for length in (len(body), len(body) + 1, len(body) - 1):
            data = OK + b"Content-Length: %d\r\n\r\n" % length + body
            bytewise = [data[i : i + 1] for i in range(len(data))]
            whole = outcome_of([data], head_only=False, clean=True)
            assert whole == outcome_of(bytewise, head_only=False, clean=True), length
            assert whole.body == body[:length]

    def test_reasons_are_short_and_ours(self) -> None:
        """An operator is told what was wrong in fixed words."""
        for data, reason in (
            (BAD_TABLE["two lengths"], "conflicting lengths"),
            (BAD_TABLE["garbage"], "not an HTTP answer"),
            (BAD_TABLE["head endless"], "answer head too large"),
            (BAD_TABLE["101"], "answer switches protocols"),
            (BAD_TABLE["only interim"], "connection closed without an answer"),
            (BAD_TABLE["gzip, chunked"], "unknown transfer encoding"),
            (BAD_TABLE["length with a sign"], "malformed length"),
        ):
            reader = ResponseReader()
            reader.feed(data)
            reader.end(clean=True)
            assert str(reader.error) == reason


TEXTS = st.binary(max_size=30)
NAMES = st.sampled_from([b"A", b"Content-Type", b"Server", b"x-y", b"Connection", b"Trailer"])
VALUES = st.sampled_from(
    [b"", b"b", b"close", b"keep-alive", b"text/plain; version=0.0.4", b"\xe9 x"]
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
STARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 503 Busy",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 Switching",
    ]
)
JUNK = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b":",
        b"\x00",
        b"\x7f",
        b"\xff",
        b"0",
        b"a",
        b";",
        b"\r\n\r\n",
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The framing headers of a body, and the body as it is on the wire."""
    kind = draw(st.sampled_from(["length", "chunked", "close", "both"]))
    if kind == "close":
        return [], draw(TEXTS)
    if kind == "length":
        body = draw(TEXTS)
        return [(b"Content-Length", b"%d" % len(body))], body
    wire = b""
    for chunk in draw(st.lists(TEXTS.filter(bool), max_size=4)):
        extension = draw(st.sampled_from([b"", b"", b";a=b", b' ; c="d"', b" "]))
        wire += b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk)
    trailers = draw(FIELDS)
    wire += b"0\r\n" + b"".join(b"%b: %b\r\n" % field for field in trailers) + b"\r\n"
    headers = [(b"Transfer-Encoding", draw(st.sampled_from([b"chunked", b"Chunked"])))]
    return headers + ([(b"Content-Length", b"3")] if kind == "both" else []), wire


@st.composite
def connections(draw: st.DrawFn) -> bytes:
    """What an upstream may send on one connection: mostly right, sometimes damaged or cut."""
    data = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    framing, wire = draw(bodies())
    headers = draw(st.permutations(draw(FIELDS) + framing))
    lines = b"".join(b"%b: %b\r\n" % field for field in headers)
    data += draw(STARTS) + b"\r\n" + lines + b"\r\n" + wire
    data += draw(st.sampled_from([b"", b"", b"", b"HTTP/1.1 200 OK\r\n"]))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(JUNK) + data[place + draw(st.integers(0, 2)) :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


class RandomTests(SynchronousTestCase):
    """Random framings in random pieces against the reference reader."""

    @settings(deadline=None, max_examples=400)
    @given(connections(), st.lists(st.integers(0, 400), max_size=12), st.booleans(), st.booleans())
    def test_agrees_with_the_reference(
        self, data: bytes, places: list[int], head_only: bool, clean: bool
    ) -> None:
        """However damaged and however cut, it decides as the slow reader does."""
        expected = read(data, head_only=head_only, clean=clean)
        pieces = cut(data, places)
        assert outcome_of(pieces, head_only=head_only, clean=clean) == expected
