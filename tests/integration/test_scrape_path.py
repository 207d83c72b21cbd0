"""Scrapes from socket to socket: what the target is sent, and what the caller gets."""

from __future__ import annotations

import gzip
import re

from OpenSSL.crypto import FILETYPE_PEM
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import SSL4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.ssl import CertificateOptions, KeyPair
from twisted.web import http

from tests.integration.peers import HOST, free_port
from tests.integration.support import (
    SocketTestCase,
    Talk,
    pause,
    reactor,
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
            self.assertLessEqual(seconds, 9.75)
            self.assertGreater(seconds, 5)
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
            (answer(BODY, "Content-Type: text/x; version=1"), BODY, "text/x; version=1"),
            (answer(ZIPPED, "Content-Encoding: gzip"), ZIPPED, None),
            (answer(b""), b"", None),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, chunked, None),
            (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, chunked, None),
            (answer(BODY, "Set-Cookie: a=b", status="500 Oops"), BODY, None),
        )

        async def case() -> None:
            upstream = await self.upstream(sends())
            self.targets(upstream.address)
            await self.daemon()
            for sent, expected, content_type in cases:
                upstream.script = sends(sent, then_close=sent.startswith(b"HTTP/1.0"))
                received = await self.scrape(upstream, "Accept-Encoding: gzip")
                status, headers, body = split(received)
                self.assertEqual(received.partition(b" ")[2][:3], sent.partition(b" ")[2][:3])
                self.assertEqual(body, expected, status)
                self.assertEqual(headers.get("Content-Type"), content_type)
                self.assertEqual("gzip" in headers.values(), expected is ZIPPED)
                length = str(len(body)) if b"Content-Length" in sent else None
                self.assertEqual(headers.get("Content-Length"), length)
                self.assertNotIn("Set-Cookie", headers)

        return self.run_case(case())

    def test_pipelined_requests_get_each_its_own_answer(self) -> Deferred[None]:
        """In their order, though the later ones are quicker; a POST is in between."""

        async def case() -> None:
            slow = await self.upstream(sends())
            quick = await self.upstream(sends(answer(b"<quick>")))
            other = await self.upstream(sends(answer(b"<other>")))
            addresses = [one.address for one in (slow, quick, other)]
            self.targets(*addresses)
            await self.daemon()
            post = request("/discovery", "Content-Length: 0", method="POST")
            asked = slow.asked()
            caller = await self.connect()
            caller.send(
                request(scrape_path(slow.address))
                + request(scrape_path(quick.address))
                + post
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

    async def status_and_line(self, address: str, *headers: str) -> tuple[int, str]:
        """Of a scrape that fails; the line without the target's name, which must be there."""
        document = (await self.get("/discovery")).decode()
        (path,) = re.findall(f'"__metrics_path__":"(/single[^"]+{address}[^"]*)"', document)
        status, fields, body = split(await self.get(path, *headers))
        self.assertEqual(fields["Content-Length"], str(len(body)))
        line = body.decode()
        self.assertNotIn(self.SECRET, line)
        self.assertEqual(line.count("\n"), 1)
        prefix = f"{path.partition('Metrics/')[2]}: http://{address}/metrics: "
        self.assertTrue(line.startswith(prefix), line)
        return status, line[len(prefix) : -1]

    def test_each_error_has_its_status_and_line(self) -> Deferred[None]:
        """Refused, no HTTP, closed, redirect, deadline."""
        redirect = f"https://user:{self.SECRET}@h.example:1/login?token={self.SECRET}"
        scripts = (
            (sends(b"220 smtp\r\n"), 502, "not an HTTP answer"),
            (sends(then_close=True), 502, "connection closed without an answer"),
            (
                sends(answer(b"", f"Location: {redirect}", status="302 Found")),
                502,
                "it redirects to https://h.example:1/login, which is not followed",
            ),
            (sends(), 504, "no complete answer within 0.25 s"),
        )

        async def case() -> None:
            upstream = await self.upstream(sends())
            nobody = f"{HOST}:{free_port()}"
            self.targets(upstream.address, nobody, __param_token=self.SECRET)
            await self.daemon()
            self.assertEqual(await self.status_and_line(nobody), (502, "connection refused"))
            for script, status, line in scripts:
                upstream.script = script
                timeout = "X-Prometheus-Scrape-Timeout-Seconds: 0.5"
                got, text = await self.status_and_line(upstream.address, timeout)
                self.assertEqual((got, re.sub(r"0\.2\d+", "0.25", text)), (status, line))

        return self.run_case(case())

    def test_unknown_target(self) -> Deferred[None]:
        """404."""

        async def case() -> None:
            self.targets("a:1")
            await self.daemon()
            status, _, body = split(await self.get("/singleTargetMetrics/vms/b:1"))
            self.assertEqual((status, body.count(b"\n")), (404, 1))

        return self.run_case(case())

    def test_not_ready(self) -> Deferred[None]:
        """503 as long as a source has not delivered; known targets are served all the same."""

        async def case() -> None:
            upstream = await self.upstream(sends(answer(BODY)))
            self.targets(upstream.address)
            (self.folder / "broken.json").write_text("[")
            await self.daemon(more_sources=", {name: broken, files: {paths: [broken.json]}}")
            for path in ("/singleTargetMetrics/broken/b:1", "/discovery", "/-/ready"):
                status, _, body = split(await self.get(path))
                self.assertEqual(status, 503, path)
                self.assertIn(b"broken", body)
            self.assertEqual(split(await self.scrape(upstream))[0], 200)
            self.assertEqual(split(await self.get("/discovery?source=vms"))[0], 200)

        return self.run_case(case())

    def test_loop(self) -> Deferred[None]:
        """A request that comes back is answered with 508, and goes round no more."""

        async def case() -> None:
            upstream = await self.upstream(sends(answer(BODY)))
            self.targets(upstream.address)
            await self.daemon()
            await self.scrape(upstream)
            (loop,) = (
                line
                for line in upstream.requests[0].decode().split("\r\n")
                if line.startswith("Promproxy-Loop: ")
            )
            status, _, body = split(await self.scrape(upstream, f"{loop}, another"))
            self.assertEqual((status, body.count(b"\n")), (508, 1))
            self.assertEqual(len(upstream.requests), 1)

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
            upstream = await self.upstream(sends())
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
            upstream = await self.upstream(sends())
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
            upstream = await self.upstream(sends())
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

    def test_http_2_is_not_spoken(self) -> Deferred[None]:
        """A client that would prefer it gets HTTP/1.1."""

        async def case() -> None:
            self.patch(http, "H2_ENABLED", True)  # as where the package h2 is installed
            pem = self.folder / "server.pem"
            made = KeyPair.generate(size=2048).selfSignedCert(1, CN="localhost")
            pem.write_bytes(made.dumpPEM() + made.privateKey.dump(FILETYPE_PEM))
            self.targets()
            await self.daemon(
                listen=f"'ssl:{self.port}:interface={HOST}:privateKey={pem}:certKey={pem}'"
            )
            options = CertificateOptions(acceptableProtocols=[b"h2", b"http/1.1"])
            talk = Talk()
            endpoint = SSL4ClientEndpoint(reactor, HOST, self.port, options)
            await connectProtocol(endpoint, talk)
            talk.send(request("/-/healthy", "Connection: close"))
            received = await talk.until(b"healthy")
            self.assertTrue(received.startswith(b"HTTP/1.1 200 OK\r\n"))
            self.assertEqual(talk.transport.negotiatedProtocol, b"http/1.1")
            talk.transport.abortConnection()
            await talk.ended

        return self.run_case(case())

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
            for endpoint in ("", rf"tcp:\:\:1:{other}", f"unix:{self.folder.name}"):
                received = await self.scrape(upstream, endpoint=endpoint)
                self.assertTrue(received.endswith(BODY), endpoint)

        return self.run_case(case())
