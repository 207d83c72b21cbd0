"""Tests of promproxy.server.absolute."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.server.absolute import AbsoluteUri, is_own, read_absolute, split_absolute


class ReadTests(SynchronousTestCase):
    def test_uris_of_clients(self) -> None:
        """Scheme, host, port, path and query."""
        for uri, expected in (
            (b"http://web-1:9100/metrics", ("http", "web-1", 9100, "/metrics", "")),
            (b"HTTP://Web-1/m?a=b?c", ("http", "Web-1", 80, "/m", "a=b?c")),
            (b"https://web-1", ("https", "web-1", 443, "/", "")),
            (b"http://[2001:db8::1]:9100/", ("http", "2001:db8::1", 9100, "/", "")),
            (b"http://10.0.0.7:1?x", ("http", "10.0.0.7", 1, "/", "x")),
            (b"http://web-1//a/../b%2F", ("http", "web-1", 80, "//a/../b%2F", "")),
        ):
            self.assertEqual(read_absolute(uri), AbsoluteUri(*expected), uri)

    def test_others(self) -> None:
        """Whatever has user names, fragments, other schemes, or is no host."""
        for uri in (
            *(b"http://", b"http:///x", b"http://u@h/", b"http://u:p@h/", b"http://h/#f"),
            *(b"ftp://h/", b"http://h:0/", b"http://h:65536/", b"http://h:x/", b"http://::1/"),
            *(b"web-1:9100", b"/http://h/", b"http://h:/", b"http://\xff/"),
        ):
            self.assertIsNone(read_absolute(uri), uri)

    @given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40))
    def test_host_is_the_one_that_others_see(self, rest: str) -> None:
        """Nobody can be led to another host than is checked."""
        uri = f"http://{rest}"
        found = read_absolute(uri.encode())
        if found is not None:
            parts = urlsplit(uri)
            self.assertEqual(parts.hostname, found.host.lower())
            self.assertEqual(parts.port or 80, found.port)
            self.assertEqual((parts.path or "/", parts.query), (found.path, found.query))


class OwnTests(SynchronousTestCase):
    def test_split(self) -> None:
        """The rest is what would be asked of that host itself."""
        for uri, expected in (
            (b"http://a:1/b?c", (b"a:1", b"/b?c")),
            (b"http://a", (b"a", b"/")),
            (b"http://a?b/c", (b"a", b"/?b/c")),
        ):
            self.assertEqual(split_absolute(uri), expected)

    def test_own(self) -> None:
        """The announced address, and where the connection was made to."""
        for authority, own in (
            *((b"P.example:80", True), (b"10.0.0.1:8080", True), (b"localhost:8080", True)),
            *((b"p.example", False), (b"10.0.0.1", False), (b"10.0.0.1:80", False), (b"", False)),
        ):
            self.assertEqual(is_own(authority, "p.example:80", "10.0.0.1", 8080), own, authority)
        assert is_own(b"[::1]:8080", "", "::1", 8080)
        assert is_own(b"10.0.0.1", "", "10.0.0.1", 80)
        assert not is_own(b"", "", "", 0)
