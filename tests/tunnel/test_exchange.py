"""Tests of promproxy.tunnel.exchange."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import Busy, NameTaken, TooManyClients, UnknownScrape, Unreachable
from promproxy.tunnel.exchange import Exchange, ExchangeLimits, Poll, Scrape, is_host_name

LIMITS = ExchangeLimits(registration_timeout=300.0, max_clients=3, max_waiting=2)


class ExchangeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.exchange: Exchange[Poll, Scrape] = Exchange(LIMITS)
        self.scrapes = 0

    def poll(self, name: str = "web-1", now: float = 0.0, identity: str = "") -> Poll:
        """A poll that nothing waits for."""
        poll = Poll(name, identity)
        self.assertIsNone(self.exchange.poll(poll, now).scrape)
        return poll

    def scrape(self, name: str = "web-1", now: float = 0.0) -> tuple[Scrape, Poll | None]:
        self.scrapes += 1
        scrape = Scrape(f"id-{self.scrapes}", name)
        return scrape, self.exchange.scrape(scrape, now)


class MeetTests(ExchangeTestCase):
    """Polls and scrapes."""

    def test_scrape_goes_to_the_poll_that_waits(self) -> None:
        """Is answered by its id, once."""
        poll = self.poll()
        scrape, given = self.scrape()
        self.assertIs(given, poll)
        self.assertIs(poll.scrape, scrape)
        self.assertIs(self.exchange.answered(scrape.id, "", 1.0), scrape)
        self.assertRaises(UnknownScrape, self.exchange.answered, scrape.id, "", 1.0)

    def test_scrape_waits_for_the_next_poll(self) -> None:
        """In the order in which they came, one to each poll."""
        self.scrape_at_once()
        first, second = self.scrape()[0], self.scrape()[0]
        self.assertEqual(self.exchange.waiting(), [first, second])
        self.assertIs(self.exchange.poll(Poll("web-1"), 1.0).scrape, first)
        self.assertIs(self.exchange.poll(Poll("WEB-1"), 1.0).scrape, second)
        self.assertEqual(self.exchange.waiting(), [])

    def scrape_at_once(self) -> Poll:
        """The client is there, and busy."""
        poll = self.poll()
        self.assertIs(self.scrape()[1], poll)
        return poll

    def test_newer_poll_supersedes_the_older(self) -> None:
        """Which may be dead without our knowing."""
        before = self.poll()
        newer = Poll("Web-1")
        self.assertIs(self.exchange.poll(newer, 1.0).superseded, before)
        self.assertIs(self.scrape()[1], newer)

    def test_poll_that_left_is_given_nothing(self) -> None:
        """The scrape waits for another."""
        self.exchange.left(self.poll(), 5.0)
        self.assertIsNone(self.scrape(now=6.0)[1])

    def test_superseded_poll_that_leaves_takes_nothing_with_it(self) -> None:
        before = self.poll()
        newer = self.poll()
        self.exchange.left(before, 1.0)
        self.assertIs(self.scrape()[1], newer)

    def test_undelivered_scrape_goes_first_to_the_next_poll(self) -> None:
        """Before those that came after it."""
        dead = self.scrape_at_once()
        self.scrape()
        self.assertEqual(self.exchange.requeue(dead), (dead.scrape, None))
        self.assertIs(self.exchange.poll(Poll("web-1"), 1.0).scrape, dead.scrape)

    def test_undelivered_scrape_goes_to_a_poll_that_waits_already(self) -> None:
        dead = self.scrape_at_once()
        newer = self.poll()
        self.assertEqual(self.exchange.requeue(dead), (dead.scrape, newer))
        self.assertIs(newer.scrape, dead.scrape)

    def test_scrape_that_was_answered_or_given_up_is_not_delivered_again(self) -> None:
        """Nobody waits for it."""
        for end in (lambda s: self.exchange.answered(s.id, "", 0.0), self.exchange.ended):
            poll = self.scrape_at_once()
            assert poll.scrape is not None
            end(poll.scrape)
            self.assertIsNone(self.exchange.requeue(poll))
            self.assertEqual(self.exchange.waiting(), [])

    def test_answer_of_a_poll_thought_dead_counts(self) -> None:
        """The scrape is given to nobody else."""
        dead = self.scrape_at_once()
        self.exchange.requeue(dead)
        assert dead.scrape is not None
        self.exchange.answered(dead.scrape.id, "", 0.0)
        self.poll()

    def test_undelivered_scrape_goes_to_nobody_else(self) -> None:
        """Where the name has changed hands meanwhile."""
        dead = self.poll(identity="alice")
        self.scrape()
        self.poll(now=300.0, identity="bob")
        self.assertIsNone(self.exchange.requeue(dead))
        self.assertEqual(self.exchange.waiting(), [])

    def test_scrape_given_up_waits_no_more(self) -> None:
        """The next poll gets the next one."""
        self.scrape_at_once()
        first, second = self.scrape()[0], self.scrape()[0]
        self.exchange.ended(first)
        self.assertIs(self.exchange.poll(Poll("web-1"), 0.0).scrape, second)


class LimitTests(ExchangeTestCase):
    """Who is refused."""

    def test_unknown_client(self) -> None:
        """A scrape does not wait for what never was."""
        self.assertRaises(Unreachable, self.scrape)

    def test_client_that_is_gone(self) -> None:
        """From the registration time-out on, even if nobody has looked since."""
        self.exchange.left(self.poll(), 10.0)
        self.scrape(now=309.9)
        self.exchange.ended(self.exchange.waiting()[0])
        self.assertRaises(Unreachable, self.scrape, now=310.0)

    def test_too_many_waiting(self) -> None:
        """Of one client; others are not concerned."""
        self.exchange.left(self.poll(), 0.0)
        self.poll("web-2")
        self.scrape()
        self.scrape()
        self.assertRaises(Busy, self.scrape)
        self.assertIsNotNone(self.scrape("web-2")[1])

    def test_too_many_clients(self) -> None:
        """Those that are known may go on, and who is gone makes room."""
        polls = [self.poll(f"web-{number}") for number in range(3)]
        self.assertRaises(TooManyClients, self.poll, "web-3")
        self.poll("web-2")
        self.exchange.left(polls[0], 10.0)
        self.assertRaises(TooManyClients, self.poll, "web-3", 309.0)
        self.poll("web-3", 310.0)
        self.assertEqual(self.exchange.names(310.0), ["web-1", "web-2", "web-3"])

    def test_name_of_somebody_else(self) -> None:
        """Is theirs until they are gone; a poll of another identity supersedes nothing."""
        poll = self.poll(identity="alice")
        self.assertRaises(NameTaken, self.poll, "WEB-1", 1.0, "mallory")
        self.assertIs(self.scrape()[1], poll)
        self.assertRaises(NameTaken, self.poll, "web-1", 299.0, "mallory")
        self.assertEqual(self.exchange.names(301.0), [])

    def test_name_of_somebody_who_is_gone(self) -> None:
        """It may be taken over."""
        self.exchange.left(self.poll(identity="alice"), 0.0)
        self.poll("web-1", 300.0, "bob")
        self.assertRaises(NameTaken, self.poll, "web-1", 301.0, "alice")

    def test_answer_of_somebody_else(self) -> None:
        """It does not count, and the right one still does."""
        self.poll(identity="alice")
        scrape, _ = self.scrape()
        self.assertRaises(UnknownScrape, self.exchange.answered, scrape.id, "mallory", 0.0)
        self.assertIs(self.exchange.answered(scrape.id, "alice", 0.0), scrape)

    def test_answer_to_a_scrape_that_was_never_given(self) -> None:
        """Its id is still a secret."""
        self.exchange.left(self.poll(), 0.0)
        scrape, _ = self.scrape()
        self.assertRaises(UnknownScrape, self.exchange.answered, scrape.id, "", 0.0)


class ListTests(ExchangeTestCase):
    """Who counts as a client, and for how long."""

    def test_connected_client_stays(self) -> None:
        """Whether it is scraped or not."""
        self.poll(now=0.0)
        self.assertEqual(self.exchange.names(1e6), ["web-1"])

    def test_client_that_is_gone_is_dropped_in_time(self) -> None:
        """Counted from the end of its poll."""
        poll = self.poll(now=0.0)
        self.exchange.left(poll, 1000.0)
        self.assertEqual(self.exchange.names(1299.9), ["web-1"])
        self.assertEqual(self.exchange.names(1300.0), [])
        self.exchange.expire(1300.0)
        self.assertEqual(len(self.exchange), 0)

    def test_client_that_answers_is_there(self) -> None:
        """Also where its next poll does not come."""
        self.poll(now=0.0)
        scrape, _ = self.scrape()
        self.exchange.answered(scrape.id, "", 50.0)
        self.assertEqual(self.exchange.names(349.0), ["web-1"])

    def test_version_grows_when_the_list_changes_and_only_then(self) -> None:
        """A new client, another spelling, one that is gone."""
        versions = [self.exchange.version]
        for act in (
            lambda: self.poll("web-1"),
            lambda: self.poll("Web-1", 1.0),
            lambda: self.exchange.left(self.exchange.polls()[0], 2.0),
            lambda: self.exchange.expire(302.0),
        ):
            act()
            versions.append(self.exchange.version)
        self.assertEqual(versions, [0, 1, 2, 2, 3])
        self.exchange.expire(302.0)
        self.assertEqual(self.exchange.version, 3)

    def test_name_is_as_the_client_spells_it(self) -> None:
        """Since it compares with regard to case itself."""
        self.poll("Web-1.Example")
        found = self.exchange.find("wEB-1.eXAMPLE", 0.0)
        assert found is not None
        self.assertEqual(found.name, "Web-1.Example")

    def test_restored_client_is_anybodys_who_comes(self) -> None:
        """Until then it is listed like one that was just there."""
        self.exchange.restore(["web-1", "no name"], 100.0)
        self.assertEqual(self.exchange.names(399.0), ["web-1"])
        self.assertEqual(self.exchange.names(400.0), [])
        self.poll("web-1", 101.0, "alice")
        self.assertRaises(NameTaken, self.poll, "web-1", 101.0, "bob")


class HostNameTests(SynchronousTestCase):
    def test_names_of_hosts(self) -> None:
        """As containers have them too, and addresses; at most 63 characters in a label."""
        for name in (
            *("web-1", "WEB.example.org", "10.0.0.7", "x" * 63, "9to5.example"),
            *("web_1", "_web", "web-", "web.", "2001:db8::1"),
        ):
            assert is_host_name(name), name
        for name in (
            *("", "-web", "web..org", ".web", "web..", "a b", "a/b", "web:80", "fe80::1%lo"),
            *("x" * 64, ".".join(["x" * 60] * 5), "wéb", "web\n", "[::1]"),
        ):
            assert not is_host_name(name), name


class ExchangeMachine(RuleBasedStateMachine):
    """Anything that clients, connections and Prometheus may do, in any order."""

    names = st.sampled_from(["a", "A", "b", "c"])
    identities = st.sampled_from(["", "alice"])
    numbers = st.integers(0, 5)

    def __init__(self) -> None:
        super().__init__()
        self.exchange: Exchange[Poll, Scrape] = Exchange(LIMITS)
        self.now = 0.0
        self.given: list[Poll] = []
        self.open: dict[str, Scrape] = {}
        self.count = 0

    def met(self, poll: Poll | None) -> None:
        if poll is not None:
            assert poll.scrape is not None
            assert poll.scrape.name.lower() == poll.name.lower()
            assert poll.scrape.id in self.open, "given to a client though nobody waits for it"
            self.given.append(poll)

    @rule(name=names, identity=identities)
    def poll(self, name: str, identity: str) -> None:
        poll = Poll(name, identity)
        try:
            polled = self.exchange.poll(poll, self.now)
        except (NameTaken, TooManyClients):
            return
        self.met(poll if polled.scrape is not None else None)

    @rule(name=names)
    def scrape(self, name: str) -> None:
        self.count += 1
        scrape = Scrape(str(self.count), name)
        self.open[scrape.id] = scrape
        try:
            self.met(self.exchange.scrape(scrape, self.now))
        except (Unreachable, Busy):
            del self.open[scrape.id]

    @rule(number=numbers)
    def lose(self, number: int) -> None:
        if self.given:
            lost = self.exchange.requeue(self.given[number % len(self.given)])
            self.met(lost[1] if lost is not None else None)

    @rule(number=numbers, identity=identities)
    def answer(self, number: int, identity: str) -> None:
        if self.given:
            poll = self.given[number % len(self.given)]
            assert poll.scrape is not None
            try:
                scrape = self.exchange.answered(poll.scrape.id, identity, self.now)
            except UnknownScrape:
                return
            assert scrape is self.open.pop(poll.scrape.id)
            assert identity == scrape.identity

    @rule(number=numbers)
    def end(self, number: int) -> None:
        if self.open:
            scrape = list(self.open.values())[number % len(self.open)]
            del self.open[scrape.id]
            self.exchange.ended(scrape)

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        polls = self.exchange.polls()
        if polls:
            self.exchange.left(polls[number % len(polls)], self.now)

    @rule(seconds=st.sampled_from([1.0, 299.0, 301.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.exchange.expire(self.now)

    @invariant()
    def nothing_waits_beside_a_poll(self) -> None:
        waiting = {scrape.name.lower() for scrape in self.exchange.waiting()}
        assert not waiting & {poll.name.lower() for poll in self.exchange.polls()}

    @invariant()
    def only_what_somebody_waits_for_is_kept(self) -> None:
        assert {scrape.id for scrape in self.exchange.waiting()} <= self.open.keys()
        assert len(self.exchange) <= LIMITS.max_clients


class MachineTests(SynchronousTestCase):
    def test_any_order_of_events(self) -> None:
        """No scrape reaches another client, none is given or answered that nobody waits for."""
        run_state_machine_as_test(
            ExchangeMachine, settings=settings(max_examples=60, stateful_step_count=40)
        )

    @given(st.text(max_size=80))
    def test_any_text_is_a_name_or_not(self, text: str) -> None:
        """Whatever is one is fit for a URL."""
        if is_host_name(text):
            assert text.isascii() and not set(text) & set("/?#@: \r\n%")
