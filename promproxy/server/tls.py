"""TLS toward callers: what new connections are made with, and what certificates they have shown."""

from __future__ import annotations

from typing import Any

from attrs import define
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer


class ServerContext(SSL.Context):
    """What connections are made with. Where it ``verifies``, certificates shown were verified.

    ``not_after`` is when its own certificate ends, in seconds of the epoch.
    """

    verifies = False
    not_after = 0.0


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False)
class ServerConnections:
    """Makes the TLS side of new connections, with whatever is the newest; the others stay."""

    newest: ServerContext

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self.newest, None)


#: In plain text, to a caller that does not speak TLS; Go's servers answer the same way.
_TEXT = b"This port takes HTTPS, and this was HTTP: write https:// there.\n"
PLAIN_HTTP_ANSWER = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_TEXT), _TEXT)
)


class TlsProtocol(TLSMemoryBIOProtocol):
    """TLS, but for a caller whose first byte is that of an HTTP method (RFC 8446 section 5.1: a
    record begins with 20 to 23).

    Not the protocol of newer Twisteds, which collects what is written; ours is written in one
    piece already.
    """

    _has_begun = False

    def dataReceived(self, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            if data[:1].isalpha() and self.transport is not None:
                self.transport.write(PLAIN_HTTP_ANSWER)
        super().dataReceived(data)  # where the handshake fails, which ends the connection


class TlsFactory(TLSMemoryBIOFactory):
    """TLS before another factory, which may refuse connections."""

    noisy = False
    protocol = TlsProtocol

    def __init__(self, connections: ServerConnections, factory: IProtocolFactory) -> None:
        super().__init__(connections, isClient=False, wrappedFactory=factory)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """None where the other factory has none; Twisted's would wrap it."""
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else self.protocol(self, protocol)


def verified_sans(transport: object) -> frozenset[str] | None:
    """The names in the caller's verified certificate, None without one."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return None
    connection: SSL.Connection | None = transport.getHandle()
    if connection is None:
        return None
    # By what it was made with, which need not be the newest.
    context = connection.get_context()
    if not isinstance(context, ServerContext) or not context.verifies:
        return None
    certificate = connection.get_peer_certificate()
    return None if certificate is None else sans_of(certificate.to_cryptography())


def sans_of(certificate: x509.Certificate) -> frozenset[str]:
    """All its subject alternative names: DNS names, addresses of both kinds, URIs.

    One that cannot be read has none.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return frozenset()
    texts: list[str] = []
    for kind in (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier):
        texts += names.get_values_for_type(kind)
    return frozenset((*texts, *map(str, names.get_values_for_type(x509.IPAddress))))
