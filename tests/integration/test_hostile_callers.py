"""Callers that mean harm, against a daemon that tunnels too, so that it has pages with bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from twisted.internet.defer import Deferred

from tests.integration.peers import HOST
from tests.integration.support import (
    SocketTestCase,
    Upstream,
    pause,
    request,
    scrape_path,
    sends,
)

UP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"
TUNNEL = ", {name: nat, pushprox: {startup_hold: 0s}}"
STATUS_LINE = re.compile(rb"(?:^|\r\n|\n)HTTP/1\.1 ([0-9]{3}) ")
SMUGGLED = b"GET /-/healthy HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n"


class HostileTestCase(SocketTestCase):
    """``say`` is what is left of HTTP for a caller that keeps to none of it."""

    timeout = 60

    async def start(self) -> Upstream:
        upstream = await self.upstream(sends(UP))
        self.targets(upstream.address)
        await self.daemon(more_sources=TUNNEL, more="open_admin: false\n")
        return upstream

    async def say(self, data: bytes) -> bytes:
        """All that comes back before the connection ends, as it must."""
        talk = await self.connect()
        talk.send(data)
        await talk.ended
        return talk.received

    async def refused(self, data: bytes, *statuses: int) -> None:
        """There is one answer, with one of these statuses; what follows is no request."""
        received = await self.say(data + SMUGGLED)
        found = [int(status) for status in STATUS_LINE.findall(received)]
        self.assertEqual(len(found), 1, (data[:300], received))
        self.assertIn(found[0], statuses, (data[:300], received))


class SmugglingTests(HostileTestCase):
    """What one reads as a body, another may read as a request."""

    def test_where_a_body_ends(self) -> Deferred[None]:
        """It is clear, or the request is refused; wherever a body may be and where none may."""
        lengths = [
            [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
            [b"Content-Length: 5", b"Content-Length: 6"],
            [b"Content-Length: 5", b"Content-Length: 5"],
            *(
                [b"Content-Length: " + v]
                for v in (b"5, 5", b"+5", b"-5", b"0x5", b"5 5", b"", b"5;")
            ),
            [b"Content-Length: " + b"9" * 30],
            [b"Content-Length : 5"],
            [b"Content-Length\t: 5"],
            [b"Content-Length: 5", b" 6"],
            [b"X: y", b"\tContent-Length: 5"],
            *(
                [b"Transfer-Encoding: " + v]
                for v in (
                    b"identity",
                    b"xchunked",
                    b"chunked, identity",
                    b"gzip, chunked",
                    b"",
                    b"x",
                )
            ),
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding : chunked"],
            [b"Transfer-Encoding:\x0bchunked"],
            [b"Transfer-Encoding: chunked\0"],
        ]

        async def case() -> None:
            await self.start()
            for method, path in ((b"POST", b"/poll"), (b"POST", b"/push"), (b"GET", b"/discovery")):
                for lines in lengths:
                    head = [b"%b %b HTTP/1.1" % (method, path), b"Host: p", *lines]
                    await self.refused(b"\r\n".join([*head, b"", b""]), 400, 413, 501)

        return self.run_case(case())

    def test_chunks(self) -> Deferred[None]:
        """Any that is not as the grammar has it ends the connection."""
        head = b"POST /poll HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n"
        bad = [
            *(b"zz\r\n", b"-1\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"),
            *(b"5\nhello\n0\n\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"\r\n"),
            *(b" 5\r\nhello\r\n0\r\n\r\n", b"5\r\rhello\r\n0\r\n\r\n", b"F" * 17 + b"\r\n"),
            *(b"5_0\r\n", b"\xb25\r\n", b'5;a="\n"\r\nhello\r\n0\r\n\r\n', b"5" * 100_000),
            *(b"5;" + b"a" * 100_000 + b"\r\n", b"0\r\n" + b"A: b\r\n" * 100_000 + b"\r\n"),
        ]

        async def case() -> None:
            await self.start()
            for chunks in bad:
                received = await self.say(head + chunks + b"\r\n" + SMUGGLED)
                self.assertNotIn(b"promproxy is healthy", received, chunks[:100])
                self.assertNotIn(b"HTTP/1.1 2", received, chunks[:100])

        return self.run_case(case())

    def test_line_ends(self) -> Deferred[None]:
        """Bare LF, bare CR, folded lines, NUL, and space where none belongs."""
        heads = [
            b"GET / HTTP/1.1\nHost: p\n\n",
            b"GET / HTTP/1.1\r\nHost: p\n\r\n",
            b"GET / HTTP/1.1\r\nHost: p\r\nA: b\nC: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: p\r\nA: b\rC: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: p\r\nA: b\r\n c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: p\r\nA: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: p\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : p\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: p\r\nHost: q\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /  HTTP/1.1\r\nHost: p\r\n\r\n",
            b"GET\t/ HTTP/1.1\r\nHost: p\r\n\r\n",
            b"GET / HTTP/1.1 x\r\nHost: p\r\n\r\n",
            b"GET / HTTP/3.0\r\nHost: p\r\n\r\n",
            b"GET /\r\n\r\n",
            b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: p\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]

        async def case() -> None:
            await self.start()
            for head in heads:
                await self.refused(head, 400, 405, 505)

        return self.run_case(case())


class SizeTests(HostileTestCase):
    """More than anyone needs."""

    def test_each_is_refused(self) -> Deferred[None]:
        """By a status of the caller's own fault, whether or not there is an end to it."""

        async def case() -> None:
            await self.start()
            lines = b"".join(b"X-%d: y\r\n" % number for number in range(5000))
            heads = [
                b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: p\r\n\r\n",
                b"GET /?" + b"a" * 5_000_000,
                b"GET / HTTP/1.1\r\nHost: p\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: p\r\nX: " + b"a" * 5_000_000,
                b"GET / HTTP/1.1\r\nHost: p\r\n" + lines + b"\r\n",
                b"A" * 5_000_000,
            ]
            for head in heads:
                await self.refused(head, 431, 400, 414)
            for path in ("/", "/discovery", "/-/reload", "/poll"):
                long = request(path, "Content-Length: 5000000", method="POST")
                await self.refused(long + bytes(5_000_000), 413)

        return self.run_case(case())


class CrowdTests(HostileTestCase):
    """More connections than there may be."""

    def test_poll_that_is_held_is_not_slow(self) -> Deferred[None]:
        """It asked, and waits for us: those that have not asked are closed to make room."""

        async def case() -> None:
            upstream = await self.upstream(sends(UP))
            self.targets(upstream.address)
            await self.daemon(more_sources=TUNNEL, more="max_connections: 20\n")
            polls = [await self.connect() for _ in range(5)]
            for number, poll in enumerate(polls):
                name = f"client-{number}.example"
                head = request("/poll", f"Content-Length: {len(name)}", method="POST")
                poll.send(head + name.encode())
            silent = [await self.connect() for _ in range(30)]
            for talk in silent[::2]:
                talk.send(b"GET / HTTP/1.1\r\nHost: p")
            while sum(talk.reason is not None for talk in silent) < 15:
                await pause()
            self.assertTrue((await self.scrape(upstream)).endswith(b"\r\n\r\nup"))
            self.assertEqual([poll.reason for poll in polls], [None] * 5)
            self.assertEqual([poll.received for poll in polls], [b""] * 5)

        return self.run_case(case())


class PathTests(HostileTestCase):
    """Ways toward a target, or away from it."""

    def test_only_an_id_leads_to_a_target(self) -> Deferred[None]:
        """Written as it stands in the document; no other form of it, and nothing beside it."""

        async def case() -> None:
            upstream = await self.start()
            good = scrape_path(upstream.address)
            for path in odd_paths(upstream.address):
                received = await self.get(path)
                status = int(STATUS_LINE.findall(received)[0])
                self.assertIn(status, (400, 404), path)
            self.assertEqual(upstream.requests, [])
            self.assertTrue((await self.get(good)).endswith(b"\r\n\r\nup"))
            (asked,) = upstream.requests
            self.assertTrue(asked.startswith(b"GET /metrics HTTP/1.1\r\n"), asked)

        return self.run_case(case())

    def test_query_and_fragment_choose_nothing(self) -> Deferred[None]:
        """The target sees its own path, whatever is asked for."""

        async def case() -> None:
            upstream = await self.start()
            path = scrape_path(upstream.address)
            for more in ("?target=evil:80", "?path=/admin", "?", "?/../../x"):
                self.assertTrue((await self.get(path + more)).endswith(b"\r\n\r\nup"))
            self.assertEqual(
                {r.split(b"\r\n")[0] for r in upstream.requests}, {b"GET /metrics HTTP/1.1"}
            )

        return self.run_case(case())

    def test_administration_has_one_name(self) -> Deferred[None]:
        """However it is written, it is for those who may: here callers of this host."""

        async def case() -> None:
            await self.start()
            for path in (
                "/-/../-/reload",
                "/-/reload/",
                "//-/reload",
                "/%2d/reload%00",
                "/-/RELOAD",
            ):
                received = await self.get(path, method="POST")
                self.assertNotIn(b"HTTP/1.1 2", received, path)

        return self.run_case(case())

    def test_requests_for_other_hosts(self) -> Deferred[None]:
        """A proxy for the clients that poll, and for nobody else."""

        async def case() -> None:
            upstream = await self.start()
            ours = f"{HOST}:{self.port}"
            for uri in (
                *(f"http://{upstream.address}/metrics", f"http://{ours}@{upstream.address}/"),
                *(
                    "http://169.254.169.254/latest",
                    "https://example.org/",
                    "ftp://p/",
                    "file:///etc",
                ),
                *("http://", "http:///", "http://[::1]:80/", f"http://{ours}\\@evil/", "://"),
            ):
                received = await self.get(uri)
                status = int(STATUS_LINE.findall(received)[0])
                self.assertIn(status, (400, 403, 404), uri)
            self.assertEqual(upstream.requests, [])

        return self.run_case(case())


def odd_paths(address: str) -> Iterable[str]:
    """Paths that mean the target at an address to someone less strict."""
    folder = "/singleTargetMetrics"
    names = [
        *(f"vms//{address}", f"/vms/{address}", f"vms/./{address}", f"vms/x/../{address}"),
        *(f"vms%2F{address}", f"vms%2f{address}", f"%76ms/{address}", f"vms/{address}%00"),
        *(f"vms/{address}%0d%0aX-Evil:%201", f"vms/{address}%2500", f"vms%252F{address}"),
        *(f"vms/{address}/", f"vms/{address}/metrics", f"vms/{address};x", f"vms/{address}#x"),
        *(f"VMS/{address}", f"vms\\{address}", f"vms/{address.replace(':', '%3A')}"),
        *("", ".", "..", "vms", "vms/", "vms/..", "../discovery", "%2e%2e/discovery"),
        *("..%2f..%2fetc/passwd", "%252e%252e%252f", "....//....//", "vms/169.254.169.254:80"),
    ]
    yield from (f"{folder}/{name}" for name in names)
    yield f"{folder}{folder}/vms/{address}"
    yield f"/x{folder}/vms/{address}"
    yield f"/..{folder}/vms/{address}"
    yield f"/%73ingleTargetMetrics/vms/{address}"
    yield f"/discovery/..{folder}/vms/{address}"
    yield f"/discovery%2f..{folder}/vms/{address}"


class InjectionTests(HostileTestCase):
    """Line ends and markup where text is passed on."""

    def test_into_an_answer(self) -> Deferred[None]:
        """By what a request says: no header field of the caller's making, in any answer."""
        evil = [
            "%0d%0aX-Evil:%201",
            "%0aX-Evil:%201",
            "%0d%0a%0d%0a<script>",
            "%E5%98%8A%E5%98%8DX-Evil:1",
        ]
        places = [
            *(
                "/{}",
                "/singleTargetMetrics/{}",
                "/singleTargetMetrics/vms/{}",
                "/discovery?source={}",
            ),
            *("/?text={}", "/?source={}", "/?sort={}", "/api/v1/targets?limit={}", "/-/{}"),
        ]

        async def case() -> None:
            await self.start()
            for place in places:
                for text in evil:
                    received = await self.get(place.format(text))
                    head, _, body = received.partition(b"\r\n\r\n")
                    self.assertEqual(len(STATUS_LINE.findall(received)), 1, received)
                    self.assertNotIn(b"evil", head.lower().replace(b"x-evil:%201", b""), received)
                    self.assertNotIn(b"<script>", body)

        return self.run_case(case())

    def test_by_host(self) -> Deferred[None]:
        """It becomes the address of targets only where it is one."""

        async def case() -> None:
            await self.start()
            for host in (
                b"p/../x",
                b'p"],',
                b"p p",
                b"<b>",
                b"user@p",
                b"p:99999",
                b"p,q",
                b"\xff",
            ):
                head = b"GET /discovery HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host
                received = await self.say(head)
                self.assertTrue(received.startswith(b"HTTP/1.1 400 "), (host, received))

        return self.run_case(case())

    def test_by_labels(self) -> Deferred[None]:
        """What a source says: nothing of it ends a line of a request, an answer or a page."""
        evil = "x\r\nX-Evil: 1\r\n\r\n</td><script>alert(1)</script>\"'"

        async def case() -> None:
            upstream = await self.upstream(sends(UP))
            labels = {
                "app": evil,
                "instance": evil,
                "__metrics_path__": f"/{evil}",
                "__param_a": evil,
                f"__param_{evil}": "x",
                evil: evil,
            }
            groups = [{"targets": [upstream.address, evil, f"{evil}:80"], "labels": labels}]
            (self.folder / "targets.json").write_text(json.dumps(groups))
            await self.daemon()
            document = (await self.get("/discovery")).partition(b"\r\n\r\n")[2]
            target, _own = json.loads(document)
            self.assertEqual(target["labels"]["app"], evil)
            path = target["labels"]["__metrics_path__"]
            self.assertTrue(re.fullmatch("[A-Za-z0-9._~:/-]+", path), path)
            upstream.script = sends(b"nonsense\r\n\r\n")
            pages = [await self.get(page) for page in (path, "/", "/api/v1/targets", "/metrics")]
            for page in pages:
                self.assertEqual(len(STATUS_LINE.findall(page)), 1, page)
                self.assertNotIn(b"\nX-Evil", page.partition(b"\r\n\r\n")[0])
            self.assertNotIn(b"<script>", pages[1])
            (asked,) = upstream.requests
            self.assertNotIn(b"\nX-Evil", asked)
            self.assertTrue(asked.startswith(b"GET /x%0D%0AX-Evil:"), asked)

        return self.run_case(case())
