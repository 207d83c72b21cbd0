"""The words for what keeps us from connecting, and the sessions kept."""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from promproxy.outbound.connect import reason_of
from promproxy.outbound.tls import SessionCache


class ReasonTests(SynchronousTestCase):
    """Library errors become short fixed phrases."""

    def test_phrases(self) -> None:
        """Each kind of error has its phrase; nothing of the library's text gets through."""
        for problem, reason in (
            (error.ConnectionRefusedError("secret"), "connection refused"),
            (error.DNSLookupError("secret"), "name not found"),
            (error.TimeoutError("secret"), "connect timed out"),
            (error.TCPTimedOutError("secret"), "connect timed out"),
            (error.NoRouteError("secret"), "no route to host"),
            (error.ConnectError(errno.EHOSTUNREACH, "secret"), "no route to host"),
            (error.ConnectError(errno.EMFILE, "secret"), "connection failed"),
            (error.ConnectionLost("secret"), "TLS handshake failed"),
            (SSL.Error([("SSL routines", "", "wrong version number")]), "TLS handshake failed"),
            (
                SSL.Error([("SSL routines", "", "certificate verify failed")]),
                "TLS certificate not accepted",
            ),
            (RuntimeError("secret"), "connection failed"),
        ):
            assert reason_of(problem) == reason, problem


class SessionCacheTests(SynchronousTestCase):
    """Sessions are strings here; the cache does not look into them."""

    def test_newest_of_each_origin(self) -> None:
        """A newer session replaces the older; none replaces nothing."""
        cache = SessionCache(2)
        for session in ("one", "two", None):
            cache.keep("a", session)
        assert (cache.get("a"), cache.get("b")) == ("two", None)

    def test_size_is_bounded(self) -> None:
        """The origin whose session was kept longest ago is forgotten first."""
        cache = SessionCache(2)
        for key in ("a", "b", "a", "c"):
            cache.keep(key, key)
        assert [cache.get(key) for key in "abc"] == ["a", None, "c"]
