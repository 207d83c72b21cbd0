"""The daemon and targets that mean it ill: what they send costs them, and no one else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from promproxy.http.bodies import MAX_TRAILERS
from promproxy.http.framing import MAX_HEAD, MAX_INTERIM
from tests.integration.support import (
    SocketTestCase,
    Talk,
    Upstream,
    scrape_path,
    sends,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1 << 20
TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds: 1"


def endlessly(begin: bytes, piece: bytes) -> Callable[[Talk], None]:
    """A script that writes on as fast as it is read, for as long as anyone listens."""

    class Producer:
        def __init__(self, talk: Talk) -> None:
            self.talk = talk

        def resumeProducing(self) -> None:
            self.talk.send(piece)

        def stopProducing(self) -> None:
            pass

    def script(talk: Talk) -> None:
        talk.send(begin)
        producer: Any = Producer(talk)
        talk.transport.registerProducer(producer, False)

    return script


class HostileTargetTests(SocketTestCase):
    """Each is scraped by a daemon in a process of its own, beside a good target."""

    async def start(self, script: Callable[[Talk], None]) -> Upstream:
        hostile = await self.upstream(script)
        self.good = await self.upstream(sends(HEAD + b"Content-Length: 2\r\n\r\nup"))
        self.targets(hostile.address, self.good.address)
        self.process = await self.ready_twistd()
        return hostile

    async def start_each(self, *answers: bytes | Callable[[Talk], None]) -> Upstream:
        """One target with a path for each answer: /0, /1 and so on. See `scrape_each`."""
        hostile: Upstream

        def script(talk: Talk) -> None:
            answer = answers[int(hostile.requests[-1].split()[1][1:])]
            (sends(answer) if isinstance(answer, bytes) else answer)(talk)

        hostile = await self.upstream(script)
        groups = [
            {"targets": [hostile.address], "labels": {"__metrics_path__": f"/{number}"}}
            for number in range(len(answers))
        ]
        (self.folder / "targets.json").write_text(json.dumps(groups))
        self.process = await self.ready_twistd()
        return hostile

    async def scrape_each(self, hostile: Upstream, number: int) -> bytes:
        return await self.get(f"{scrape_path(hostile.address)}/{number}")

    async def assert_good_target_is_served(self) -> None:
        """Whatever the other one has done."""
        self.assertIn(b"up", await self.scrape(self.good))

    def refused(self, script: Callable[[Talk], None], reason: bytes) -> Deferred[None]:
        """A 502 for this reason, while the scrape's time is far from over; the target is left."""

        async def case() -> None:
            hostile = await self.start(script)
            answer = await self.scrape(hostile)
            assert answer.startswith(b"HTTP/1.1 502 "), answer[:300]
            self.assertIn(reason, answer)
            await hostile.talks[0].ended
            await self.assert_good_target_is_served()
            self.assertLess(self.process.memory, 100 * MEGABYTE)

        return self.run_case(case())

    def test_endless_headers(self) -> Deferred[None]:
        """Small ones, ever more of them."""
        return self.refused(endlessly(HEAD, b"X-A: b\r\n" * 100), b"answer head too large")

    def test_endless_header(self) -> Deferred[None]:
        """One that does not end."""
        return self.refused(endlessly(HEAD + b"X-A: ", b"b" * 10_000), b"answer head too large")

    def test_head_of_just_the_limit_and_one_more(self) -> Deferred[None]:
        """The limit is the size of the largest head that is taken."""

        async def case() -> None:
            end = b"\r\nContent-Length: 2\r\n\r\n"
            filler = b"x" * (MAX_HEAD - len(HEAD + b"X: " + end))
            heads = (HEAD + b"X: " + filler + end, HEAD + b"X: x" + filler + end)
            hostile = await self.start_each(*(head + b"up" for head in heads))
            for number, status in enumerate((b"200", b"502")):
                answer = await self.scrape_each(hostile, number)
                self.assertEqual(answer.split()[1], status)

        return self.run_case(case())

    def test_flood_of_interim_answers(self) -> Deferred[None]:
        """A few are waited out, not any number."""
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        return self.refused(endlessly(b"", interim * 10), b"too many interim answers")

    def test_some_interim_answers(self) -> Deferred[None]:
        """None of them reaches the caller."""

        async def case() -> None:
            interim = b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM
            hostile = await self.start(sends(interim + HEAD + b"Content-Length: 4\r\n\r\ngood"))
            answer = await self.scrape(hostile)
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"good"), answer
            self.assertNotIn(b"100 Continue", answer)

        return self.run_case(case())

    def test_switching_protocols(self) -> Deferred[None]:
        """Nobody asked for that."""
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        return self.refused(sends(upgrade), b"answer switches protocols")

    def test_endless_body(self) -> Deferred[None]:
        """It passes through until the deadline, and is then seen to be cut."""

        async def case() -> None:
            piece = b"%x\r\n%b\r\n" % (10_000, b"#" * 10_000)
            hostile = await self.start(endlessly(CHUNKED, piece))
            answer = await self.scrape(hostile, TIMEOUT)
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
            assert not answer.endswith(b"0\r\n\r\n")
            self.assertGreater(len(answer), MEGABYTE)
            await hostile.talks[0].ended
            await self.assert_good_target_is_served()
            self.assertLess(self.process.memory, 120 * MEGABYTE)

        return self.run_case(case())

    def test_endless_chunk_extensions_and_trailers(self) -> Deferred[None]:
        """Neither is passed on, both have a limit, and the body is seen to be cut."""

        async def case() -> None:
            hostile = await self.start_each(
                endlessly(CHUNKED + b"2\r\nup\r\n1;", b"x" * 10_000),
                endlessly(CHUNKED + b"2\r\nup\r\n0\r\n", b"X-T: x\r\n" * 1000),
            )
            for number in range(2):
                answer = await self.scrape_each(hostile, number)
                assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
                assert not answer.endswith(b"0\r\n\r\n") and len(answer) < 1000, answer[-300:]
                await hostile.talks[number].ended
            self.assertLess(self.process.memory, 100 * MEGABYTE)

        return self.run_case(case())

    def test_trailers(self) -> Deferred[None]:
        """A few are read and dropped: a target cannot set headers by them."""

        async def case() -> None:
            trailers = b"Set-Cookie: a=b\r\nContent-Length: 5\r\n"
            assert len(trailers) < MAX_TRAILERS
            body = CHUNKED + b"2\r\nup\r\n0\r\n" + trailers + b"\r\n"
            hostile = await self.start(sends(body))
            for _ in range(2):  # on one connection
                answer = await self.scrape(hostile)
                assert answer.endswith(b"2\r\nup\r\n0\r\n\r\n"), answer
                self.assertNotIn(b"Set-Cookie", answer)
            self.assertEqual(len(hostile.talks), 1)

        return self.run_case(case())

    def test_gzip_bomb(self) -> Deferred[None]:
        """It passes through untouched, and costs us no more than any other body of its size."""

        async def case() -> None:
            bomb = gzip.compress(gzip.compress(b"\0" * (300 * MEGABYTE), 1), 9)
            head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
            hostile = await self.start(sends(HEAD + head + bomb))
            answer = await self.scrape(hostile, "Accept-Encoding: gzip")
            self.assertIn(b"Content-Encoding: gzip\r\n", answer)
            self.assertEqual(answer.partition(b"\r\n\r\n")[2], bomb)
            self.assertLess(self.process.memory, 100 * MEGABYTE)

        return self.run_case(case())

    def test_header_injection(self) -> Deferred[None]:
        """Odd bytes are refused as a whole; good headers that are none of ours stay behind."""

        async def case() -> None:
            good = b"X: a\nSet-Cookie: a=b\r\nRefresh: 0\r\nLocation: http://x/\r\n"
            good += b"Content-Length: 2\r\n"
            lines = (b"X: a\rSet-Cookie: b", b"X: \0", b" X: a", b"X : a")
            end = b"\r\nContent-Length: 2\r\n\r\nup"
            hostile = await self.start_each(
                HEAD + good + b"\r\nup", *(HEAD + line + end for line in lines)
            )
            head, _, body = (await self.scrape_each(hostile, 0)).partition(b"\r\n\r\n")
            self.assertEqual(body, b"up")
            for name in (b"Set-Cookie", b"Refresh", b"Location"):
                self.assertNotIn(name, head)
            for number in range(1, len(lines) + 1):
                answer = await self.scrape_each(hostile, number)
                self.assertIn(b"502 ", answer[:20])
                self.assertIn(b"malformed answer head", answer)

        return self.run_case(case())

    def test_answer_for_the_next_one(self) -> Deferred[None]:
        """Two answers to one request: the second one serves nobody."""

        async def case() -> None:
            answers = (
                HEAD + b"Content-Length: 2\r\n\r\nup" + HEAD + b"Content-Length: 4\r\n\r\nevil"
            )
            hostile = await self.start(sends(answers))
            for _ in range(3):
                answer = await self.scrape(hostile)
                assert answer.endswith(b"\r\n\r\nup"), answer
            self.assertEqual(len(hostile.talks), 3)

        return self.run_case(case())

    def test_redirects_to_anywhere(self) -> Deferred[None]:
        """None is followed; where to is told, but for what may be secret in it, or does harm."""

        async def case() -> None:
            where = await self.upstream(sends(HEAD + b"Content-Length: 4\r\n\r\nevil"))
            host = where.address.encode()
            secret = b"http://u:hunter2@%b/x?token=hunter2#hunter2" % host
            expected = (
                (301, b"http://%b/x" % host, b" to http://%b/x," % host),
                (302, secret, b" to http://%b/x," % host),
                (303, b"//%b/y" % host, b" to //%b/y," % host),
                (307, b"/login", b" to /login,"),
                (308, b"file:///etc/passwd", b" to file:///etc/passwd,"),
                (302, b"http://[", b"redirects,"),
                (302, b"/\xff\xfe", b"redirects,"),
                (302, b"/" + b"x" * 5000, b" to /" + b"x" * 199 + b","),
            )
            head = b"HTTP/1.1 %d Go\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
            hostile = await self.start_each(*(head % (code, to) for code, to, _ in expected))
            for number, (_, _, told) in enumerate(expected):
                answer = await self.scrape_each(hostile, number)
                self.assertIn(b"502 ", answer[:20])
                self.assertIn(told, answer)
                self.assertNotIn(b"hunter2", answer)
            self.assertEqual(where.requests, [])

        return self.run_case(case())
