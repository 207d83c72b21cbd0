"""Where a request goes. Pure values; everything that can be computed once is computed once.

An :class:`Origin` says whose answer is wanted (scheme, host, port of the URL) and how to get
there (a router to connect to in place of the host, an HTTP proxy on the way).
"""

from __future__ import annotations

import base64
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import field, frozen
from attrs.validators import in_, matches_re

from promproxy.outbound.networks import Networks
from promproxy.outbound.no_proxy import NoProxy
from promproxy.targets.netloc import DEFAULT_PORTS, netloc

#: What a Host header allows; an IPv6 address is written without brackets.
_HOST = re.compile(r"[A-Za-z0-9._~:\-]+")

_host = matches_re(_HOST)
_port = in_(range(1, 65536))


def _authority(host: str, port: int, scheme: str = "") -> bytes:
    return netloc(host, port, scheme).encode("ascii")


def is_address(host: str) -> bool:
    """Is this an IPv4 or IPv6 address (which is not looked up and gets no SNI)?"""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@frozen(kw_only=True)
class Router:
    """A place to connect to instead of the origin's own; its scheme decides whether TLS is used."""

    scheme: str = field(validator=in_(DEFAULT_PORTS))
    host: str = field(validator=_host)
    port: int = field(validator=_port)


@frozen(kw_only=True, cache_hash=True)
class HttpProxy:
    """An HTTP proxy, reached without TLS.

    ``authorization`` is the value of a Proxy-Authorization header, for instance
    ``basic_credentials("user", "password")``. What ``no_proxy`` has is reached without it.
    """

    host: str = field(validator=_host)
    port: int = field(validator=_port)
    authorization: bytes | None = field(default=None, repr=False)
    no_proxy: NoProxy = NoProxy()

    def toward(self, host: str, port: int) -> HttpProxy | None:
        """This proxy, or None where that place is reached without it."""
        return None if self.no_proxy.has(host, port) else self


def basic_credentials(username: str, password: str) -> bytes:
    """The value of an Authorization or Proxy-Authorization header of the Basic scheme."""
    return b"Basic " + base64.b64encode(f"{username}:{password}".encode())


@frozen(kw_only=True)
class Origin:
    """Whose answer is wanted, and how to get there.

    ``denied`` are networks that its host must not be in when it is connected to.

    Computed from the fields: ``authority`` (the Host header), ``tls`` (is the hop that carries
    our request encrypted), ``tunnel`` (is the proxy asked to CONNECT), ``peer`` (host and port
    beyond the proxy) and ``key``: requests whose origins have equal keys may share connections.
    Without TLS all routes behind one router share theirs; with TLS each name has its own, as
    the name was shown and verified in the handshake.
    """

    scheme: str = field(validator=in_(DEFAULT_PORTS))
    host: str = field(validator=_host)
    port: int = field(validator=_port)
    router: Router | None = None
    proxy: HttpProxy | None = None
    denied: Networks | None = None
    authority: bytes = field(init=False, repr=False, eq=False)
    tls: bool = field(init=False, repr=False, eq=False)
    tunnel: bool = field(init=False, repr=False, eq=False)
    peer: tuple[str, int] = field(init=False, repr=False, eq=False)
    key: tuple[object, ...] = field(init=False, repr=False, eq=False)

    @authority.default
    def _compute_authority(self) -> bytes:
        return _authority(self.host, self.port, self.scheme)

    @tls.default
    def _compute_tls(self) -> bool:
        return (self.router.scheme if self.router else self.scheme) == "https"

    @tunnel.default
    def _compute_tunnel(self) -> bool:
        # A proxy routes a plain request by its absolute form, where router and Host cannot
        # differ, so a router behind a proxy needs a tunnel too.
        return self.proxy is not None and (self.tls or self.router is not None)

    @peer.default
    def _compute_peer(self) -> tuple[str, int]:
        place = self.router or self
        return place.host, place.port

    @key.default
    def _compute_key(self) -> tuple[object, ...]:
        return (self.peer, self.host if self.tls else None, self.proxy, self.denied)

    @property
    def peer_authority(self) -> bytes:
        """What a CONNECT asks for: always with the port."""
        return _authority(*self.peer)

    def request_target(self, path: bytes) -> bytes:
        """The target in the request line: ``path``, or the absolute form for a plain proxy."""
        if self.proxy is not None and not self.tunnel:
            return self.scheme.encode("ascii") + b"://" + self.authority + path
        return path


def split_url(
    url: str, *, router: Router | None = None, proxy: HttpProxy | None = None
) -> tuple[Origin, bytes]:
    """The origin of an http or https URL, and its path with the query.

    Raises :class:`ValueError` for any other scheme, userinfo, a bad port, or characters that
    do not fit into a request line. The fragment is dropped.
    """
    # urlsplit silently removes tabs and line ends, so the check comes first.
    if not re.fullmatch(r"[!-~]+", url):
        raise ValueError("a URL is printable ASCII without spaces")
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("a URL is http:// or https:// and a host, without a user name")
    port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    peer = (router.host, router.port) if router else (parts.hostname, port)
    origin = Origin(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        router=router,
        proxy=proxy.toward(*peer) if proxy else None,
    )
    path = parts.path or "/"
    return origin, (f"{path}?{parts.query}" if parts.query else path).encode("ascii")
