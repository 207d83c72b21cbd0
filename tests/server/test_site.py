"""Tests of promproxy.server.site."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from promproxy.server.request import CallerRequest
from promproxy.server.site import PromproxySite
from tests.fakes import Caller, Wire, parse_answer


class Echo(Resource):
    """Answers with the path and what was posted: at once, or when the test says so."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[CallerRequest] = []

    def render_GET(self, request: CallerRequest) -> int | bytes:
        if request.path.startswith(b"/wait"):
            self.waiting.append(request)
            return NOT_DONE_YET
        return self.text(request)

    render_POST = render_GET

    def text(self, request: CallerRequest) -> bytes:
        return b"<%s>" % request.path

    def answer(self) -> None:
        """The request that has waited longest."""
        request = self.waiting.pop(0)
        request.write(self.text(request))
        request.finish()


class FullWire(Wire):
    """Each answer fills it."""

    def write(self, data: bytes) -> None:
        super().write(data)
        self.producer.pauseProducing()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: p\r\n\r\n".encode()


class SiteTestCase(SynchronousTestCase):
    """One connection to the site."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.echo = Echo()
        self.caller = Caller(self.echo, self.clock)

    def receive(self, data: bytes) -> None:
        self.caller.channel.dataReceived(data)

    def bodies(self) -> list[str]:
        """The bodies that came back, in their order."""
        parts = self.caller.wire_bytes().decode().split("<")[1:]
        return [part.partition(">")[0] for part in parts]


class PipeliningTests(SiteTestCase):
    """Several requests that arrive before the first is answered."""

    def check(self, data: bytes, *expected: str) -> None:
        """However the bytes are cut into pieces, each answer is its own request's, in order."""
        for size in (len(data), 1, 7, 60):
            self.setUp()
            answered: list[str] = []
            for start in range(0, len(data), size):
                self.receive(data[start : start + size])
            while True:
                answered += self.bodies()
                if not self.echo.waiting:
                    break
                self.assertEqual(len(self.echo.waiting), 1)
                self.echo.answer()
            self.assertEqual(answered, list(expected), size)

    def test_answers_that_take_time(self) -> None:
        """One at a time."""
        self.check(get("/wait1") + get("/wait2") + get("/wait3"), "/wait1", "/wait2", "/wait3")

    def test_answers_at_once(self) -> None:
        self.check(get("/1") + get("/2") + get("/3"), "/1", "/2", "/3")

    def test_both_mixed(self) -> None:
        """The second must not overtake."""
        data = get("/wait1") + get("/2") + get("/wait3") + get("/4")
        self.check(data, "/wait1", "/2", "/wait3", "/4")

    def test_many_at_once(self) -> None:
        """No recursion, however many."""
        numbers = range(2000)
        self.receive(b"".join(get(f"/{number}") for number in numbers))
        self.assertEqual(self.bodies(), [f"/{number}" for number in numbers])

    def test_many_while_one_waits(self) -> None:
        """They are read no further than a little way."""
        self.receive(get("/wait"))
        for number in range(1000):
            self.receive(get(f"/{number}"))
        self.assertEqual(self.caller.wire.producerState, "paused")
        self.echo.answer()
        self.assertEqual(self.caller.wire.producerState, "producing")
        self.assertEqual(len(self.bodies()), 1001)

    def test_caller_that_takes_no_answers_gets_no_more_of_them(self) -> None:
        """Else they would fill the memory; nothing is lost when it goes on."""
        self.receive(get("/1"))
        self.caller.wire.producer.pauseProducing()  # as a full transport does
        for number in range(2, 1000):
            self.receive(get(f"/{number}"))
        self.assertLess(len(self.bodies()), 3)
        self.assertEqual(self.caller.wire.producerState, "paused")
        self.caller.wire.producer.resumeProducing()
        self.assertEqual(self.caller.wire.producerState, "producing")
        self.receive(get("/last"))
        self.assertEqual(self.bodies()[-2:], ["/999", "/last"])

    def test_caller_that_takes_one_answer_at_a_time(self) -> None:
        """Gets the next one then, of requests that came together."""
        self.caller = Caller(self.echo, self.clock, FullWire())
        self.receive(b"".join(get(f"/{number}") for number in range(4)))
        for number in range(4):
            self.assertEqual(self.bodies(), [f"/{number}"])
            self.caller.wire.producer.resumeProducing()

    def test_bytes_after_a_request_to_close_are_no_request(self) -> None:
        """The connection ends after its answer."""
        self.receive(b"GET /wait1 HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n" + get("/2"))
        self.echo.answer()
        self.assertEqual(self.bodies(), ["/wait1"])
        self.assertTrue(self.caller.wire.disconnecting)


class ConnectionTests(SiteTestCase):
    """How long a connection lives, and how it ends."""

    def test_idle_connection_is_kept_for_five_minutes(self) -> None:
        """Prometheus's interval is often a minute."""
        self.receive(get("/1"))
        self.clock.advance(299)
        self.receive(get("/2"))
        self.clock.advance(299)
        self.assertEqual(self.bodies(), ["/1", "/2"])
        self.assertFalse(self.caller.wire.disconnecting)
        self.clock.advance(2)
        self.assertTrue(self.caller.wire.disconnecting)

    def test_answer_under_way_has_no_such_limit(self) -> None:
        """It has a deadline of its own."""
        self.receive(get("/wait"))
        self.clock.advance(1000)
        self.assertFalse(self.caller.wire.disconnecting)

    def test_request_that_is_not_http_is_refused(self) -> None:
        """With 400, and the connection is closed."""
        self.receive(b"\x16\x03\x01\r\n\r\n")
        self.assertTrue(self.caller.wire_bytes().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(self.caller.wire.disconnecting)

    def test_abort_of_a_request_whose_caller_left_is_harmless(self) -> None:
        """Either may come first."""
        self.receive(get("/wait"))
        (request,) = self.echo.waiting
        self.assertFalse(request.is_gone)
        self.caller.leave()
        self.assertTrue(request.is_gone)
        request.abort()
        self.assertFalse(self.caller.wire.aborted)

    def test_content_type_is_not_made_up(self) -> None:
        """A target's answer without one stays without."""
        self.assertNotIn("Content-Type", self.caller.get("/").headers)


class RefusedTests(SiteTestCase):
    """Requests that are refused by their heads: an answer, and the end of the connection."""

    def check(self, status: int, data: bytes) -> None:
        for size in (len(data), 1):
            self.setUp()
            for start in range(0, len(data), size):
                self.receive(data[start : start + size])
            received = self.caller.wire_bytes()
            self.assertEqual(received.count(b"HTTP/1.1 "), 1)
            answer = parse_answer(received)
            self.assertEqual((answer.status, answer.headers["Connection"]), (status, "close"))
            self.assertEqual(answer.headers["Content-Length"], str(len(answer.body)))
            self.assertTrue(self.caller.wire.disconnecting)
            self.assertEqual(self.echo.waiting, [])

    def test_body_is_not_read(self) -> None:
        """Not as a request either: what follows cannot be told from it."""
        for framing in ("Content-Length: 30", "Transfer-Encoding: chunked", "Content-Length: 1"):
            head = f"POST / HTTP/1.1\r\nHost: p\r\n{framing}\r\n\r\n".encode()
            self.check(413, head + get("/wait"))

    def test_method_that_no_page_takes(self) -> None:
        """The answer says which there are."""
        self.check(405, b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n" + get("/wait"))
        self.setUp()
        self.receive(b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(self.caller.answer().headers["Allow"], "GET, HEAD, POST")

    def test_head_has_no_body(self) -> None:
        """RFC 9110, section 9.3.2."""
        self.receive(b"HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n")
        received = self.caller.wire_bytes()
        self.assertTrue(received.startswith(b"HTTP/1.1 400 "))
        self.assertTrue(received.endswith(b"\r\n\r\n"))

    def test_malformed_head(self) -> None:
        """400."""
        self.check(400, b"GET / HTTP/1.1\r\n\r\n" + get("/wait"))
        self.check(400, b"GET / HTTP/1.1\r\nHost: p\r\nA: b\r\n c\r\n\r\n" + get("/wait"))

    def test_head_without_an_end(self) -> None:
        """431, as soon as it is too large."""
        self.check(431, b"GET / HTTP/1.1\r\nA: " + b"x" * 20000)

    def test_answers_before_it_are_sent_first(self) -> None:
        self.receive(get("/wait") + b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.echo.answer()
        received = self.caller.wire_bytes()
        self.assertLess(received.index(b"</wait>"), received.index(b" 405 "))


class SlowTests(SiteTestCase):
    """Callers that are slow with a request head."""

    def test_half_a_head_does_not_buy_time(self) -> None:
        """It has ten seconds, whatever comes of it meanwhile; then 408."""
        self.receive(get("/1"))
        self.bodies()
        self.clock.advance(200)
        for byte in b"GET / HTT":
            self.receive(bytes([byte]))
            self.clock.advance(1)
        self.assertFalse(self.caller.wire.disconnecting)
        self.clock.advance(1.1)
        self.assertEqual(self.caller.answer().status, 408)
        self.assertTrue(self.caller.wire.disconnecting)

    def test_whole_head_in_time(self) -> None:
        """Ends that, and the next may take as long again."""
        for _ in range(3):
            self.receive(b"GET /1 HTTP/1.1\r\n")
            self.clock.advance(9)
            self.receive(b"Host: p\r\n\r\n")
            self.assertEqual(self.bodies(), ["/1"])
            self.clock.advance(250)
        self.assertFalse(self.caller.wire.disconnecting)

    def test_caller_that_says_nothing(self) -> None:
        """Has ten seconds too for the first head, and is not told why."""
        self.clock.advance(9.9)
        self.assertFalse(self.caller.wire.disconnecting)
        self.clock.advance(0.2)
        self.assertTrue(self.caller.wire.disconnecting)
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.assertFalse(self.caller.wire.aborted)
        self.clock.advance(15.1)  # it was given time to close
        self.assertTrue(self.caller.wire.aborted)

    def test_no_timer_stays(self) -> None:
        """After the connection is gone."""
        self.receive(get("/1") + b"GET")
        self.caller.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ManyTests(SynchronousTestCase):
    """More connections than there may be."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.echo = Echo()
        self.site = PromproxySite(self.echo, self.clock, max_connections=4)

    def connect(self, data: bytes = b"") -> Caller:
        caller = Caller(self.site, self.clock)
        caller.channel.dataReceived(data)
        self.clock.advance(0.1)
        return caller

    def aborted(self, *callers: Caller) -> list[bool]:
        return [caller.wire.aborted for caller in callers]

    def test_those_without_a_whole_head_go_first(self) -> None:
        """The oldest of them first, before connections that only are idle."""
        callers = [
            self.connect(get("/1")),
            self.connect(get("/1") + b"GET"),
            self.connect(),
            self.connect(get("/wait")),
        ]
        for expected in (
            [False, True, False, False],
            [False, True, True, False],
            [True, True, True, False],
        ):
            self.connect(get("/wait"))
            self.assertEqual(self.aborted(*callers), expected)

    def test_one_more_is_refused_where_all_are_busy(self) -> None:
        """Until there is room again."""
        callers = [self.connect(get("/wait")) for _ in range(4)]
        self.assertIsNone(self.site.buildProtocol(None))
        self.assertEqual(self.aborted(*callers), [False] * 4)
        callers[0].leave()
        self.connect()
        self.assertEqual(len(self.site.connections), 4)
        self.assertEqual(self.site.connections.evicted, 0)


class AnswerTests(SiteTestCase):
    """How an answer is written."""

    def test_held_answer_is_sent_in_one_piece(self) -> None:
        """With its end, or when it is released."""
        self.receive(get("/wait1") + get("/wait2"))
        (request,) = self.echo.waiting
        request.cork()
        request.write(b"<a>")
        self.assertEqual(self.caller.wire_bytes(), b"")
        request.uncork()
        self.assertTrue(self.caller.wire_bytes().endswith(b"\r\n3\r\n<a>\r\n"))
        request.write(b"<b>")
        self.assertEqual(self.caller.wire_bytes(), b"3\r\n<b>\r\n")
        request.finish()
        self.assertEqual(self.caller.wire_bytes(), b"0\r\n\r\n")

    def test_date_is_that_of_the_second(self) -> None:
        """It is kept for no longer."""
        first = self.caller.get("/1").headers["Date"]
        self.clock.advance(1)
        self.assertEqual(first, "Thu, 01 Jan 1970 00:00:00 GMT")
        self.assertEqual(self.caller.get("/2").headers["Date"], "Thu, 01 Jan 1970 00:00:01 GMT")

    def test_caller_that_leaves_is_told_of(self) -> None:
        """Once, and only while the answer is under way."""
        left: list[int] = []
        self.receive(get("/wait"))
        self.echo.waiting[0].on_lost = lambda: left.append(1)
        self.caller.leave()
        self.assertEqual(left, [1])


class ProtocolTests(SiteTestCase):
    """What is spoken."""

    def test_http_2_is_not_offered(self) -> None:
        """By ALPN, whatever is installed."""
        self.patch(http, "H2_ENABLED", True)
        self.assertIn(b"h2", Site(self.echo).acceptableProtocols())
        site = PromproxySite(self.echo, self.clock)
        self.assertEqual(site.acceptableProtocols(), [b"http/1.1"])

    def test_nothing_is_logged_per_request(self) -> None:
        """Not even for a HEAD, by which load balancers look after us."""
        site = PromproxySite(self.echo, self.clock)
        with capturedLogs() as events:
            site.startFactory()
            self.addCleanup(site.stopFactory)
            caller = Caller(site, self.clock)
            self.assertEqual(caller.get("/a").body, b"</a>")
            caller.send("HEAD", "/a")
            head = caller.wire_bytes()
        self.assertTrue(head.endswith(b"\r\nContent-Length: 4\r\n\r\n"), head)
        self.assertEqual(events, [])
