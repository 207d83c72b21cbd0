"""Tests of promproxy.outbound.request."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.http_proxy import connect_request
from promproxy.outbound.origin import HttpProxy, Origin, Router, basic_credentials, split_url
from promproxy.outbound.request import render_headers, start_request

ROUTER = Router(scheme="https", host="10.0.0.5", port=443)
PROXY = HttpProxy(host="proxy", port=3128, authorization=basic_credentials("u", "p"))


class RequestTests(SynchronousTestCase):
    """Request heads as bytes."""

    def origin(self, **ways: object) -> Origin:
        return split_url("http://h:81/", **ways)[0]  # type: ignore[arg-type]

    def test_plain_request(self) -> None:
        """Request line and Host, no blank line."""
        head = start_request(self.origin(), b"GET", b"/m")
        assert head == b"GET /m HTTP/1.1\r\nHost: h:81\r\n"

    def test_plain_proxy_gets_absolute_form_and_credentials(self) -> None:
        """A plain proxy routes by the request line and wants its credentials there."""
        head = start_request(self.origin(proxy=PROXY), b"GET", b"/m")
        assert (
            head
            == b"GET http://h:81/m HTTP/1.1\r\nHost: h:81\r\nProxy-Authorization: Basic dTpw\r\n"
        )

    def test_tunnel_keeps_credentials_to_itself(self) -> None:
        """Through a tunnel the proxy's credentials are in the CONNECT only."""
        origin = self.origin(proxy=PROXY, router=ROUTER)
        assert (
            connect_request(origin) == b"CONNECT 10.0.0.5:443 HTTP/1.1\r\nHost: 10.0.0.5:443\r\n"
            b"Proxy-Authorization: Basic dTpw\r\n\r\n"
        )
        assert start_request(origin, b"GET", b"/m") == b"GET /m HTTP/1.1\r\nHost: h:81\r\n"

    def test_headers(self) -> None:
        """Each header is one line."""
        assert render_headers([(b"A", b"b"), (b"A", b"")]) == b"A: b\r\nA: \r\n"

    def test_line_breaks_cannot_get_in(self) -> None:
        """Nothing that would begin another header or request is written."""
        for name, value in ((b"A", b"b\r\nC: d"), (b"A\n", b""), (b"A b", b""), (b"A", b"\x00")):
            with self.assertRaises(ValueError):
                render_headers([(name, value)])
        for method, path in ((b"GE T", b"/"), (b"GET", b"/ HTTP/1.1"), (b"GET", b"")):
            with self.assertRaises(ValueError):
                start_request(self.origin(), method, path)
