"""What some foundations do, and most do not: the running daemon against the simulation's quirks."""

from __future__ import annotations

from tests.integration.foundation import (
    CloudFoundryTestCase,
    Foundation,
    answered_by,
    metric,
    post,
)
from tests.integration.peers import Peer, eventually

SIZE = {"orgs": 2, "spaces": 2, "apps": 12, "instances": 18}


class WaitTests(CloudFoundryTestCase):
    """A Cloud Controller that limits us, and says until when by a moment."""

    def check(self, path: str, status: int) -> None:
        """Nothing is asked until somebody asks for it."""
        simulated = self.start_foundation(**SIZE)
        simulated.set_faults(rate_limit=1, rate_limit_period_seconds=3600, retry_after_moment=True)
        daemon = self.start_daemon(simulated.source(interval="1h"))
        eventually(lambda: self.assertRegex(daemon.output, r"rate limited for (29\d|300) s"))
        simulated.set_faults()
        before = simulated.asked("/v3/apps")
        self.assertEqual(metric(daemon, 'promproxy_source_targets{source="cf"}'), 0)
        self.assertEqual(simulated.asked("/v3/apps"), before)
        self.assertEqual(post(daemon, path), status)
        self.await_ids(daemon, simulated.target_ids)

    def test_refresh(self) -> None:
        self.check("/-/refresh", 202)

    def test_reload(self) -> None:
        self.check("/-/reload", 200)


class QuirkTests(CloudFoundryTestCase):
    """Odd resources, route services, overridden routes, and rules for what is not there."""

    def test_all_at_once(self) -> None:
        """Each is told, and costs nobody else anything."""
        simulated = self.start_foundation(**SIZE)
        items = [item for item in simulated.web_instances() if item["scrapable_routes"]]
        running = [item for item in items if item["state"] == "RUNNING"]
        bound, odd, fronted = list({item["app_guid"]: item for item in running}.values())[:3]
        simulated.set_faults(
            odd_resources=[odd["app_guid"]], route_services=bound["scrapable_routes"]
        )
        front = f"{bound['scrapable_routes'][0]}/metrics"
        rules = [
            {"org": fronted["org_name"], "space": fronted["space_name"], "app": fronted["app_name"]}
        ]
        rules[0]["override_route_and_path"] = front
        daemon = self.start_daemon(
            simulated.source(select=[*rules, {"org": "acem", "paths": ["/x"]}, {}])
        )
        self.check_metrics(daemon, simulated, odd["app_guid"])
        labels = self.labels(daemon)
        self.assertNotIn(f"{odd['app_guid']}/0", labels)
        served = {item["app_guid"] for item in items} - {odd["app_guid"]}
        self.assertEqual({name.partition("/")[0] for name in labels}, served)
        # The router has no instance of the app at the front, and is not asked for one.
        for item in (fronted, bound):
            name = f"{item['app_guid']}/{item['index']}"
            answer = daemon.get(f"/singleTargetMetrics/{name}")
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answered_by(answer.body)[0], bound["app_guid"])

    def check_metrics(self, daemon: Peer, simulated: Foundation, odd: str) -> None:
        eventually(lambda: self.assertIn(odd, daemon.output))
        self.assertIn("labels hold something that is not a string", daemon.output)
        dropped = metric(daemon, 'promproxy_source_dropped{reason="resource",source="cf"}')
        self.assertGreaterEqual(dropped, 1)
        page = daemon.get("/metrics").body.decode()
        for kind, what in (
            ("selects_nothing", "select[1] {org: acem}"),
            ("route_service", "routes bound to a route service"),
        ):
            sample = f'promproxy_source_remark{{kind="{kind}",source="cf",what="{what}"}} 1.0'
            self.assertIn(sample, page)
        self.assertIn("no app is in an org called 'acem'", daemon.output)
        self.assertIn("any instance may answer for any other", daemon.output)
