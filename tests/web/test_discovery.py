"""Tests of promproxy.web.discovery."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.registry import Registry
from promproxy.server.answers import accepts_gzip
from promproxy.targets.document import EntryStyle
from promproxy.targets.target import Delivery
from promproxy.web.discovery import (
    MOST_ADDRESSES,
    DiscoveryResource,
    DocumentCache,
)
from tests.fakes import (
    Answer,
    Caller,
    ManualThread,
    ScriptedSource,
    at_once,
    delivery_of,
    make_registry,
    pull_by_clock,
    registry_with,
    settle,
)


class DiscoveryTestCase(SynchronousTestCase):
    """The resource over a registry with two sources."""

    def setUp(self) -> None:
        self.clock = Clock()
        pull_by_clock(self, self.clock)
        self.registry = registry_with(
            self.clock, delivery_of("a:1", "b:1"), delivery_of("c:1", source="nat")
        )

    def serve(
        self,
        registry: Registry | None = None,
        in_thread: Any = at_once,
        own: Sequence[bytes] = (),
        address: str = "",
    ) -> Caller:
        cache = DocumentCache(in_thread, own)
        root = DiscoveryResource(registry or self.registry, cache, address)
        return Caller(root, self.clock)

    def instances(self, answer: Answer) -> list[str]:
        self.assertEqual(answer.status, 200, answer.body)
        return [group["labels"]["instance"] for group in json.loads(answer.body)]


class DocumentTests(DiscoveryTestCase):
    """What the document holds."""

    def test_all_targets_of_all_sources(self) -> None:
        """Under the address by which we were asked."""
        answer = self.serve().get("/discovery")
        self.assertEqual(self.instances(answer), ["a:1", "b:1", "c:1"])
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.headers["Content-Length"], str(len(answer.body)))
        self.assertEqual(
            json.loads(answer.body)[2],
            {
                "targets": ["proxy.example:8080"],
                "labels": {
                    "__scheme__": "http",
                    "__metrics_path__": "/singleTargetMetrics/nat/c:1",
                    "__meta_promproxy_source": "nat",
                    "instance": "c:1",
                },
            },
        )

    def test_one_source(self) -> None:
        """Without our own metrics, which are of no source."""
        caller = self.serve(own=EntryStyle().own_entries())
        self.assertEqual(self.instances(caller.get("/discovery?source=nat")), ["c:1"])

    def test_unknown_source_is_404_and_the_known_ones_are_named(self) -> None:
        """An empty list would make Prometheus drop its targets."""
        for query in ("vm", "", "%ff"):
            answer = self.serve().get(f"/discovery?source={query}")
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.body, b"no such source; there are: vms, nat\n")

    def test_own_metrics_are_a_target(self) -> None:
        """Its instance is our address."""
        answer = self.serve(own=EntryStyle().own_entries()).get("/discovery")
        self.assertEqual(self.instances(answer), ["a:1", "b:1", "c:1", "proxy.example:8080"])
        last = json.loads(answer.body)[-1]
        self.assertEqual(last["targets"], ["proxy.example:8080"])
        self.assertEqual(last["labels"]["__metrics_path__"], "/metrics")

    def test_no_targets_is_an_empty_list(self) -> None:
        """A source that has none is not a source that has not delivered."""
        registry = make_registry(self.clock, ScriptedSource([Delivery(())]))
        registry.start()
        settle(self.clock)
        self.assertEqual(json.loads(self.serve(registry).get("/").body), [])

    def test_new_snapshot_is_seen_at_once(self) -> None:
        """Nothing of the old one is kept."""
        registry = make_registry(self.clock, ScriptedSource([delivery_of("a:1"), Delivery(())]))
        registry.start()
        settle(self.clock)
        caller = self.serve(registry)
        self.assertEqual(self.instances(caller.get("/")), ["a:1"])
        self.clock.advance(60)
        settle(self.clock)
        self.assertEqual(self.instances(caller.get("/")), [])

    def test_large_document_arrives_whole(self) -> None:
        """It is written piece by piece."""
        names = [f"h{number}:1" for number in range(5000)]
        registry = registry_with(self.clock, delivery_of(*names))
        answer = self.serve(registry).get("/")
        self.assertEqual(self.instances(answer), names)
        self.assertGreater(len(answer.body), 500_000)


class AddressTests(DiscoveryTestCase):
    """Under which address the targets stand."""

    def addresses(self, answer: Answer) -> set[str]:
        return {address for group in json.loads(answer.body) for address in group["targets"]}

    def test_configured_address_wins_over_the_host(self) -> None:
        caller = self.serve(address="p.example:443")
        for host in ("other:1", "", "a" * 300):
            self.assertEqual(self.addresses(caller.get("/", Host=host)), {"p.example:443"})

    def test_host_of_each_request(self) -> None:
        """Names and addresses, with and without port."""
        for host in ("p", "p.example:1", "192.0.2.1:80", "[2001:db8::1]:8080", "[::1]"):
            self.assertEqual(self.addresses(self.serve().get("/", Host=host)), {host})

    def test_bad_host_is_400(self) -> None:
        """It would end up in a document, and in requests."""
        for host in ("", "a" * 300):
            answer = self.serve().get("/", Host=host)
            self.assertEqual(answer.status, 400, host)
            self.assertIn(b"set discovery.address", answer.body)

    def test_caller_of_http_1_0_without_host_is_told_what_to_do(self) -> None:
        """There is no address to go by."""
        caller = self.serve()
        caller.channel.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(caller.answer().status, 400)

    def test_shards(self) -> None:
        """Disjoint, and together everything; each has an ETag of its own."""
        caller = self.serve(address="p.example:443")
        whole = json.loads(caller.get("/").body)
        parts = [caller.get(f"/?shard={shard}&of=2") for shard in (0, 1)]
        names = [g["labels"]["instance"] for part in parts for g in json.loads(part.body)]
        self.assertEqual(sorted(names), sorted(g["labels"]["instance"] for g in whole))
        self.assertEqual(len({part.headers["ETag"] for part in parts}), 2)

    def test_shards_that_make_no_sense(self) -> None:
        for query in ("shard=0", "of=2", "shard=2&of=2", "shard=0&of=65", "shard=x&of=2"):
            answer = self.serve().get(f"/?{query}", Host="p")
            self.assertEqual(answer.status, 400, query)

    def test_documents_of_eight_addresses_are_kept(self) -> None:
        """The ones used last; each is made once."""
        made: list[object] = []

        def in_thread(work: Any) -> Deferred[Any]:
            made.append(work)
            return at_once(work)

        caller = self.serve(in_thread=in_thread)
        for turn in range(2):
            for number in range(MOST_ADDRESSES):
                caller.get("/", Host=f"p{number}")
            self.assertEqual(len(made), MOST_ADDRESSES, turn)
        caller.get("/", Host="p0")
        caller.get("/", Host="new")
        caller.get("/", Host="p0")
        self.assertEqual(len(made), MOST_ADDRESSES + 1)
        caller.get("/", Host="p1")
        self.assertEqual(len(made), MOST_ADDRESSES + 2)


class ValidatorTests(DiscoveryTestCase):
    """ETag, gzip and HEAD."""

    def test_known_document_is_304_without_a_body(self) -> None:
        """Plain and in gzip have validators of their own."""
        caller = self.serve()
        tags = set()
        for coding in ("identity", "gzip"):
            first = caller.get("/", Accept_Encoding=coding)
            tag = first.headers["ETag"]
            tags.add(tag)
            again = caller.get("/", Accept_Encoding=coding, If_None_Match=tag)
            self.assertEqual((again.status, again.body), (304, b""))
            self.assertEqual(again.headers["ETag"], tag)
            self.assertEqual(again.headers["Vary"], "Accept-Encoding, Host")
            self.assertNotIn("Content-Encoding", again.headers)
            self.assertEqual(caller.get("/", Accept_Encoding=coding).status, 200)
        self.assertEqual(len(tags), 2)

    def test_etag_depends_on_the_content_alone(self) -> None:
        """Equal on every replica, other for other targets and addresses."""
        tag = self.serve().get("/").headers["ETag"]
        self.assertEqual(self.serve().get("/").headers["ETag"], tag)
        self.assertNotEqual(self.serve().get("/", Host="other").headers["ETag"], tag)
        self.assertNotEqual(self.serve().get("/?source=vms").headers["ETag"], tag)
        self.assertRegex(tag, r'^"[0-9a-f]{32}"$')

    def test_changed_document_is_sent_again(self) -> None:
        """An old ETag is of no use."""
        answer = self.serve().get("/", If_None_Match='"0123"')
        self.assertEqual(len(self.instances(answer)), 3)

    def test_gzip_for_who_accepts_it(self) -> None:
        """Made once, the same document."""
        caller = self.serve()
        answer = caller.get("/", Accept_Encoding="gzip")
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        self.assertEqual(answer.headers["Content-Length"], str(len(answer.body)))
        self.assertEqual(answer.headers["Vary"], "Accept-Encoding, Host")
        self.assertEqual(gzip.decompress(answer.body), caller.get("/").body)

    def test_which_accept_encodings_allow_gzip(self) -> None:
        """RFC 9110, section 12.5.3."""
        for header in ("gzip", "x-gzip", "GZIP", "deflate, gzip;q=0.5", "br,gzip", "gzip ; q=1"):
            self.assertTrue(accepts_gzip(header.encode()), header)
        for header in ("", "identity", "gzip;q=0", "gzip; q=0.000", "br", "notgzip", "zstd, br"):
            self.assertFalse(accepts_gzip(header.encode()), header)
        self.assertFalse(accepts_gzip(None))

    def test_head_has_the_headers_and_no_body(self) -> None:
        """Those of the GET."""
        caller = self.serve()
        for coding in ("identity", "gzip"):
            get = caller.get("/", Accept_Encoding=coding)
            head = caller.head("/", Accept_Encoding=coding)
            self.assertEqual(head.body, b"")
            for name in ("Content-Length", "Content-Type", "ETag", "Vary"):
                self.assertEqual(head.headers[name], get.headers[name])

    def test_other_methods_are_refused(self) -> None:
        """405, with those that are allowed."""
        caller = self.serve()
        caller.send("POST", "/", Content_Length="0")
        answer = caller.answer()
        self.assertEqual(answer.status, 405)
        self.assertEqual(set(answer.headers["Allow"].split(", ")), {"GET", "HEAD"})


class ReadinessTests(DiscoveryTestCase):
    """Before all sources have delivered."""

    def setUp(self) -> None:
        super().setUp()
        self.late: Deferred[Delivery] = Deferred()
        quick = ScriptedSource([delivery_of("a:1")])
        slow = ScriptedSource([self.late], name="slow")
        self.registry = make_registry(self.clock, quick, slow)
        self.registry.start()
        settle(self.clock)
        self.caller = self.serve()

    def test_503_with_retry_after(self) -> None:
        """Prometheus keeps its list on a 503."""
        answer = self.caller.get("/")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["Retry-After"], "5")
        self.assertEqual(answer.body, b"not ready: waiting for the first targets of slow\n")
        self.late.callback(Delivery(()))
        settle(self.clock)
        self.assertEqual(self.instances(self.caller.get("/")), ["a:1"])

    def test_one_source_does_not_wait_for_another(self) -> None:
        """`?source=` depends on that source only."""
        self.assertEqual(self.instances(self.caller.get("/?source=vms")), ["a:1"])
        self.assertEqual(self.caller.get("/?source=slow").status, 503)


class RenderingTests(DiscoveryTestCase):
    """While a document is being made."""

    def test_all_who_wait_get_the_one_document(self) -> None:
        """It is made once, in a thread; so is its gzip."""
        thread = ManualThread()
        resource = self.serve(in_thread=thread).root
        callers = [Caller(resource, self.clock) for _ in range(3)]
        for caller in callers:
            caller.send("GET", "/", Accept_Encoding="gzip")
            self.assertEqual(caller.wire_bytes(), b"")
        self.assertEqual(len(thread.waiting), 1)
        thread.run()
        self.assertEqual(len(thread.waiting), 1)
        thread.run()
        bodies = {caller.answer().body for caller in callers}
        self.assertEqual(len(bodies), 1)
        self.assertEqual(len(json.loads(gzip.decompress(bodies.pop()))), 3)

    def test_caller_that_leaves_meanwhile_spoils_nothing(self) -> None:
        """Others get their answer, nothing is logged."""
        thread = ManualThread()
        first = self.serve(in_thread=thread)
        second = Caller(first.root, self.clock)
        first.send("GET", "/")
        second.send("GET", "/")
        first.leave()
        thread.run()
        self.assertEqual(len(self.instances(second.answer())), 3)
        self.assertEqual(first.wire_bytes(), b"")

    def test_caller_that_leaves_in_the_middle_of_the_document(self) -> None:
        """The rest is not written."""
        pull_by_clock(self, self.clock, step=1)
        names = [f"h{number}:1" for number in range(5000)]
        caller = self.serve(registry_with(self.clock, delivery_of(*names)))
        caller.send("GET", "/")
        self.clock.advance(1)
        caller.leave()
        self.clock.pump([1] * 100)
        self.assertLess(len(caller.wire_bytes()), 200_000)

    def test_caller_that_does_not_read(self) -> None:
        """It is not waited for longer than a minute."""
        pull_by_clock(self, self.clock, step=59)
        names = [f"h{number}:1" for number in range(5000)]
        caller = self.serve(registry_with(self.clock, delivery_of(*names)))
        caller.send("GET", "/")
        self.clock.advance(59)
        self.assertFalse(caller.wire.aborted)
        self.clock.advance(2)
        self.assertTrue(caller.wire.aborted)

    def test_no_timer_stays_after_an_answer(self) -> None:
        """That of the idle connection."""
        caller = self.serve()
        caller.get("/")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1 + len(self.registry.states))

    def test_error_in_rendering_resets_the_connection(self) -> None:
        """It is logged; nobody takes half an answer for a document."""

        def in_thread(work: Any) -> Deferred[Any]:
            return at_once(lambda: 1 // 0)

        caller = self.serve(in_thread=in_thread)
        caller.send("GET", "/")
        self.assertEqual(caller.wire_bytes(), b"")
        self.assertTrue(caller.wire.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
