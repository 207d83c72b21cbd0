"""Tests of promproxy.outbound.no_proxy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.no_proxy import NoProxy


class NoProxyTests(SynchronousTestCase):
    """Each as Go's httpproxy reads it."""

    def test_what_is_in_a_list(self) -> None:
        """Names, those below them, addresses, networks, ports."""
        for text, inside, outside in (
            ("example.org", ("example.org", "a.example.org", "EXAMPLE.org."), ("anexample.org",)),
            (".example.org", ("a.example.org", "b.a.example.org"), ("example.org", "10.0.0.1")),
            ("*.example.org", ("a.example.org",), ("example.org",)),
            ("10.0.0.0/8", ("10.1.2.3",), ("11.1.2.3", "ten.example", "::ffff")),
            ("10.1.2.3", ("10.1.2.3",), ("10.1.2.4", "a10.1.2.3")),
            ("2001:db8::/32", ("2001:db8::5",), ("2001:db9::5", "10.0.0.1")),
            ("::1, b", ("::1", "b", "a.b"), ("::2",)),
            ("*", ("a", "10.0.0.1", "::1"), ()),
            (" A.Example ,, ", ("a.example",), ("b.example",)),
            ("", (), ("a", "10.0.0.1")),
        ):
            listed = NoProxy(text)
            for host in inside:
                assert listed.has(host, 443), f"{text} has {host}"
            for host in outside:
                assert not listed.has(host, 443), f"{text} has not {host}"

    def test_port(self) -> None:
        for text, host in (
            ("a.example:8080", "a.example"),
            ("10.0.0.1:8080", "10.0.0.1"),
            ("[::1]:8080", "::1"),
        ):
            self.assertTrue(NoProxy(text).has(host, 8080))
            self.assertFalse(NoProxy(text).has(host, 80))

    def test_mistakes(self) -> None:
        for text in (
            "http://a",
            "a b",
            "a:b",
            "a:",
            ":80",
            "10.0.0.0/33",
            "a/8",
            "[::1",
            "**",
            "é",
        ):
            error = self.assertRaises(ValueError, NoProxy, f"ok,{text}")
            self.assertIn(repr(text), str(error))

    def test_is_true_where_it_has_anything(self) -> None:
        """Is written as it was read."""
        self.assertEqual((bool(NoProxy(" ,")), bool(NoProxy("a"))), (False, True))
        self.assertEqual(str(NoProxy("a,B")), "a,B")

    @given(st.text("a.*:/[]01, -", max_size=20), st.text("a.:01", max_size=8))
    def test_any_text(self, text: str, host: str) -> None:
        """A list or ValueError, and an answer."""
        try:
            listed = NoProxy(text)
        except ValueError:
            return
        self.assertIn(listed.has(host, 1), (True, False))
