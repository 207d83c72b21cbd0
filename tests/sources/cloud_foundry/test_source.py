"""Tests of promproxy.sources.cloud_foundry.source, against the simulated foundation in memory."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from promproxy.errors import SourceError, Unreachable
from promproxy.outbound.fetch import Fetcher
from promproxy.secret import Secret
from promproxy.simulation import Size
from promproxy.sources.cloud_foundry.api import Api
from promproxy.sources.cloud_foundry.label_selector import parse_label_selector
from promproxy.sources.cloud_foundry.lists import Lists
from promproxy.sources.cloud_foundry.settings import Rule
from promproxy.sources.cloud_foundry.source import ROUTE_SERVICES_SECONDS, CloudFoundrySource
from promproxy.sources.cloud_foundry.targets import TargetOptions
from promproxy.sources.cloud_foundry.uaa import Credentials
from promproxy.targets.target import Delivery, LeftOut, Target
from tests.fakes import settle
from tests.simulation.support import World
from tests.sources.cloud_foundry.support import (
    Asked,
    FakeFetcher,
    answer,
    answer_of,
    begin,
    page,
    pass_time,
)

SIZE = Size(orgs=12, spaces=48, apps=200, instances=300)
ALL = re.compile(".*")
BINDINGS = "/v3/service_route_bindings"
LISTS = ("/v3/apps", "/v3/processes", "/v3/routes")


class SourceTestCase(SynchronousTestCase):
    """A source of a foundation of 12 orgs, 48 spaces and 200 apps."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.world = World(size=SIZE, clock=self.clock)
        self.foundation = self.world.simulation.foundation
        self.fetcher = FakeFetcher(self.clock, answer_of(self.world))
        self.checked: list[Target] = []

    async def check_router(self, target: Target) -> None:
        self.checked.append(target)

    def source(
        self,
        *selectors: Rule,
        fetcher: Any = None,
        rules: tuple[Rule, ...] = (),
        max_loss: float = 0.5,
        check: Any = None,
        **options: Any,
    ) -> CloudFoundrySource:
        who = Credentials(username="scraper", password=Secret("secret"))
        fetcher = fetcher or self.fetcher
        api = Api.with_login(
            "http://api.example.test:8080", fetcher, self.clock, lambda: 0.5, 0.0, who
        )
        rules = rules or selectors or (Rule(),)
        whole = TargetOptions(source="prod", rules=rules, **options)
        lists = Lists(api, self.clock)
        check = check or self.check_router
        return CloudFoundrySource("prod", 60.0, lists, whole, self.clock, max_loss, check)

    def begin(self, source: CloudFoundrySource) -> Deferred[Delivery]:
        return begin(source.targets(), self.clock)

    def refresh(self, source: CloudFoundrySource) -> Delivery:
        begun = self.begin(source)
        pass_time(self.clock, begun)
        return self.successResultOf(begun)

    def error(self, source: CloudFoundrySource) -> str:
        begun = self.begin(source)
        pass_time(self.clock, begun)
        return str(self.failureResultOf(begun, SourceError).value)

    @property
    def asked(self) -> list[str]:
        """The lists that were asked for, without their queries, and without that of the bindings of
        route services, which comes last wherever there are routes.
        """
        paths = [p.partition("?")[0] for p in self.fetcher.paths if p.startswith("/v3")]
        return [path for path in paths if path != BINDINGS]

    def expected_ids(self) -> list[str]:
        """What the foundation says itself."""
        return sorted(
            f"{found.app.guid}/{found.instance.index}"
            for found in self.foundation.web_instances()
            if found.scrapable_routes
        )

    def ids(self, delivery: Delivery) -> list[str]:
        return sorted(target.id for target in delivery.targets)


class RateLimitTests(SourceTestCase):
    """A Cloud Controller that limits us, with a moment in ``Retry-After``."""

    def test_ceiling_and_somebody_who_asks(self) -> None:
        """Five minutes at most; at once for somebody who asks."""
        self.clock.advance(1.7e9)
        limit = {"rate_limit": 1, "retry_after_moment": True, "rate_limit_period_seconds": 600}
        self.world.simulation.faults.update(limit)
        source = self.source()
        self.assertRegex(self.error(source), "rate limited for (299|300) s more")
        before = len(self.asked)
        self.error(source)
        self.assertEqual(len(self.asked), before)
        source.reset_backoff()
        self.error(source)
        self.assertGreater(len(self.asked), before)
        self.world.simulation.faults.reset()
        self.clock.advance(301)
        self.assertTrue(self.refresh(source).targets)


class RouteServiceTests(SourceTestCase):
    """Routes that are bound to a route service, behind which any instance answers."""

    def setUp(self) -> None:
        super().setUp()
        self.app = self.world.instance().app
        (self.route,) = self.foundation.routes_of(self.app.guid)
        self.faults = self.world.simulation.faults
        self.faults.route_services = [self.route.url]
        self.rule = Rule(space_guid=self.app.space.guid, app=self.app.name)

    def test_other_route_is_used(self) -> None:
        other = self.foundation.map_route(self.app.guid, "other", domain=self.route.domain.name)
        found = self.refresh(self.source(self.rule))
        self.assertEqual({t.host for t in found.targets}, {other.fqdn})
        self.assertEqual(found.remarks, ())

    def test_only_route_is_used_and_told(self) -> None:
        """It is better than none."""
        found = self.refresh(self.source(self.rule))
        self.assertEqual({t.host for t in found.targets}, {self.route.fqdn})
        (remark,) = found.remarks
        self.assertEqual(remark.kind, "route_service")
        self.assertIn(f"1 app has no other route, {self.app.space.org.name}/", remark.why)

    def test_version_that_has_no_such_list(self) -> None:
        self.faults.route_bindings_supported = False
        found = self.refresh(self.source(self.rule))
        self.assertTrue(found.targets)
        self.assertEqual(found.remarks, ())

    def test_list_that_cannot_be_read(self) -> None:
        """What was known counts, and the targets are there all the same."""
        other = self.foundation.map_route(self.app.guid, "other", domain=self.route.domain.name)
        source = self.source(self.rule)
        before = self.refresh(source)
        in_truth = answer_of(self.world)
        self.fetcher.answering = lambda asked: (
            answer(b"<html>", 502) if asked.path.startswith(BINDINGS) else in_truth(asked)
        )
        found = self.refresh(source)
        self.assertEqual(found.targets, before.targets)
        self.assertEqual({t.host for t in found.targets}, {other.fqdn})
        (remark,) = found.remarks
        self.assertEqual((remark.kind, remark.what), ("unreadable", "bindings of route services"))

    def test_list_that_does_not_come(self) -> None:
        """The targets do not wait for it for long."""
        in_truth = answer_of(self.world)
        self.fetcher.answering = lambda asked: (
            Deferred() if asked.path.startswith(BINDINGS) else in_truth(asked)
        )
        found = self.refresh(self.source(self.rule))
        self.assertTrue(found.targets)
        self.assertEqual(found.remarks[0].why, "no answer in time")
        self.assertEqual(self.clock.seconds(), ROUTE_SERVICES_SECONDS)


class OddResourceTests(SourceTestCase):
    """Resources with a null where none belongs."""

    def test_they_are_left_out_and_the_rest_is_served(self) -> None:
        """Each kind, named by its guid."""
        found = list(self.foundation.web_instances())
        apps = list(dict.fromkeys(item.app for item in found if item.scrapable_routes))[:3]
        (process,) = self.foundation.web_processes(apps[1].guid)
        routes = self.foundation.routes_of(apps[2].guid)
        odd = [apps[0].guid, process.guid, *(route.guid for route in routes)]
        before = self.ids(self.refresh(self.source()))
        self.world.simulation.faults.odd_resources = odd
        delivery = self.refresh(self.source())
        gone = {app.guid for app in apps}
        self.assertEqual(
            self.ids(delivery), [name for name in before if name.split("/")[0] not in gone]
        )
        whats = {dropped.what for dropped in delivery.dropped if dropped.reason == "resource"}
        # A first web process has the guid of its app.
        names = {f"{kind} {guid}" for guid in odd[:2] for kind in ("app", "process")}
        names |= {f"route {route.guid}" for route in routes}
        self.assertEqual({what.partition(":")[0] for what in whats}, names)
        for what in (
            f"app {apps[0].guid}: labels hold something that is not a string",
            f"process {process.guid}: instances is not a number",
            f"route {routes[0].guid}: destinations is not a list",
        ):
            self.assertIn(what, whats)

    def test_they_are_told_until_they_are_in_order(self) -> None:
        source = self.source()
        guid = next(iter(self.foundation.apps))
        self.world.simulation.faults.odd_resources = [guid]
        for _ in range(2):
            for dropped in self.refresh(source).dropped:
                self.assertIn(guid, dropped.what)
            self.assertTrue(self.refresh(source).dropped)
        self.world.simulation.faults.reset()
        self.assertEqual(self.refresh(source).dropped, ())


class RequestTests(SourceTestCase):
    """Few requests, and just the targets that reading everything would give."""

    def narrowed(self, *selectors: Rule) -> list[str]:
        """The lists asked for by a refresh, whose outcome must be that of a sweep."""
        for route in tuple(self.foundation.routes.values()):
            # The simulated API does not know that a route may be shared with other spaces.
            alone = evolve(route, destinations=route.destinations[:1])
            self.foundation.routes[route.guid] = alone
        found = self.refresh(self.source(*selectors))
        asked = self.asked
        # A rule with a pattern makes it a sweep.
        never = Rule(org_regex=re.compile("nothing"))
        swept = self.refresh(self.source(*selectors, never))
        self.assertEqual(self.ids(found), self.ids(swept))
        self.assertTrue(found.targets)
        return asked

    def test_sweep_is_four_requests(self) -> None:
        """Beside root and token; each further refresh is four more."""
        source = self.source()
        found = self.refresh(source)
        self.assertEqual(self.ids(found), self.expected_ids())
        self.assertGreater(len(found.targets), 200)
        self.assertEqual(sorted(self.asked), sorted(LISTS))
        self.assertEqual(len(self.fetcher.asked), 6)
        self.refresh(source)
        self.assertEqual(len(self.fetcher.asked), 10)

    def test_sweep_asks_for_one_process_type_in_large_pages(self) -> None:
        """Includes what belongs to the resources."""
        self.refresh(self.source(rules=(Rule(), Rule(process_types=("web", "worker")))))
        self.assertEqual(
            sorted(path for path in self.fetcher.paths if path.startswith("/v3"))[:3],
            [
                "/v3/apps?include=space.organization&per_page=5000",
                "/v3/processes?per_page=5000&types=web,worker",
                "/v3/routes?include=domain&per_page=5000",
            ],
        )

    def test_orgs_by_name(self) -> None:
        """Ten of them are four requests; case does not matter."""
        asked = self.narrowed(*(Rule(org=f"ORG-{number:03}") for number in range(1, 11)))
        self.assertEqual(asked[0], "/v3/organizations")
        self.assertEqual(sorted(asked[1:]), sorted(LISTS))
        narrow = next(path for path in self.fetcher.paths if path.startswith("/v3/apps"))
        self.assertIn("&organization_guids=", narrow)
        self.assertEqual(narrow.count(",") + 1, 10)

    def test_spaces_of_orgs(self) -> None:
        """By names: four requests; spaces of that name in other orgs are not asked for."""
        selectors = [
            Rule(org=f"org-{number:03}", space=name)
            for number in range(1, 7)
            for name in ("dev", "test")
        ]
        asked = self.narrowed(*selectors)
        self.assertEqual(asked[0], "/v3/spaces")
        self.assertEqual(sorted(asked[1:]), sorted(LISTS))
        narrow = next(path for path in self.fetcher.paths if path.startswith("/v3/apps"))
        self.assertEqual(narrow.count(",") + 1, 12)

    def test_guids(self) -> None:
        """Three requests, whether of orgs or of spaces."""
        org, space = list(self.foundation.orgs)[3], list(self.foundation.spaces)[5]
        self.assertEqual(sorted(self.narrowed(Rule(org_guid=org))), sorted(LISTS))
        self.fetcher.asked.clear()
        self.assertEqual(sorted(self.narrowed(Rule(space_guid=space))), sorted(LISTS))

    def test_route_of_another_org_that_is_shared_with_a_space(self) -> None:
        """The API's routes of an org are those that it owns; those of a space may be shared."""
        owner, app_guid = {"guid": "o-1", "name": "acme"}, "a-1"
        space = {"guid": "s-1", "name": "dev", "relationships": {"organization": {"data": owner}}}
        app = {
            "guid": app_guid,
            "name": "shop",
            "state": "STARTED",
            "relationships": {"space": {"data": space}},
        }
        web = {"guid": app_guid, "type": "web", "instances": 1}
        domain = {"guid": "d-1", "name": "apps.example"}
        route = {
            "guid": "r-1",
            "host": "shop",
            "path": "",
            "url": "shop.apps.example",
            "destinations": [{"app": {"guid": app_guid, "process": {"type": "web"}}}],
            "relationships": {"domain": {"data": domain}},
        }
        pages = {
            "/v3/organizations": page(owner),
            "/v3/apps": page(app, spaces=[space], organizations=[owner]),
            "/v3/processes": page({**web, "relationships": {"app": {"data": {"guid": app_guid}}}}),
        }
        in_truth = answer_of(self.world)

        def answering(asked: Asked) -> Any:
            path = asked.path.partition("?")[0]
            if path == "/v3/routes":
                shared = "organization_guids=" not in asked.path
                return page(route, domains=[domain]) if shared else page(domains=[])
            return pages[path] if path in pages else in_truth(asked)

        self.fetcher.answering = answering
        for selector in (Rule(org="acme"), Rule(org_guid="o-1")):
            found = self.refresh(self.source(selector))
            self.assertEqual(self.ids(found), ["a-1/0"])
            self.assertLessEqual(len(self.asked), 4)
            self.fetcher.asked.clear()

    def test_names_and_guids_together(self) -> None:
        """The union of both."""
        org = list(self.foundation.orgs)[3]
        self.assertEqual(len(self.narrowed(Rule(org_guid=org), Rule(org="org-001"))), 4)

    def test_apps_by_name(self) -> None:
        """The apps first, then what belongs to them: three requests."""
        asked = self.narrowed(Rule(app="Shop"), Rule(app="mail", space="dev"))
        self.assertEqual(asked[0], "/v3/apps")
        self.assertEqual(sorted(asked[1:]), ["/v3/processes", "/v3/routes"])
        self.assertIn("app_guids=", next(p for p in self.fetcher.paths if "/routes" in p))

    def test_label_selector(self) -> None:
        asked = self.narrowed(
            Rule(label_selector=parse_label_selector("monitoring in (a, prometheus)"))
        )
        self.assertEqual(asked[0], "/v3/apps")
        self.assertEqual(sorted(asked[1:]), ["/v3/processes", "/v3/routes"])

    def test_many_apps_by_name_are_swept(self) -> None:
        """Two batches of guids would be more requests than the whole lists."""
        nouns = ("shop", "billing", "orders", "users", "search", "mail", "stock", "gateway")
        asked = self.narrowed(*(Rule(app=name) for name in nouns))
        self.assertEqual(len(asked), 3)
        self.assertNotIn("app_guids=", "".join(self.fetcher.paths))

    def test_names_that_the_foundation_has_not(self) -> None:
        """Are told; where nothing is left, nothing is asked for."""
        found = self.refresh(self.source(Rule(org="org-001"), Rule(org="nope")))
        self.assertIn(LeftOut("org nope", "not_found"), found.left_out)
        self.assertTrue(found.targets)
        self.fetcher.asked.clear()
        found = self.refresh(self.source(Rule(org="nope", space="dev")))
        self.assertEqual((found.targets, self.asked), ((), ["/v3/spaces"] * 2))
        self.fetcher.asked.clear()
        found = self.refresh(self.source(Rule(app="nope")))
        self.assertEqual((found.targets, self.asked), ((), ["/v3/apps"] * 2))
        self.assertEqual(found.left_out, (LeftOut("app nope", "not_found"),))

    def test_nearest_names_are_looked_up_once(self) -> None:
        """Of orgs, of spaces and their orgs, and of apps; again where other rules are idle."""
        for rule, why in (
            (Rule(org="org-0012"), r"in an org called 'org-0012'; the nearest name is 'org-0\d+'"),
            (Rule(org="org-0012", space="dev"), r"'org-0012'; the nearest name is 'org-0\d+'"),
            (Rule(org="org-001", space="deev"), "called 'deev'; the nearest name is 'dev'"),
            (Rule(app="shopp"), "no app is called 'shopp'; the nearest name is 'shop'"),
        ):
            source = self.source(rule)
            (remark,) = self.refresh(source).remarks
            self.assertRegex(remark.why, why)
            asked = len(self.asked)
            (again,) = self.refresh(source).remarks
            self.assertEqual((again, len(self.asked) - asked), (remark, 1))

    def test_small_pages_give_the_same(self) -> None:
        """Where the operator allows only those, and lists have several."""
        self.world.simulation.faults.maximum_result = 1000
        page_size = self.source()
        found = self.refresh(page_size)
        self.assertEqual(self.ids(found), self.expected_ids())


class AllOrNothingTests(SourceTestCase):
    """A refresh that could not read everything fails."""

    def answer_with(self, path: str, instead: Any) -> None:
        in_truth = answer_of(self.world)

        def answering(asked: Asked) -> Any:
            return instead if asked.path.startswith(path) else in_truth(asked)

        self.fetcher.answering = answering

    def test_each_list_is_needed(self) -> None:
        """Whatever is wrong with it; afterwards all is well again."""
        source = self.source()
        before = self.refresh(source)
        gone = answer(b"404", 404, X_Cf_RouterError="unknown_route")
        for path in LISTS:
            for instead in (Unreachable("no"), gone, answer(b'{"resources":[]}')):
                self.answer_with(path, instead)
                self.assertIn(path, self.error(source))
        self.fetcher.answering = answer_of(self.world)
        self.assertIs(self.refresh(source), before)

    def test_names_are_needed_too(self) -> None:
        """An org that could not be looked up is not one that is gone."""
        source = self.source(Rule(org="org-001"))
        self.answer_with("/v3/organizations", Unreachable("no"))
        self.assertIn("/v3/organizations", self.error(source))

    def test_failure_of_one_list_cancels_the_others(self) -> None:
        """Nobody waits for what is not used."""
        cancelled: list[object] = []
        waiting: list[Deferred[Any]] = []
        in_truth = answer_of(self.world)

        def answering(asked: Asked) -> Any:
            if asked.path.startswith("/v3/processes"):
                return answer({"errors": []}, 403)
            if asked.path.startswith("/v3"):
                waiting.append(Deferred(cancelled.append))
                return waiting[-1]
            return in_truth(asked)

        self.fetcher.answering = answering
        begun = self.begin(self.source())
        self.failureResultOf(begun, SourceError)
        self.assertEqual((len(waiting), len(cancelled)), (2, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_refresh(self) -> None:
        """All of its requests are cancelled, and nothing is left."""
        cancelled: list[object] = []
        in_truth = answer_of(self.world)
        self.fetcher.answering = lambda asked: (
            Deferred(cancelled.append) if asked.path.startswith("/v3") else in_truth(asked)
        )
        begun = self.begin(self.source())
        begun.cancel()
        self.failureResultOf(begun)
        self.assertEqual(len(cancelled), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ChangeTests(SourceTestCase):
    """What changes, what does not, and what is not believed at once."""

    def test_unchanged_foundation_gives_the_same_object(self) -> None:
        """So nothing is rendered again."""
        source = self.source()
        self.assertIs(self.refresh(source), self.refresh(source))

    def test_changes_are_seen(self) -> None:
        """Of instances, of apps left out, and of labels."""
        source = self.source()
        before = self.refresh(source)
        app_guid = self.world.instance().app.guid
        self.foundation.scale(app_guid, 3)
        scaled = self.refresh(source)
        self.assertEqual(len(scaled.targets), len(before.targets) + 2)
        self.foundation.stop(app_guid)
        stopped = self.refresh(source)
        self.assertEqual(len(stopped.targets), len(before.targets) - 1)
        self.assertIs(self.refresh(source), stopped)
        self.foundation.start(app_guid)
        self.foundation.scale(app_guid, 1)
        again = self.refresh(source)
        self.assertEqual(again, before)
        self.assertIsNot(again, before)

    def lose(self, share: float) -> None:
        """Delete apps until that share of the targets is gone."""
        left = len(self.expected_ids()) * (1 - share)
        while len(self.expected_ids()) > left:
            self.foundation.delete_app(next(iter(self.foundation.apps)))

    def test_sudden_loss_is_believed_at_the_second_time(self) -> None:
        """The first refresh that finds it fails."""
        source = self.source()
        self.refresh(source)
        self.lose(0.6)
        self.assertIn("targets are gone at once", self.error(source))
        self.assertEqual(self.ids(self.refresh(source)), self.expected_ids())

    def test_loss_that_was_none(self) -> None:
        """Another one must be seen twice again."""
        source = self.source(max_loss=0.5)
        before = self.refresh(source)
        in_truth = answer_of(self.world)
        nothing = answer({"pagination": {"total_results": 0, "next": None}, "resources": []})
        for _ in range(3):
            self.fetcher.answering = lambda a: nothing if a.path.startswith("/v3") else in_truth(a)
            self.assertIn("gone at once", self.error(source))
            self.fetcher.answering = in_truth
            self.assertIs(self.refresh(source), before)

    def test_loss_over_a_restart(self) -> None:
        """It is seen by what was saved; and what is found unchanged is that very delivery."""
        before = self.refresh(self.source())
        source = self.source()
        source.restore(before)
        self.assertIs(self.refresh(source), before)
        self.lose(0.6)
        self.assertIn("targets are gone at once", self.error(source))

    def test_failure_in_between_confirms_nothing(self) -> None:
        """Only a refresh that read everything does."""
        source = self.source()
        self.refresh(source)
        self.lose(0.6)
        self.error(source)
        in_truth = self.fetcher.answering
        self.fetcher.answering = lambda _: Unreachable("no")
        self.assertIn("no", self.error(source))
        self.fetcher.answering = in_truth
        self.assertEqual(self.ids(self.refresh(source)), self.expected_ids())

    def test_smaller_loss_is_believed_at_once(self) -> None:
        """Apps are deleted and stopped all the time."""
        source = self.source()
        self.refresh(source)
        self.lose(0.3)
        self.assertEqual(self.ids(self.refresh(source)), self.expected_ids())

    def test_limit_may_be_set(self) -> None:
        """To none at all, or to any loss."""
        source = self.source(max_loss=1.0)
        self.refresh(source)
        self.lose(1.0)
        self.assertEqual(self.refresh(source).targets, ())
        self.setUp()
        source = self.source(max_loss=0.0)
        self.refresh(source)
        self.lose(0.01)
        self.assertIn("gone at once", self.error(source))


class RouterCheckTests(SourceTestCase):
    """Whether the router can address processes."""

    def test_it_is_asked_once_and_only_for_process_routing(self) -> None:
        """With one of the targets."""
        self.refresh(self.source())
        self.assertEqual(self.checked, [])
        source = self.source(by_process=True)
        found = self.refresh(source)
        self.refresh(source)
        self.assertEqual(self.checked, [found.targets[0]])

    def test_target_without_the_header_is_no_use(self) -> None:
        """One that is scraped by an internal route does not pass the router."""
        self.refresh(self.source(rules=(Rule(internal_route_port=8080),), by_process=True))
        self.assertTrue(self.checked[0].headers)
        self.checked.clear()
        app = next(a for a in self.foundation.apps.values() if self.has_internal_route(a.guid))
        rule = Rule(app=app.name, space_guid=app.space.guid, internal_route_port=8080)
        found = self.refresh(self.source(rules=(rule,), by_process=True))
        self.assertTrue(found.targets)
        self.assertFalse(any(target.headers for target in found.targets))
        self.assertEqual(self.checked, [])

    def has_internal_route(self, app_guid: str) -> bool:
        return any(route.domain.internal for route in self.foundation.routes_of(app_guid))

    def test_failed_check_fails_the_refresh_and_is_made_again(self) -> None:
        """No target is better than wrong ones."""
        answers: list[Any] = [SourceError("router is old"), None]

        async def check(_: Target) -> None:
            found = answers.pop(0)
            if found:
                raise found

        source = self.source(by_process=True, check=check)
        self.assertIn("router is old", self.error(source))
        self.assertTrue(self.refresh(source).targets)
        self.assertEqual(answers, [])

    def test_router_that_never_answers(self) -> None:
        """Fails the refresh, rather than to hold it up for ever."""
        cancelled: list[object] = []

        async def check(_: Target) -> None:
            await Deferred(cancelled.append)

        begun = self.begin(self.source(by_process=True, check=check))
        self.assertNoResult(begun)
        self.clock.advance(60)
        self.assertIn("instance_routing", str(self.failureResultOf(begun, SourceError).value))
        self.assertEqual(len(cancelled), 1)


class HttpTests(TestCase):
    """The same through a real HTTP client and server in memory.

    The client sends the form of a login in turns of the real reactor.
    """

    timeout = 20

    def test_sweep(self) -> Deferred[None]:
        """Three requests find every target."""
        return Deferred.fromCoroutine(self._sweep())

    async def _sweep(self) -> None:
        case = SourceTestCase()
        case.setUp()
        agent = RequestTraversalAgent(case.world.simulation.api_resource)
        fetcher = Fetcher(agent=agent, clock=case.clock, timeout=30.0, max_size=10**8)
        begun = case.begin(case.source(fetcher=fetcher))
        while not begun.called:
            await deferLater(reactor, 0, lambda: None)
            agent.flush()
            settle(case.clock)
        self.assertEqual(case.ids(await begun), case.expected_ids())
        requests = case.world.simulation.fronts["api"].requests
        self.assertEqual(requests, {"/": 1, BINDINGS: 1, **dict.fromkeys(LISTS, 1)})
