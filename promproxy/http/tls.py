"""TLS toward upstreams: one context for all hosts of a profile, sessions kept for resumption.

Twisted's own policy makes a context per host, which loads the trusted certificates again each
time (about a megabyte and 10 ms), and switches sessions off. Here one context serves all hosts;
the name is shown (SNI) and verified per connection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from attrs import define, field, frozen
from OpenSSL import SSL
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from promproxy.http.origin import is_address


def make_tls_policy(
    *, trust_root: Any, server_name: str | None = None, **certificate_options: Any
) -> SharedContextPolicy:
    """How to talk TLS with every host of one profile.

    ``trust_root``: what :class:`twisted.internet.ssl.CertificateOptions` takes as ``trustRoot``,
    for instance ``platformTrust()``; None accepts any certificate for any name.
    ``server_name`` is shown and verified in place of each host's own name.
    ``certificate_options`` go to ``CertificateOptions`` (privateKey, certificate,
    raiseMinimumTo, ...).
    """
    options = CertificateOptions(
        trustRoot=trust_root,
        enableSessions=True,
        enableSessionTickets=True,
        **certificate_options,
    )
    context = options.getContext()
    if trust_root is not None:
        context.set_info_callback(_verify_name)
    return SharedContextPolicy(context, server_name)


def _verify_name(connection: SSL.Connection, where: int, _ret: int) -> None:
    """When a handshake is through, refuse a certificate that is for another name."""
    if not where & SSL.SSL_CB_HANDSHAKE_DONE:
        return
    tls_protocol, name = connection.get_app_data()
    try:
        if is_address(name):
            verify_ip_address(connection, name)
        else:
            verify_hostname(connection, name)
    except Exception:
        # Whatever went wrong, pyOpenSSL would drop the exception and go on.
        tls_protocol.failVerification(Failure())


@implementer(IPolicyForHTTPS)
@frozen
class SharedContextPolicy:
    """The policy of one profile; see :func:`make_tls_policy`."""

    _context: SSL.Context
    _server_name: str | None

    def creatorForNetloc(self, hostname: bytes, port: int) -> _NameCreator:
        return _NameCreator(self._context, self._server_name or hostname.decode("ascii"))


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _NameCreator:
    _context: SSL.Context
    _name: str

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_connect_state()
        connection.set_app_data((tlsProtocol, self._name))
        if not is_address(self._name):
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection


@define
class SessionCache:
    """The newest TLS session of each origin, for at most ``size`` origins."""

    size: int
    _sessions: OrderedDict[Hashable, SSL.Session] = field(factory=OrderedDict, init=False)

    def keep(self, key: Hashable, session: SSL.Session | None) -> None:
        """Remember a session; the origin that was not used for longest may be forgotten."""
        if session is None:
            return
        self._sessions[key] = session
        self._sessions.move_to_end(key)
        if len(self._sessions) > self.size:
            self._sessions.popitem(last=False)

    def get(self, key: Hashable) -> SSL.Session | None:
        """The session to resume, if there is one."""
        return self._sessions.get(key)


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class ResumingCreator:
    """Another creator's connections, set to resume a session."""

    _creator: Any
    _session: SSL.Session

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection: SSL.Connection = self._creator.clientConnectionForTLS(tlsProtocol)
        connection.set_session(self._session)
        return connection
