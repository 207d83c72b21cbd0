"""Tests of promproxy.outbound.origin: where requests go."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.origin import HttpProxy, Router, basic_credentials, split_url

ROUTER = Router(scheme="https", host="10.0.0.5", port=443)
PROXY = HttpProxy(host="proxy", port=3128, authorization=basic_credentials("u", "p"))


class OriginTests(SynchronousTestCase):
    """What is computed from scheme, host, port, router and proxy."""

    def test_authority_leaves_out_the_default_port(self) -> None:
        """The Host header names the port only if it is not the scheme's own."""
        for url, authority in (
            ("http://h/", b"h"),
            ("http://h:443/", b"h:443"),
            ("https://h:443/", b"h"),
            ("http://[::1]:9100/", b"[::1]:9100"),
        ):
            assert split_url(url)[0].authority == authority

    def test_router_decides_where_and_how_to_connect(self) -> None:
        """With a router its address and scheme are used; the Host header stays the route's."""
        origin, _ = split_url("http://app.example.org/metrics", router=ROUTER)
        assert (origin.peer, origin.tls) == (("10.0.0.5", 443), True)
        assert origin.authority == b"app.example.org"

    def test_routes_share_a_plain_router_only(self) -> None:
        """Connections are shared behind a plain router, not where each name has its handshake."""
        plain = Router(scheme="http", host="10.0.0.5", port=80)
        for router, shared in ((plain, True), (ROUTER, False)):
            a, b = (split_url(f"https://{name}/", router=router)[0] for name in "ab")
            assert (a.key == b.key) == shared

    def test_keys_differ_by_scheme_and_proxy(self) -> None:
        """No connection is used for another scheme, port or proxy."""
        keys = {
            split_url("http://h:443/")[0].key,
            split_url("https://h/")[0].key,
            split_url("https://h/", proxy=PROXY)[0].key,
            split_url("https://h:444/")[0].key,
        }
        assert len(keys) == 4

    def test_tunnel_where_absolute_form_cannot_serve(self) -> None:
        """A proxy is asked to CONNECT for TLS, and for a router even without TLS."""
        plain = Router(scheme="http", host="r", port=80)
        assert not split_url("http://h/", proxy=PROXY)[0].tunnel
        assert split_url("https://h/", proxy=PROXY)[0].tunnel
        assert split_url("http://h/", proxy=PROXY, router=plain)[0].tunnel

    def test_url_gives_path_and_query(self) -> None:
        """Path and query are kept as written; the fragment is dropped."""
        for url, path in (
            ("http://h", b"/"),
            ("http://h?a=b", b"/?a=b"),
            ("http://h/m%2Fx?a=b&c#d", b"/m%2Fx?a=b&c"),
        ):
            assert split_url(url)[1] == path

    def test_unusable_urls_are_refused(self) -> None:
        """A URL that could not be asked as it is written is a ValueError."""
        for url in (
            "ftp://h/",
            "h:80/",
            "http:///x",
            "http://u:p@h/",
            "http://h:0x/",
            "http://h:70000/",
            "http://h/a b",
            "http://h/\r\nX: y",
            "http://h\t/",
            "http://h\xe9/",
            "http://h,i/",
        ):
            with self.assertRaises(ValueError, msg=url):
                split_url(url)

    def test_proxy_credentials_do_not_show(self) -> None:
        """The text of an origin holds no credentials."""
        origin, _ = split_url("http://h/", proxy=PROXY)
        assert "dTpw" not in repr(origin) + repr(PROXY)
