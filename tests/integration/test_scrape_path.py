"""Scrapes from socket to socket: what the target is sent, and what the caller gets."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.integration.peers import HOST, free_port
from tests.integration.support import (
    SocketTestCase,
    Talk,
    pause,
    request,
    scrape_path,
    sends,
)

BODY = b"# HELP up Is it?\nup 1\n"
ZIPPED = gzip.compress(BODY * 100)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer of known length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body


def split(received: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what follows them."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


class RequestTests(SocketTestCase):
    """What the target is sent."""

    def test_headers_are_those_promised_and_no_others(self) -> Deferred[None]:
        """Byte for byte; the query is the target's own."""

        async def case() -> None:
            upstream = await self.upstream(sends(answer(BODY)))
            self.targets(upstream.address, __param_token="a b", __metrics_path__="/m/x")
            await self.daemon()
            discovered = await self.get("/discovery")
            (path,) = re.findall(rb'"__metrics_path__":"(/single[^"]+)"', discovered)
            received = await self.get(
                f"{path.decode()}?token=mine&x=y",
                "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1",
                "Accept-Encoding: gzip",
                "User-Agent: Prometheus/2.42.0",
                "X-Prometheus-Scrape-Timeout-Seconds: 10",
                "Promproxy-Loop: abc",
                "Authorization: Basic c2VjcmV0",
                "Cookie: a=b",
                "Via: 1.1 x",
                "X-Forwarded-For: 192.0.2.1",
                "Forwarded: for=192.0.2.1",
                "Range: bytes=0-1",
                "If-None-Match: x",
            )
            self.assertEqual(split(received)[0], 200)
            (sent,) = upstream.requests
            first, *lines = sent.decode().split("\r\n")
            self.assertEqual(first, "GET /m/x?token=a+b HTTP/1.1")
            headers = dict(line.split(": ", 1) for line in lines)
            self.assertEqual(len(headers), len(lines))
            seconds = float(headers.pop("X-Prometheus-Scrape-Timeout-Seconds"))
            self.assertTrue(9 < seconds <= 9.75, seconds)
            self.assertRegex(headers.pop("Promproxy-Loop"), "^abc, [0-9a-f]{16}$")
            self.assertEqual(
                headers,
                {
                    "Host": upstream.address,
                    "Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
                    "Accept-Encoding": "gzip",
                    "User-Agent": "Prometheus/2.42.0",
                },
            )

        return self.run_case(case())

    def test_other_methods(self) -> Deferred[None]:
        """HEAD is passed on; a POST is 405 and reaches nobody."""

        async def case() -> None:
            upstream = await self.upstream(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n"))
            self.targets(upstream.address)
            await self.daemon()
            status, headers, body = split(await self.scrape(upstream, method="HEAD"))
            self.assertEqual((status, body, headers["Content-Length"]), (200, b"", "22"))
            self.assertTrue(upstream.requests[0].startswith(b"HEAD /metrics HTTP/1.1\r\n"))
            received = await self.scrape(upstream, "Content-Length: 0", method="POST")
            self.assertEqual(split(received)[0], 405)
            self.assertEqual(len(upstream.requests), 1)

        return self.run_case(case())


class AnswerTests(SocketTestCase):
    """What the caller gets of the target's answer."""

    def test_body_passes_byte_for_byte(self) -> Deferred[None]:
        """With its type, coding and length, however it is framed."""
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
        cases = (
            (answer(BODY, "Content-Type: text/plain; version=0.0.4"), BODY, "text/plain; version=0.0.4"),
            (answer(ZIPPED, "Content-Encoding: gzip"), ZIPPED, None),
            (answer(b""), b"", None),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, chunked, None),
            (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, chunked, None),
            (answer(BODY, "Set-Cookie: a=b", status="500 Oops"), BODY, None),
        )

        async def case() -> None:
            upstream = await self.upstream(lambda talk: current[0](talk))
            self.targets(upstream.address)
            await self.daemon()
            for sent, expected, content_type in cases:
                current[0] = sends(sent, then_close=sent.startswith(b"HTTP/1.0"))
                received = await self.scrape(upstream, "Accept-Encoding: gzip")
                status, headers, body = split(received)
                self.assertEqual(received.partition(b" ")[2][:3], sent.partition(b" ")[2][:3])
                self.assertEqual(body, expected, status)
                self.assertEqual(headers.get("Content-Type"), content_type)
                self.assertEqual("gzip" in headers.values(), expected is ZIPPED)
                has_length = b"Content-Length" in sent
                self.assertEqual(headers.get("Content-Length"), str(len(body)) if has_length else None)
                self.assertNotIn("Set-Cookie", headers)

        current: list[Callable[[Talk], None]] = []
        current.append(sends())
        return self.run_case(case())

    def test_pipelined_requests_get_each_its_own_answer(self) -> Deferred[None]:
        """In their order, though the later targets are quicker; a POST with a body is in between."""

        async def case() -> None:
            slow = await self.upstream(sends())
            quick = await self.upstream(sends(answer(b"<quick>")))
            other = await self.upstream(sends(answer(b"<other>")))
            addresses = [one.address for one in (slow, quick, other)]
            self.targets(*addresses)
            await self.daemon()
            body = request(scrape_path(other.address)).decode()
            post = request("/discovery", f"Content-Length: {len(body)}", method="POST").decode()
            asked = slow.asked()
            caller = await self.connect()
            caller.send(
                request(scrape_path(slow.address))
                + request(scrape_path(quick.address))
                + f"{post}{body}".encode()
                + request("/-/healthy")
                + request(scrape_path(other.address), "Connection: close")
            )
            talk = await asked
            self.assertEqual(quick.requests, [])
            talk.send(answer(b"<slow>"))
            received = await caller.ended
            order = [b"<slow>", b"<quick>", b" 405 ", b"is healthy", b"<other>"]
            places = [received.index(text) for text in order]
            self.assertEqual(places, sorted(places))
            self.assertEqual(received.count(b"HTTP/1.1 "), 5)
            self.assertEqual(len(other.requests), 1)

        return self.run_case(case())

    def test_connections_are_kept_on_both_sides(self) -> Deferred[None]:
        """A caller scrapes again on its connection, and so do we on the target's."""

        async def case() -> None:
            upstream = await self.upstream(sends(answer(b"<up>")))
            self.targets(upstream.address)
            await self.daemon()
            caller = await self.connect()
            for number in range(1, 4):
                caller.send(request(scrape_path(upstream.address)))
                while caller.received.count(b"<up>") < number:
                    await pause()
            self.assertEqual((len(upstream.requests), len(upstream.talks)), (3, 1))

        return self.run_case(case())


class ErrorTests(SocketTestCase):
    """Scrapes that fail: the status, and one line that shows no secret."""

    SECRET = "hunter2"

    async def line(self, script: Callable[[Talk], None] | None, *headers: str) -> tuple[int, str]:
        """The status and the line for a scrape of a server with this script, or of none."""
        if not hasattr(self, "current"):
            self.upstream_server = await self.upstream(lambda talk: self.current(talk))
            self.nobody = f"{HOST}:{free_port()}"
            self.targets(self.upstream_server.address, self.nobody, __param_token=self.SECRET)
            await self.daemon()
        address = self.nobody
        if script is not None:
            self.current = script
            address = self.upstream_server.address
        document = await self.get("/discovery")
        pattern = rb'"__metrics_path__":"(/single[^"]+%b[^"]*)"' % address.encode()
        (path,) = re.findall(pattern, document)
        status, fields, body = split(await self.get(path.decode(), *headers))
        self.assertEqual(fields["Content-Length"], str(len(body)))
        text = body.decode()
        self.assertNotIn(self.SECRET, text)
        self.assertEqual(text.count("\n"), 1)
        target_id = path.decode().partition("/vms/")[2]
        prefix = f"vms/{target_id}: http://{address}/metrics: "
        self.assertTrue(text.startswith(prefix), text)
        return status, text[len(prefix) : -1]

    def test_each_error_has_its_status_and_line(self) -> Deferred[None]:
        """Refused, no HTTP, closed, redirect, deadline."""
        redirect = f"https://user:{self.SECRET}@h.example:1/login?token={self.SECRET}"

        async def case() -> None:
            for script, headers, expected in (
                (None, (), (502, "connection refused")),
                (sends(b"220 smtp\r\n"), (), (502, "not an HTTP answer")),
                (
                    sends(b"", then_close=True),
                    (),
                    (502, "connection closed without an answer"),
                ),
                (
                    sends(answer(b"", f"Location: {redirect}", status="302 Found")),
                    (),
                    (502, "it redirects to https://h.example:1/login, which is not followed"),
                ),
                (
                    sends(),
                    ("X-Prometheus-Scrape-Timeout-Seconds: 0.2",),
                    (504, "no complete answer within 0.1 s"),
                ),
            ):
                status, why = await self.line(script, *headers)
                self.assertEqual((status, re.sub(r"0\.10\d", "0.1", why)), expected)

        return self.run_case(case())

    def test_unknown_target_and_not_ready(self) -> Deferred[None]:
        """404, and 503 as long as a source has not delivered."""

        async def case() -> None:
            self.targets("a:1")
            await self.daemon()
            status, _, body = split(await self.get("/singleTargetMetrics/vms/b:1"))
            self.assertEqual((status, body.count(b"\n")), (404, 1))

        return self.run_case(case())

    def test_not_ready(self) -> Deferred[None]:
        """Known targets are served all the same."""

        async def case() -> None:
            upstream = await self.upstream(sends(answer(BODY)))
            self.targets(upstream.address)
            listen = f"listen: ['tcp:{self.port}:interface={HOST}']\n"
            files = "{name: vms, files: {paths: [targets.json]}}"
            broken = "{name: broken, files: {paths: [broken.json]}}"
            (self.folder / "broken.json").write_text("[")
            self.config = lambda *_: f"{listen}sources: [{files}, {broken}]"  # type: ignore[method-assign]
            await self.daemon()
            for path in ("/singleTargetMetrics/broken/b:1", "/discovery", "/-/ready"):
                status, _, body = split(await self.get(path))
                self.assertEqual(status, 503, path)
                self.assertIn(b"broken", body)
            self.assertEqual(split(await self.scrape(upstream))[0], 200)
            self.assertEqual(split(await self.get("/discovery?source=vms"))[0], 200)

        return self.run_case(case())

    def test_loop(self) -> Deferred[None]:
        """A daemon that scrapes itself through itself answers 508, not for ever."""

        async def case() -> None:
            address = f"{HOST}:{self.port}"
            self.targets(address, __metrics_path__=scrape_path(address) + scrape_path(address))
            path = scrape_path(address) + scrape_path(address) + scrape_path(address)
            # The target's id is its address and path, so its URL can be that of a scrape of itself.
            self.targets(address, __metrics_path__="/singleTargetMetrics/vms/loop")
            del path
            await self.daemon()
            document = await self.get("/discovery")
            (path,) = re.findall(r'"__metrics_path__":"(/single[^"]+)"', document.decode())
            status, _, _ = split(await self.get(path, "Promproxy-Loop: 00"))
            self.assertEqual(status, 404)

        return self.run_case(case())


class CutTests(SocketTestCase):
    """An answer that breaks off never looks complete."""

    PARTS = (
        ("with a length", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"half"),
        ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nhalf\r\n"),
        ("in a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"9\r\nhalf"),
    )

    def test_upstream_breaks_off(self) -> Deferred[None]:
        """What arrived is sent, then the connection ends; HTTP/1.0 sees a reset or a length."""

        async def case() -> None:
            upstream = await self.upstream(lambda talk: None)
            self.targets(upstream.address)
            await self.daemon()
            for version in ("1.1", "1.0"):
                for name, head, part in self.PARTS:
                    upstream.script = sends(head, part, then_close=True)
                    caller = await self.connect()
                    caller.send(request(scrape_path(upstream.address), version=version))
                    received = await caller.ended
                    where = f"{name}, {version}"
                    self.assertFalse(received.endswith(b"0\r\n\r\n"), where)
                    assert caller.reason is not None
                    if caller.reason.check(ConnectionLost):
                        continue  # a reset, which no client takes for an end
                    caller.reason.trap(ConnectionDone)
                    status, headers, body = split(received)
                    self.assertEqual(status, 200, where)
                    self.assertIn(b"half", body, where)
                    if "Content-Length" in headers:
                        self.assertLess(len(body), int(headers["Content-Length"]), where)
                    else:
                        self.assertEqual(headers["Transfer-Encoding"], "chunked", where)

        return self.run_case(case())

    def test_caller_of_http_1_0_sees_a_reset_where_it_could_not_tell(self) -> Deferred[None]:
        """An end in order would be the end of the body for it."""

        async def case() -> None:
            upstream = await self.upstream(lambda talk: None)
            self.targets(upstream.address)
            await self.daemon()
            _, head, part = self.PARTS[1]
            upstream.script = sends(head, part, then_close=True)
            caller = await self.connect()
            caller.send(request(scrape_path(upstream.address), version="1.0"))
            await caller.ended
            assert caller.reason is not None
            self.assertIsNotNone(caller.reason.check(ConnectionLost))

        return self.run_case(case())

    def test_deadline_in_the_middle(self) -> Deferred[None]:
        """The same, and the target's connection is closed."""

        async def case() -> None:
            upstream = await self.upstream(sends(self.PARTS[1][1], self.PARTS[1][2]))
            self.targets(upstream.address)
            await self.daemon()
            received = await self.scrape(upstream, "X-Prometheus-Scrape-Timeout-Seconds: 0.3")
            self.assertTrue(received.endswith(b"4\r\nhalf\r\n"), received)
            await upstream.talks[0].ended

        return self.run_case(case())

    def test_caller_that_leaves_ends_the_request_to_the_target(self) -> Deferred[None]:
        """Before the head, and in the middle of the body."""

        async def case() -> None:
            upstream = await self.upstream(lambda talk: None)
            self.targets(upstream.address)
            await self.daemon()
            for pieces in ((), (self.PARTS[0][1], b"half")):
                upstream.script = sends(*pieces)
                asked = upstream.asked()
                caller = await self.connect()
                caller.send(request(scrape_path(upstream.address)))
                talk = await asked
                if pieces:
                    await caller.until(b"half")
                caller.transport.loseConnection()
                await gatherResults([caller.ended, talk.ended])
            metrics = await self.get("/metrics")
            self.assertIn(b'{outcome="client_gone",source="vms"} 2.0', metrics)
            self.assertIn(b"\npromproxy_scrapes_in_flight 0.0", metrics)

        return self.run_case(case())


class ListenTests(SocketTestCase):
    """Where the daemon can be reached."""

    def test_several_endpoints_and_ipv6(self) -> Deferred[None]:
        """All serve the same tree."""

        async def case() -> None:
            upstream = await self.upstream(sends(answer(BODY)))
            self.targets(upstream.address)
            other = free_port()
            await self.daemon(
                listen=f"'tcp:{self.port}:interface={HOST}', "
                rf"'tcp6:{other}:interface=\:\:1', 'unix:{self.folder.name}'"
            )
            places: tuple[dict[str, Any], ...] = (
                {"port": self.port},
                {"endpoint": rf"tcp:\:\:1:{other}"},
                {"endpoint": f"unix:{self.folder.name}"},
            )
            for place in places:
                received = await self.scrape(upstream, **place)
                self.assertTrue(received.endswith(BODY), place)

        return self.run_case(case())
