"""Tests of promproxy.outbound.names."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.names import is_named

#: Names of a certificate, and whether they are the host's; as Go's (*Certificate).VerifyHostname.
CASES = (
    ("web-1.example.org", ["web-1.example.org"], True),
    ("WEB-1.example.org", ["web-1.EXAMPLE.org"], True),
    ("web-1.example.org.", ["web-1.example.org"], True),
    ("web-1.example.org", ["web-2.example.org"], False),
    ("node_exporter", ["node_exporter"], True),
    ("a-.example.org", ["a-.example.org"], True),
    ("web-1.example.org", ["127.0.0.1", "*", "a.*.example.org", "web-1.example.org"], True),
    ("web-1.lan", ["*.lan"], True),
    ("a.b.lan", ["*.lan"], False),
    ("lan", ["*.lan"], False),
    ("host", ["*"], True),
    ("host.lan", ["*"], False),
    ("xn--bcher-kva.example", ["*.example"], True),
    ("ab.example.org", ["a*.example.org"], False),
    ("a.b.example.org", ["a.*.example.org"], False),
    ("web-1.example.org", [], False),
    ("127.0.0.1", ["127.0.0.1"], False),
    ("127.0.0.1", ["*.0.0.1"], False),
    ("example.org", [""], False),
    ("example.org", ["."], False),
)


class IsNamedTests(SynchronousTestCase):
    def test_dns_names(self) -> None:
        for host, names, expected in CASES:
            self.assertEqual(is_named(host, names, []), expected, (host, names))

    def test_addresses(self) -> None:
        """However they are written; a name never stands for one."""
        own = [ip_address("192.0.2.1"), ip_address("2001:db8::1")]
        for host, expected in (
            ("192.0.2.1", True),
            ("2001:DB8:0::1", True),
            ("192.0.2.2", False),
            ("192.0.2.1.example", False),
        ):
            self.assertEqual(is_named(host, [], own), expected, host)
