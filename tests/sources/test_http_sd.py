"""Tests of promproxy.sources.http_sd."""

from __future__ import annotations

import json
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent
from zope.interface import implementer

from promproxy.errors import SourceError, Unreachable
from promproxy.outbound.document import DocumentClient
from promproxy.outbound.fetch import Fetcher
from promproxy.sources.groups import GroupRules
from promproxy.sources.http_sd import HttpSdSource
from promproxy.targets.target import Delivery
from tests.fakes import DocumentServer, settle

URL = "http://sd.example/targets?token=secret"


@implementer(IAgent)
class RefusingAgent:
    """No server is there."""

    def request(self, *_: Any, **__: Any) -> Deferred[Any]:
        return fail(Unreachable("connection refused"))


class HttpSdTests(SynchronousTestCase):
    """Refreshes from a server in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.document = DocumentServer()
        self.agent = RequestTraversalAgent(self.document)
        self.source = self.make(self.agent)

    def make(self, agent: Any) -> HttpSdSource:
        fetcher = Fetcher(agent=agent, clock=self.clock, timeout=30.0, max_size=1000)
        rules = GroupRules(source="vms")
        return HttpSdSource("vms", 60.0, DocumentClient(URL, 60.0, fetcher), rules, self.clock)

    def ask(self) -> Deferred[Delivery]:
        asked = Deferred.fromCoroutine(self.source.targets())
        settle(self.clock)
        return asked

    def deliver(self) -> Delivery:
        return self.successResultOf(self.ask())

    def error(self) -> str:
        failure = self.failureResultOf(self.ask())
        failure.trap(SourceError)
        prefix, _, why = str(failure.value).partition(": ")
        self.assertEqual(prefix, "GET http://sd.example/targets")
        return why

    def instances(self) -> list[str]:
        return [target.instance for target in self.deliver().targets]

    def test_request_is_what_prometheus_sends(self) -> None:
        """Some servers answer by these headers."""
        self.deliver()
        (request,) = self.document.requests
        self.assertEqual(request.uri, b"/targets?token=secret")
        self.assertEqual(request.getHeader("Accept"), "application/json")
        self.assertEqual(request.getHeader("X-Prometheus-Refresh-Interval-Seconds"), "60")
        self.assertIsNone(request.getHeader("If-None-Match"))

    def test_groups_become_targets(self) -> None:
        """By the rules of the source; what had to be left out is named."""
        groups = [{"targets": ["a:1", "b d"], "labels": {"zone": "x"}}]
        self.document.body = json.dumps(groups).encode()
        delivery = self.deliver()
        (target,) = delivery.targets
        self.assertEqual(
            (target.id, target.source, target.labels), ("vms/a:1", "vms", {"zone": "x"})
        )
        self.assertEqual([dropped.reason for dropped in delivery.dropped], ["target_address"])

    def test_content_type_may_have_parameters_and_the_body_a_byte_order_mark(self) -> None:
        """Both exist in the wild."""
        self.document.content_type = "Application/JSON; charset=utf-8"
        self.document.body = b"\xef\xbb\xbf" + self.document.body
        self.assertEqual(self.instances(), ["a:1"])

    def test_empty_list_is_a_delivery(self) -> None:
        """There are no targets, which is no failure."""
        self.document.body = b"[]"
        self.assertEqual(self.deliver(), Delivery(()))

    def test_unchanged_document_is_the_same_delivery(self) -> None:
        """Found out by the ETag."""
        self.document.etag = b'"v1"'
        first = self.deliver()
        self.assertIs(self.deliver(), first)
        self.assertEqual(self.document.requests[1].getHeader("If-None-Match"), '"v1"')
        self.document.etag = b'"v2"'
        self.document.body = b'[{"targets": ["b:1"]}]'
        self.assertEqual(self.instances(), ["b:1"])
        self.deliver()
        self.assertEqual(self.document.requests[3].getHeader("If-None-Match"), '"v2"')

    def test_unchanged_bytes_without_etag_change_nothing(self) -> None:
        """The same Delivery, so that the registry keeps its snapshot."""
        first = self.successResultOf(self.ask())
        self.assertIs(self.successResultOf(self.ask()), first)
        self.document.body = b"[]"
        self.assertIsNot(self.successResultOf(self.ask()), first)

    def test_odd_etag_is_not_sent_back(self) -> None:
        """It could not be written as a header."""
        self.document.etag = b"\x80\xff"
        for _ in range(2):
            self.assertEqual(len(self.successResultOf(self.ask()).targets), 1)
        self.assertIsNone(self.document.requests[-1].getHeader("If-None-Match"))

    def test_etag_of_a_document_that_failed_is_not_used(self) -> None:
        """Or a 304 would keep the failure alive, hidden."""
        self.document.etag = b'"v1"'
        first = self.deliver()
        self.document.etag = b'"v2"'
        good, self.document.body = self.document.body, b"["
        self.error()
        self.error()
        self.assertEqual(self.document.requests[2].getHeader("If-None-Match"), '"v1"')
        self.document.etag, self.document.body = b'"v1"', good
        self.assertIs(self.deliver(), first)

    def test_304_that_was_not_asked_for_is_a_failure(self) -> None:
        """There is nothing that it could stand for."""
        self.document.status = 304
        self.assertEqual(self.error(), "status 304, expected 200")

    def test_other_status_is_a_failure(self) -> None:
        """Whatever the body; redirects are not followed."""
        for status in (201, 204, 302, 401, 500, 503):
            self.document.status = status
            self.assertEqual(self.error(), f"status {status}, expected 200")

    def test_other_content_type_is_a_failure(self) -> None:
        """As it is for Prometheus: a login page comes with 200 too."""
        self.document.content_type = "text/html"
        self.assertEqual(self.error(), "content type 'text/html', expected application/json")
        self.document.content_type = "Authorization: Basic c2VjcmV0"
        self.assertEqual(self.error(), "content type unknown, expected application/json")

    def test_body_that_is_no_list_of_groups_is_a_failure(self) -> None:
        """The message says what is wrong with it."""
        for body, message in (
            (b"", "the answer is not a JSON array: Expecting "),
            (b"{}", "the answer is not a JSON array: Expecting "),
            (b"[] 2", "the answer is not a JSON array: "),
            (b"[[]]", "group 1 is not a mapping with 'targets' and 'labels'"),
            (b'[{"targets": "a:1"}]', "group 1: 'targets' is not a list"),
        ):
            self.document.body = body
            self.assertTrue(self.error().startswith(message), body)

    def test_large_document_is_a_failure(self) -> None:
        self.document.body = b" " * 1001
        self.assertEqual(self.error(), "the answer is larger than 1000 bytes")

    def test_slow_server_is_a_failure(self) -> None:
        """The last good delivery is not touched by it."""
        self.document.etag = b'"v1"'
        first = self.deliver()
        self.document.etag, self.document.hangs = b'"v2"', True
        asked = self.ask()
        self.document.requests[-1].write(b"[")
        self.agent.flush()
        self.clock.advance(30)
        self.assertIn("no complete answer within 30 s", str(self.failureResultOf(asked).value))
        self.document.etag, self.document.hangs = b'"v1"', False
        self.assertIs(self.deliver(), first)

    def test_no_connection_is_a_failure(self) -> None:
        """With the outbound agent's reason."""
        self.source = self.make(RefusingAgent())
        self.assertEqual(self.error(), "connection refused")
