"""Tests of promproxy.scrape.caller."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import LoopDetected
from promproxy.scrape.caller import caller_headers, lines_for_proxy, lines_for_scrapes
from promproxy.server.head import read_fields

FIELDS = read_fields(
    b"Host: p\r\nAccept: text/plain\r\nUser-Agent: Prometheus/3\r\nX-Own: \x01a\r\n"
    b"Connection: x-hop\r\nX-Hop: b\r\n"
)


class LinesTests(SynchronousTestCase):
    def test_scrapes_pass_on_what_decides_the_form_of_the_answer(self) -> None:
        self.assertEqual(
            lines_for_scrapes(b"us")(FIELDS),
            b"Accept: text/plain\r\nUser-Agent: Prometheus/3\r\nPromproxy-Loop: us\r\n",
        )

    def test_a_proxy_passes_on_all_but_hop_by_hop_fields(self) -> None:
        lines = lines_for_proxy(b"us")(FIELDS)
        for name in (b"accept: text/plain", b"x-own:  a", b"Promproxy-Loop: us"):
            self.assertIn(name + b"\r\n", lines)
        for name in (b"x-hop", b"host", b"connection"):
            self.assertNotIn(name, lines)

    def test_loop(self) -> None:
        fields = read_fields(b"Promproxy-Loop: other, us\r\n")
        self.assertRaises(LoopDetected, lines_for_scrapes(b"us"), fields)
        self.assertRaises(LoopDetected, lines_for_proxy(b"us"), fields)

    def test_control_characters_become_spaces(self) -> None:
        """They would break out of their line, or be refused by the target."""
        fields = read_fields(b"User-Agent: a\tb\x7fc\r\n")
        self.assertEqual(caller_headers(fields).user_agent, b"a b c")
