"""The daemon does not connect to denied addresses for hosts that others name."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred

from promproxy.targets.ids import safe_id
from tests.integration.support import SocketTestCase, pause, sends

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
# 127.1 and 2130706433 are other ways to write 127.0.0.1, which the system's look-up understands.
SPELLINGS = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]")


class GuardTests(SocketTestCase):
    """Loopback stands for the metadata service, since tests can listen there."""

    async def daemon_with(self, deny: str, *hosts: str) -> None:
        """One that was told of these hosts by another server, all on the upstream's port."""
        targets = [f"{host}:{self.target.port}" for host in hosts]
        body = json.dumps([{"targets": targets, "labels": {}}]).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        document = await self.upstream(sends(head % len(body) + body))
        more = f", {{name: sd, http_sd: {{url: 'http://{document.address}/'}}}}"
        self.targets(self.target.address)
        await self.daemon(more_sources=more, more=deny)
        while b"200 OK" not in await self.get("/-/ready"):
            await pause()

    async def scrape_of(self, source: str, host: str) -> bytes:
        target_id = safe_id(f"{source}/{host}:{self.target.port}")
        return await self.get(f"/singleTargetMetrics/{target_id}")

    def test_no_spelling_leads_there(self) -> Deferred[None]:
        """Not a byte reaches it."""

        async def case() -> None:
            self.target = await self.upstream(sends(HELLO))
            await self.daemon_with("deny_addresses: [127.0.0.0/8, '::1']\n", *SPELLINGS)
            for host in SPELLINGS:
                answer = await self.scrape_of("sd", host)
                assert answer.startswith(b"HTTP/1.1 502 "), answer
                assert b" is among deny_addresses" in answer, answer
            self.assertEqual(self.target.talks, [])

        return self.run_case(case())

    def test_what_our_own_configuration_names_is_not_denied(self) -> Deferred[None]:
        """Target files are a part of it, and the discovery server itself is reached too.

        The connection that this leaves open is not used for the hosts of others.
        """

        async def case() -> None:
            self.target = await self.upstream(sends(HELLO))
            await self.daemon_with("deny_addresses: [127.0.0.0/8]\n", "127.0.0.1")
            self.assertIn(b"hello", await self.scrape_of("vms", "127.0.0.1"))
            self.assertIn(b"502", await self.scrape_of("sd", "127.0.0.1"))
            self.assertEqual(len(self.target.requests), 1)

        return self.run_case(case())

    def test_loopback_is_not_denied_by_default(self) -> Deferred[None]:
        """The metadata service is, at once and without a connection."""

        async def case() -> None:
            self.target = await self.upstream(sends(HELLO))
            await self.daemon_with("", "127.0.0.1", "169.254.169.254", "[fd00:ec2::254]")
            self.assertIn(b"hello", await self.scrape_of("sd", "127.0.0.1"))
            for host in ("169.254.169.254", "[fd00:ec2::254]"):
                answer = await self.scrape_of("sd", host)
                self.assertIn(f"{host.strip('[]')} is among deny_addresses".encode(), answer)

        return self.run_case(case())

    def test_through_a_proxy(self) -> Deferred[None]:
        """The proxy resolves the name, and is the one to forbid anything."""

        async def case() -> None:
            self.target = await self.upstream(sends(HELLO))
            body = json.dumps([{"targets": ["169.254.169.254:80"], "labels": {}}]).encode()
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            document = await self.upstream(sends(head % len(body) + body))
            more = f", {{name: sd, outbound: p, http_sd: {{url: 'http://{document.address}/'}}}}"
            self.targets(self.target.address)
            profile = f"outbound: {{p: {{proxy_url: 'http://{self.target.address}'}}}}\n"
            await self.daemon(more_sources=more, more=profile)
            answer = b""
            while b"hello" not in answer:
                answer = await self.get("/singleTargetMetrics/sd/169.254.169.254:80")
                await pause()
            begin = b"GET http://169.254.169.254/metrics HTTP/1.1\r\n"
            assert self.target.requests[0].startswith(begin), self.target.requests

        return self.run_case(case())
