"""Tests of promproxy.http.forwarding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
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
from promproxy.scrape.limits import Timeouts

SECONDS = st.floats(0.001, 1e6)
HEADERS = st.one_of(
    st.none(),
    st.binary(max_size=8),
    st.floats(0.001).map(lambda number: repr(number).encode()),
    st.sampled_from([b"inf", b"-inf", b"nan", b"-1", b"0", b"1e999", b"", b" 5 ", b"10s"]),
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


class TimeoutsTests(SynchronousTestCase):
    def test_what_the_caller_says(self) -> None:
        """Its time-out, less the offset."""
        self.assertEqual(Timeouts().deadline_in(b"15"), 14.75)
        self.assertEqual(Timeouts().deadline_in(b"1.5"), 1.25)

    def test_no_time_out_given(self) -> None:
        """The default, less the offset; so too for a header that names no positive number."""
        for header in (None, b"", b"x", b"10s", b"0", b"-5", b"nan", b"\xff"):
            self.assertEqual(Timeouts().deadline_in(header), 9.75, header)

    def test_maximum(self) -> None:
        """No scrape takes longer, whatever is asked for."""
        for header in (b"61", b"1e9", b"inf"):
            self.assertEqual(Timeouts().deadline_in(header), 59.75)

    def test_default_above_the_maximum(self) -> None:
        """The maximum holds for callers that name no time-out as well."""
        self.assertEqual(Timeouts(default=10, maximum=5).deadline_in(None), 4.75)

    def test_short_time_outs(self) -> None:
        """Half of the time is left to scrape where the offset would take more."""
        self.assertEqual(Timeouts().deadline_in(b"0.4"), 0.2)
        self.assertEqual(Timeouts(offset=30).deadline_in(b"10"), 5)

    @given(HEADERS, SECONDS, SECONDS, st.just(0.0) | SECONDS)
    def test_any_header(
        self, header: bytes | None, default: float, maximum: float, offset: float
    ) -> None:
        """The deadline lies ahead, and no further away than the maximum."""
        timeouts = Timeouts(default=default, maximum=maximum, offset=offset)
        assert 0 < timeouts.deadline_in(header) <= maximum


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
