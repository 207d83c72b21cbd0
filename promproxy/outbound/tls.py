"""TLS toward upstreams: one context for all hosts of a profile, sessions kept for resumption.

Twisted's own policy makes a context per host, which loads the trusted certificates again each
time (about a megabyte and 10 ms), and switches sessions off. Here one context serves all hosts.
OpenSSL verifies the chain during the handshake; the name is verified right after it, by an
explicit call that must return before the first byte of a request is written. (Verifying in an
OpenSSL callback would fail open: exceptions there are dropped.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from attrs import define, field, frozen
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer

from promproxy.errors import Unreachable
from promproxy.outbound.names import is_named
from promproxy.outbound.origin import is_address


@frozen
class TLSProfile:
    """How to talk TLS with every host of one outbound profile; see :func:`make_tls_profile`."""

    _context: SSL.Context
    _verify: bool
    _server_name: str | None
    allow_unclean_close: bool = False

    def creator(self, host: str, session: SSL.Session | None) -> IOpenSSLClientConnectionCreator:
        """Makes connections that show this host's name and try to resume the session."""
        return _Creator(self._context, self._server_name or host, session)

    def check_name(self, connection: SSL.Connection, host: str) -> None:
        """After the handshake: raise :class:`Unreachable` unless the certificate is this host's."""
        name = self._server_name or host
        if self._verify and not is_named(name, *_names_of(connection)):
            raise Unreachable("TLS certificate not accepted")


def make_tls_profile(
    *,
    trust_root: Any,
    server_name: str | None = None,
    allow_unclean_close: bool = False,
    **certificate_options: Any,
) -> TLSProfile:
    """A profile.

    ``trust_root``: what :class:`twisted.internet.ssl.CertificateOptions` takes as ``trustRoot``,
    for instance ``platformTrust()``; None accepts any certificate for any name.
    ``server_name`` is shown and verified in place of each host's own name.
    ``allow_unclean_close``: a body that ends with the connection is whole without a close_notify.
    ``certificate_options`` go to ``CertificateOptions`` (privateKey, certificate,
    raiseMinimumTo, ...).
    """
    options = CertificateOptions(
        trustRoot=trust_root,
        enableSessions=True,
        enableSessionTickets=True,
        **certificate_options,
    )
    verify = trust_root is not None
    return TLSProfile(options.getContext(), verify, server_name, allow_unclean_close)


def _names_of(
    connection: SSL.Connection,
) -> tuple[list[str], list[IPv4Address | IPv6Address]]:
    """The DNS names and the addresses of the certificate that the other end has shown."""
    certificate = connection.get_peer_certificate()
    if certificate is None:
        return [], []
    try:
        extensions = certificate.to_cryptography().extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return [], []
    addresses = names.get_values_for_type(x509.IPAddress)
    return names.get_values_for_type(x509.DNSName), [
        address for address in addresses if isinstance(address, (IPv4Address, IPv6Address))
    ]


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _Creator:
    _context: SSL.Context
    _name: str
    _session: SSL.Session | None

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_connect_state()
        if not is_address(self._name):
            # RFC 6066, section 3: without a dot at the end.
            connection.set_tlsext_host_name(self._name.removesuffix(".").encode("ascii"))
        if self._session is not None:
            connection.set_session(self._session)
        return connection


@define
class SessionCache:
    """The newest TLS session of each origin, for at most ``size`` origins."""

    size: int
    _sessions: OrderedDict[Hashable, SSL.Session] = field(factory=OrderedDict, init=False)

    def keep(self, key: Hashable, session: SSL.Session | None) -> None:
        """Remember a session; the one that was kept longest ago may be forgotten."""
        if session is None:
            return
        self._sessions[key] = session
        self._sessions.move_to_end(key)
        if len(self._sessions) > self.size:
            self._sessions.popitem(last=False)

    def get(self, key: Hashable) -> SSL.Session | None:
        """The session to resume, if there is one."""
        return self._sessions.get(key)
