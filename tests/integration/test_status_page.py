"""The status page of a daemon with a target."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.integration.support import SocketTestCase, sends

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n"


class StatusPageTests(SocketTestCase):
    def test_tells_how_the_last_scrape_ended(self) -> Deferred[None]:
        """Follows the next one."""
        return self.run_case(self._scrapes())

    async def _scrapes(self) -> None:
        upstream = await self.upstream(sends(ANSWER))
        self.targets(upstream.address, team="storage")
        await self.daemon()
        self.assertIn(b"not scraped yet", await self.get("/?health=unknown&text=STORAGE"))
        await self.scrape(upstream)
        page = await self.get("/?health=up&text=storage")
        self.assertIn(b"page 1 of 1: 1 of 1 targets", page)
        self.assertIn(b">5 B<", page)

    def test_the_configuration_without_its_secrets(self) -> Deferred[None]:
        """As it is in force."""
        return self.run_case(self._configuration())

    async def _configuration(self) -> None:
        self.targets("127.0.0.1:1")
        await self.daemon(more="outbound: {a: {basic_auth: {username: u, password: hunter2}}}\n")
        page = await self.get("/?view=configuration")
        self.assertIn(b"password: &lt;secret&gt;", page)
        self.assertNotIn(b"hunter2", page)
