"""Tests of promproxy.http.forwarding."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import LoopDetected
from promproxy.http.forwarding import (
    CallerHeaders,
    end_to_end_headers,
    is_gorouter_miss,
    is_redirect,
    request_headers,
    response_header_lines,
    timeout_header_line,
)

NO_HEADERS = CallerHeaders(accept=None, accept_encoding=None, user_agent=None, loop=None)


class EndToEndTests(SynchronousTestCase):
    def test_what_a_proxy_passes_on(self) -> None:
        """Everything, but for what is meant for the proxy, and what we say ourselves."""
        kept = [(b"accept", b"a"), (b"authorization", b"b"), (b"x-other", b"c"), (b"x-other", b"d")]
        dropped = [
            *((b"connection", b"close, X-Hop ,Y"), (b"x-hop", b"1"), (b"y", b"2"), (b"te", b"t")),
            *((b"host", b"h"), (b"id", b"i"), (b"content-length", b"0"), (b"expect", b"e")),
            *((b"proxy-authorization", b"p"), (b"proxy-connection", b"q"), (b"upgrade", b"u")),
            *((b"x-prometheus-scrape-timeout-seconds", b"9"), (b"promproxy-loop", b"l")),
        ]
        self.assertEqual(list(end_to_end_headers([*dropped, *kept])), kept)


class HeadersPassedOnTests(SynchronousTestCase):
    def test_what_the_caller_sent(self) -> None:
        """What decides on the answer's form goes on as it came."""
        caller = CallerHeaders(
            accept=b"text/plain;q=0.5", accept_encoding=b"gzip", user_agent=b"P/2", loop=b"f00"
        )
        self.assertEqual(
            request_headers(caller, b"me"),
            [
                (b"Accept", b"text/plain;q=0.5"),
                (b"Accept-Encoding", b"gzip"),
                (b"User-Agent", b"P/2"),
                (b"Promproxy-Loop", b"f00, me"),
            ],
        )

    def test_what_the_caller_did_not_send(self) -> None:
        """It is not made up."""
        self.assertEqual(request_headers(NO_HEADERS, b"me"), [(b"Promproxy-Loop", b"me")])

    def test_the_time_that_is_left(self) -> None:
        """In seconds, to the millisecond; never nothing, which would count as no time-out."""
        cases = ((9.75, b"9.750"), (0.1, b"0.100"), (0.00049, b"0.001"), (-0.005, b"0.001"))
        for seconds, text in cases:
            line = b"X-Prometheus-Scrape-Timeout-Seconds: %b\r\n" % text
            self.assertEqual(timeout_header_line(seconds), line)

    def test_loops(self) -> None:
        """A request that has been here is refused, wherever in the list our id stands."""
        for seen in (b"me", b"a, me", b"me,b", b"a,me, b", b" me "):
            with self.assertRaises(LoopDetected, msg=seen):
                self._headers_after(seen)

    def test_a_chain_of_others(self) -> None:
        """Other processes may stand in between, also those whose id is longer than ours."""
        for seen in (b"a", b"a, b", b"me2", b"some", b""):
            self._headers_after(seen)

    def _headers_after(self, seen: bytes) -> None:
        caller = CallerHeaders(accept=None, accept_encoding=None, user_agent=None, loop=seen)
        request_headers(caller, b"me")


class AnswerTests(SynchronousTestCase):
    def test_redirects(self) -> None:
        """Those that name another place; 304 and 300 do not."""
        followed = [status for status in range(200, 600) if is_redirect(status)]
        self.assertEqual(followed, [301, 302, 303, 307, 308])

    def test_headers_that_go_back(self) -> None:
        """What the body is and how long, in any case of letters; nothing else."""
        kept = [
            (b"Content-Type", b"text/plain"),
            (b"content-encoding", b"gzip"),
            (b"CONTENT-LENGTH", b"5"),
        ]
        others = [(b"Set-Cookie", b"a"), (b"Server", b"b"), (b"Transfer-Encoding", b"chunked")]
        lines = b"Content-Type: text/plain\r\ncontent-encoding: gzip\r\nCONTENT-LENGTH: 5\r\n"
        self.assertEqual(response_header_lines([*kept, *others]), lines)

    def test_answers_of_the_router_itself(self) -> None:
        """Those that say that it cannot reach the instance; an app's own answers say nothing."""
        for value in (b"unknown_route", b"endpoint_failure (dial tcp: refused)", b"no_endpoints"):
            headers = [(b"Server", b"a"), (b"X-Cf-RouterError", value)]
            for status in (404, 502, 503):
                assert is_gorouter_miss(status, headers), value
            assert not is_gorouter_miss(200, headers), value
        for name, value in ((b"X-Cf-RouterError", b"invalid_header"), (b"X-A", b"unknown_route")):
            assert not is_gorouter_miss(404, [(name, value)]), (name, value)
