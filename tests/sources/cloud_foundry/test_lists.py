"""Tests of promproxy.sources.cloud_foundry.lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import DeadlinePassed, SourceError
from promproxy.outbound.fetch import Answer
from promproxy.secret import Secret
from promproxy.sources.cloud_foundry import lists as lists_module
from promproxy.sources.cloud_foundry.api import Api, PageTooLarge, PageTooSlow
from promproxy.sources.cloud_foundry.lists import Found, Lists
from promproxy.sources.cloud_foundry.plan import Query
from promproxy.sources.cloud_foundry.resources import (
    domain_from_json,
    organization_from_json,
    route_from_json,
)
from promproxy.sources.cloud_foundry.uaa import Credentials
from tests.simulation.support import sample
from tests.sources.cloud_foundry.support import (
    Asked,
    FakeFetcher,
    answer,
    answer_in_turn,
    begin,
    page,
    pass_time,
)

URL = "https://api.example.org"
REFUSED = answer(sample("error_400_per_page"), 400)
SLOW = DeadlinePassed("no complete answer within 30 s")
ORGS = {"resources": organization_from_json}


def org(number: int) -> Mapping[str, Any]:
    """One resource."""
    return {"guid": f"org-{number}", "name": f"name-{number}"}


def following(number: int) -> str:
    """A link to a page, under the name by which the API knows itself."""
    return f"http://inside.example:8181/v3/organizations?page={number}&per_page=2"


class ListsTestCase(SynchronousTestCase):
    """Lists of an API that gives scripted pages."""

    def setUp(self) -> None:
        self.clock = Clock()

    def lists(self, answering: Any) -> Lists:
        def all_of_it(asked: Asked) -> Any:
            if asked.url == f"{URL}/":
                return answer(sample("root"))
            if asked.path == "/oauth/token":
                return answer({"access_token": "t", "expires_in": 100_000})
            return answering(asked)

        self.fetcher = FakeFetcher(self.clock, all_of_it)
        who = Credentials(username="u", password=Secret("p"))
        api = Api.with_login(URL, self.fetcher, self.clock, lambda: 0.5, 0.0, who)
        return Lists(api, self.clock)

    def begin(self, lists: Lists, query: Query = (), parsers: Any = None) -> Deferred[Found]:
        reading = lists.read("/v3/organizations", query, parsers or ORGS)
        begun = begin(reading, self.clock)
        pass_time(self.clock, begun)
        return begun

    def read(self, lists: Lists, query: Query = (), parsers: Any = None) -> Found:
        return self.successResultOf(self.begin(lists, query, parsers))

    def guids(self, lists: Lists) -> list[str]:
        return list(self.read(lists)["resources"])

    def error(self, *answers: Any) -> str:
        failure = self.failureResultOf(self.begin(self.lists(answer_in_turn(*answers))))
        self.assertIsInstance(failure.value, SourceError, failure.getTraceback())
        return str(failure.value)

    @property
    def pages(self) -> list[str]:
        """The paths of the pages asked for."""
        return [path for path in self.fetcher.paths if path.startswith("/v3")]

    @property
    def sizes(self) -> list[int]:
        return [int(parse_qs(urlsplit(path).query)["per_page"][0]) for path in self.pages]


class PageTests(ListsTestCase):
    """Lists of one page and of several."""

    def test_one_large_page(self) -> None:
        """The filters go with it; commas stand as they are, all else is encoded."""
        lists = self.lists(answer_in_turn(page(org(1), org(2))))
        found = self.read(lists, (("names", "a,b c,d%2Ce"), ("include", "x")))
        self.assertEqual(list(found["resources"]), ["org-1", "org-2"])
        self.assertEqual(
            self.pages, ["/v3/organizations?include=x&names=a,b%20c,d%252Ce&per_page=5000"]
        )

    def test_empty_list(self) -> None:
        """As it was recorded."""
        self.assertEqual(self.guids(self.lists(answer_in_turn(answer(sample("empty_list"))))), [])

    def test_links_are_followed_on_our_own_address(self) -> None:
        """The API's name for itself may lead nowhere."""
        lists = self.lists(
            answer_in_turn(
                page(org(1), org(2), total=5, following=following(2)),
                page(org(3), org(4), total=5, following=following(3)),
                page(org(5), total=5),
            )
        )
        self.assertEqual(self.guids(lists), [f"org-{n}" for n in range(1, 6)])
        self.assertEqual(self.pages[1:], [f"/v3/organizations?page={n}&per_page=2" for n in (2, 3)])
        self.assertTrue(all(asked.url.startswith(URL) for asked in self.fetcher.asked[2:]))

    def test_included_resources_come_once(self) -> None:
        """Each page repeats its own; kinds that nobody asked for are passed over."""
        recorded = sample("routes_include")
        lists = self.lists(answer_in_turn(answer(recorded)))
        parsers = {"resources": route_from_json, "domains": domain_from_json}
        found = self.read(lists, (), parsers)
        self.assertEqual(len(found["resources"]), len(recorded["resources"]))
        expected = {domain["guid"] for domain in recorded["included"]["domains"]}
        self.assertEqual(set(found["domains"]), expected)
        self.assertEqual(self.read(lists, (), {"resources": route_from_json}).keys(), {"resources"})


class PageSizeTests(ListsTestCase):
    """Pages that are refused, or take too long."""

    def test_refused_size_is_halved_and_remembered(self) -> None:
        """The API is set up so; only the first list pays for it."""

        def answering(asked: Asked) -> Answer:
            size = int(parse_qs(urlsplit(asked.url).query)["per_page"][0])
            return REFUSED if size > 1300 else page(org(1))

        lists = self.lists(answering)
        self.guids(lists)
        self.guids(lists)
        self.assertEqual(self.sizes, [5000, 2500, 1250, 1250])

    def test_slow_page_is_halved_for_this_time_only(self) -> None:
        """The API may just be busy."""
        lists = self.lists(answer_in_turn(SLOW, SLOW, page(org(1))))
        self.guids(lists)
        self.guids(lists)
        self.assertEqual(self.sizes, [5000, 2500, 1250, 5000])

    def test_slow_page_in_the_middle_begins_anew(self) -> None:
        """Pages of another size are other pages."""
        lists = self.lists(
            answer_in_turn(
                page(org(1), org(2), total=3, following=following(2)), SLOW, page(org(1))
            )
        )
        self.assertEqual(self.guids(lists), ["org-1"])
        self.assertEqual(self.sizes, [5000, 2, 2500])

    def test_always_slow(self) -> None:
        """Fails after the third size."""
        self.assertIn("30 s", self.error(SLOW))
        self.assertEqual(self.sizes, [5000, 2500, 1250])
        self.failureResultOf(self.begin(self.lists(lambda _: SLOW)), PageTooSlow)

    def test_always_refused(self) -> None:
        """Fails at the API's default size, which no one refuses."""
        self.failureResultOf(self.begin(self.lists(lambda _: REFUSED)), PageTooLarge)
        self.assertEqual(self.sizes[-1], 50)
        self.assertLess(len(self.sizes), 10)


class ShiftTests(ListsTestCase):
    """Lists that change while they are read: something may have slipped past."""

    def test_item_gone_between_pages(self) -> None:
        """The total tells; the list is read again."""
        lists = self.lists(
            answer_in_turn(
                page(org(1), org(2), total=4, following=following(2)),
                page(org(4), total=3),
                page(org(2), org(3), total=3, following=following(2)),
                page(org(4), total=3),
            )
        )
        self.assertEqual(self.guids(lists), ["org-2", "org-3", "org-4"])

    def test_page_past_the_end(self) -> None:
        """It says that there is nothing, in all."""
        lists = self.lists(
            answer_in_turn(
                page(org(1), org(2), total=3, following=following(2)),
                page(total=0),
                page(org(1)),
            )
        )
        self.assertEqual(self.guids(lists), ["org-1"])

    def test_item_twice(self) -> None:
        """Another one has slipped past then."""
        lists = self.lists(
            answer_in_turn(
                page(org(1), org(2), total=4, following=following(2)),
                page(org(2), org(3), total=4),
                page(org(1)),
            )
        )
        self.assertEqual(self.guids(lists), ["org-1"])

    def test_list_that_never_keeps_still(self) -> None:
        """Is given up after three times."""
        first, second = page(org(1), total=2, following=following(2)), page(total=1)
        self.assertIn("kept changing", self.error(*[first, second] * 3, page(org(1))))
        self.assertEqual(len(self.pages), 6)

    def test_list_that_never_ends(self) -> None:
        """Is given up; what is held of it does not grow without end."""
        self.assertIn("kept changing", self.error(page(org(1), total=120, following=following(2))))
        self.assertLess(len(self.pages), 20)

    def test_list_that_claims_to_be_endless(self) -> None:
        """Each page has something new, and there is always another one."""
        self.patch(lists_module, "MOST_PAGES", 10)
        pages = [page(org(n), total=10**30, following=following(n + 1)) for n in range(20)]
        self.assertIn("the list has more than 10 pages", self.error(*pages))
        self.assertEqual(len(self.pages), 11)


class GarbageTests(ListsTestCase):
    """Answers that begin like JSON and are no list."""

    def test_answers_that_are_no_list(self) -> None:
        """An error that says where, after one request."""
        good = '{"pagination":{"total_results":0,"next":null},"resources":[]}'
        for text in (
            '{"pagination":{"total_results":1,"next"',
            good[:-1],
            f"{good} x",
            "{}",
            '{"resources":[]}',
            '{"pagination":{"total_results":0,"next":null}}',
            good.replace("0", "null"),
            good.replace("0", '"many"'),
            good.replace("0", "1e999"),
            good.replace("0", "NaN"),
            good.replace('"total_results":0,', ""),
            good.replace('"next":null', '"next":"x"'),
            good.replace('"next":null', '"next":{}'),
            good.replace('"next":null', '"next":{"href":null}'),
            good.replace('"next":null', '"next":{"href":5}'),
            good.replace('"next":null', '"next":{"href":""}'),
            good.replace('"next":null', '"next":{"href":"http://[x/v3/organizations"}'),
            good.replace('"next":null', '"next":{"href":"@evil.example/v3"}'),
            good.replace('"next":null', '"next":{"href":".evil.example/v3"}'),
            good.replace('"next":null', r'"next":{"href":"/v3/\ud800"}'),
            good.replace("[]", "{}"),
            good.replace("[]", "[5]"),
            good.replace("[]", '[{"guid":"a b","name":"x"}]'),
            good.replace("[]", "[" * 100_000),
            good[:-1] + ',"included":[]}',
        ):
            with self.subTest(text[:100]):
                message = self.error(answer(text.encode()))
                self.assertIn("/v3/organizations: the answer is not a list of the API", message)
                self.assertEqual(len(self.pages), 1)

    def test_odd_resource_is_left_out_and_named(self) -> None:
        """By its guid if it has one; it counts as one of the list."""
        lists = self.lists(
            answer_in_turn(
                page(org(1), {"guid": "odd", "name": None}, total=5, following=following(2)),
                page({"guid": "a b"}, {"guid": "without"}, org(2), total=5),
            )
        )
        self.assertEqual(self.guids(lists), ["org-1", "org-2"])
        self.assertEqual(
            lists.malformed,
            {
                "org odd": "name is not a string",
                "org number 3": "guid is not a guid",
                "org without": "name is missing",
            },
        )

    def test_odd_resource_that_is_included(self) -> None:
        lists = self.lists(
            answer_in_turn(page(org(1), organizations=[org(2), None, {"guid": "odd"}]))
        )
        found = self.read(lists, (), {**ORGS, "organizations": organization_from_json})
        self.assertEqual(list(found["organizations"]), ["org-2"])
        self.assertEqual(len(lists.malformed), 2)

    def test_null_in_place_of_a_list(self) -> None:
        """It is none, wherever it stands."""
        for text in (
            b'{"pagination":{"total_results":0,"next":null},"resources":null}',
            b'{"pagination":{"total_results":0,"next":null},"resources":[],"included":null}',
            b'{"included":{"spaces": null},"pagination":{"total_results":0,"next":null},'
            b'"resources":[]}',
        ):
            self.assertEqual(self.guids(self.lists(answer_in_turn(answer(text)))), [])

    def test_list_of_which_nothing_can_be_read(self) -> None:
        """Fails: it is not the resources that are odd."""
        message = self.error(page({"guid": "x", "name": 5}, {"guid": "y"}))
        self.assertIn("not a list of the API: org x: name is not a string", message)

    def test_odd_characters_in_a_link(self) -> None:
        """Whatever it leads to, it is on the API's own address and no error of another kind."""
        for link in ("/v3/a b", "//evil.example/v3", "http:///v3", "/v3/\r\nX: y", "/"):
            self.error(page(org(1), total=200, following=link))
            self.assertTrue(
                all(a.url.startswith(f"{URL}/") for a in self.fetcher.asked if a.method == "GET"),
                link,
            )

    def test_members_that_are_not_needed(self) -> None:
        """Are passed over, whatever they are."""
        text = (
            b'{"new":[{"x":1}],"included":{"new":[5,"x"]},"resources":[{"guid":"o","name":"n"}],'
            b'"pagination":{"total_results":1,"next":null}}'
        )
        self.assertEqual(self.guids(self.lists(answer_in_turn(answer(text)))), ["o"])


class TurnTests(ListsTestCase):
    """Large pages and everything else that the reactor has to do."""

    def test_cancelled_while_a_page_is_decoded(self) -> None:
        """Nothing goes on after that."""
        lists = self.lists(answer_in_turn(page(*map(org, range(5000)))))
        reading = Deferred.fromCoroutine(lists.read("/v3/organizations", (), ORGS))
        reading.cancel()
        self.failureResultOf(reading)
        self.assertEqual(self.clock.getDelayedCalls(), [])
