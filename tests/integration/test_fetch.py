"""Requests to an API through the real agent."""

from __future__ import annotations

import gzip
from typing import Any

from twisted.internet.defer import Deferred

from promproxy.daemon.profiles import make_profile
from promproxy.errors import BadUpstream, DeadlinePassed, ScrapeError, Unreachable
from promproxy.outbound.fetch import Fetcher
from promproxy.outbound.settings import HttpClient
from tests.integration.peers import HOST, free_port
from tests.integration.support import SocketTestCase, pause, reactor, sends

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class FetchTests(SocketTestCase):
    """The fetcher on sockets."""

    def fetcher(self, **changes: Any) -> Fetcher:
        agent = make_profile(reactor, HttpClient()).agent
        self.addCleanup(agent.close)
        fields = {"agent": agent, "clock": reactor, "timeout": 10.0, "max_size": 1000}
        return Fetcher(**{**fields, **changes})

    def test_form_is_sent(self) -> Deferred[None]:
        """As a token request wants it."""

        async def case() -> None:
            upstream = await self.upstream(sends())
            asked = upstream.asked()
            url = f"http://{upstream.address}/oauth/token"
            form = {"grant_type": "password", "password": "1&2"}
            answer = Deferred.fromCoroutine(self.fetcher().fetch("POST", url, {}, form))
            talk = await asked
            body = b"grant_type=password&password=1%262"
            await talk.until(body)
            self.assertEqual(talk.received, body)
            talk.send(HEAD + b"true")
            self.assertEqual((await answer).body, b"true")
            head = upstream.requests[0].lower()
            self.assertIn(b"\r\ncontent-type: application/x-www-form-urlencoded", head)
            self.assertIn(b"\r\ncontent-length: %d" % len(body), head)

        return self.run_case(case())

    def test_gzip_is_decompressed(self) -> Deferred[None]:
        """In whatever pieces it comes; the connection is kept."""

        async def case() -> None:
            zipped = gzip.compress(b"[1, 2, 3]")
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            upstream = await self.upstream(sends(head % len(zipped), zipped[:15]))
            fetcher = self.fetcher()
            for _ in "12":
                asked = upstream.asked()
                begun = fetcher.fetch("GET", f"http://{upstream.address}/", {})
                answer = Deferred.fromCoroutine(begun)
                talk = await asked
                await pause()
                talk.send(zipped[15:])
                self.assertEqual((await answer).body, b"[1, 2, 3]")
            self.assertEqual(len(upstream.talks), 1)

        return self.run_case(case())

    def test_failures_are_errors_of_ours_and_close_the_connection(self) -> Deferred[None]:
        """An answer cut short, one too large, one that never ends, and no server at all."""

        async def case() -> None:
            upstream = await self.upstream(sends())
            for script, timeout, kind in (
                (sends(HEAD + b"[", then_close=True), 10.0, BadUpstream),
                (sends(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1001), 10.0, BadUpstream),
                (sends(HEAD + b"["), 0.2, DeadlinePassed),
                (sends(), 0.2, DeadlinePassed),
            ):
                upstream.script = script
                url = f"http://{upstream.address}/"
                self.assertIsInstance(await self.error(url, timeout), kind)
                await upstream.talks[-1].ended
            nobody = f"http://{HOST}:{free_port()}/"
            self.assertIsInstance(await self.error(nobody, 10.0), Unreachable)

        return self.run_case(case())

    async def error(self, url: str, timeout: float) -> ScrapeError | None:
        try:
            await self.fetcher(timeout=timeout).fetch("GET", url, {})
        except ScrapeError as error:
            return error
        return None
