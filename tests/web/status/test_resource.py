"""Tests of promproxy.web.status.resource, and of what its page looks like to a reader."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from promproxy import __version__
from promproxy.errors import SourceError, Unreachable
from promproxy.registry import Registry
from promproxy.scrape.history import ScrapeHistory
from promproxy.targets.target import Delivery, Dropped, LeftOut
from promproxy.web.status.resource import MOST_WAITING, ConfigurationText, StatusResource
from tests.fakes import Caller, FakeProfiles, ScriptedSource, make_registry, make_target, settle

NOW = 1_700_000_000.0
APP = {
    "__meta_cf_org_name": "acme",
    "__meta_cf_app_name": "<shop>",
    "__meta_cf_app_guid": "guid",
    "team": "a & b",
}

PROFILES = FakeProfiles()


class TickingClock(Clock):
    """Time passes whenever someone looks at it."""

    ticks = 0

    def seconds(self) -> float:
        self.ticks += 1
        return super().seconds() + self.ticks * 0.0005

    def turn(self) -> None:
        """Run what is due now, but not what becomes due by that, as a reactor does."""
        now = self.seconds()
        for call in [call for call in self.calls if call.getTime() <= now]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


class StatusTestCase(SynchronousTestCase):
    """A page with three sources."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.targets = (
            make_target("a:1", labels=APP, query="token=hunter2", headers=(("X", "hunter2"),)),
            make_target("b:1"),
            make_target("c:1"),
        )
        delivery = Delivery(
            self.targets,
            dropped=(Dropped("x", "label_name"),),
            left_out=(LeftOut("y", "no_route"), LeftOut("z", "no_route")),
        )
        registry = make_registry(
            self.clock,
            ScriptedSource([delivery]),
            ScriptedSource([SourceError("<b>bold</b>")], name="broken"),
            ScriptedSource([Deferred()], name="slow"),
        )
        registry.start()
        settle(self.clock)
        self.make(registry)

    def make(self, registry: Registry) -> None:
        self.history = ScrapeHistory(registry)
        self.written: list[str] = []
        self.is_broken = False

        def write() -> str:
            self.written.append("")
            if self.is_broken:
                raise ValueError
            return "a: <secret>\n"

        text = ConfigurationText(maybeDeferred, write)
        self.resource = StatusResource(registry, self.history, text, self.clock)
        self.resource.putChild(b"", self.resource)
        prefix = Resource()
        self.resource.putChild(b"deep", prefix)
        prefix.putChild(b"prefix", self.resource)

    @property
    def caller(self) -> Caller:
        """A new one, since idle ones are sent away when time passes."""
        return Caller(self.resource, self.clock)

    def note(self, number: int, outcome: str = "success", **values: Any) -> None:
        record = self.history.of(self.targets[number], PROFILES)
        said = {"status": 200, "began": NOW - 5, "seconds": 0.25, "size": 57000, "error": None}
        self.history.record(record, outcome, **{**said, **values})

    def get(self, uri: str = "/") -> str:
        answer = self.caller.get(uri)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "text/html; charset=utf-8")
        return answer.body.decode()

    def row(self, page: str, word: str) -> list[str]:
        """The cells, as HTML, of the one row of a table that has this word."""
        rows = [row for row in page.split("<tr>")[1:] if word in row]
        self.assertEqual(len(rows), 1, rows)
        cells = rows[0].partition("</tr>")[0].split("</td>")[:-1]
        return [cell.partition(">")[2] for cell in cells]


class SourcesTests(StatusTestCase):
    def test_what_it_is(self) -> None:
        self.assertIn(f"<h1>promproxy <small>{__version__}</small></h1>", self.get())

    def test_a_source_that_delivers(self) -> None:
        """State, targets by their health, age, and what is no target for which reason."""
        self.note(0)
        self.note(1, "timeout", status=0, error=Unreachable("x"))
        self.clock.advance(30)
        name, state, *numbers, delivered, left_out, error = self.row(
            self.get(), 'href="?source=vms">vms<'
        )
        self.assertEqual(name, '<a href="?source=vms">vms</a>')
        self.assertIn(">ok<", state)
        self.assertEqual(numbers, ["3", "1", "1", "1"])
        self.assertIn(">30 s ago<", delivered)
        self.assertIn('title="2023-11-14 22:13:20 UTC"', delivered)
        self.assertEqual((left_out, error), ("2 no route, 1 label name", ""))

    def test_a_source_that_fails(self) -> None:
        """Its error, which may quote what a server sent."""
        _, state, targets, *_, delivered, _, error = self.row(self.get(), ">broken</a>")
        self.assertIn(">failed once<", state)
        self.assertEqual((targets, delivered), ("-", "never"))
        self.assertEqual(error, "&lt;b&gt;bold&lt;/b&gt;")

    def test_a_source_that_is_awaited(self) -> None:
        """The page says what it waits for."""
        page = self.get()
        self.assertIn(">waiting<", self.row(page, ">slow</a>")[1])
        self.assertIn("waiting for the first targets of <b>broken, slow</b>", page)

    def test_a_source_with_targets_that_were_saved(self) -> None:
        """As long as it has not delivered itself; when they were delivered is known."""
        registry = make_registry(self.clock, ScriptedSource([Deferred()]))
        registry.restore("vms", Delivery(self.targets), NOW - 3600)
        registry.start()
        settle(self.clock)
        self.make(registry)
        _, state, targets, *_, delivered, _, _ = self.row(self.get(), ">vms</a>")
        self.assertIn(">saved targets<", state)
        self.assertEqual(targets, "3")
        self.assertIn(">60 min ago<", delivered)

    def test_no_source(self) -> None:
        registry = make_registry(self.clock)
        registry.start()
        self.make(registry)
        page = self.get()
        self.assertIn("No source is configured.", page)
        self.assertNotIn("Not ready", page)


class TargetsTests(StatusTestCase):
    def test_a_target_that_is_up(self) -> None:
        """A link to its scrape, its labels and Cloud Foundry's names, and how the scrape ended."""
        self.note(0)
        name, labels, health, last, took, size, error = self.row(self.get(), "vms/a:1")
        self.assertEqual(
            name,
            '<a href="singleTargetMetrics/vms/a:1">vms/a:1</a><small>http://a:1/metrics</small>',
        )
        self.assertEqual(
            labels,
            "<div><span>org: acme</span><span>app: &lt;shop&gt;</span>"
            "<span>team: a &amp; b</span></div>",
        )
        self.assertIn(">up<", health)
        self.assertIn(">5 s ago<", last)
        self.assertEqual((took, size, error), ("0.25 s", "57 kB", ""))

    def test_a_target_that_is_down(self) -> None:
        self.note(0, "unreachable", status=0, size=0, error=Unreachable("<refused>"))
        _, _, health, *_, error = self.row(self.get(), "vms/a:1")
        self.assertIn(">down<", health)
        self.assertEqual(error, "&lt;refused&gt;")

    def test_a_target_that_says_no_itself(self) -> None:
        self.note(0, "target_error", status=404)
        *_, error = self.row(self.get(), "vms/a:1")
        self.assertEqual(error, "the target answered with status 404")

    def test_a_target_that_was_not_scraped(self) -> None:
        """Nothing to say of it."""
        _, _, health, *rest = self.row(self.get(), "vms/c:1")
        self.assertIn(">unknown<", health)
        self.assertEqual(rest, ["-", "-", "-", ""])

    def test_filters(self) -> None:
        """The form shows what was asked for, and links keep it."""
        self.note(0)
        page = self.get("/?health=unknown&text=vms&source=vms&sort=slowest")
        self.assertNotIn("vms/a:1", page)
        self.assertIn("vms/b:1", page)
        self.assertIn("page 1 of 1: 2 of 3 targets", page)
        self.assertIn('<option value="unknown" selected>', page)
        self.assertIn('<option value="vms" selected>', page)
        self.assertIn('<option value="slowest" selected>', page)
        self.assertIn('name="text" value="vms"', page)
        self.assertIn(
            'href="?text=vms&amp;source=broken&amp;health=unknown&amp;sort=slowest"', page
        )

    def test_nothing_found(self) -> None:
        """It says so; what was searched for is only text."""
        page = self.get("/?text=%22%3E%3Cscript%3E")
        self.assertIn("No target to show here.", page)
        self.assertIn('value="&quot;&gt;&lt;script&gt;"', page)
        self.assertNotIn("<script", page)

    def test_nothing_secret(self) -> None:
        """Neither a target's parameters nor its headers, also not to who looks for them."""
        self.assertNotIn("hunter2", self.get())
        self.assertIn("No target to show here.", self.get("/?text=hunter2"))

    def test_pages(self) -> None:
        """A hundred targets each, with links to the others."""
        self.targets = tuple(make_target(f"h:{n}") for n in range(1, 251))
        registry = make_registry(self.clock, ScriptedSource([Delivery(self.targets)]))
        registry.start()
        settle(self.clock)
        self.make(registry)
        page = self.get("/?page=2&source=vms")
        self.assertEqual(page.count('href="singleTargetMetrics/'), 100)
        self.assertIn(">vms/h:101<", page)
        self.assertIn("page 2 of 3: 250 of 250 targets", page)
        self.assertIn('<a href="?source=vms&amp;page=3">next</a>', page)
        self.assertIn('<a href="?source=vms">previous</a>', page)
        self.assertIn("No target to show here.", self.get("/?page=4"))
        self.assertIn('<a href="?page=3">last</a>', self.get("/?page=4"))

    def test_a_target_whose_id_belongs_to_another(self) -> None:
        """Only the one that is scraped is shown."""
        other = attrs.evolve(self.targets[0], source="other")
        registry = make_registry(
            self.clock,
            ScriptedSource([Delivery(self.targets)]),
            ScriptedSource([Delivery((other,))], name="other"),
        )
        registry.start()
        settle(self.clock)
        self.make(registry)
        self.assertEqual(self.get().count(">vms/a:1<"), 1)


class ConfigurationTests(StatusTestCase):
    def test_is_shown(self) -> None:
        """As it was written down once."""
        page = self.get("/?view=configuration")
        self.assertIn(">a: &lt;secret&gt;\n</pre>", page)
        self.assertIn('aria-current="page">Configuration</a>', page)
        self.get("/?view=configuration")
        self.assertEqual(len(self.written), 1)

    def test_only_when_someone_wants_to_see_it(self) -> None:
        """It takes a moment for a long one."""
        self.get()
        self.assertEqual(self.written, [])


class Nesting(HTMLParser):
    """Which elements are open; the end of another than the innermost is an AssertionError."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class AnswerTests(StatusTestCase):
    def test_every_element_ends(self) -> None:
        """In the order in which it should."""
        self.note(0)
        for uri in ("/", "/?text=none", "/?view=configuration"):
            nesting = Nesting()
            nesting.feed(self.get(uri))
            self.assertEqual(nesting.open, [])

    def test_nothing_from_elsewhere(self) -> None:
        """No script runs, and nothing is loaded; the style is allowed by its hash."""
        answer = self.caller.get("/")
        policy = answer.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'; style-src 'sha256-", policy)
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Cache-Control"], "no-store")

    def test_links_work_below_a_path_prefix(self) -> None:
        """So none begins with a slash, and the page ends with one."""
        page = self.get("/deep/prefix/")
        self.assertIn('href="discovery"', page)
        self.assertNotIn('href="/', page)
        answer = self.caller.get("/deep/prefix?page=1")
        self.assertEqual((answer.status, answer.headers["Location"]), (302, "./prefix/"))

    def test_head(self) -> None:
        """The same without the page."""
        answer = self.caller.head("/")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.headers["Content-Length"]), 1000)

    def test_something_that_is_not_there(self) -> None:
        """The page is not everywhere."""
        self.assertEqual(self.caller.get("/nothing").status, 404)

    def test_a_failure_is_logged_and_answered(self) -> None:
        """The next one is answered again."""
        self.is_broken = True
        self.assertEqual(self.caller.get("/?view=configuration").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.is_broken = False
        self.assertEqual(self.caller.get("/?view=configuration").status, 200)


class TimeTests(SynchronousTestCase):
    """However many targets there are, everything else goes on."""

    def setUp(self) -> None:
        self.clock = TickingClock()
        targets = tuple(make_target(f"h:{n}") for n in range(1, 5001))
        registry = make_registry(self.clock, ScriptedSource([Delivery(targets)]))
        registry.start()
        settle(self.clock)
        history = ScrapeHistory(registry)
        text = ConfigurationText(maybeDeferred, str)
        self.resource = StatusResource(registry, history, text, self.clock)
        self.resource.putChild(b"", self.resource)

    def callers(self, count: int) -> list[Caller]:
        callers = [Caller(self.resource, self.clock) for _ in range(count)]
        for caller in callers:
            caller.send("GET", "/")
        return callers

    def turns(self, caller: Caller) -> int:
        """How many turns others have before the answer is there."""
        turns = 0
        while not caller.wire.value():
            self.clock.turn()
            turns += 1
        return turns

    def test_a_page_is_made_in_slices(self) -> None:
        """Each ends after a few milliseconds."""
        self.assertGreater(self.turns(self.callers(1)[0]), 20)

    def test_one_page_at_a_time(self) -> None:
        """Who asks ten times has a single slice in each turn."""
        first, second = self.callers(2)
        alone = self.turns(first)
        self.assertEqual(second.wire.value(), b"")
        self.assertGreater(self.turns(second), alone // 2)

    def test_not_too_many_wait(self) -> None:
        """The others are told at once; those that leave make room."""
        first, *others, late = self.callers(MOST_WAITING + 2)
        self.assertIn(b" 503 ", late.wire.value())
        self.assertEqual(others[-1].wire.value(), b"")
        others[0].leave()
        self.assertEqual(self.callers(1)[0].wire.value(), b"")
        self.turns(first)

    def test_a_caller_that_leaves(self) -> None:
        """Nothing more is done for it, whether it waits or is served, and others are served."""
        first, second, third = self.callers(3)
        self.clock.turn()
        second.leave()
        first.leave()
        self.turns(third)
        self.assertIn(b"200 OK", third.wire.value())
        self.assertEqual(self.flushLoggedErrors(), [])
