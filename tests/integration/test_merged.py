"""Merged scrapes from socket to socket. Numbers are those of the design's acceptance cases."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, gatherResults

from promproxy.targets.shards import Shard
from tests.integration.support import SocketTestCase, Talk, Upstream, pause, request

Script = Callable[[Talk], None]
GOOD = b"# HELP m it\n# TYPE m gauge\nm 1\n"


def answers(body: bytes, *headers: str, status: str = "200 OK", missing: int = 0) -> Script:
    """A script: this answer; ``missing`` bytes of its body never come, since it is cut."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) + missing}", *headers]
    head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def script(talk: Talk) -> None:
        talk.send(head + body)
        if missing:
            talk.transport.loseConnection()

    return script


def hangs(talk: Talk) -> None:
    """A script: no answer."""


def unchunked(received: bytes) -> tuple[int, dict[str, str], bytes, bool]:
    """Status, headers, body, and whether that ended as it should."""
    head, _, rest = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    if headers.get("Transfer-Encoding") != "chunked":
        return int(status.split()[1]), headers, rest, "Content-Length" in headers
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return int(status.split()[1]), headers, body, True
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return int(status.split()[1]), headers, body, False


def samples(body: bytes) -> dict[str, str]:
    """Series and values."""
    lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


class MergedTestCase(SocketTestCase):
    merged = "merged: {own_metrics: false}\n"

    async def start(
        self,
        scripts: Mapping[str, Script],
        labels: Mapping[str, Mapping[str, str]] = {},
        more: str = "",
    ) -> Upstream:
        """A daemon with a target for each script, ``instance`` being its name."""

        def script(talk: Talk) -> None:
            path = upstream.requests[-1].split(b" ", 2)[1].decode()
            scripts[path[1:]](talk)

        upstream = await self.upstream(script)
        groups = [
            {
                "targets": [upstream.address],
                "labels": {
                    "__metrics_path__": f"/{name}",
                    "instance": name,
                    **labels.get(name, {}),
                },
            }
            for name in scripts
        ]
        (self.folder / "targets.json").write_text(json.dumps(groups))
        await self.daemon(more=self.merged + more)
        return upstream

    async def ask(self, query: str = "", *headers: str) -> dict[str, str]:
        """The samples of an answer that ended as it should."""
        status, _, body, is_whole = unchunked(await self.get(f"/mergedMetrics{query}", *headers))
        self.assertEqual((status, is_whole), (200, True), body)
        return samples(body)

    async def own(self, pattern: str) -> dict[str, str]:
        """Our own metrics of these names."""
        found = samples(unchunked(await self.get("/metrics"))[2])
        return {name: value for name, value in found.items() if re.match(pattern, name)}


class AnswerTests(MergedTestCase):
    def test_all_targets_with_their_labels(self) -> Deferred[None]:
        """Each has an ``up`` and its samples; comments say how many there are, and failed."""

        async def case() -> None:
            labels = {"a": {"env": "prod", "__meta_x": "y"}, "b": {"env": "test"}}
            await self.start({"a": answers(GOOD), "b": answers(b'm{env="x"} 2\n')}, labels)
            status, headers, body, is_whole = unchunked(await self.get("/mergedMetrics"))
            self.assertEqual((status, is_whole), (200, True))
            self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            first, *_, last = body.decode().splitlines()
            self.assertEqual(first, "# promproxy: 2 targets")
            self.assertEqual(last, "# promproxy: 0 of 2 targets failed")
            found = samples(body)
            self.assertEqual(found['m{instance="a",env="prod"}'], "1")
            self.assertEqual(found['m{instance="b",env="test",exported_env="x"}'], "2")
            self.assertEqual(found['up{instance="a",env="prod"}'], "1")
            self.assertEqual(found['scrape_samples_scraped{instance="b",env="test"}'], "1")
            self.assertIn('scrape_duration_seconds{instance="a",env="prod"}', found)

        return self.run_case(case())

    def test_bad_targets_spoil_nothing(self) -> Deferred[None]:
        """17, 24: each bad one is down, with its reason and no sample; the others are whole."""

        async def case() -> None:
            bomb = gzip.compress(b"m 1\n" * 1_000_000)
            bad = {
                "crlf": (answers(b"m 1\r\n"), "bad_exposition"),
                "html": (answers(b"<html>"), "bad_exposition"),
                "range": (answers(b"n 1\nm 1e999\n"), "bad_exposition"),
                "nul": (answers(b"n 1\n\0"), "bad_exposition"),
                "utf8": (answers(b'n{a="\xff"} 1\n'), "bad_exposition"),
                "openmetrics": (
                    answers(b"n 1\n", "Content-Type: application/openmetrics-text"),
                    "bad_exposition",
                ),
                "status": (answers(GOOD, status="500 Oh"), "target_error"),
                "redirect": (answers(GOOD, "Location: /x", status="302 Found"), "bad_answer"),
                "cut": (answers(GOOD, missing=9), "bad_answer"),
                "gzip": (answers(gzip.compress(GOOD)[:-9], "Content-Encoding: gzip"), "bad_answer"),
                "bomb": (answers(bomb, "Content-Encoding: gzip"), "bad_answer"),
                "loop": (answers(b"", status="508 Loop Detected"), "loop"),
            }
            good = {"a-first": answers(GOOD), "z-last": answers(GOOD)}
            await self.start(
                {**good, **{name: script for name, (script, _) in bad.items()}},
                more="scrape: {body_size_limit: 2MB}\n",
            )
            for _ in range(2):  # with series that are known, too
                found = await self.ask()
                for name, (_, outcome) in bad.items():
                    self.assertEqual(found[f'up{{instance="{name}"}}'], "0", name)
                    series = (
                        f'promproxy_merged_target_failed{{instance="{name}",outcome="{outcome}"}}'
                    )
                    self.assertEqual(found.get(series), "1", (name, found))
                for name in good:
                    self.assertEqual(found[f'up{{instance="{name}"}}'], "1")
                    self.assertEqual(found[f'm{{instance="{name}"}}'], "1")
                assert not any(series.startswith("n{") for series in found), found
            targets = json.loads(unchunked(await self.get("/api/v1/targets"))[2])
            health = {
                target["labels"]["instance"]: target["health"]
                for target in targets["data"]["activeTargets"]
            }
            self.assertEqual(health["a-first"], "up")
            self.assertEqual({health[name] for name in bad}, {"down"})

        return self.run_case(case())

    def test_openmetrics_and_gzip_of_targets(self) -> Deferred[None]:
        """22: OpenMetrics becomes text; compressed bodies are decoded; we ask for text."""

        async def case() -> None:
            openmetrics = b'# TYPE c counter\nc_total 1 # {t="} 1 # {"} 1\n# EOF\n'
            upstream = await self.start(
                {
                    "a": answers(openmetrics, "Content-Type: application/openmetrics-text; v=1"),
                    "b": answers(gzip.compress(GOOD), "Content-Encoding: gzip"),
                }
            )
            found = await self.ask("", "Accept: application/vnd.google.protobuf")
            self.assertEqual(found['c_total{instance="a"}'], "1")
            self.assertEqual(found['m{instance="b"}'], "1")
            for sent in upstream.requests:
                self.assertIn(b"\r\nAccept: text/plain;version=0.0.4,", sent)
                self.assertNotIn(b"protobuf", sent)
                self.assertRegex(sent, b"\r\nPromproxy-Loop: [0-9a-f]+")

        return self.run_case(case())

    def test_help_is_sent_once(self) -> Deferred[None]:
        """21: and by the next target where the first one with it is bad."""

        async def case() -> None:
            scripts = {f"t{i}": answers(GOOD) for i in range(20)}
            scripts["a"] = answers(GOOD + b"bad line\n")
            await self.start(scripts)
            body = unchunked(await self.get("/mergedMetrics"))[2]
            self.assertEqual(body.count(b"# HELP m it\n"), 1)
            self.assertEqual(body.count(b"# TYPE m gauge\n"), 20)

        return self.run_case(case())

    def test_an_answer_is_compressed_as_one_member(self) -> Deferred[None]:
        """30: curl reads no second one."""

        async def case() -> None:
            await self.start({f"t{i}": answers(GOOD) for i in range(5)})
            received = await self.get("/mergedMetrics", "Accept-Encoding: gzip")
            _, headers, body, is_whole = unchunked(received)
            self.assertEqual(headers["Content-Encoding"], "gzip")
            decoder = zlib.decompressobj(31)
            text = decoder.decompress(body)
            assert decoder.eof and not decoder.unused_data and is_whole
            self.assertEqual(text.count(b"\nup{"), 5)

        return self.run_case(case())

    def test_equal_label_sets(self) -> Deferred[None]:
        """32: one of them is scraped, since their series would be one."""

        async def case() -> None:
            same = {"a": {"instance": "x"}, "b": {"instance": "x"}}
            upstream = await self.start({"a": answers(GOOD), "b": answers(GOOD)}, same)
            found = await self.ask()
            self.assertEqual(found['up{instance="x"}'], "1")
            self.assertEqual(len(upstream.requests), 1)
            counted = await self.own("promproxy_merged_duplicate_targets")
            self.assertEqual(list(counted.values()), ["1.0"])
            self.flushLoggedErrors()

        return self.run_case(case())

    def test_own_metrics_come_last(self) -> Deferred[None]:
        async def case() -> None:
            self.merged = "merged: {}\n"
            await self.start({"a": answers(GOOD)})
            self.assertIn("promproxy_scrapes_in_flight", await self.ask())

        return self.run_case(case())

    def test_promregator_up(self) -> Deferred[None]:
        async def case() -> None:
            await self.start(
                {"a": answers(GOOD), "b": answers(b"x")},
                more="discovery: {promregator_labels: true}\n",
            )
            found = await self.ask()
            self.assertEqual(found['promregator_up{instance="a"}'], "1")
            self.assertEqual(found['promregator_up{instance="b"}'], "0")

        return self.run_case(case())

    def test_honor_labels(self) -> Deferred[None]:
        async def case() -> None:
            self.merged = "merged: {own_metrics: false, honor_labels: true}\n"
            await self.start({"a": answers(b'm{instance="own"} 1\n')})
            found = await self.ask()
            self.assertEqual(found['m{instance="own"}'], "1")
            self.assertEqual(found['up{instance="a"}'], "1")

        return self.run_case(case())

    def test_grouped(self) -> Deferred[None]:
        """Families once, for strict readers; too large an answer is refused before it begins."""

        async def case() -> None:
            self.merged = "merged: {buffer: 1MB}\n"
            long = b"".join(b'x%d{a="%s"} 1\n' % (i, b"v" * 100) for i in range(8_500))
            counter = b"# TYPE m counter\nm 2\n"
            await self.start({"a": answers(GOOD), "b": answers(counter), "c": answers(long)})
            _, _, body, is_whole = unchunked(
                await self.get("/mergedMetrics?grouped=1&match=instance=a")
            )
            assert is_whole
            types = [line.split()[2] for line in body.splitlines() if line.startswith(b"# TYPE")]
            self.assertEqual(len(types), len(set(types)))
            status, headers, body, _ = unchunked(
                await self.get("/mergedMetrics?grouped=1", "Accept-Encoding: gzip")
            )
            self.assertEqual(status, 503)
            self.assertNotIn("Content-Encoding", headers)
            self.assertEqual(body, b"the answer would be larger than 1048576 bytes\n")

        return self.run_case(case())


class SelectionTests(MergedTestCase):
    def test_selections(self) -> Deferred[None]:
        """33: by source, label and shard; nothing that matches is an answer too."""

        async def case() -> None:
            names = [f"t{i}" for i in range(8)]
            labels = {name: {"env": "prod" if name < "t4" else "test"} for name in names}
            await self.start({name: answers(GOOD) for name in names}, labels)

            async def instances(query: str) -> set[str]:
                found = await self.ask(query)
                return {s.split('"')[1] for s in found if s.startswith("up{")}

            self.assertEqual(await instances("?source=vms"), set(names))
            self.assertEqual(await instances("?match=env=prod"), set(names[:4]))
            self.assertEqual(await instances("?match=env=prod&match=instance=t1"), {"t1"})
            self.assertEqual(await instances("?match=__meta_promproxy_source=x"), set())
            for index in (0, 1):
                expected = {name for name in names if Shard(index, 2).holds(name)}
                self.assertEqual(await instances(f"?shard={index}&of=2"), expected)

        return self.run_case(case())

    def test_refusals(self) -> Deferred[None]:
        async def case() -> None:
            await self.start({"a": answers(GOOD)})
            for query, status in (
                ("?source=nope", 404),
                ("?match=x", 400),
                ("?shard=2&of=2", 400),
                ("?shard=0", 400),
                ("?colour=red", 400),
            ):
                received = await self.get(f"/mergedMetrics{query}")
                self.assertEqual(unchunked(received)[0], status, query)
            received = await self.get("/mergedMetrics", method="HEAD")
            self.assertEqual(unchunked(received)[0], 200)

        return self.run_case(case())

    def test_a_loop(self) -> Deferred[None]:
        """A request that came by way of ourselves gets 508."""

        async def case() -> None:
            upstream = await self.start({"a": answers(GOOD)})
            await self.ask()
            (sent,) = upstream.requests
            (loop,) = [
                line for line in sent.decode().split("\r\n") if line.startswith("Promproxy-")
            ]
            self.assertEqual(unchunked(await self.get("/mergedMetrics", loop))[0], 508)

        return self.run_case(case())

    def test_without_the_section(self) -> Deferred[None]:
        """34: no page, and no metrics of it."""

        async def case() -> None:
            self.merged = ""
            await self.start({"a": answers(GOOD)})
            self.assertEqual(unchunked(await self.get("/mergedMetrics"))[0], 404)
            self.assertEqual(await self.own("promproxy_merged"), {})

        return self.run_case(case())


class TimeTests(MergedTestCase):
    def test_targets_that_hang(self) -> Deferred[None]:
        """25: the others are complete, they are down, and the answer ends in time."""

        async def case() -> None:
            scripts: dict[str, Script] = {f"h{i}": hangs for i in range(10)}
            scripts |= {f"t{i}": answers(GOOD) for i in range(30)}
            await self.start(scripts, more="scrape: {max_concurrent_per_host: 1000}\n")
            found = await self.ask("", "X-Prometheus-Scrape-Timeout-Seconds: 2")
            ups = [value for series, value in found.items() if series.startswith("up{")]
            self.assertEqual((ups.count("1"), ups.count("0")), (30, 10))
            counted = await self.own('promproxy_merged_targets_total{outcome="timeout"}')
            self.assertEqual(list(counted.values()), ["10.0"])
            again = await self.own('promproxy_merged_requests_total{outcome="success"}')
            self.assertEqual(list(again.values()), ["1.0"])

        return self.run_case(case())

    def test_the_third_at_a_time(self) -> Deferred[None]:
        async def case() -> None:
            upstream = await self.start({"a": hangs})
            talks = []
            for _ in range(2):
                asked = upstream.asked()
                talks.append(await self.connect())
                talks[-1].send(request("/mergedMetrics"))
                await asked
            self.assertEqual(unchunked(await self.get("/mergedMetrics"))[0], 503)

        return self.run_case(case())

    def test_the_caller_leaves(self) -> Deferred[None]:
        """29: the scrapes are given up, and all slots are free."""

        async def case() -> None:
            upstream = await self.start({"a": hangs, "b": hangs})
            first = upstream.asked()
            second = upstream.asked()
            caller = await self.connect()
            caller.send(request("/mergedMetrics"))
            await gatherResults([first, second])
            caller.transport.abortConnection()
            await gatherResults([talk.ended for talk in upstream.talks])
            counted = await self.own('promproxy_merged_requests_total{outcome="client_gone"}')
            self.assertEqual(list(counted.values()), ["1.0"])

        return self.run_case(case())

    def test_a_slow_caller(self) -> Deferred[None]:
        """28: while it reads nothing, only as many targets were asked as there are slots."""

        async def case() -> None:
            self.merged = "merged: {own_metrics: false, concurrency: 2}\n"
            big = b"".join(b"m%d 1\n" % i for i in range(50_000))
            upstream = await self.start({f"t{i}": answers(big) for i in range(30)})
            caller = await self.connect()
            caller.transport.pauseProducing()
            patient = "X-Prometheus-Scrape-Timeout-Seconds: 60"
            caller.send(request("/mergedMetrics", patient, "Connection: close"))
            before = -1
            while len(upstream.requests) != before or before < 2:
                before = len(upstream.requests)
                for _ in range(100):
                    await pause()
            self.assertLess(before, 15)
            caller.transport.resumeProducing()
            _, _, body, is_whole = unchunked(await caller.ended)
            assert is_whole
            self.assertEqual(body.count(b"\nup{"), 30)

        return self.run_case(case())

    test_a_slow_caller.timeout = 60  # type: ignore[attr-defined]

    def test_an_answer_that_breaks_off(self) -> Deferred[None]:
        """26, 27: no last chunk, no end of gzip; over HTTP/1.0 a reset."""

        async def case() -> None:
            big = b"".join(b"m%d 1\n" % i for i in range(200_000))
            await self.start({f"t{i}": answers(big) for i in range(8)})
            for version, headers in (
                ("1.1", ()),
                ("1.1", ("Accept-Encoding: gzip",)),
                ("1.0", ()),
            ):
                caller = await self.connect()
                caller.transport.pauseProducing()
                timeout = "X-Prometheus-Scrape-Timeout-Seconds: 1"
                caller.send(request("/mergedMetrics", timeout, *headers, version=version))
                counted: dict[str, str] = {}
                while not counted:
                    await pause()
                    counted = await self.own('promproxy_merged_requests_total{outcome="timeout"}')
                caller.transport.resumeProducing()
                received = await caller.ended
                if version == "1.1":
                    _, _, body, is_whole = unchunked(received)
                    assert not is_whole
                    if headers:
                        decoder = zlib.decompressobj(31)
                        decoder.decompress(body)
                        assert not decoder.eof
                else:
                    assert caller.reason is not None
                    self.assertEqual(caller.reason.type.__name__, "ConnectionLost")

        return self.run_case(case())

    test_an_answer_that_breaks_off.timeout = 60  # type: ignore[attr-defined]
