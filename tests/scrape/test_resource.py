"""Tests of promproxy.scrape.resource."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy.errors import BadUpstream, Unreachable
from promproxy.metrics import Metrics
from promproxy.outbound.response import Response
from promproxy.scrape.resource import ScrapeResource
from promproxy.scrape.settings import ScrapeSettings
from promproxy.targets.target import Delivery
from promproxy.web.root import Pages, make_root
from tests.fakes import (
    Answer,
    Caller,
    FakeConnection,
    FakeOutbound,
    ScriptedSource,
    break_off,
    delivery_of,
    make_registry,
    make_response,
    make_target,
    registry_with,
    settle,
)

TARGET = make_target("h:1", query="token=secret", headers=(("X-CF-APP-INSTANCE", "guid:0"),))
PATH = "/singleTargetMetrics/vms/h:1"
PLACE = "vms/h:1: http://h:1/metrics: "


def settings(
    in_all: int, per_host: int, per_target: int, body_size_limit: int = 0
) -> ScrapeSettings:
    return ScrapeSettings(
        max_concurrent=in_all,
        max_concurrent_per_host=per_host,
        max_concurrent_per_target=per_target,
        body_size_limit=body_size_limit,
    )


class ScrapeTestCase(SynchronousTestCase):
    """The resource over one target and an outbound side that the test plays."""

    body_size_limit = 0
    limits = (1000, 1000, 1000)

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.outbound = FakeOutbound()
        self.metrics = Metrics()
        self.use(registry_with(self.clock, Delivery((TARGET,))))

    def use(self, registry: Any) -> None:
        self.scrapes = ScrapeResource(
            registry=registry,
            outbound=self.outbound,
            settings=settings(*self.limits, self.body_size_limit),
            metrics=self.metrics,
            clock=self.clock,
            process_id=b"our-id",
        )
        other = self.scrapes
        pages = Pages(
            status=Resource(),
            discovery=other,
            scrape=self.scrapes,
            metrics=other,
            healthy=other,
            ready=other,
            refresh=other,
            reload=other,
            invalidate=other,
            targets=other,
        )
        self.root = make_root(pages)
        self.caller = self.new_caller()

    def new_caller(self) -> Caller:
        return Caller(self.root, self.clock)

    def begin(self, method: str = "GET", path: str = PATH, **headers: str) -> None:
        self.caller.send(method, path, **headers)

    def respond(self, *args: Any, **options: Any) -> tuple[Response, FakeConnection]:
        """The head of the target's answer arrives."""
        response, connection = make_response(*args, **options)
        self.outbound.last.answer.callback(response)
        return response, connection

    def fail_with(self, error: Exception) -> None:
        self.outbound.last.answer.errback(error)

    def counted(self, outcome: str, source: str = "vms") -> float | None:
        labels = {"source": source, "outcome": outcome}
        return self.metrics.registry.get_sample_value("promproxy_scrapes_total", labels)

    def in_flight(self) -> float | None:
        return self.metrics.registry.get_sample_value("promproxy_scrapes_in_flight")

    def assert_over(self) -> None:
        """Nothing is under way, and no place is taken."""
        self.assertEqual(self.in_flight(), 0)
        limits = self.scrapes.limits
        self.assertEqual((limits._everyone.taken, limits._hosts, limits._targets), (0, {}, {}))
        self.successResultOf(self.scrapes.when_idle())


class RequestTests(ScrapeTestCase):
    """What is sent to the target."""

    def sent(self, **headers: str) -> dict[str, str]:
        self.new_caller().send("GET", PATH, **headers)
        pairs = [
            (name.decode(), value.decode("latin-1")) for name, value in self.outbound.last.headers
        ]
        self.assertEqual(len(dict(pairs)), len(pairs))
        return dict(pairs)

    def test_target_of_the_path_is_asked(self) -> None:
        """With the caller's method."""
        for method in ("GET", "HEAD"):
            self.new_caller().send(method, PATH)
            self.assertIs(self.outbound.last.target, TARGET)
            self.assertEqual(self.outbound.last.method, method.encode())

    def test_headers_are_those_promised_and_no_others(self) -> None:
        """Ours and the target's; nothing that the caller meant for us."""
        self.assertEqual(
            self.sent(
                Accept="application/openmetrics-text",
                Accept_Encoding="gzip",
                User_Agent="Prometheus/2.42.0",
                X_Prometheus_Scrape_Timeout_Seconds="10",
                Authorization="Bearer ours",
                Cookie="a=b",
                Via="1.1 x",
                X_Forwarded_For="192.0.2.1",
                X_CF_APP_INSTANCE="other:1",
                Range="bytes=0-1",
            ),
            {
                "X-CF-APP-INSTANCE": "guid:0",
                "Accept": "application/openmetrics-text",
                "Accept-Encoding": "gzip",
                "User-Agent": "Prometheus/2.42.0",
                "X-Prometheus-Scrape-Timeout-Seconds": "9.750",
                "Promproxy-Loop": "our-id",
            },
        )

    def test_absent_headers_stay_absent(self) -> None:
        """Nothing is made up, but the time that there is."""
        self.assertEqual(
            self.sent(),
            {
                "X-CF-APP-INSTANCE": "guid:0",
                "X-Prometheus-Scrape-Timeout-Seconds": "9.750",
                "Promproxy-Loop": "our-id",
            },
        )

    def test_our_id_is_appended_to_those_before(self) -> None:
        """Other processes may be on the way."""
        self.assertEqual(self.sent(Promproxy_Loop="a, b")["Promproxy-Loop"], "a, b, our-id")

    def test_repeated_headers_count_as_one(self) -> None:
        """RFC 9110, section 5.3: a list may be spread over several lines."""
        self.caller.channel.dataReceived(
            f"GET {PATH} HTTP/1.1\r\nHost: p\r\n"
            "Accept: text/plain\r\nAccept: */*;q=0.1\r\n"
            "Promproxy-Loop: a\r\nPromproxy-Loop: b\r\n\r\n".encode()
        )
        headers = dict(self.outbound.last.headers)
        self.assertEqual(headers[b"Accept"], b"text/plain, */*;q=0.1")
        self.assertEqual(headers[b"Promproxy-Loop"], b"a, b, our-id")

    def test_control_characters_of_the_caller_become_spaces(self) -> None:
        """RFC 9110, section 5.5: they must not be forwarded."""
        self.assertEqual(self.sent(User_Agent="a\x01b\x7f\tc\xe4")["User-Agent"], "a b  c\xe4")

    def test_caller_cannot_add_to_the_query(self) -> None:
        """It does not even choose the path."""
        for path in (f"{PATH}?token=mine&port=2", f"{PATH}?"):
            self.new_caller().send("GET", path)
            self.assertIs(self.outbound.last.target, TARGET)

    def test_path_below_a_prefix(self) -> None:
        """A reverse proxy may keep it."""
        self.assertEqual(self.outbound.sent, [])
        caller = Caller(self.scrapes, self.clock)
        caller.send("GET", f"/promproxy{PATH}")
        self.assertIs(self.outbound.last.target, TARGET)


class PassedTests(ScrapeTestCase):
    """What of the target's answer reaches the caller."""

    def test_chunked_answer_is_passed_on_chunked(self) -> None:
        self.begin()
        response, _ = self.respond(
            headers=[
                (b"Content-Type", b"application/openmetrics-text; version=1.0.0; charset=utf-8"),
                (b"Content-Encoding", b"gzip"),
            ]
        )
        response.deliver(b"\x1f\x8bfirst")
        head = self.caller.answer()
        self.assertEqual(head.body, b"7\r\n\x1f\x8bfirst\r\n")
        self.assertEqual(
            head.headers["Content-Type"],
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )
        self.assertEqual(head.headers["Content-Encoding"], "gzip")
        self.assertEqual(head.headers["Transfer-Encoding"], "chunked")
        response.deliver(b"second")
        response.finish()
        self.assertEqual(self.caller.wire_bytes(), b"6\r\nsecond\r\n0\r\n\r\n")
        self.assert_over()

    def test_known_length_is_passed_on(self) -> None:
        """The body as it is."""
        self.begin()
        headers = [(b"Content-Type", b"text/plain"), (b"content-length", b"5")]
        response, _ = self.respond(headers=headers, length=5)
        response.deliver(b"hello")
        response.finish()
        answer = self.caller.answer()
        self.assertEqual(answer.body, b"hello")
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertNotIn("Transfer-Encoding", answer.headers)

    def test_empty_body(self) -> None:
        self.begin()
        response, _ = self.respond(headers=[(b"Content-Length", b"0")], length=0)
        response.finish()
        answer = self.caller.answer()
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Length"], "0")
        self.assertNotIn("Content-Type", answer.headers)
        self.assert_over()

    def test_head_has_the_length_of_the_get(self) -> None:
        self.begin("HEAD")
        headers = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"1234")]
        response, _ = self.respond(headers=headers, length=0)
        response.finish()
        answer = self.caller.answer()
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Length"], "1234")

    def test_status_and_phrase_are_the_targets(self) -> None:
        """Errors as well, with their bodies."""
        for code, phrase in ((404, b"Nicht da"), (500, b"Oops"), (503, b""), (299, b"Odd")):
            self.begin()
            response, _ = self.respond(code, length=4, phrase=phrase)
            response.deliver(b"body")
            response.finish()
            answer = self.caller.answer()
            self.assertEqual(answer.status, code)
            self.assertIn(b"body", answer.body)
            if phrase:
                self.assertEqual(answer.phrase, phrase.decode())
        self.assertEqual(self.counted("target_error"), 4)

    def test_no_content(self) -> None:
        """There is no body, and no framing of one."""
        self.begin()
        response, _ = self.respond(204, headers=[], length=0)
        response.finish()
        answer = self.caller.answer()
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertNotIn("Transfer-Encoding", answer.headers)

    def test_other_headers_stay_behind(self) -> None:
        """Cookies, server names and what concerns the connection only."""
        self.begin()
        names = (b"Set-Cookie", b"Date", b"Connection", b"Keep-Alive", b"X-Cf-Routererror")
        response, _ = self.respond(headers=[(name, b"x") for name in names], length=1)
        response.deliver(b"1")
        response.finish()
        self.assertNotIn("x", self.caller.answer().headers.values())

    def test_slow_caller_slows_the_target(self) -> None:
        """The answer is paused and resumed by the caller's connection."""
        self.begin()
        _, connection = self.respond()
        self.caller.wire.producer.pauseProducing()
        self.assertTrue(connection.paused)
        self.caller.wire.producer.resumeProducing()
        self.assertFalse(connection.paused)


class ErrorTestCase(ScrapeTestCase):
    """Scrapes that fail."""

    def assert_error(self, status: int, reason: str, outcome: str) -> Answer:
        answer = self.caller.answer()
        self.assertEqual((answer.status, answer.body.decode()), (status, f"{PLACE}{reason}\n"))
        self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(answer.headers["Content-Length"], str(len(answer.body)))
        self.assertNotIn("Content-Encoding", answer.headers)
        self.assertEqual(self.counted(outcome), 1)
        self.assert_over()
        return answer


class RefusalTests(ErrorTestCase):
    """Before the answer has begun: a status and one line, without query and user name."""

    def test_unreachable(self) -> None:
        """502."""
        self.begin()
        self.fail_with(Unreachable("connection refused"))
        self.assert_error(502, "connection refused", "unreachable")

    def test_no_http(self) -> None:
        """502."""
        self.begin()
        self.fail_with(BadUpstream("not an HTTP answer"))
        self.assert_error(502, "not an HTTP answer", "bad_answer")

    def test_redirect_is_not_followed(self) -> None:
        """502, which says where it would have led, without what may be secret in that."""
        for location, where in (
            (b"https://user:pw@other.example/login?token=1#x", " to https://other.example/login"),
            (b"/login?next=/metrics", " to /login"),
            (b"//other.example:1/x", " to //other.example:1/x"),
            (b"https://[broken", ""),
            (b"/\xff", ""),
            (b"/a\tb", " to /ab"),
            (b"/" + b"x" * 1000, " to /" + "x" * 199),
            (None, ""),
        ):
            self.setUp()
            self.begin()
            headers = [] if location is None else [(b"Location", location)]
            _, connection = self.respond(302, headers=headers)
            self.assert_error(502, f"it redirects{where}, which is not followed", "bad_answer")
            self.assertTrue(connection.aborted)

    def test_each_kind_of_redirect(self) -> None:
        """304, which is none, and passes."""
        for code in (301, 302, 303, 307, 308):
            self.begin()
            self.respond(code)
            self.assertEqual(self.caller.answer().status, 502)
        self.begin()
        response, _ = self.respond(304, length=0)
        response.finish()
        self.assertEqual(self.caller.answer().status, 304)

    def test_no_head_before_the_deadline(self) -> None:
        """504, and the request is given up."""
        self.begin(X_Prometheus_Scrape_Timeout_Seconds="5")
        self.clock.advance(4.74)
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.clock.advance(0.01)
        self.assert_error(504, "no complete answer within 4.75 s", "timeout")
        self.assertEqual(self.outbound.cancelled, 1)

    def test_head_but_no_body_before_the_deadline(self) -> None:
        """504 too, without anything of that head, and the connection is closed."""
        self.begin()
        _, connection = self.respond(
            headers=[
                (b"Content-Type", b"text/x"),
                (b"Content-Encoding", b"gzip"),
                (b"Content-Length", b"9"),
            ],
            length=9,
        )
        self.clock.advance(9.75)
        self.assert_error(504, "no complete answer within 9.75 s", "timeout")
        self.assertTrue(connection.aborted)

    def test_no_place_before_the_deadline(self) -> None:
        """503; a place that comes free later goes to nobody who has left."""
        self.scrapes.use(settings(1, 1, 5))
        first = self.new_caller()
        first.send("GET", PATH, X_Prometheus_Scrape_Timeout_Seconds="60")
        self.begin()
        self.clock.advance(9.75)
        answer = self.caller.answer()
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.body.endswith(b"no scrape slot became free within 9.75 s\n"))
        self.fail_with(Unreachable("x"))
        self.assertEqual(first.answer().status, 502)
        self.assertEqual(len(self.outbound.sent), 1)
        self.assert_over()

    def test_loop(self) -> None:
        """508, and nothing is asked."""
        for loop in ("our-id", "a, our-id , b", "a,our-id"):
            self.setUp()
            self.begin(Promproxy_Loop=loop)
            self.assert_error(508, "the request came from this promproxy: a loop", "loop")
            self.assertEqual(self.outbound.sent, [])

    def test_loop_in_one_of_several_lines(self) -> None:
        """Some proxies join them in another order, or not at all."""
        self.caller.channel.dataReceived(
            f"GET {PATH} HTTP/1.1\r\nHost: p\r\nPromproxy-Loop: our-id\r\n"
            "Promproxy-Loop: b\r\n\r\n".encode()
        )
        self.assertEqual(self.caller.answer().status, 508)

    def test_similar_id_is_no_loop(self) -> None:
        """Only the whole word is."""
        self.begin(Promproxy_Loop="our-id2, xour-id")
        self.assertEqual(len(self.outbound.sent), 1)

    def test_unknown_target(self) -> None:
        """404; nothing is asked, and nothing of the path is in the metrics."""
        for path in (
            "/singleTargetMetrics/vms/h:2",
            "/singleTargetMetrics/vms/h%3A1",
            "/singleTargetMetrics/vms/h:1/",
            "/singleTargetMetrics//vms/h:1",
            "/singleTargetMetrics/",
            "/singleTargetMetrics",
            "/singleTargetMetrics/http://other.example/metrics",
            f"http://other.example{PATH}",
        ):
            self.begin(path=path)
            self.assertEqual(self.caller.answer().status, 404, path)
        self.assertEqual(self.outbound.sent, [])
        self.assertEqual(self.counted("unknown_target", source=""), 7)

    def test_unknown_target_while_a_source_is_missing(self) -> None:
        """503: it may well be one of the missing targets; the known ones are served."""
        slow = ScriptedSource([Deferred()], name="slow")
        registry = make_registry(self.clock, ScriptedSource([delivery_of("h:1")]), slow)
        registry.start()
        settle(self.clock)
        self.use(registry)
        self.begin(path="/singleTargetMetrics/slow/x:1")
        answer = self.caller.answer()
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["Retry-After"], "5")
        self.assertEqual(answer.body, b"not ready: waiting for the first targets of slow\n")
        self.assertEqual(self.counted("not_ready", source=""), 1)
        self.begin()
        self.assertEqual(len(self.outbound.sent), 1)

    def test_other_methods(self) -> None:
        """405; nothing is asked."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.caller = self.new_caller()
            self.begin(method, Content_Length="0")
            self.assertEqual(self.caller.answer().status, 405, method)
        self.assertEqual(self.outbound.sent, [])

    def test_bug_of_ours_resets_the_connection(self) -> None:
        """It is logged, and nobody takes it for an answer of the target."""
        self.begin()
        self.fail_with(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.caller.wire.aborted)
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.assertEqual(self.counted("error"), 1)
        self.assert_over()

    def test_bug_of_ours_after_the_head_ends_the_request_to_the_target(self) -> None:
        """Else its connection would stay for ever: nobody reads from it, so not even its end."""
        self.begin()
        _response, connection = self.respond(headers=[(b"Content-Type",)])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertTrue(connection.aborted)
        self.assertTrue(self.caller.wire.aborted)
        self.assert_over()


class CutShortTests(ScrapeTestCase):
    """After the answer has begun: what arrived is sent, and it never looks whole."""

    def start(self, version: str = "1.1", length: int | None = None) -> tuple[Any, Any]:
        self.caller.send("GET", PATH, version)
        headers = [] if length is None else [(b"Content-Length", b"%d" % length)]
        options = {} if length is None else {"length": length}
        response, connection = self.respond(headers=headers, **options)
        response.deliver(b"half")
        return response, connection

    def assert_cut(self, body: bytes) -> None:
        self.assertEqual(self.caller.answer().body, body)
        self.assertTrue(self.caller.wire.disconnecting)
        self.assertFalse(self.caller.wire.aborted)
        self.assertEqual(self.counted("cut_short"), 1)
        self.assert_over()
        self.caller.leave()
        # But for those of the registry.
        self.successResultOf(self.scrapes._registry.stop())
        self.scrapes.cancel_all()  # its timer stays until then
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_upstream_breaks_off_a_chunked_answer(self) -> None:
        """The last chunk is missing."""
        response, _ = self.start()
        break_off(response)
        self.assert_cut(b"4\r\nhalf\r\n")

    def test_upstream_breaks_off_an_answer_of_known_length(self) -> None:
        """Fewer bytes than were announced."""
        response, _ = self.start(length=8)
        break_off(response)
        self.assert_cut(b"half")

    def test_caller_of_http_1_0_gets_an_announced_length_too(self) -> None:
        """So it can tell."""
        response, _ = self.start("1.0", length=8)
        break_off(response)
        self.assert_cut(b"half")

    def test_caller_of_http_1_0_without_a_length_gets_a_reset(self) -> None:
        """A close in order would be the end of the body for it."""
        response, _ = self.start("1.0")
        break_off(response)
        self.assertTrue(self.caller.wire.aborted)
        self.assertFalse(self.caller.wire.disconnecting)

    def test_deadline_in_the_middle(self) -> None:
        """The same; the upstream's connection is closed."""
        _, connection = self.start()
        self.clock.advance(9.75)
        self.assertTrue(connection.aborted)
        self.assert_cut(b"4\r\nhalf\r\n")

    def test_caller_that_does_not_take_the_rest_is_reset_in_the_end(self) -> None:
        """What was written cannot wait for ever."""
        response, _ = self.start()
        self.clock.advance(2)
        break_off(response)
        self.clock.advance(7.74)
        self.assertFalse(self.caller.wire.aborted)
        self.clock.advance(0.02)
        self.assertTrue(self.caller.wire.aborted)

    def test_it_is_reset_at_least_a_second_later(self) -> None:
        """Where the deadline itself cut it short."""
        self.start()
        self.clock.advance(9.75)
        self.clock.advance(0.9)
        self.assertFalse(self.caller.wire.aborted)
        self.clock.advance(0.2)
        self.assertTrue(self.caller.wire.aborted)

    def test_daemon_stops(self) -> None:
        """Scrapes under way end."""
        _, connection = self.start()
        self.scrapes.cancel_all()
        self.assertTrue(connection.aborted)
        self.assert_cut(b"4\r\nhalf\r\n")


class CallerLeavesTests(ScrapeTestCase):
    """A caller that goes away."""

    def test_before_the_head(self) -> None:
        """The request is given up."""
        self.begin()
        self.caller.leave()
        self.assertEqual(self.outbound.cancelled, 1)
        self.assertEqual(self.counted("client_gone"), 1)
        self.assert_over()

    def test_in_the_middle_of_the_body(self) -> None:
        """The upstream's connection is closed; what it still says does no harm."""
        self.begin()
        response, connection = self.respond()
        response.deliver(b"half")
        self.caller.leave()
        self.assertTrue(connection.aborted)
        break_off(response)
        self.assertEqual(self.counted("client_gone"), 1)
        self.assert_over()

    def test_while_it_waits_for_a_place(self) -> None:
        """It gives up its turn; the target is never asked."""
        self.scrapes.use(settings(1, 1, 5))
        other = self.new_caller()
        other.send("GET", PATH)
        self.begin()
        self.assertEqual((len(self.outbound.sent), self.in_flight()), (1, 2))
        self.caller.leave()
        self.assertEqual(self.counted("client_gone"), 1)
        self.fail_with(Unreachable("x"))
        self.assertEqual(len(self.outbound.sent), 1)
        self.assertEqual(other.answer().status, 502)
        self.assert_over()

    def test_no_timer_is_left(self) -> None:
        self.begin()
        self.caller.leave()
        self.successResultOf(self.scrapes._registry.stop())
        self.scrapes.cancel_all()  # its timer stays until then
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SizeLimitTests(ErrorTestCase):
    """`body_size_limit`."""

    body_size_limit = 10
    reason = "its answer is larger than 10 bytes"

    def test_announced_length_over_the_limit(self) -> None:
        """502 before anything is read."""
        self.begin()
        _, connection = self.respond(headers=[(b"Content-Length", b"11")], length=11)
        self.assert_error(502, self.reason, "bad_answer")
        self.assertTrue(connection.aborted)

    def test_first_piece_over_the_limit(self) -> None:
        """502 too, since nothing has been passed on."""
        self.begin()
        response, connection = self.respond()
        response.deliver(b"x" * 11)
        self.assertTrue(connection.aborted)
        break_off(response)
        self.assert_error(502, self.reason, "bad_answer")

    def test_whole_answer_over_the_limit_in_one_piece(self) -> None:
        """502 as well, though there is nothing left to break off."""
        self.begin()
        response, _ = make_response()
        response.deliver(b"x" * 11)
        response.finish()
        self.outbound.last.answer.callback(response)
        self.assert_error(502, self.reason, "bad_answer")

    def test_later_piece_over_the_limit(self) -> None:
        """The answer is cut short."""
        for ends_whole in (False, True):
            self.setUp()
            self.begin()
            response, connection = self.respond()
            response.deliver(b"x" * 6)
            response.deliver(b"x" * 6)
            self.assertTrue(connection.aborted)
            if ends_whole:
                response.finish()
            else:
                break_off(response)
            self.assertEqual(self.caller.answer().body, b"6\r\nxxxxxx\r\n")
            self.assertTrue(self.caller.wire.disconnecting)
            self.assertEqual(self.counted("cut_short"), 1)

    def test_answer_of_just_the_limit(self) -> None:
        self.begin()
        response, _ = self.respond()
        response.deliver(b"x" * 10)
        response.finish()
        self.assertEqual(self.caller.answer().body, b"a\r\nxxxxxxxxxx\r\n0\r\n\r\n")


class TargetLimitTests(ErrorTestCase):
    """More scrapes of a target than it may have at a time."""

    limits = (1000, 1000, 1)

    def test_one_too_many_waits(self) -> None:
        """Until the first has ended, however that is."""
        first = self.new_caller()
        for status in (502, 200):
            first.send("GET", PATH)
            asked = self.outbound.last
            self.begin()
            self.assertIs(self.outbound.last, asked)
            if status == 200:
                response, _ = self.respond()
                response.finish()
            else:
                self.fail_with(Unreachable("x"))
            self.assertEqual(first.answer().status, status)
            self.assertIsNot(self.outbound.last, asked)
            response, _ = self.respond()
            response.finish()
            self.assertEqual(self.caller.answer().status, 200)
        self.assert_over()

    def test_one_too_many_has_its_deadline(self) -> None:
        """503, since the target was not even asked."""
        self.new_caller().send("GET", PATH)
        self.begin()
        self.clock.advance(9.75)
        answer = self.caller.answer()
        self.assertEqual(answer.status, 503)
        self.assertIn(b"no scrape slot became free within", answer.body)


class HostLimitTests(ErrorTestCase):
    """More scrapes of a host than it may have at a time."""

    limits = (1000, 1, 1000)

    def test_the_next_waits_for_its_place(self) -> None:
        """Its target is told of the time that is left then."""
        first = self.new_caller()
        first.send("GET", PATH)
        self.begin()
        self.assertEqual(len(self.outbound.sent), 1)
        self.clock.advance(2)
        self.fail_with(Unreachable("x"))
        self.assertEqual(len(self.outbound.sent), 2)
        headers = dict(self.outbound.last.headers)
        self.assertEqual(headers[b"X-Prometheus-Scrape-Timeout-Seconds"], b"7.750")

    def test_deadline_while_it_waits(self) -> None:
        """503, since the target is not to blame."""
        self.new_caller().send("GET", PATH, X_Prometheus_Scrape_Timeout_Seconds="60")
        self.begin()
        self.clock.advance(9.75)
        self.fail_with(Unreachable("x"))
        self.assert_error(503, "no scrape slot became free within 9.75 s", "busy")

    def test_deadline_of_all_at_once(self) -> None:
        """Nobody is given a place by it, and so nothing is asked any more."""
        callers = [self.new_caller() for _ in range(3)]
        for caller in callers:
            caller.send("GET", PATH)
        self.clock.advance(9.75)
        self.assertEqual([caller.answer().status for caller in callers], [504, 503, 503])
        self.assertEqual(len(self.outbound.sent), 1)
        self.assert_over()

    def test_end_of_all_at_once(self) -> None:
        """The same where the daemon stops."""
        callers = [self.new_caller() for _ in range(3)]
        for caller in callers:
            caller.send("GET", PATH)
        self.scrapes.cancel_all()
        self.assertEqual([caller.answer().status for caller in callers], [503] * 3)
        self.assertEqual(len(self.outbound.sent), 1)
        self.assert_over()

    def test_loop_does_not_wait(self) -> None:
        """The scrapes before it in the loop hold the places, and wait for it."""
        self.new_caller().send("GET", PATH)
        self.begin(Promproxy_Loop="our-id")
        self.assertEqual(self.caller.answer().status, 508)

    def test_caller_that_leaves_gives_up_its_turn(self) -> None:
        """Those behind it get on."""
        callers = [self.new_caller() for _ in range(3)]
        for caller in callers:
            caller.send("GET", PATH)
        callers[1].leave()
        self.fail_with(Unreachable("x"))
        self.assertEqual(len(self.outbound.sent), 2)
        self.fail_with(Unreachable("x"))
        self.assertEqual([caller.answer().status for caller in (callers[0], callers[2])], [502] * 2)
        self.assert_over()


class BookkeepingTests(ScrapeTestCase):
    """Metrics and log."""

    def succeed(self) -> None:
        self.begin()
        response, _ = self.respond()
        response.deliver(b"12345")
        response.finish()
        self.caller.wire_bytes()

    def test_scrape_is_counted_with_its_time_and_size(self) -> None:
        self.begin()
        self.assertEqual(self.in_flight(), 1)
        response, _ = self.respond()
        self.clock.advance(2)
        response.deliver(b"12345")
        response.finish()
        self.assertEqual(self.counted("success"), 1)

        def value(name: str) -> float | None:
            return self.metrics.registry.get_sample_value(name, {"source": "vms"})

        self.assertEqual(value("promproxy_scrape_duration_seconds_sum"), 2)
        self.assertEqual(value("promproxy_scrape_body_bytes_total"), 5)
        self.assert_over()

    def test_failure_is_logged_once_per_change(self) -> None:
        """With the cause, which the caller is not told; the recovery too."""
        with capturedLogs() as events:
            for step in ("refused", "refused", "timeout", "ok", "ok", "refused"):
                if step == "ok":
                    self.succeed()
                    continue
                self.begin()
                if step == "timeout":
                    self.clock.advance(9.75)
                else:
                    error = Unreachable("connection refused")
                    error.__cause__ = OSError("the library's words")
                    self.fail_with(error)
                self.assertNotIn(b"library", self.caller.wire_bytes())
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(
            [event["reason"] for event in warnings],
            ["connection refused", "no complete answer within 9.75 s", "connection refused"],
        )
        self.assertIn("library", warnings[0]["cause"])
        self.assertTrue(formatEvent(warnings[0]).endswith(")"))
        self.assertTrue(formatEvent(warnings[1]).endswith("no complete answer within 9.75 s"))
        self.assertNotIn("secret", warnings[0]["log_format"].format(**warnings[0]))
        again = [event for event in events if "answers again" in event["log_format"]]
        self.assertEqual(len(again), 1)

    def test_targets_that_are_gone_are_forgotten(self) -> None:
        """What is remembered of targets does not grow with those that ever were."""
        names = [f"h{number}:1" for number in range(5)]
        steps = [delivery_of(name) for name in names]
        registry = make_registry(self.clock, ScriptedSource([*steps, delivery_of(names[0])]))
        registry.start()
        settle(self.clock)
        self.use(registry)
        with capturedLogs() as events:
            for name in (*names, names[0]):
                self.begin(path=f"/singleTargetMetrics/vms/{name}")
                self.fail_with(Unreachable("connection refused"))
                self.assertEqual(self.caller.answer().status, 502)
                self.clock.advance(60)
                settle(self.clock)
        warned = [event["target"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(warned.count(f"vms/{names[0]}"), 2)

    def test_last_result_is_kept(self) -> None:
        """Of each scrape that the caller waited for."""
        self.assertIsNone(self.scrapes.history.last(TARGET.id))
        self.succeed()
        record = self.scrapes.history.last(TARGET.id)
        assert record is not None
        found = (record.outcome, record.status, record.began, record.size, record.error)
        self.assertEqual(found, ("success", 200, 1000.0, 5, ""))
        self.begin()
        self.clock.advance(2)
        self.fail_with(Unreachable("connection refused"))
        self.assertIs(self.scrapes.history.last(TARGET.id), record)
        found = (record.outcome, record.status, record.seconds, record.size, record.error)
        self.assertEqual(found, ("unreachable", 0, 2.0, 0, "connection refused"))
        self.caller.wire_bytes()
        self.begin()
        self.caller.leave()
        self.assertEqual(record.outcome, "unreachable")

    def test_idle_is_waited_for(self) -> None:
        """Until the last scrape has ended."""
        callers = [self.new_caller(), self.new_caller()]
        for caller in callers:
            caller.send("GET", PATH)
        idle = self.scrapes.when_idle()
        for sent in self.outbound.sent:
            self.assertNoResult(idle)
            sent.answer.errback(Unreachable("x"))
        self.successResultOf(idle)
