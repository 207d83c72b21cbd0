"""Tests of PushProx's pages in a whole daemon: what its client, and Prometheus, get from us."""

from __future__ import annotations

import json

from twisted.internet.error import ConnectionLost
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from promproxy.secret import Secret
from promproxy.server.access import Access
from promproxy.server.bearer_tokens import Tokens
from promproxy.server.passwords import Passwords
from promproxy.server.peer import Peer
from promproxy.server.settings import Role, Token
from promproxy.server.site import PromproxySite
from tests import go_client
from tests.daemon.test_service import ServiceTestCase
from tests.fakes import Answer, Caller, parse_answer, settle
from tests.go_client import EXPOSITION, Responses, ScrapeRequest

SOURCE = "{name: nat, pushprox: {}}"
TARGET = "/singleTargetMetrics/nat/web-1:9100/metrics"
PROXIED = "http://web-1:9100/metrics"


class PushProxTestCase(ServiceTestCase):
    """A daemon whose start is over, with clients and a Prometheus in memory."""

    config = f"sources: [{SOURCE}]"

    def setUp(self) -> None:
        self.daemon = self.start(self.config)
        self.pass_time(10)

    @property
    def site(self) -> PromproxySite:
        site: PromproxySite = self.reactor.tcpServers[-1][1]
        return site

    def pass_time(self, seconds: float) -> None:
        settle(self.reactor)
        self.reactor.advance(seconds)
        settle(self.reactor)

    def send(self, data: bytes) -> Caller:
        """On a connection of its own."""
        caller = self.caller()
        caller.channel.dataReceived(data)
        settle(self.reactor)
        return caller

    def reload(self, text: str) -> None:
        self.text = text
        answer = self.send(b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n").answer()
        self.assertEqual(answer.status, 200, answer)

    def poll(self, name: str = "web-1") -> Caller:
        return self.send(go_client.poll(name))

    def scrape(self, path: str = TARGET, seconds: str = "10", **headers: str) -> Caller:
        caller = self.caller()
        caller.send("GET", path, X_Prometheus_Scrape_Timeout_Seconds=seconds, **headers)
        settle(self.reactor)
        return caller

    def fetched(self, client: Caller) -> ScrapeRequest:
        """What a client got by its poll."""
        answer = client.answer()
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Length"], str(len(answer.body)))
        return go_client.read_request(answer.body)

    def met(self, path: str = TARGET) -> tuple[Caller, Responses]:
        """A scrape that a client has fetched."""
        client = self.poll()
        scrape = self.scrape(path)
        return scrape, Responses(self.fetched(client).id)

    def push(self, response: bytes) -> Answer:
        return self.send(go_client.push(response)).answer()

    def assert_pushed(self, response: bytes) -> None:
        answer = self.push(response)
        self.assertEqual((answer.status, answer.body), (200, b""), answer)

    def assert_scraped(self, scrape: Caller, body: bytes = EXPOSITION) -> None:
        answer = scrape.answer()
        self.assertEqual((answer.status, answer.body), (200, body))

    def listed(self) -> list[str]:
        groups = json.loads(self.caller().get("/discovery?source=nat").body)
        return [group["labels"]["instance"] for group in groups]

    def clients(self) -> list[str]:
        groups = json.loads(self.caller().get("/clients").body)
        return [target for group in groups for target in group["targets"]]


class ScrapeTests(PushProxTestCase):
    """From a scrape to the client's answer."""

    def test_registered_client_is_a_target(self) -> None:
        """As soon as it polls, and it is scraped like any other."""
        self.assertEqual(self.listed(), [])
        client = self.poll()
        self.assertEqual(self.listed(), ["web-1:9100"])
        scrape = self.scrape()
        fetched = self.fetched(client)
        self.assertEqual((fetched.method, fetched.url), ("GET", PROXIED))
        self.assertEqual(fetched.headers["host"], "web-1:9100")
        self.assertEqual(fetched.seconds, 9.75)
        self.assert_pushed(Responses(fetched.id).counted())
        answer = scrape.answer()
        self.assertEqual((answer.status, answer.body), (200, EXPOSITION))
        self.assertEqual(answer.headers["Content-Type"], "text/plain")
        self.assertEqual(answer.headers["Content-Length"], str(len(EXPOSITION)))
        self.assertNotIn("Id", answer.headers)
        self.assertNotIn("X-Prometheus-Scrape-Timeout", answer.headers)

    def test_proxy_url(self) -> None:
        """A request in absolute form, with whatever Prometheus was told to send along."""
        client = self.poll("Web-1")
        scrape = self.scrape(
            "http://WEB-1:9115/probe?target=x",
            Host="WEB-1:9115",
            Authorization="Bearer secret-of-the-target",
            Proxy_Authorization="Basic b3Vyczo=",
            Accept="application/openmetrics-text",
            Connection="X-Hop",
            X_Hop="1",
        )
        fetched = self.fetched(client)
        self.assertEqual(fetched.url, "http://Web-1:9115/probe?target=x")
        self.assertEqual(fetched.headers["host"], "Web-1:9115")
        self.assertEqual(fetched.headers["authorization"], "Bearer secret-of-the-target")
        self.assertEqual(fetched.headers["accept"], "application/openmetrics-text")
        for name in ("proxy-authorization", "connection", "x-hop"):
            self.assertNotIn(name, fetched.headers)
        self.assert_pushed(Responses(fetched.id).counted())
        self.assert_scraped(scrape)

    def test_proxy_url_and_https(self) -> None:
        """The parameter goes to the client, which is the one that understands it."""
        client = self.poll()
        self.scrape("http://web-1:8443/metrics?_scheme=https&x=y")
        fetched = self.fetched(client)
        assert fetched.is_https
        self.assertEqual(fetched.url, "http://web-1:8443/metrics?x=y&_scheme=https")

    def test_answers_as_go_writes_them(self) -> None:
        """Whatever the target said of the length."""
        for kind in ("counted", "chunked", "until_close"):
            scrape, responses = self.met()
            self.assert_pushed(getattr(responses, kind)())
            answer = scrape.answer()
            self.assertEqual(answer.status, 200)
            body = b"c\r\n" + EXPOSITION + b"\r\n0\r\n\r\n" if kind != "counted" else EXPOSITION
            self.assertEqual(answer.body, body, kind)

    def test_error_of_the_client(self) -> None:
        """It has no version of HTTP, but a status."""
        scrape, responses = self.met()
        self.assert_pushed(responses.error("boom"))
        answer = scrape.answer()
        self.assertEqual((answer.status, answer.body), (500, b"4\r\nboom\r\n0\r\n\r\n"))

    def test_head(self) -> None:
        """Is one for the target too."""
        client = self.poll()
        scrape = self.caller()
        scrape.send("HEAD", TARGET)
        fetched = self.fetched(client)
        self.assertEqual(fetched.method, "HEAD")
        self.assert_pushed(Responses(fetched.id).to_head(1234))
        answer = scrape.answer()
        self.assertEqual((answer.status, answer.headers["Content-Length"]), (200, "1234"))

    def test_answer_byte_by_byte(self) -> None:
        """What has arrived goes on before the rest is there."""
        scrape, responses = self.met()
        client = self.caller()
        for byte in go_client.push(responses.counted())[:-1]:
            client.channel.dataReceived(bytes([byte]))
        settle(self.reactor)
        self.assert_scraped(scrape, EXPOSITION[:-1])
        client.channel.dataReceived(EXPOSITION[-1:])
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(scrape.wire_bytes(), EXPOSITION[-1:])

    def test_overlapping_scrapes_of_one_client(self) -> None:
        """Each gets its own answer, in whatever order they come."""
        first_poll = self.poll()
        first = self.scrape()
        second_poll = self.poll()
        second = self.scrape("http://web-1:9100/other")
        one, other = self.fetched(first_poll), self.fetched(second_poll)
        self.assert_pushed(Responses(other.id).counted(b"other 1\n"))
        self.assert_pushed(Responses(one.id).counted(b"one 1\n"))
        self.assert_scraped(first, b"one 1\n")
        self.assert_scraped(second, b"other 1\n")

    def test_scrape_waits_for_the_next_poll(self) -> None:
        """The client is told how much time is left then."""
        self.poll().leave()
        scrape = self.scrape()
        self.pass_time(4)
        fetched = self.fetched(self.poll())
        self.assertEqual(fetched.seconds, 5.75)
        self.assert_pushed(Responses(fetched.id).counted())
        self.assert_scraped(scrape)

    def test_client_that_does_not_come_back(self) -> None:
        """504 at the deadline, and the next poll is given nothing."""
        self.poll().leave()
        scrape = self.scrape()
        self.pass_time(9.8)
        answer = scrape.answer()
        self.assertEqual(answer.status, 504)
        self.assertIn(b"its client has not polled for it in time", answer.body)
        self.assertEqual(self.poll().wire_bytes(), b"")

    def test_dead_connection_does_not_swallow_the_scrape(self) -> None:
        """It goes to the next poll, within its deadline."""
        dead = self.poll()
        scrape = self.scrape()
        self.pass_time(4)
        dead.channel.connectionLost(Failure(ConnectionLost()))
        self.pass_time(1)
        fetched = self.fetched(self.poll())
        self.assert_pushed(Responses(fetched.id).counted())
        self.assert_scraped(scrape)

    def test_client_that_fetched_a_scrape_may_close_its_connection(self) -> None:
        """As reverse proxies do after each request; the target is not scraped twice."""
        client = self.poll()
        scrape = self.scrape()
        fetched = self.fetched(client)
        client.leave()
        self.assertEqual(self.poll().wire_bytes(), b"")
        self.assert_pushed(Responses(fetched.id).counted())
        self.assert_scraped(scrape)

    def test_connection_that_brings_the_next_request_was_not_dead(self) -> None:
        """What happens to it later concerns nobody."""
        client = self.poll()
        self.scrape()
        self.fetched(client)
        client.channel.dataReceived(go_client.poll("web-1"))
        client.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.poll().wire_bytes(), b"")

    def test_slow_prometheus_slows_the_client(self) -> None:
        """Nothing piles up here: the client's connection is read no further."""
        scrape, responses = self.met()
        client = self.caller()
        client.channel.dataReceived(go_client.push(responses.counted(b"x" * 1_000_000))[:70_000])
        producer = scrape.wire.producer
        assert producer is not None
        producer.pauseProducing()
        self.assertEqual(client.wire.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(client.wire.producerState, "producing")

    def test_answer_over_the_limit(self) -> None:
        """The client is refused, the scrape too."""
        self.reload(f"scrape: {{body_size_limit: 100B}}\nsources: [{SOURCE}]")
        for response in (Responses.counted, Responses.chunked):
            scrape, responses = self.met()
            client = self.send(go_client.push(response(responses, b"x" * 1000))[:-1])
            self.assertEqual(client.answer().status, 500)
            self.assertEqual(scrape.answer().status, 502)

    def test_failure_by_proxy_url_is_logged_once(self) -> None:
        """As for targets that are listed; and its results are not told of as theirs."""
        self.poll().leave()
        with capturedLogs() as events:
            for _ in range(3):
                scrape = self.scrape("http://web-1:9115/probe?target=x")
                self.pass_time(9.8)
                self.assertEqual(scrape.answer().status, 504)
        warnings = [formatEvent(e) for e in events if e["log_level"] is LogLevel.warn]
        self.assertEqual(len(warnings), 1, warnings)
        assert (
            warnings[0]
            and "http://web-1:9115/probe" in warnings[0]
            and "target=x" not in (warnings[0])
        )


class PushTests(PushProxTestCase):
    """Pushes that are not what somebody waits for."""

    def test_for_nobody_twice_and_without_an_id(self) -> None:
        """500 and why, as PushProx answers."""
        scrape, responses = self.met()
        self.assert_pushed(responses.counted())
        for response in (
            responses.counted(),
            Responses("no-such-id").counted(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"nonsense",
        ):
            answer = self.push(response)
            self.assertEqual(answer.status, 500, response)
            assert answer.body, response
        self.assert_scraped(scrape)

    def test_refused_before_its_body_is_read(self) -> None:
        """The head is all that it takes."""
        client = self.caller()
        head = go_client.push(Responses("no-such-id").counted(b"x" * 10_000_000))[:600]
        client.channel.dataReceived(head)
        answer = client.answer()
        self.assertEqual((answer.status, answer.headers["Connection"]), (500, "close"))

    def test_without_a_body(self) -> None:
        """There is nothing to pass on."""
        self.assertEqual(self.push(b"").status, 500)

    def test_malformed_answer_ends_the_scrape_at_once(self) -> None:
        """502: the client has it from its target."""
        scrape, responses = self.met()
        broken = responses.counted().replace(b"200 OK", b"2x0 OK")
        self.assertEqual(self.push(broken).status, 500)
        self.assertEqual(scrape.answer().status, 502)

    def test_push_that_breaks_off(self) -> None:
        """The scrape does too, and cannot look whole."""
        scrape, responses = self.met()
        client = self.caller()
        client.channel.dataReceived(go_client.push(responses.counted(b"x" * 1000))[:-1])
        settle(self.reactor)
        client.leave()
        settle(self.reactor)
        answer = scrape.answer()
        self.assertEqual((answer.status, len(answer.body)), (200, 999))
        assert scrape.wire.disconnecting

    def test_answer_shorter_than_it_says(self) -> None:
        """The push is whole, what it brings is not."""
        scrape, responses = self.met()
        self.assertEqual(self.push(responses.counted(sent=3)).status, 500)
        self.assertEqual(scrape.answer().body, EXPOSITION[:3])
        assert scrape.wire.disconnecting

    def test_caller_that_leaves(self) -> None:
        """The client is told in the middle of its push, and its answer is not kept."""
        scrape, responses = self.met()
        client = self.caller()
        client.channel.dataReceived(go_client.push(responses.counted(b"x" * 1000))[:-1])
        settle(self.reactor)
        scrape.leave()
        self.assertEqual(client.answer().status, 500)

    def test_push_after_the_deadline(self) -> None:
        """Nobody waits any more."""
        scrape, responses = self.met()
        self.pass_time(10)
        answer = scrape.answer()
        self.assertEqual(answer.status, 504)
        self.assertIn(b"no complete answer", answer.body)
        self.assertEqual(self.push(responses.counted()).status, 500)


class PollTests(PushProxTestCase):
    """Polls that are given nothing."""

    def test_superseded(self) -> None:
        """408, and the newer one is served."""
        before = self.poll()
        newer = self.poll("WEB-1")
        self.assertEqual(before.answer().status, 408)
        self.scrape()
        self.fetched(newer)

    def test_held_without_an_end(self) -> None:
        """An idle client that is well has no errors to log."""
        client = self.poll()
        self.pass_time(86400)
        self.assertEqual(client.wire_bytes(), b"")

    def test_too_old(self) -> None:
        """408, so that load balancers do not cut it; the client stays registered."""
        self.reload("sources: [{name: nat, pushprox: {poll_max_age: 5m}}]")
        client = self.poll()
        self.pass_time(299)
        self.assertEqual(client.wire_bytes(), b"")
        self.pass_time(1)
        self.assertEqual(client.answer().status, 408)
        self.assertEqual(self.clients(), ["web-1"])

    def test_name_of_no_host(self) -> None:
        """400."""
        for name in ("", "a b", "-x", "x" * 300, "web\r\nx"):
            self.assertEqual(self.poll(name).answer().status, 400, name)

    def test_names_that_containers_have(self) -> None:
        """Each is scraped by the URL that its client expects."""
        for name, host in (
            ("docker_compose_app_1", "docker_compose_app_1"),
            ("web-1.example.", "web-1.example."),
            ("2001:db8::1", "[2001:db8::1]"),
        ):
            client = self.poll(name)
            scrape = self.scrape(f"http://{host}:9100/metrics")
            fetched = self.fetched(client)
            self.assertEqual(fetched.url, f"http://{host}:9100/metrics")
            self.assert_pushed(Responses(fetched.id).counted())
            self.assert_scraped(scrape)
        self.pass_time(2)
        self.assertIn("[2001:db8::1]:9100", self.listed())

    def test_refusals_as_the_client_logs_them(self) -> None:
        """Go reports what stands behind the second blank as a malformed version."""
        body = self.poll("a b").answer().body.decode()
        self.assertEqual(
            body.split(" ", 2)[2], "the body of a poll is the name or the address of a host\n"
        )

    def test_refusals_are_logged_once_per_name(self) -> None:
        with capturedLogs() as events:
            for name in ("a b", "a b", "c d"):
                self.poll(name)
        names = [event["name"] for event in events if "name" in event]
        self.assertEqual(names, ["'a b'", "'c d'"])

    def test_name_that_is_too_long(self) -> None:
        self.assertEqual(self.poll("x" * 2000).answer().status, 413)
        self.assertEqual(self.clients(), [])

    def test_chunks_that_make_no_sense(self) -> None:
        """400, and the end of the connection."""
        for path in ("/poll", "/push"):
            client = self.caller()
            head = f"POST {path} HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.channel.dataReceived(head.encode() + b"zz\r\n")
            self.assertEqual(client.answer().status, 400, path)
            assert client.wire.disconnecting

    def test_white_space_around_the_name(self) -> None:
        """PushProx takes it away too."""
        self.poll(" web-1\r\n")
        self.assertEqual(self.clients(), ["web-1"])

    def test_client_that_leaves_in_the_middle_of_its_name(self) -> None:
        client = self.caller()
        client.channel.dataReceived(go_client.poll("web-1")[:-1])
        client.leave()
        self.assertEqual(self.clients(), [])

    def test_daemon_stops(self) -> None:
        """All polls are answered at once, and scrapes that wait for one too."""
        self.poll().leave()
        client = self.poll("web-2")
        scrape = self.scrape()
        stopping = self.daemon.stopService()
        settle(self.reactor)
        self.assertEqual(client.answer().status, 408)
        self.assertEqual(scrape.answer().status, 503)
        self.successResultOf(stopping)
        for left in (client, scrape):
            left.leave()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_daemon_stops_as_soon_as_the_last_answer_has_come(self) -> None:
        """Twisted closes all connections then, in the middle of the push; that is no error."""
        scrape, responses = self.met()
        client = self.caller()
        client.channel.dataReceived(go_client.push(responses.counted())[:-1])
        stopping = self.daemon.stopService()
        settle(self.reactor)
        self.assertNoResult(stopping)
        stopping.addCallback(lambda _: client.leave())
        client.channel.dataReceived(EXPOSITION[-1:])
        self.assert_scraped(scrape)
        self.successResultOf(stopping)

    def test_other_methods(self) -> None:
        """405."""
        for path in ("/poll", "/push"):
            for method in ("GET", "HEAD"):
                caller = self.caller()
                caller.send(method, path)
                self.assertEqual(caller.answer().status, 405)


class ListTests(PushProxTestCase):
    """`/clients` and `/discovery`."""

    def test_clients_as_pushprox_writes_them(self) -> None:
        self.poll("web-2")
        self.poll("Web-1")
        answer = self.caller().get("/clients")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        expected = b'[{"targets":["Web-1"],"labels":null},{"targets":["web-2"],"labels":null}]\n'
        self.assertEqual(answer.body, expected)
        head = self.caller().head("/clients")
        self.assertEqual((head.headers["Content-Length"], head.body), (str(len(expected)), b""))

    def test_client_that_is_gone_is_dropped(self) -> None:
        """After the registration time-out; one that is connected is not, though never scraped."""
        gone = self.poll("web-1")
        self.poll("web-2")
        gone.leave()
        self.pass_time(299)
        self.poll("web-2")
        self.assertEqual(self.listed(), ["web-1:9100", "web-2:9100"])
        self.pass_time(6)
        self.assertEqual(self.listed(), ["web-2:9100"])
        self.assertEqual(self.clients(), ["web-2"])
        self.assertEqual(self.scrape().answer().status, 404)

    def test_many_come_at_once(self) -> None:
        """The first is listed at once, all others within a second."""
        for number in range(50):
            self.poll(f"web-{number}")
        self.assertEqual(len(self.listed()), 1)
        self.pass_time(1)
        self.assertEqual(len(self.listed()), 50)

    def test_reload_keeps_clients_and_their_polls(self) -> None:
        """Also where the source's settings change."""
        client = self.poll()
        self.reload("sources: [{name: nat, pushprox: {targets: [{port: 9200}]}}]")
        self.assertEqual(self.listed(), ["web-1:9200"])
        self.scrape("/singleTargetMetrics/nat/web-1:9200/metrics")
        self.assertEqual(self.fetched(client).url, "http://web-1:9200/metrics")

    def test_source_is_removed(self) -> None:
        """Its clients are sent away, and its pages are gone."""
        client = self.poll()
        self.reload("sources: []")
        self.assertEqual(client.answer().status, 408)
        self.assertEqual(self.caller().get("/clients").status, 404)
        self.assertEqual(self.poll().answer().status, 413)
        self.assertEqual(self.scrape(PROXIED).answer().status, 404)
        assert b"pushprox_clients" not in self.caller().get("/metrics").body

    def test_metrics(self) -> None:
        _, responses = self.met(PROXIED)
        self.push(responses.counted())
        self.poll()
        lines = self.caller().get("/metrics").body.decode().splitlines()
        for line in (
            "pushprox_clients 1.0",
            'pushprox_http_requests_total{code="200",path="/poll"} 1.0',
            'pushprox_http_requests_total{code="200",path="/push"} 1.0',
            'pushprox_http_requests_total{code="408",path="/poll"} 0.0',
            'pushprox_http_duration_seconds_count{path="/poll"} 1.0',
            'pushproxy_proxied_requests_total{code="200"} 1.0',
            "promproxy_tunnel_polls_held 1.0",
            "promproxy_tunnel_scrapes_waiting 0.0",
            "promproxy_tunnel_redelivered_scrapes_total 0.0",
        ):
            self.assertIn(line, lines)


class StartTests(PushProxTestCase):
    """The first seconds of a daemon."""

    def setUp(self) -> None:
        self.daemon = self.start(self.config)

    def test_clients_are_waited_for(self) -> None:
        """So that Prometheus does not take those for gone that are still to come back."""
        self.assertEqual(self.caller().get("/discovery").status, 503)
        client = self.poll()
        self.pass_time(9.9)
        self.assertEqual(self.caller().get("/-/ready").status, 503)
        late = self.scrape("http://web-2:9100/metrics")
        self.scrape(PROXIED)
        self.fetched(client)
        self.assertEqual(late.wire_bytes(), b"")
        self.pass_time(0.1)
        self.assertEqual(self.listed(), ["web-1:9100"])
        answer = late.answer()
        self.assertEqual(answer.status, 502)
        self.assertIn(b"its client has not come back since the start", answer.body)

    def test_client_that_is_there_is_scraped_at_once(self) -> None:
        """On both paths, although the document is still held back."""
        for path in (TARGET, PROXIED):
            client = self.poll()
            scrape = self.scrape(path)
            fetched = self.fetched(client)
            self.assert_pushed(Responses(fetched.id).counted())
            self.assert_scraped(scrape)
        self.assertEqual(self.scrape(f"{TARGET}x").answer().status, 503)

    def test_scrape_waits_for_the_first_poll_of_its_client(self) -> None:
        for path in (TARGET, PROXIED):
            self.daemon = self.start(self.config)
            scrape = self.scrape(path)
            self.assertEqual(scrape.wire_bytes(), b"")
            self.assertEqual(self.clients(), [])
            fetched = self.fetched(self.poll("WEB-1."))
            self.assert_pushed(Responses(fetched.id).counted())
            self.assert_scraped(scrape)

    def test_scrape_that_nobody_polls_for_in_time(self) -> None:
        scrape = self.scrape(PROXIED, seconds="5")
        self.pass_time(4.8)
        answer = scrape.answer()
        self.assertEqual(answer.status, 504)
        self.assertIn(b"its client has not polled since the start", answer.body)


class AbsoluteFormTests(PushProxTestCase):
    """What a proxy is asked that is not for a client."""

    config = (
        "discovery: {address: 'promproxy.example:80'}\n"
        "sources: [{name: nat, pushprox: {allow: [{port: 9100, path_regex: /metrics}]}}]"
    )

    def test_our_own_authority(self) -> None:
        """Is an ordinary request: the announced address, or where the connection goes to."""
        for authority in ("promproxy.example:80", "PromProxy.Example:80"):
            answer = self.scrape(f"http://{authority}/-/healthy", Host=authority).answer()
            self.assertEqual(answer.status, 200, authority)
            query = self.scrape(f"http://{authority}?x", Host=authority).answer()
            self.assertEqual(query.status, 200)

    def test_unknown_host(self) -> None:
        """404, and nothing is connected to."""
        answer = self.scrape("http://192.0.2.9:9100/metrics").answer()
        self.assertEqual(answer.status, 404)
        self.assertEqual(self.reactor.tcpClients, [])

    def test_no_url_of_a_client(self) -> None:
        """400."""
        for uri in ("http://u:p@web-1/", "ftp://web-1/", "http://web-1:0/", "http://::1:9/"):
            self.assertEqual(self.scrape(uri).answer().status, 400, uri)

    def test_what_is_not_allowed(self) -> None:
        """403; the pattern is for the whole path."""
        self.poll()
        for uri in (
            "http://web-1:9101/metrics",
            "http://web-1:9100/metrics/x",
            "http://web-1:9100/metrics/../secret",
            "http://web-1/metrics",
        ):
            self.assertEqual(self.scrape(uri).answer().status, 403, uri)

    def test_what_is_allowed(self) -> None:
        client = self.poll()
        self.scrape("http://web-1:9100/metrics?a=b")
        self.assertEqual(self.fetched(client).url, "http://web-1:9100/metrics?a=b")

    def test_connect(self) -> None:
        """405, and what to do instead."""
        caller = self.send(b"CONNECT web-1:9100 HTTP/1.1\r\nHost: web-1:9100\r\n\r\n")
        answer = parse_answer(caller.wire_bytes())
        self.assertEqual(answer.status, 405)
        self.assertIn(b"_scheme=https", answer.body)

    def test_post(self) -> None:
        """405: scraping is asking."""
        caller = self.send(b"POST http://web-1:9100/x HTTP/1.1\r\nHost: web-1:9100\r\n\r\n")
        self.assertEqual(parse_answer(caller.wire_bytes()).status, 405)

    def test_listed_target_is_told_of_in_one_place(self) -> None:
        """However it is scraped, its last result counts."""
        client = self.poll()
        scrape = self.scrape(PROXIED)
        self.push(Responses(self.fetched(client).id).counted())
        self.assert_scraped(scrape)
        targets = json.loads(self.caller().get("/api/v1/targets").body)["data"]["activeTargets"]
        self.assertEqual([target["health"] for target in targets], ["up"])


class RolesTests(PushProxTestCase):
    """Who may poll, and who may scrape; here a certificate says who it is."""

    sender = "web-1.cert"

    def setUp(self) -> None:
        super().setUp()
        roles = [
            role("web-1.cert", "tunnel", "web-1"),
            role("any.cert", "tunnel", "*"),
            role("prometheus.cert", "scrape"),
        ]
        self.site.gate.use(Access(roles=tuple(roles), needs_certificate=True))

    def caller(self) -> Caller:
        caller = super().caller()
        caller.channel._peer = Peer(is_local=False, sans=frozenset((self.sender,)))
        return caller

    def scrape(self, path: str = TARGET, seconds: str = "10", **headers: str) -> Caller:
        self.sender, before = "prometheus.cert", self.sender
        scrape = super().scrape(path, seconds, **headers)
        self.sender = before
        return scrape

    def test_client_claims_its_own_name(self) -> None:
        client = self.poll("WEB-1")
        self.assertEqual(self.poll("web-2").answer().status, 403)
        self.scrape(PROXIED)
        self.assert_pushed(Responses(self.fetched(client).id).counted())

    def test_another_identity_supersedes_nothing(self) -> None:
        """Though it may claim the name too: 409, and the poll before stays."""
        client = self.poll()
        self.sender = "any.cert"
        self.assertEqual(self.poll().answer().status, 409)
        self.scrape()
        fetched = self.fetched(client)
        self.assertEqual(self.push(Responses(fetched.id).counted()).status, 500)
        self.sender = "web-1.cert"
        self.assert_pushed(Responses(fetched.id).counted())

    def test_who_polls_may_not_scrape_and_the_other_way_round(self) -> None:
        """403, and by proxy_url too."""
        for path in (TARGET, PROXIED, "/clients", "/discovery"):
            self.assertEqual(super().scrape(path).answer().status, 403, path)
        self.sender = "prometheus.cert"
        self.assertEqual(self.poll().answer().status, 403)
        self.assertEqual(self.push(b"HTTP/1.1 200 OK\r\nId: 1\r\n\r\n").status, 403)


class PasswordTests(PushProxTestCase):
    """Who asks us as a proxy has a header of their own for what is meant for us."""

    def setUp(self) -> None:
        super().setUp()
        access = Access(has_users=True, roles=(role("", "scrape", users="prometheus"),))
        self.site.gate.use(access, OnePassword(b"Basic for-us"))

    def test_none(self) -> None:
        """407, also where there is one for the target."""
        answer = self.scrape(PROXIED, Authorization="Basic for-us").answer()
        self.assertEqual(answer.status, 407)
        assert answer.headers["Proxy-Authenticate"].startswith("Basic ")

    def test_wrong_one(self) -> None:
        answer = self.scrape(PROXIED, Proxy_Authorization="Basic wrong").answer()
        self.assertEqual(answer.status, 407)

    def test_right_one(self) -> None:
        """It is not passed on to anybody; this client is just not there."""
        answer = self.scrape(PROXIED, Proxy_Authorization="Basic for-us").answer()
        self.assertEqual(answer.status, 404)


class TokenTests(PushProxTestCase):
    """Prometheus, and clients, by bearer tokens."""

    def setUp(self) -> None:
        super().setUp()
        names = ("prometheus", "web", "any")
        permissions = (("scrape", ""), ("tunnel", "web-*"), ("tunnel", "*"))
        roles = [
            role("", *given, token=name) for name, given in zip(names, permissions, strict=True)
        ]
        tokens = Tokens().renewed({name: f"{name}-t0ken" for name in names})
        self.site.gate.use(Access(roles=tuple(roles)), tokens=tokens)

    def poll_status(self, name: str, token: str) -> int:
        return self.ask_to_poll(name, token).answer().status

    def ask_to_poll(self, name: str, token: str) -> Caller:
        data = go_client.poll(name)
        authorization = f"Authorization: Bearer {token}\r\n".encode() if token else b""
        return self.send(data.replace(b"\r\n", b"\r\n" + authorization, 1))

    def test_names_belong_to_tokens(self) -> None:
        """A client has those of its role, and another token supersedes nothing."""
        for name, token, status in (
            ("web-1", "", 401),
            ("web-1", "web-t0ke", 401),
            ("web-1", "prometheus-t0ken", 403),
            ("db-1", "web-t0ken", 403),
        ):
            self.assertEqual(self.poll_status(name, token), status, (name, token))
        first = self.ask_to_poll("web-1", "web-t0ken")
        self.assertEqual(self.poll_status("web-1", "any-t0ken"), 409)
        self.assertEqual(first.wire_bytes(), b"")
        self.ask_to_poll("web-1", "web-t0ken")
        self.assertEqual(first.answer().status, 408)

    def test_as_a_proxy(self) -> None:
        """What is for us has a header of its own."""
        for headers in ({"Authorization": "Bearer prometheus-t0ken"}, {}):
            answer = self.scrape(PROXIED, **headers).answer()
            self.assertEqual(answer.status, 407)
            self.assertEqual(answer.headers["Proxy-Authenticate"], 'Bearer realm="promproxy"')
        answer = self.scrape(PROXIED, Proxy_Authorization="Bearer prometheus-t0ken").answer()
        self.assertEqual(answer.status, 404)


class OnePassword(Passwords):
    """Knows one header, without any checks."""

    def __init__(self, header: bytes) -> None:
        self._header = header

    def user_of(self, header: bytes) -> str:
        return "prometheus" if header == self._header else ""


def role(san: str, permission: str, fqdn: str = "", users: str = "", token: str = "") -> Role:
    return Role(
        tokens=(Token(name=token, token=Secret("t0ken")),) if token else (),
        users=(users,) if users else (),
        client_sans=(san,) if san else (),
        permissions=(permission,),
        fqdns=(fqdn,) if fqdn else (),
    )


class OpenTests(PushProxTestCase):
    """No users, no roles."""

    def test_operator_is_warned_once(self) -> None:
        """Any host can claim any name; a reload does not say so again."""
        with capturedLogs() as events:
            self.setUp()
            self.reload(self.config)
        texts = [formatEvent(e) for e in events if e["log_level"] is LogLevel.warn]
        warnings = [text for text in texts if text and "any host can poll as any client" in text]
        self.assertEqual(len(warnings), 1, texts)


class RestartTests(PushProxTestCase):
    """With a state_dir."""

    def test_no_client_is_dropped(self) -> None:
        """Those of before count until they should be back, and the source is ready at once."""
        self.reload(f"state_dir: {self.folder.absolute()}\nsources: [{SOURCE}]")
        self.poll("web-1")
        self.poll("web-2")
        self.pass_time(10)
        self.successResultOf(self.daemon.stopService())
        folder, text = self.folder, self.text
        self.daemon = self.start(text)
        self.assertNotEqual(self.folder, folder)
        self.assertEqual(self.listed(), ["web-1:9100", "web-2:9100"])
        scrape = self.scrape()
        self.assert_pushed(Responses(self.fetched(self.poll()).id).counted())
        self.assert_scraped(scrape)
        self.poll()
        self.pass_time(305)
        self.assertEqual(self.listed(), ["web-1:9100"])
