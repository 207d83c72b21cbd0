"""Tests of promproxy.web.gate."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy.access import PAGES, SCRAPE, Access, Role
from promproxy.web.gate import Gate
from promproxy.web.request import PlainRequest
from promproxy.web.site import PromproxySite
from tests.fakes import Answer, Caller, Wire

LOCAL = IPv4Address("TCP", "127.0.0.1", 5)
REMOTE = IPv4Address("TCP", "192.0.2.1", 5)
ADMIN_PAGES = {"refresh", "reload", "invalidate"}


class Page(Resource):
    """Tells who asks."""

    isLeaf = True

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page

    def render(self, request: PlainRequest) -> bytes:
        return f"{self.page} for {request.caller.identity or 'anyone'}".encode()


class GateTestCase(SynchronousTestCase):
    """A site with every page, each at its own name."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.root = Resource()
        for page in PAGES:
            self.root.putChild(page.encode(), Page(page))

    def site(self, gate: Gate) -> PromproxySite:
        return PromproxySite(self.root, self.clock, gate=gate)

    def ask(
        self, gate: Gate, path: str, peer: Any = REMOTE, method: str = "GET", **headers: str
    ) -> Answer:
        caller = Caller(self.site(gate), self.clock, wire=Wire(peerAddress=peer))
        caller.send(method, f"/{path}", **headers)
        return caller.answer()

    def served(self, gate: Gate, peer: Any = REMOTE, **headers: str) -> set[str]:
        """The pages that are served."""
        answers = {page: self.ask(gate, page, peer, **headers) for page in PAGES}
        return {page for page, answer in answers.items() if answer.status == 200}


class OpenTests(GateTestCase):
    """Without users."""

    def test_administration_is_for_callers_on_this_host(self) -> None:
        """All else is for everyone."""
        gate = Gate()
        self.assertEqual(self.served(gate, LOCAL), set(PAGES))
        self.assertEqual(self.served(gate, REMOTE), set(PAGES) - ADMIN_PAGES)
        answer = self.ask(gate, "refresh", method="POST")
        expected = (403, b"only for callers on this host (see open_admin)\n")
        self.assertEqual((answer.status, answer.body), expected)

    def test_headers_cannot_make_a_caller_local(self) -> None:
        """Only the connection counts."""
        headers = {"X_Forwarded_For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        self.assertEqual(self.ask(Gate(), "refresh", **headers).status, 403)

    def test_open_admin(self) -> None:
        """Anybody may."""
        self.assertEqual(self.served(Gate(Access(open_admin=True))), set(PAGES))

    def test_what_is_decided_may_change(self) -> None:
        """From the next request on, on the same connection."""
        gate = Gate()
        caller = Caller(self.site(gate), self.clock, wire=Wire(peerAddress=REMOTE))
        self.assertEqual(caller.get("/refresh").status, 403)
        gate.use(Access(open_admin=True))
        self.assertEqual(caller.get("/refresh").status, 200)


class ClosedTests(GateTestCase):
    """Where a permission takes more than to be there."""

    def setUp(self) -> None:
        super().setUp()
        role = Role(users=frozenset(("a",)), permissions=frozenset((SCRAPE,)))
        self.gate = Gate(Access(roles=(role,)))

    def test_only_open_pages_are_served(self) -> None:
        """Also on this host."""
        self.assertEqual(self.served(self.gate, LOCAL), {"healthy", "ready"})

    def test_open_pages_are_chosen(self) -> None:
        """One by one, each whatever permission it takes otherwise."""
        for pages in ((), ("discovery",), ("scrape", "invalidate")):
            self.gate.use(Access(roles=self.gate.access.roles, open_pages=frozenset(pages)))
            self.assertEqual(self.served(self.gate), set(pages))

    def test_which_paths_there_are_is_not_told(self) -> None:
        """One that leads nowhere is refused like any other; where all is open, it is 404."""
        self.assertEqual(self.ask(self.gate, "nowhere").status, 403)
        self.assertEqual(self.ask(Gate(), "nowhere").status, 404)
