"""Tests of promproxy.server.head."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.server.head import (
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    RequestHead,
    RequestRefused,
    parse_request_head,
    read_fields,
    split_head,
    take_credentials,
)


def read(head: bytes) -> RequestHead:
    """A whole head, with its blank line."""
    assert head.endswith(b"\r\n\r\n")
    line, lines = split_head(head[:-4])
    return parse_request_head(line, read_fields(lines))


def get(*lines: str, first: str = "GET / HTTP/1.1", host: str = "Host: p\r\n") -> bytes:
    rest = "".join(f"{line}\r\n" for line in lines)
    return f"{first}\r\n{host}{rest}\r\n".encode("latin-1")


class CredentialsTests(SynchronousTestCase):
    """The field that is taken out before the others are read, and kept."""

    def test_it_is_taken_out(self) -> None:
        """Wherever it stands, and whatever looks like it stays."""
        before, after = b"Host: p\r\n", b"X: authorization: z\r\nX-Authorization: c\r\n"
        for name in (b"Authorization", b"authorization", b"Proxy-Authorization"):
            for value in (b" Basic x", b"\tBasic x ", b"Basic x"):
                line = name + b":" + value + b"\r\n"
                for lines in (before + line + after, line + before + after, before + after + line):
                    found = take_credentials(lines, name.lower())
                    self.assertEqual(found, (before + after, {name.lower(): b"Basic x"}))

    def test_last_one_counts(self) -> None:
        """Of several; none is left, but the one that is meant for others."""
        lines = b"Authorization: a\r\nauthorization: b\r\nProxy-Authorization: c\r\n"
        expected = (b"Proxy-Authorization: c\r\n", {b"authorization": b"b"})
        self.assertEqual(take_credentials(lines, AUTHORIZATION), expected)
        expected = (b"Authorization: a\r\nauthorization: b\r\n", {b"proxy-authorization": b"c"})
        self.assertEqual(take_credentials(lines, PROXY_AUTHORIZATION), expected)

    @given(
        st.lists(
            st.sampled_from(
                [b"Authorization: a", b"authorization:", b"\r\n", b"\n", b" ", b"\0", b"A: b", b":"]
            ),
            max_size=9,
        )
    )
    def test_nothing_is_accepted_that_was_not(self, pieces: list[bytes]) -> None:
        """What is left is well formed only if all of it was, and nothing is lost."""
        lines = b"".join(pieces) + b"\r\n"
        left, taken = take_credentials(lines, AUTHORIZATION)
        try:
            whole = read_fields(lines).by_name
        except RequestRefused:
            self.assertRaises(RequestRefused, read_fields, left)
            return
        last = {name: (values[-1],) for name, values in whole.items()}
        rest = {name: (values[-1],) for name, values in read_fields(left).by_name.items()}
        self.assertEqual({**rest, **{name: (value,) for name, value in taken.items()}}, last)


class ReadTests(SynchronousTestCase):
    """Heads that are fine."""

    def test_everything_is_where_it_belongs(self) -> None:
        """Names in lower case, values without the white space around them."""
        head = read(get("Accept:a", "ACCEPT: \t b c \t", "X-Empty:", first="HEAD /a?b=c HTTP/1.1"))
        self.assertEqual((head.method, head.uri, head.version), (b"HEAD", b"/a?b=c", b"HTTP/1.1"))
        self.assertEqual(
            head.fields.by_name, {b"host": (b"p",), b"accept": (b"a", b"b c"), b"x-empty": (b"",)}
        )
        self.assertEqual(head.fields.joined(b"accept"), b"a, b c")
        self.assertEqual(head.fields.last(b"accept"), b"b c")
        self.assertIsNone(head.fields.joined(b"cookie"))
        self.assertIsNone(head.fields.last(b"cookie"))

    def test_one_empty_line_before_it(self) -> None:
        """RFC 9112, section 2.2."""
        self.assertEqual(read(b"\r\n" + get()).uri, b"/")

    def test_when_the_connection_stays_open(self) -> None:
        """HTTP/1.1, unless the caller says close, among other things perhaps."""
        self.assertTrue(read(get()).keep_alive)
        self.assertTrue(read(get("Connection: keep-alive, x-close")).keep_alive)
        for line in ("close", "Close", "keep-alive, close", "x,close"):
            self.assertFalse(read(get(f"Connection: {line}")).keep_alive, line)
        self.assertFalse(read(get("Connection: a", "Connection: close")).keep_alive)
        self.assertFalse(read(get("Connection: keep-alive", first="GET / HTTP/1.0")).keep_alive)

    def test_http_1_0_needs_no_host(self) -> None:
        self.assertEqual(read(b"GET / HTTP/1.0\r\n\r\n").fields.by_name, {})

    def test_empty_body_is_none(self) -> None:
        """As of `curl -X POST -d ''`."""
        self.assertEqual(read(get("Content-Length: 0", first="POST / HTTP/1.1")).method, b"POST")


class RefusedTests(SynchronousTestCase):
    """Heads that are refused."""

    def check(self, status: int, *heads: bytes) -> None:
        for head in heads:
            with self.assertRaises(RequestRefused, msg=head) as refused:
                read(head)
            self.assertEqual(refused.exception.status, status, head)

    def test_methods_that_no_page_takes(self) -> None:
        """CONNECT among them, whose target is no path."""
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X"):
            self.check(405, get(first=f"{method} / HTTP/1.1"))
        self.check(405, get(first="CONNECT host:443 HTTP/1.1"))

    def test_host(self) -> None:
        """One, and only one."""
        self.check(400, get(host=""), get("Host: p"), get("host: q"))
        self.check(400, get("Host: q", first="GET / HTTP/1.0"))

    def test_bodies(self) -> None:
        """Of any size, whatever the method."""
        for method in ("GET", "POST"):
            for line in ("Content-Length: 1", "Content-Length: 00999999999999999999999"):
                self.check(413, get(line, first=f"{method} / HTTP/1.1"))
            for status, coding in (
                (413, "chunked"),
                (413, "Chunked \t"),
                (400, "identity"),
                (400, "chunked, gzip"),
                (400, "gzip"),
                (501, "gzip, chunked"),
                (501, "br"),
            ):
                line = f"Transfer-Encoding: {coding}"
                self.check(status, get(line, first=f"{method} / HTTP/1.1"))

    def test_hosts(self) -> None:
        """RFC 9110, section 7.2; on every page."""
        bad = ("a b", "a/b", "a@b", "http://a", "a?x", "a#x", "a\\b", "\xff", "<a>", "[::1")
        for host in (*bad, "a:99999", "a:b", "::1", 'a"', "a:123456"):
            self.check(400, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))

    def test_versions(self) -> None:
        for version in ("2.0", "0.9", "3.0"):
            self.check(505, get(first=f"GET / HTTP/{version}"))
        self.check(505, get(first="PRI * HTTP/2.0"))

    def test_unclear_lengths(self) -> None:
        """What one reads as a body, another may read as a request."""
        for lines in (
            ("Content-Length: 0", "Content-Length: 0"),
            ("Content-Length: 0", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "content-length: 5"),
            ("Content-Length: +1",),
            ("Content-Length: -0",),
            ("Content-Length: 1, 1",),
            ("Content-Length: 0x1",),
            ("Content-Length:",),
        ):
            self.check(400, get(*lines))

    def test_grammar(self) -> None:
        """Folded lines, space in names, bare line ends, NUL, and what is no request line."""
        self.check(
            400,
            get("A: b", " folded"),
            get("A: b", "\tfolded"),
            get(" A: b"),
            get("A : b"),
            get("A\t: b"),
            get("A b: c"),
            get(": b"),
            get("no colon"),
            get("A: b\nC: d"),
            get("A: b\rC: d"),
            get("A: b\0"),
            b"GET / HTTP/1.1\nHost: p\r\n\r\n",
            get(first="GET /"),
            get(first="GET  / HTTP/1.1"),
            get(first=" GET / HTTP/1.1"),
            get(first="GET / HTTP/1.1 "),
            get(first="GET /a b HTTP/1.1"),
            get(first="GET /\t HTTP/1.1"),
            get(first="GET /\xe4 HTTP/1.1"),
            get(first="G@T / HTTP/1.1"),
            get(first="GET / HTTP/1.10"),
            get(first=""),
            b"\r\n\r\n\r\n",
        )

    @given(st.binary(max_size=60), st.integers(0, 60))
    def test_any_bytes(self, data: bytes, at: int) -> None:
        """Put anywhere into a head, they are refused or end up in it; nothing else happens."""
        good = get("A: b")[:-4]
        bad = good[:at] + data.replace(b"\r\n\r\n", b"") + good[at:]
        try:
            head = parse_request_head(split_head(bad)[0], read_fields(split_head(bad)[1]))
        except RequestRefused as refused:
            assert refused.status in (400, 405, 413)
        else:
            for name, values in head.fields.by_name.items():
                assert b"\n" not in name + b"".join(values)
                assert b"\r" not in name + b"".join(values)
