"""Tests of promproxy.simulation.api, listing and limits."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.exchange import Answer, Call
from tests.simulation.support import World, sample

BASE = "http://api.example.test:8080"


class Case(SynchronousTestCase):
    """Has a world, and knows recorded errors."""

    def setUp(self) -> None:
        """A fresh world."""
        self.world = World()
        self.foundation = self.world.simulation.foundation
        self.faults = self.world.simulation.faults

    def assertError(self, answer: Answer, status: int, name: str) -> None:
        assert (answer.status, json.loads(answer.body)) == (status, sample(name))

    def assertBadQuery(self, path: str, query: str, detail: str) -> None:
        answer = self.world.get(path, query)
        (error,) = json.loads(answer.body)["errors"]
        assert (answer.status, error["code"]) == (400, 10005)
        assert error["detail"] == f"The query parameter is invalid: {detail}"


class TokenTests(Case):
    """Who may read what."""

    def test_entry_points_need_no_token(self) -> None:
        """Root, v3 and info answer to anyone."""
        for path in ("", "/", "/v3", "/v3/", "/v3/info"):
            answer = self.world.get(path, token=None)
            assert answer.status == 200, path
            assert BASE in answer.body.decode()

    def test_without_token(self) -> None:
        """No token, or a header of another scheme, is 10002."""
        self.assertError(self.world.get("/v3/apps", token=None), 401, "error_401_no_token")
        call = Call(method="GET", path="/v3/apps", headers={"authorization": "Basic Y2Y6"})
        self.assertError(self.world.api.answer(call), 401, "error_401_no_token")

    def test_unknown_token(self) -> None:
        """A token that is not known is 1000."""
        self.assertError(self.world.get("/v3/apps", token="x"), 401, "error_401")

    def test_scheme_in_any_case(self) -> None:
        """``BEARER`` is as good as ``bearer``."""
        headers = {"authorization": f"BEARER {self.world.login()['access_token']}"}
        answer = self.world.api.answer(Call(method="GET", path="/v3/apps", headers=headers))
        assert answer.status == 200

    def test_token_expires_by_the_clock(self) -> None:
        """Good until its last second, then 1000."""
        token = self.world.login()["access_token"]
        self.world.clock.advance(1199)
        assert self.world.get("/v3/apps", token=token).status == 200
        self.world.clock.advance(1)
        self.assertError(self.world.get("/v3/apps", token=token), 401, "error_401")

    def test_token_is_used_up(self) -> None:
        """With ``token_calls`` a token serves so many calls."""
        self.faults.token_calls = 2
        token = self.world.login()["access_token"]
        statuses = [self.world.get("/v3/apps", token=token).status for _ in range(3)]
        assert statuses == [200, 200, 401]

    def test_refresh_token_is_no_access_token(self) -> None:
        """It is refused like an unknown one."""
        token = self.world.login()["refresh_token"]
        self.assertError(self.world.get("/v3/apps", token=token), 401, "error_401")

    def test_token_without_scope(self) -> None:
        """A good token that may not read is 403."""
        answer = self.world.grant("unprivileged:secret", grant_type="client_credentials")
        token = json.loads(answer.body)["access_token"]
        self.assertError(self.world.get("/v3/apps", token=token), 403, "error_403")


class PaginationTests(Case):
    """Pages and the links between them."""

    def walk(self, path: str, query: str) -> list[str]:
        guids: list[str] = []
        while query:
            page = self.world.json(path, query)
            guids += [item["guid"] for item in page["resources"]]
            link = page["pagination"]["next"]
            query = urlsplit(link["href"]).query if link else ""
        return guids

    def test_pages_make_up_the_list_in_the_order_of_creation(self) -> None:
        """Whatever the size of the pages."""
        for size in (1, 7, 50, 5000):
            assert self.walk("/v3/apps", f"per_page={size}") == list(self.foundation.apps)

    def test_default_page_has_fifty(self) -> None:
        """A default is written out in the links."""
        page = self.world.json("/v3/processes")
        assert len(page["resources"]) == 50
        assert page["pagination"]["next"] == {"href": f"{BASE}/v3/processes?page=2&per_page=50"}

    def test_links_repeat_filters_sorted_and_encoded(self) -> None:
        """Keys in order, commas and brackets encoded, values as sent."""
        first, second = list(self.foundation.apps)[:2]
        query = (
            f"per_page=1&label_selector=!x,y+notin+(a,b)&guids={first},{second}"
            "&created_ats[gt]=2020-01-01T00:00:00Z&names=a%252Cb,shop,billing,orders,users,mail"
        )
        pagination = self.world.json("/v3/apps", query)["pagination"]
        assert (
            pagination["first"]["href"]
            == f"{BASE}/v3/apps?created_ats%5Bgt%5D=2020-01-01T00%3A00%3A00Z"
            f"&guids={first}%2C{second}"
            "&label_selector=%21x%2Cy+notin+%28a%2Cb%29"
            "&names=a%252Cb%2Cshop%2Cbilling%2Corders%2Cusers%2Cmail&page=1&per_page=1"
        )

    def test_counts_and_neighbours(self) -> None:
        """Total, pages, previous and next of a page in the middle and the last one."""
        middle = self.world.json("/v3/apps", "page=2&per_page=20")["pagination"]
        assert (middle["total_results"], middle["total_pages"]) == (50, 3)
        assert "page=1&" in middle["previous"]["href"]
        assert "page=3&" in middle["next"]["href"]
        assert self.world.json("/v3/apps", "page=3&per_page=20")["pagination"]["next"] is None

    def test_page_past_the_end(self) -> None:
        """200, nothing, and a total of nothing."""
        page = self.world.json("/v3/apps", "page=9&per_page=20")
        assert page["resources"] == []
        assert page["pagination"]["total_results"] == 0
        assert page["pagination"]["total_pages"] == 1
        assert page["pagination"]["next"] is None

    def test_bad_page_parameters(self) -> None:
        """Out of range or not a number is refused."""
        for query, detail in (
            ("per_page=5001", "Per page must be between 1 and 5000"),
            ("per_page=0", "Per page must be a positive integer"),
            ("per_page=x", "Per page must be a positive integer"),
            ("page=0", "Page must be a positive integer"),
            ("page=-1", "Page must be a positive integer"),
            ("order_by=size", "Order by can only be: 'created_at', 'updated_at', 'name', 'state'"),
        ):
            self.assertBadQuery("/v3/apps", query, detail)
        self.assertError(self.world.get("/v3/apps", "per_page=5001"), 400, "error_400_per_page")

    def test_maximum_result(self) -> None:
        """The operator's limit applies to page times per_page."""
        self.faults.maximum_result = 100
        assert self.world.get("/v3/apps", "page=2&per_page=50").status == 200
        detail = "Maximum result (page * per_page) must be less than 100"
        self.assertBadQuery("/v3/apps", "page=3&per_page=50", detail)

    def test_deletion_between_pages_skips_items(self) -> None:
        """What follows a deleted app moves to a page that was read already."""
        before = list(self.foundation.apps)
        self.faults.delete_between_pages = 1
        walked = self.walk("/v3/apps", "per_page=20")
        assert walked == before[:20] + before[21:41] + before[42:]

    def test_order_by(self) -> None:
        """By name upwards, by state downwards."""
        names = [app["name"] for app in self.world.json("/v3/apps", "order_by=name")["resources"]]
        assert names == sorted(names)
        apps = self.world.json("/v3/apps", "order_by=-state")["resources"]
        assert apps[0]["state"] == "STOPPED"

    def test_base_url_may_be_given(self) -> None:
        """Then it stands in place of the Host."""
        world = self.world
        world.api._base_url = "https://elsewhere.example.test"
        text = json.dumps(world.json("/v3/apps", "per_page=2"))
        assert "https://elsewhere.example.test/v3/apps?page=2" in text
        assert "http://" not in text


class FilterTests(Case):
    """Which items a list has."""

    def assertGuids(self, path: str, query: str, wanted: list[str]) -> None:
        assert self.world.guids(path, f"{query}&per_page=5000") == wanted

    def test_unknown_parameter_is_refused_with_the_valid_ones(self) -> None:
        """As in the recorded answer; the order of the valid ones is the API's own affair."""
        answer = self.world.get("/v3/apps", "states=STARTED")
        (ours,), (recorded,) = json.loads(answer.body)["errors"], sample("error_400")["errors"]
        assert answer.status == 400
        halves, expected = (item["detail"].split(". Valid ") for item in (ours, recorded))
        assert halves[0] == expected[0]
        valid, known = (set(half[1].split("'")[1::2]) for half in (halves, expected))
        assert valid == known

    def test_guids_of_each_list(self) -> None:
        """Every list takes guids; an unknown one is no error."""
        for name, found in (
            ("organizations", self.foundation.orgs),
            ("spaces", self.foundation.spaces),
            ("apps", self.foundation.apps),
            ("processes", self.foundation.processes),
            ("routes", self.foundation.routes),
            ("domains", self.foundation.domains),
        ):
            two = list(found)[1:3]
            self.assertGuids(f"/v3/{name}", f"guids={','.join(two)},unknown", two)

    def test_names_ignore_case(self) -> None:
        """Names of orgs and apps, hosts of routes."""
        org = next(iter(self.foundation.orgs.values()))
        self.assertGuids("/v3/organizations", f"names={org.name.upper()}", [org.guid])
        apps = [app.guid for app in self.foundation.apps.values() if app.name == "shop"]
        self.assertGuids("/v3/apps", "names=SHOP", apps)
        portal = [item.guid for item in self.foundation.routes.values() if item.host == "portal"]
        self.assertGuids("/v3/routes", "hosts=Portal", portal)

    def test_filters_are_joined_by_and(self) -> None:
        """Values of one are alternatives, different ones must all hold."""
        space = next(iter(self.foundation.spaces.values()))
        apps = [
            app.guid
            for app in self.foundation.apps.values()
            if app.space is space and app.name in ("shop", "mail")
        ]
        self.assertGuids("/v3/apps", f"names=shop,mail&space_guids={space.guid}", apps)

    def test_by_org_and_space(self) -> None:
        """Apps, processes, routes and spaces by their parents."""
        org = next(iter(self.foundation.orgs.values()))
        for name, found in (
            ("apps", self.foundation.apps),
            ("processes", self.foundation.processes),
            ("routes", self.foundation.routes),
        ):
            inside = [item.guid for item in found.values() if item.space.org is org]
            self.assertGuids(f"/v3/{name}", f"organization_guids={org.guid}", inside)
        spaces = [space.guid for space in self.foundation.spaces.values() if space.org is org]
        self.assertGuids("/v3/spaces", f"organization_guids={org.guid}", spaces)

    def test_processes_and_routes_by_app(self) -> None:
        """A shared route is found by either app."""
        route = next(
            item for item in self.foundation.routes.values() if len(item.destinations) == 2
        )
        for destination in route.destinations:
            guid = destination.app_guid
            assert route.guid in self.world.guids("/v3/routes", f"app_guids={guid}")
            processes = [item.guid for item in self.foundation.processes_of(guid)]
            self.assertGuids("/v3/processes", f"app_guids={guid}", processes)

    def test_processes_by_type(self) -> None:
        workers = [
            item.guid for item in self.foundation.processes.values() if item.type == "worker"
        ]
        self.assertGuids("/v3/processes", "types=worker", workers)

    def test_label_selector(self) -> None:
        """By label; a selector that is none is refused."""
        labelled = [app.guid for app in self.foundation.apps.values() if "monitoring" in app.labels]
        self.assertGuids("/v3/apps", "label_selector=monitoring%3Dprometheus", labelled)
        self.assertBadQuery(
            "/v3/apps", "label_selector=a+in+(b,+c)", "Invalid label_selector value"
        )

    def test_times(self) -> None:
        """Equal to the second, or before and after it."""
        moments = [app.created_at for app in self.foundation.apps.values()]
        guids = list(self.foundation.apps)
        self.assertGuids("/v3/apps", f"created_ats={moments[3]},{moments[5]}", guids[3:6:2])
        self.assertGuids("/v3/apps", f"created_ats[lt]={moments[3]}", guids[:3])
        self.assertGuids("/v3/apps", f"created_ats[lte]={moments[3]}", guids[:4])
        self.assertGuids("/v3/apps", f"created_ats[gt]={moments[3]}", guids[4:])
        self.assertGuids("/v3/apps", f"updated_ats[gte]={moments[3]}", guids[3:])
        assert self.world.get("/v3/apps", "created_ats=yesterday").status == 400

    def test_lists_below_a_resource(self) -> None:
        """Processes and routes of an app, domains usable in an org."""
        guid = next(iter(self.foundation.apps))
        self.assertGuids(
            f"/v3/apps/{guid}/processes",
            "types=web",
            [item.guid for item in self.foundation.web_processes(guid)],
        )
        routes = [item.guid for item in self.foundation.routes_of(guid)]
        self.assertGuids(f"/v3/apps/{guid}/routes", "", routes)
        owner, _, other = self.foundation.orgs
        every = list(self.foundation.domains)
        self.assertGuids(f"/v3/organizations/{owner}/domains", "", every)
        self.assertGuids(f"/v3/organizations/{other}/domains", "", every[:-1])
        self.assertBadQuery(
            f"/v3/apps/{guid}/processes",
            "app_guids=x",
            "Unknown query parameter(s): 'app_guids'. Valid parameters are: 'page', 'per_page',"
            " 'order_by', 'created_ats', 'updated_ats', 'guids', 'types', 'label_selector',"
            " 'embed'",
        )


class IncludeTests(Case):
    """Parents and instances in lists."""

    def test_only_when_asked(self) -> None:
        """Without ``include`` there is no ``included``."""
        assert "included" not in self.world.json("/v3/apps")

    def test_parents_come_once_per_page(self) -> None:
        """Exactly the spaces and orgs of the page's apps."""
        page = self.world.json("/v3/apps", "include=space.organization&per_page=20")
        apps = [self.foundation.apps[item["guid"]] for item in page["resources"]]
        spaces = [item["guid"] for item in page["included"]["spaces"]]
        orgs = [item["guid"] for item in page["included"]["organizations"]]
        assert sorted(spaces) == sorted({app.space.guid for app in apps})
        assert sorted(orgs) == sorted({app.space.org.guid for app in apps})

    def test_combined(self) -> None:
        """Routes take several; domains are in the order of their names."""
        page = self.world.json("/v3/routes", "include=domain,space&per_page=5000")
        assert set(page["included"]) == {"domains", "spaces"}
        names = [domain["name"] for domain in page["included"]["domains"]]
        assert names == sorted({item.name for item in self.foundation.domains.values()})

    def test_bad_include(self) -> None:
        """Unknown or twice is refused."""
        self.assertBadQuery(
            "/v3/apps",
            "include=org",
            "Invalid included resource: 'org'. "
            "Valid included resources are: 'space', 'space.organization'",
        )
        query = "include=domain,domain"
        self.assertBadQuery("/v3/routes", query, "Duplicate included resource: 'domain'")

    def test_embedded_instances(self) -> None:
        """Index, state and seconds of each instance; DOWN when the app is stopped."""
        item = self.world.instance(instances=2)
        self.world.clock.advance(90)
        self.foundation.crash(item.app.guid, 1)
        self.world.clock.advance(10)
        query = f"embed=process_instances&guids={item.process.guid}"
        (process,) = self.world.json("/v3/processes", query)["resources"]
        assert process["process_instances"] == [
            {"index": 0, "state": "RUNNING", "since": 100},
            {"index": 1, "state": "CRASHED", "since": 10},
        ]
        self.foundation.stop(item.app.guid)
        (process,) = self.world.json("/v3/processes", query)["resources"]
        assert process["process_instances"][0] == {"index": 0, "state": "DOWN", "since": None}

    def test_embed_unsupported(self) -> None:
        """An older API does not know the parameter."""
        self.faults.embed_supported = False
        answer = self.world.get("/v3/processes", "embed=process_instances")
        assert answer.status == 400
        assert "Unknown query parameter(s): 'embed'." in answer.body.decode()


class SingleTests(Case):
    """Single resources."""

    def test_each_kind(self) -> None:
        """As in its list."""
        for name in ("organizations", "spaces", "apps", "routes", "domains"):
            resource = self.world.json(f"/v3/{name}", "per_page=1")["resources"][0]
            assert self.world.json(f"/v3/{name}/{resource['guid']}") == resource

    def test_process_shows_its_command(self) -> None:
        guid = next(iter(self.foundation.processes))
        assert self.world.json(f"/v3/processes/{guid}")["command"] == "bin/start"

    def test_newest_process_of_an_app_by_type(self) -> None:
        """During a deployment it is the new one."""
        app = self.world.instance().app.guid
        new = self.foundation.begin_deployment(app)
        assert self.world.json(f"/v3/apps/{app}/processes/web")["guid"] == new.guid
        stats = self.world.json(f"/v3/apps/{app}/processes/web/stats")["resources"]
        assert [item["state"] for item in stats] == ["RUNNING"]

    def test_destinations(self) -> None:
        """Those of the route."""
        guid, route = next(iter(self.foundation.routes.items()))
        found = self.world.json(f"/v3/routes/{guid}/destinations")["destinations"]
        assert [item["guid"] for item in found] == [route.destinations[0].guid]

    def test_changes_show_at_once(self) -> None:
        """No document is older than what it shows."""
        app = self.world.instance().app.guid
        assert self.world.json(f"/v3/apps/{app}")["state"] == "STARTED"
        self.foundation.stop(app)
        assert self.world.json(f"/v3/apps/{app}")["state"] == "STOPPED"

    def test_missing_resource(self) -> None:
        """Not found is said with the kind's name, also below it."""
        self.assertError(self.world.get("/v3/apps/no-such"), 404, "error_404")
        self.assertError(self.world.get("/v3/apps/no-such/processes"), 404, "error_404")

    def test_unknown_request(self) -> None:
        """No such endpoint, or no such method on one."""
        guid = next(iter(self.foundation.apps))
        for path in ("/v2/apps", "/v3/nonsense", f"/v3/apps/{guid}/nonsense", "/v3/apps//x/y"):
            answer = self.world.get(path)
            assert answer.status == 404, path
        self.assertError(self.world.get("/v2/apps"), 404, "error_404_unknown_request")
        headers = {"authorization": f"bearer {self.world.login()['access_token']}"}
        answer = self.world.api.answer(Call(method="POST", path="/v3/apps", headers=headers))
        self.assertError(answer, 404, "error_404_unknown_request")

    def test_long_request_line(self) -> None:
        """Up to 8192 bytes are read, more are nginx's 414."""
        room = 8192 - len("GET /v3/apps?names= HTTP/1.1\r\n")
        assert self.world.get("/v3/apps", "names=" + "x" * room).status == 200
        answer = self.world.get("/v3/apps", "names=" + "x" * (room + 1))
        assert (answer.status, answer.headers["Content-Type"]) == (414, "text/html")


class QuirkTests(Case):
    """What some foundations do, and most do not."""

    def test_route_bindings(self) -> None:
        """One for each route that is said to be bound; old versions have no such list."""
        assert self.world.guids("/v3/service_route_bindings") == []
        first, second = list(self.world.simulation.foundation.routes.values())[:2]
        self.faults.route_services = [first.url, second.url]
        found = self.world.json("/v3/service_route_bindings")["resources"]
        routes = {item["relationships"]["route"]["data"]["guid"] for item in found}
        assert routes == {first.guid, second.guid}
        query = f"route_guids={second.guid}"
        assert len(self.world.guids("/v3/service_route_bindings", query)) == 1
        self.faults.route_bindings_supported = False
        answer = self.world.get("/v3/service_route_bindings")
        self.assertError(answer, 404, "error_404_unknown_request")

    def test_odd_resources(self) -> None:
        """A null where none belongs, in those that are named only."""
        foundation = self.world.simulation.foundation
        app, process, route = (
            next(iter(kind)) for kind in (foundation.apps, foundation.processes, foundation.routes)
        )
        self.faults.odd_resources = [app, process, route]
        apps = self.world.json("/v3/apps")["resources"]
        assert [a["guid"] for a in apps if None in a["metadata"]["labels"].values()] == [app]
        processes = self.world.json("/v3/processes")["resources"]
        assert [p["guid"] for p in processes if p["instances"] is None] == [process]
        routes = self.world.json("/v3/routes")["resources"]
        assert [r["guid"] for r in routes if r["destinations"] is None] == [route]


class RateLimitTests(Case):
    """The rate limiter."""

    def test_headers_and_refusal(self) -> None:
        """The rest is told in steps of 10 %; over the limit it is JSON called text."""
        self.faults.rate_limit = 20
        token = self.world.login()["access_token"]
        answers = [self.world.get("/v3/apps", token=token) for _ in range(21)]
        rest = [answer.headers["X-RateLimit-Remaining"] for answer in answers[:4]]
        assert rest == ["18", "18", "16", "16"]
        assert [answer.status for answer in answers] == [200] * 20 + [429]
        self.assertError(answers[20], 429, "error_429")
        headers = answers[20].headers
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert (headers["Retry-After"], headers["X-RateLimit-Reset"]) == ("3600", "3600")

    def test_moment_in_place_of_a_delay(self) -> None:
        self.world.clock.advance(1.7e9)
        self.faults.update({"rate_limit": 1, "retry_after_moment": True})
        token = self.world.login()["access_token"]
        answers = [self.world.get("/v3/apps", token=token) for _ in range(2)]
        assert answers[1].headers["Retry-After"] == "1700003600"

    def test_period_ends(self) -> None:
        """Then it counts anew."""
        self.faults.update({"rate_limit": 1, "rate_limit_period_seconds": 60})
        token = self.world.login()["access_token"]
        statuses = []
        for _ in range(3):
            statuses.append(self.world.get("/v3/apps", token=token).status)
            self.world.clock.advance(30)
        assert statuses == [200, 429, 200]

    def test_without_token(self) -> None:
        """The address has a limit of its own; an expired token there is still 401."""
        self.faults.update({"rate_limit": 20, "rate_limit_unauthenticated": 1})
        assert self.world.get("/v3/info", token=None).status == 200
        answer = self.world.get("/v3/apps", token=None)
        self.assertError(answer, 429, "error_429_unauthenticated")
        self.assertError(self.world.get("/v3/apps", token="x"), 401, "error_401")
        assert self.world.get("/", token=None).status == 200

    def test_off(self) -> None:
        """Without a limit there are no headers of one."""
        assert "X-RateLimit-Limit" not in self.world.get("/v3/apps").headers
