"""Tests of promproxy.targets.netloc."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.netloc import bracketed, netloc


class NetlocTests(SynchronousTestCase):
    def test_default_port_is_left_out(self) -> None:
        self.assertEqual(netloc("a", 80, "http"), "a")
        self.assertEqual(netloc("a", 443, "https"), "a")
        self.assertEqual(netloc("a", 443, "http"), "a:443")
        self.assertEqual(netloc("a", 80), "a:80")

    def test_ipv6_address_gets_brackets(self) -> None:
        self.assertEqual(netloc("::1", 80, "http"), "[::1]")
        self.assertEqual(netloc("::1", 9100), "[::1]:9100")
        self.assertEqual((bracketed("::1"), bracketed("10.0.0.1")), ("[::1]", "10.0.0.1"))
