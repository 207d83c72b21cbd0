"""Tests of promproxy.server.gate."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy.secret import Secret
from promproxy.server.access import Access
from promproxy.server.bearer_tokens import Tokens
from promproxy.server.gate import Gate
from promproxy.server.passwords import CheckQueue, Passwords
from promproxy.server.peer import Peer
from promproxy.server.permissions import PAGES, SCRAPE
from promproxy.server.request import CallerRequest
from promproxy.server.settings import Role, Token
from promproxy.server.site import PromproxySite
from tests.fakes import Answer, Caller, ManualThread, Wire, parse_answer
from tests.server.test_passwords import basic, hash_of

LOCAL = IPv4Address("TCP", "127.0.0.1", 5)
REMOTE = IPv4Address("TCP", "192.0.2.1", 5)
ADMIN_PAGES = {"refresh", "reload", "invalidate"}


class Page(Resource):
    """Tells who asks."""

    isLeaf = True

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page

    def render(self, request: CallerRequest) -> bytes:
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
        role = Role(users=("a",), permissions=(SCRAPE,))
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


class UsersTestCase(GateTestCase):
    """Where there are passwords: alice's is secret, and she may scrape; bob's is other."""

    def setUp(self) -> None:
        super().setUp()
        self.thread = ManualThread()
        hashes = {"alice": hash_of(b"secret"), "bob": hash_of(b"other")}
        self.passwords = Passwords(hashes, CheckQueue(self.thread, 2))
        self.role = Role(users=("alice",), permissions=(SCRAPE,))
        access = Access(has_users=True, roles=(self.role,))
        self.gate = Gate(access, self.passwords)
        self.caller = Caller(self.site(self.gate), self.clock, wire=Wire(peerAddress=REMOTE))

    def send(self, path: str, user: str = "", password: str = "", method: str = "GET") -> None:
        headers = {"Authorization": basic(user, password).decode()} if user else {}
        self.caller.send(method, path, **headers)

    def get(self, path: str, user: str = "", password: str = "") -> Answer:
        """With all that has to run meanwhile."""
        self.send(path, user, password)
        self.thread.run()
        return self.caller.answer()


class UsersTests(UsersTestCase):
    """By user and password."""

    def test_no_password(self) -> None:
        """401, and what to bring; open pages are served, and no password is looked at."""
        answer = self.get("/metrics")
        self.assertEqual((answer.status, answer.body), (401, b"user and password required\n"))
        self.assertEqual(
            answer.headers["WWW-Authenticate"], 'Basic realm="promproxy", charset="UTF-8"'
        )
        self.assertEqual(self.get("/nowhere").status, 401)
        self.send("/healthy", "alice", "wrong")
        self.assertEqual(self.thread.waiting, [])
        self.assertEqual(self.caller.answer().status, 200)

    def test_right_password(self) -> None:
        """Checked in a thread the first time; from then on the answer comes at once."""
        self.send("/metrics", "alice", "secret")
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.thread.run()
        self.assertEqual(self.caller.answer().body, b"metrics for alice")
        self.send("/discovery", "alice", "secret")
        self.assertEqual(self.caller.answer().body, b"discovery for alice")

    def test_name_of_the_header_in_any_letters(self) -> None:
        """Also in such as no client writes."""
        for name in ("AUTHORIZATION", "authorization", "AuThoRiZation"):
            self.caller.send("GET", "/metrics", **{name: basic("alice", "secret").decode()})
            self.thread.run()
            self.assertEqual(self.caller.answer().status, 200, name)

    def test_password_is_not_kept_with_the_header_fields(self) -> None:
        """That are kept of other requests for their speed."""
        self.get("/metrics", "alice", "secret")
        before = self.caller.channel.site._read_fields.cache_info()
        self.get("/metrics", "alice", "wrong")
        after = self.caller.channel.site._read_fields.cache_info()
        self.assertEqual((before.currsize, after.hits), (after.currsize, before.hits + 1))

    def test_wrong_password(self) -> None:
        """401, the same as for a user that there is not, the first time and later."""
        answers = [
            self.get("/metrics", user, "wrong") for user in ("alice", "carol", "alice", "carol")
        ]
        for answer in answers:
            expected = (401, b"wrong user or password\n", answers[0].headers)
            self.assertEqual((answer.status, answer.body, answer.headers), expected)

    def test_permission_that_a_user_lacks(self) -> None:
        """403; asking again with the same password would not help."""
        answer = self.get("/refresh", "alice", "secret")
        expected = (403, b"alice lacks the permission admin (see roles)\n")
        self.assertEqual((answer.status, answer.body), expected)
        self.assertEqual(self.get("/metrics", "bob", "other").status, 403)
        self.assertNotIn("WWW-Authenticate", answer.headers)

    def test_head(self) -> None:
        """Is refused without a body."""
        self.send("/metrics", method="HEAD")
        answer = self.caller.answer()
        self.assertEqual((answer.status, answer.body), (401, b""))

    def test_body_of_a_refused_request_is_not_read(self) -> None:
        """The connection ends, and what would have been the body is no request."""
        site = PromproxySite(self.root, self.clock, takes_body=lambda _: True, gate=self.gate)
        caller = Caller(site, self.clock, wire=Wire(peerAddress=REMOTE))
        caller.channel.dataReceived(
            b"POST /tunnel HTTP/1.1\r\nHost: p\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        received = caller.wire_bytes()
        self.assertTrue(received.startswith(b"HTTP/1.1 401 "), received)
        self.assertEqual(parse_answer(received).headers["Connection"], "close")
        caller.channel.dataReceived(b"GET /healthy HTTP/1.1\r\nHost: p\r\n\r\n")
        self.assertEqual(caller.wire_bytes(), b"")
        self.assertTrue(caller.wire.disconnecting)

    def test_too_many_checks(self) -> None:
        """503, and when to come back; whoever is known is served."""
        self.get("/metrics", "alice", "secret")
        others = [Caller(self.caller.channel.site, self.clock) for _ in range(2)]
        for number, other in enumerate(others):
            header = basic("bob", f"wrong{number}").decode()
            other.send("GET", "/metrics", Authorization=header)
        self.send("/metrics", "bob", "wrong")
        answer = self.caller.answer()
        expected = (503, b"too many passwords are being checked\n", "5")
        self.assertEqual((answer.status, answer.body, answer.headers["Retry-After"]), expected)
        self.send("/metrics", "alice", "secret")
        self.assertEqual(self.caller.answer().status, 200)

    def test_caller_that_leaves_meanwhile(self) -> None:
        self.send("/metrics", "alice", "secret")
        self.caller.leave()
        self.thread.run()
        self.assertEqual(self.caller.wire_bytes(), b"")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_refused_ones_are_counted(self) -> None:
        self.get("/metrics")
        self.get("/metrics", "alice", "wrong")
        self.get("/refresh", "alice", "secret")
        expected = {"no_password": 1, "wrong_password": 1, "forbidden": 1}
        self.assertEqual(self.gate.refused, expected)

    def test_users_may_change(self) -> None:
        """From the next request on."""
        self.get("/metrics", "alice", "secret")
        other = Passwords({"alice": hash_of(b"new")}, CheckQueue(self.thread))
        self.gate.use(self.gate.access, other)
        self.assertEqual(self.get("/metrics", "alice", "secret").status, 401)
        self.assertEqual(self.get("/metrics", "alice", "new").status, 200)
        self.gate.use(Access())
        self.assertEqual(self.get("/metrics").body, b"metrics for anyone")


class CertificateTests(UsersTestCase):
    """By a client certificate that was verified."""

    def show(self, *sans: str) -> None:
        self.caller.channel._peer = Peer(is_local=False, sans=frozenset(sans))

    def test_certificate_that_a_role_names(self) -> None:
        """Stands in the place of a password; a wrong password is one all the same."""
        role = Role(client_sans=("p.example",), permissions=(SCRAPE,))
        self.gate.use(evolve(self.gate.access, roles=(role,)), self.passwords)
        self.assertEqual(self.get("/metrics").status, 401)
        self.show("p.example", "q.example")
        answer = self.get("/metrics")
        self.assertEqual(answer.body, b"metrics for certificate of p.example, q.example")
        self.assertEqual(self.get("/refresh").status, 403)
        self.assertEqual(self.get("/metrics", "alice", "wrong").status, 401)

    def test_certificate_that_no_role_names(self) -> None:
        """Takes a password, or where there are none, nothing helps."""
        self.show("p.example")
        self.assertEqual(self.get("/metrics").status, 401)
        self.gate.use(Access(roles=(self.role,)))
        answer = self.get("/metrics")
        self.assertEqual(answer.status, 403)
        self.assertIn(b"a caller without a certificate that a role names", answer.body)

    def test_certificate_that_everyone_needs(self) -> None:
        """Is enough, where there are neither users nor roles."""
        self.gate.use(Access(needs_certificate=True))
        self.assertEqual(self.get("/metrics").status, 403)
        self.show("p.example")
        self.assertEqual(self.get("/refresh").status, 200)
        self.assertEqual(self.get("/tunnel").status, 403)


class TokenTests(UsersTestCase):
    """By bearer token; some have users beside them."""

    basic = b'Basic realm="promproxy", charset="UTF-8"'
    bearer = b'Bearer realm="promproxy"'

    def setUp(self) -> None:
        super().setUp()
        self.tokens = Tokens().renewed({"branch": "t0ken"})
        role = Role(tokens=(Token(name="branch", token=Secret("t0ken")),), permissions=(SCRAPE,))
        self.access = Access(roles=(role, self.role))
        self.gate.use(self.access, None, self.tokens)

    def add_users(self) -> None:
        self.gate.use(evolve(self.access, has_users=True), self.passwords, self.tokens)

    def with_token(self, path: str, token: str, scheme: str = "Bearer") -> Answer:
        return self.caller.get(path, Authorization=f"{scheme} {token}")

    def challenges(self, answer: bytes) -> list[bytes]:
        lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
        return [line[18:] for line in lines if line.startswith(b"WWW-Authenticate: ")]

    def test_right_one(self) -> None:
        """With users, and without."""
        for prepare in (lambda: None, self.add_users):
            prepare()
            answer = self.with_token("/metrics", "t0ken", "bearer")
            self.assertEqual(answer.body, b"metrics for token branch")
            answer = self.with_token("/refresh", "t0ken")
            expected = (403, b"token branch lacks the permission admin (see roles)\n")
            self.assertEqual((answer.status, answer.body), expected)
        self.assertEqual(self.get("/metrics", "alice", "secret").body, b"metrics for alice")

    def test_wrong_one(self) -> None:
        """401, at once, however much the wrong one may be a password; it does not show."""
        for prepare in (lambda: None, self.add_users):
            prepare()
            answer = self.with_token("/metrics", "t0ke")
            self.assertEqual((answer.status, answer.body), (401, b"wrong token\n"))
        self.assertEqual(self.thread.waiting, [])
        self.assertEqual(self.gate.refused, {"wrong_token": 2})

    def test_nothing_to_show(self) -> None:
        """401, which says what would do, also to callers on this host."""
        for prepare, text, offers in (
            (lambda: None, b"bearer token required\n", [self.bearer]),
            (
                self.add_users,
                b"user and password, or bearer token required\n",
                [self.basic, self.bearer],
            ),
        ):
            prepare()
            for peer in (REMOTE, LOCAL):
                self.caller = Caller(self.site(self.gate), self.clock, Wire(peerAddress=peer))
                self.caller.send("GET", "/metrics")
                received = self.caller.wire_bytes()
                self.assertEqual(self.challenges(received), offers)
                answer = parse_answer(received)
                self.assertEqual((answer.status, answer.body), (401, text))
            self.assertEqual(self.served(self.gate, LOCAL), {"healthy", "ready"})

    def test_passwords_where_there_are_none(self) -> None:
        """401: whatever else is sent is not a token."""
        for header in (basic("alice", "secret").decode(), "t0ken", "Bearer", "Digest t0ken"):
            answer = self.caller.get("/metrics", Authorization=header)
            self.assertEqual(
                (answer.status, answer.body), (401, b"bearer token required\n"), header
            )

    def test_tokens_where_there_are_none(self) -> None:
        access = Access(has_users=True, roles=(self.role,))
        self.gate.use(access, self.passwords)
        answer = self.with_token("/metrics", "t0ken")
        self.assertEqual((answer.status, answer.body), (401, b"wrong user or password\n"))
        self.assertEqual(answer.headers["WWW-Authenticate"], self.basic.decode())
