"""The daemon and discovery that means it ill: documents and APIs made to hurt their readers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from promproxy.targets.labels import MAX_LABEL_BYTES, is_label_name
from tests.integration.support import SocketTestCase, Talk, Upstream, pause, sends
from tests.integration.test_hostile_target import MEGABYTE, endlessly

OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
DEEP = b"[" * 200_000
PAGE = b'{"pagination": {"total_results": %b, "next": null}, "resources": %b}'


def body(content: bytes, *headers: bytes) -> bytes:
    """An answer with this JSON."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return JSON + lines + b"Content-Length: %d\r\n\r\n" % len(content) + content


def document(*groups: Any) -> bytes:
    """An http_sd document."""
    return body(json.dumps(groups).encode())


def root(uaa: str) -> bytes:
    """The root of an API that names this UAA."""
    return body(json.dumps({"links": {"uaa": {"href": uaa}}}).encode())


class HostileDiscoveryTests(SocketTestCase):
    """One server for everything, by the first part of the path; a daemon in its own process."""

    timeout = 60

    async def serve(self, **answers: bytes | Callable[[Talk], None]) -> Upstream:
        server: Upstream

        def script(talk: Talk) -> None:
            kind = server.requests[-1].split()[1].decode().strip("/").partition("/")[0]
            answer = answers.get(kind, body(b"{}"))
            (sends(answer) if isinstance(answer, bytes) else answer)(talk)

        server = await self.upstream(script)
        return server

    async def start(self, *sources: str) -> None:
        """A daemon with these sources beside a good one; `vms` delivers."""
        good = await self.upstream(sends(OK + b"Content-Length: 2\r\n\r\nup"))
        self.targets(good.address)
        self.good = good
        listed = "".join(f", {source}" for source in sources)
        self.process = self.twistd(self.config(more_sources=listed))
        await self.process.until(b"source vms: ")

    async def line_of(self, name: str) -> str:
        """The first line of the log that tells of a source."""
        await self.process.until(f"source {name}: ".encode())
        lines = self.process.output.decode().splitlines()
        return next(line for line in lines if f"source {name}: " in line)

    async def assert_all_is_well(self, megabytes: int) -> None:
        """The good source is served, the process is no larger than that, and no bug was met."""
        self.assertIn(b"up", await self.scrape(self.good))
        self.assertLess(self.process.memory, megabytes * MEGABYTE)
        self.assertNotIn(b"Traceback", self.process.output)
        self.assertNotIn(b"unexpected error", self.process.output)

    def source(self, name: str, server: Upstream, more: str = "") -> str:
        url = f"http://{server.address}/{name}"
        return f"{{name: {name}, http_sd: {{url: '{url}', max_size: 1MB{more}}}}}"

    def test_documents_that_are_none(self) -> Deferred[None]:
        """Each is refused by a line that says why, and none takes memory or time."""

        async def case() -> None:
            bomb = gzip.compress(b"[" + b" " * (200 * MEGABYTE) + b"]", 9)
            labels = {f"l{number}": "x" * 4000 for number in range(60)}
            many = {"targets": ["a:1"] * 50_000, "labels": labels}
            expected = {
                "endless": (endlessly(JSON + b"\r\n[", b" " * 100_000), "larger than 1048576"),
                "slow": (sends(JSON + b"Content-Length: 9\r\n\r\n["), "no complete answer within"),
                "bomb": (body(bomb, b"Content-Encoding: gzip"), "larger than 1048576 bytes"),
                "notgzip": (body(b"[]" * 99, b"Content-Encoding: gzip"), "not valid gzip"),
                "deep": (body(DEEP), "nested too deeply"),
                "deeper": (body(b'[{"targets": [], "labels": {"a": ' + DEEP), "nested too deeply"),
                "number": (body(b'[{"targets": [' + b"9" * 100_000 + b"]}]"), ""),
                "amplified": (document(many), "take 1 GB"),
                "redirects": (
                    b"HTTP/1.1 302 Go\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
                    "status 302",
                ),
            }
            server = await self.serve(**{name: answer for name, (answer, _) in expected.items()})
            sources = [
                self.source(name, server, ", timeout: 2s" if name == "slow" else "")
                for name in expected
            ]
            await self.start(*sources)
            for name, (_, why) in expected.items():
                self.assertIn(why, await self.line_of(name))
            await self.assert_all_is_well(250)

        return self.run_case(case())

    def test_odd_labels_and_addresses(self) -> Deferred[None]:
        """What Prometheus would refuse is left out, and the log stays readable."""

        async def case() -> None:
            huge = "x" * MEGABYTE
            port = 9
            labels = {
                "long": "x" * (MAX_LABEL_BYTES + 1),
                "huge": huge[: MEGABYTE // 4],
                "n" * 100_000: "v",
                "bad-name": "v",
                "é": "v",
                "": "v",
                "a\nb": "v",
                "__name__": "evil",
                "__address__": "elsewhere:1",
                "job": "node",
                "surrogate": "\ud800",
                "number": 5,
                "list": [[]],
                "none": None,
                "good": "é\n\0<script>",
            }
            addresses = [
                f"ok.example:{port}",
                f"u:p@ok.example:{port}",
                "http://ok.example/",
                "file:///etc/passwd",
                "ok.example:99999",
                "ok.example:80/x?y",
                f"ok.example\r\nX: y:{port}",
                "x" * 100_000 + ":1",
                5,
                None,
                ["a"],
            ]
            groups = [{"targets": addresses, "labels": labels}]
            for scheme in ("file", "gopher", "HTTP2", "javascript", "http://evil.example/"):
                groups.append({"targets": ["a:1"], "labels": {"__scheme__": scheme}})
            server = await self.serve(odd=document(*groups))
            await self.start(self.source("odd", server))
            answer = b""
            while b"200 OK" not in answer:
                answer = await self.get("/discovery?source=odd")
                await pause()
            found = json.loads(answer.partition(b"\r\n\r\n")[2])
            self.assertEqual(len(found), 1, found)
            for name, value in found[0]["labels"].items():
                assert is_label_name(name) and isinstance(value, str), name
                assert len(value.encode()) <= MAX_LABEL_BYTES
            plain = {name for name in found[0]["labels"] if not name.startswith("__")}
            # Half a surrogate pair is replaced, as Go does.
            self.assertEqual(plain, {"good", "instance", "surrogate"})
            self.assertLess(max(map(len, self.process.output.splitlines())), 1000)
            await self.assert_all_is_well(150)

        return self.run_case(case())

    def test_hostile_foundation(self) -> Deferred[None]:
        """What stands where the API should be; the password goes to no one else by it."""

        async def case() -> None:
            evil = await self.upstream(sends(OK + b"Content-Length: 0\r\n\r\n"))
            app = {
                "guid": "a",
                "name": "x" * MEGABYTE,
                "state": "STARTED",
                "relationships": {"space": {"data": {"guid": "s"}}},
            }
            roots = {
                "credentials": (root(f"http://u:p@{evil.address}"), "UAA has no http"),
                "scheme": (root("file:///etc/passwd"), "UAA has no http"),
                "nested": (body(DEEP), "no JSON"),
                "deep": (body(b'{"links": ' + DEEP), "it names no UAA"),
            }
            pages = {
                "apps": (PAGE % (b"1", DEEP), "not a list of the API"),
                "huge": (PAGE % (b"1" * 5000, b"[]"), "not a list of the API"),
                "names": (PAGE % (b"1", json.dumps([app]).encode()), "name is longer than 1000"),
            }
            sources = [await self.foundation(name, r, b"") for name, (r, _) in roots.items()]
            sources += [await self.foundation(name, b"", body(p)) for name, (p, _) in pages.items()]
            await self.start(*sources)
            for name, (_, why) in {**roots, **pages}.items():
                line = await self.line_of(name)
                self.assertIn(why, line)
                self.assertLess(len(line), 1000)
            self.assertEqual(evil.talks, [])
            await self.assert_all_is_well(250)

        return self.run_case(case())

    async def foundation(self, name: str, first: bytes, page: bytes) -> str:
        """A source with an API that answers so at its root, and then with this page."""
        server: Upstream

        def script(talk: Talk) -> None:
            request = server.requests[-1]
            if request.startswith(b"POST "):
                talk.send(body(b'{"access_token": "t", "expires_in": 600}'))
            else:
                own = root(f"http://{server.address}")
                other = page if request.startswith(b"GET /v3/apps") else body(PAGE % (b"0", b"[]"))
                talk.send((first or own) if request.startswith(b"GET / ") else other)

        server = await self.upstream(script)
        return (
            f"{{name: {name}, cloud_foundry: {{api_url: 'http://{server.address}', username: u, "
            "password: hunter2, max_requests_per_second: 0, select: [{}]}}"
        )
