"""Connecting to a host by its name, which goes to the resolver as it is written."""

from __future__ import annotations

from twisted.internet.endpoints import HostnameEndpoint


class NamedEndpoint(HostnameEndpoint):
    """As Twisted's, for any name in ASCII.

    Twisted refuses what IDNA 2008 forbids, such as ``node_exporter``, ``ab--cd`` or a label that
    ends with a hyphen. Resolvers, Go and curl know such names: containers and hosts have them.
    """

    @staticmethod
    def _hostAsBytesAndText(host: bytes | str) -> tuple[bool, bytes, str]:
        """Whether the name is bad, and the name in both forms; Twisted calls this."""
        text = host.decode("ascii") if isinstance(host, bytes) else host
        labels = text.removesuffix(".").split(".")
        # RFC 1035, section 2.3.4; Python's look-up raises an error of its own for these.
        return not all(0 < len(label) < 64 for label in labels), text.encode("ascii"), text
