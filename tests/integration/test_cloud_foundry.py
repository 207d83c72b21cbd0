"""A simulated foundation, the real daemon and a real Prometheus, each in a process of its own."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from attrs import define, field

from tests.integration.certificates import Authority
from tests.integration.foundation import (
    CloudFoundryTestCase,
    answered_by,
    metric,
    post,
    scrape_all,
)
from tests.integration.peers import (
    HOST,
    Answer,
    Peer,
    Prometheus,
    eventually,
    free_port,
    prometheus,
    promproxy,
)

SUCCESSES = 'promproxy_source_refreshes_total{outcome="success",source="cf"}'
GRANTS = ("password 200", "refresh_token 200")
FAILURES = 'promproxy_source_refreshes_total{outcome="failure",source="cf"}'


@define(eq=False)
class Watch:
    """Looks at Prometheus's targets all the time, in a thread of its own.

    What is wrong goes into ``flaws``: that one of the ``steady`` instances is not listed or not
    scraped well, or that one is listed which is neither steady nor among the ``others``.
    """

    _server: Prometheus
    flaws: list[str] = field(factory=list, init=False)
    looks: int = field(default=0, init=False)
    _steady: set[str] = field(factory=set, init=False)
    _others: set[str] = field(factory=set, init=False)
    _end: threading.Event = field(factory=threading.Event, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def expect(self, steady: set[str], others: set[str]) -> None:
        """From now on these."""
        with self._lock:
            self._steady, self._others = steady, others

    def _run(self) -> None:
        while not self._end.wait(0.1):
            with self._lock:
                try:
                    self._look()
                except Exception as error:  # which would end the thread in silence
                    self.flaws.append(repr(error))

    def _look(self) -> None:
        self.looks += 1
        errors = {t["labels"]["instance"]: t["lastError"] for t in self._server.targets("http_sd")}
        lost = self._steady - errors.keys()
        surplus = errors.keys() - self._steady - self._others
        if lost or surplus:
            self.flaws.append(f"lost {lost}, surplus {surplus}")
        for instance in self._steady & errors.keys():
            error = errors[instance]
            # On a busy machine a scrape may come too late, which is not what is looked for here.
            if error and "deadline" not in error and "504" not in error:
                self.flaws.append(f"{instance}: {error}")


class PrometheusTests(CloudFoundryTestCase):
    """What Prometheus sees of a foundation that changes, and breaks."""

    def test_targets_follow_the_foundation_and_no_other_flaps(self) -> None:
        """Whatever happens to one app or to the API, all other targets stay and are scraped."""
        self.simulated = self.start_foundation(apps=12, instances=30)
        self.daemon = self.start_daemon(self.simulated.source())
        self.await_ready(self.daemon)
        self.discovery_file.write_text("[]")
        url = f"http://{self.daemon.address}/discovery"
        self.server = prometheus(self.folder, url, self.discovery_file)
        self.start(self.server)
        eventually(self.check_all_up)
        self.watch = Watch(self.server)
        self.watch.start()
        self.addCleanup(self.watch.stop)
        first, second, third = self.simulated.apps(2)[:3]

        self.step(lambda: self.operate("begin_deployment", third))
        self.step(lambda: self.scale({first: 4, second: 1}), first, second)
        self.step(lambda: self.operate("finish_deployment", third))
        self.step(lambda: self.deleted_while_the_api_is_down(first), first)
        self.step(self.tokens_expire)

        self.watch.stop()
        self.assertGreater(self.watch.looks, 10)
        self.check_series()

    def operate(self, operation: str, app_guid: str, **arguments: Any) -> None:
        self.simulated.operate(operation, app_guid=app_guid, **arguments)

    def scale(self, instances: dict[str, int]) -> None:
        for app_guid, count in instances.items():
            self.operate("scale", app_guid, instances=count)

    def step(self, change: Callable[[], object], *app_guids: str) -> None:
        """Make a change to apps, or to none; soon what is right is up, and no other flapped."""
        before = self.instances()
        possible = {f"{app_guid}:{index}" for app_guid in app_guids for index in range(10)}
        self.watch.expect(before - possible, possible)
        change()
        after = self.instances()
        self.watch.expect(before & after, before | after)
        eventually(self.check_all_up)
        self.watch.expect(after, set())
        self.assertEqual(self.watch.flaws, [])

    def instances(self) -> set[str]:
        """The label instance of all that must be there, our own endpoint among them."""
        ids = self.simulated.target_ids()
        return {self.daemon.address, *(target_id.replace("/", ":") for target_id in ids)}

    def check_all_up(self) -> None:
        found = self.server.targets("http_sd")
        health = {target["labels"]["instance"]: target["health"] for target in found}
        self.assertEqual(health, dict.fromkeys(self.instances(), "up"), found)

    def deleted_while_the_api_is_down(self, app_guid: str) -> None:
        """Until it is up again, the app stays listed."""
        before = metric(self.daemon, FAILURES)
        self.simulated.inject("unavailable")
        self.operate("delete", app_guid)
        eventually(lambda: self.assertGreater(metric(self.daemon, FAILURES), before))
        self.assertIn(app_guid.encode(), self.daemon.get("/discovery").body)
        self.simulated.set_faults()

    def tokens_expire(self) -> None:
        """Both ways: announced, so that they are renewed, and by a 401 before that."""
        self.simulated.set_faults(access_token_seconds=2, token_calls=4)
        before = self.renewals()

        def check() -> None:
            self.assertGreater(self.renewals(), before + 2)
            self.assertGreater(self.simulated.state()["answers"]["api"].get("401", 0), 1)

        eventually(check)
        self.assertEqual(self.simulated.state()["grants"].keys(), {*GRANTS})

    def renewals(self) -> int:
        count: int = self.simulated.state()["grants"].get("refresh_token 200", 0)
        return count

    def check_series(self) -> None:
        """Every series that was ever scraped names the instance that it is labelled with."""
        found = self.server.series('last_over_time(sim_app_info{job="http_sd"}[1h])')
        self.assertGreater(len(found), 10)
        for labels in found:
            said = f"{labels['app_guid']}:{labels['instance_index']}"
            self.assertEqual(said, labels["instance"])


class ScrapeTests(CloudFoundryTestCase):
    """The instance that was asked for is the one that answers."""

    def test_each_of_100_targets_under_load_answers_for_itself(self) -> None:
        """Eight at a time, each target several times: guid and index are always the target's."""
        simulated = self.start_foundation(apps=60, instances=160)
        daemon = self.start_daemon(simulated.source())
        self.await_ready(daemon)
        labels = self.labels(daemon)
        self.assertGreater(len(labels), 100)
        for target_id, answer in scrape_all(daemon, [*labels] * 5):
            assert answer is not None, target_id
            self.assertEqual(answer.status, 200, answer.body)
            self.check_named(labels[target_id], answer)

    def check_named(self, labels: dict[str, str], answer: Answer) -> None:
        asked = labels["__meta_cf_app_guid"], labels["__meta_cf_instance_index"]
        self.assertEqual(answered_by(answer.body)[:2], asked)
        self.assertEqual(":".join(asked), labels["instance"])

    def test_no_wrong_instance_answers_while_everything_changes(self) -> None:
        """Fifty changes a second: a scrape fails truthfully, or is answered by its target."""
        simulated = self.start_foundation("--churn", "3000", apps=60, instances=160)
        daemon = self.start_daemon(simulated.source())
        self.await_ready(daemon)
        statuses: Counter[int] = Counter()
        for _ in range(5):
            labels = self.labels(daemon)
            for target_id, answer in scrape_all(daemon, [*labels] * 2):
                assert answer is not None, target_id
                statuses[answer.status] += 1
                if answer.status == 200:
                    self.check_named(labels[target_id], answer)
        self.assertGreater(statuses[200], 500, statuses)
        # Crashed and starting instances, and apps that are gone: the router's word, or ours.
        self.assertLessEqual(statuses.keys(), {200, 400, 404}, statuses)

    def test_process_routing(self) -> None:
        """Refused with a router that does not know it; in a deployment both processes answer."""
        simulated = self.start_foundation(apps=12, instances=20)
        simulated.set_faults(process_instance_header=False)
        daemon = self.start_daemon(simulated.source(instance_routing="process"))

        def refused() -> None:
            ready = daemon.get("/-/ready")
            self.assertEqual(ready.status, 503)
            self.assertIn(b"cf: instance_routing: process: the router does not know", ready.body)

        eventually(refused)
        self.assertEqual(daemon.get("/discovery").status, 503)
        simulated.set_faults()
        (app, *_) = simulated.apps(2)
        simulated.operate("begin_deployment", app_guid=app, instances=2)
        wanted = {
            f"{item['process_guid']}/{item['index']}": item["app_guid"]
            for item in simulated.web_instances()
            if item["scrapable_routes"]
        }
        processes = {target_id[:36] for target_id in wanted if wanted[target_id] == app}
        self.assertEqual(len(processes), 2)
        self.await_ids(daemon, lambda: set(wanted))
        for target_id, answer in scrape_all(daemon, wanted):
            assert answer is not None, target_id
            guid, _, index = target_id.partition("/")
            self.assertEqual(answered_by(answer.body), (wanted[target_id], index, guid))

    def test_router_with_tls_has_the_certificate_of_the_route(self) -> None:
        """The connection goes to the router, the name shown and verified is the route's."""
        authority, port = Authority(), free_port()
        (self.folder / "ca.pem").write_bytes(authority.pem)
        server = self.folder / "router.pem"
        server.write_bytes(authority.issue("*.apps.example.test"))
        listening = f"ssl:{port}:interface={HOST}:privateKey={server}:certKey={server}"
        simulated = self.start_foundation("--router", listening, apps=40, instances=50)
        router = f"https://{HOST}:{port}"
        trusting = [{"label_selector": "monitoring=prometheus", "outbound": "own"}, {}]
        daemon = promproxy(
            self.folder, json.dumps([simulated.source(router=router, select=trusting)])
        )
        with (self.folder / "promproxy.yml").open("a") as config:
            config.write("outbound: {own: {tls_config: {ca_file: ca.pem}}}\n")
        self.start(daemon)
        self.await_ready(daemon)
        trusted = {
            f"{item['app_guid']}/{item['index']}"
            for item in simulated.web_instances()
            if item["labels"].get("monitoring") == "prometheus"
        }
        for target_id, answer in scrape_all(daemon, self.labels(daemon)):
            assert answer is not None, target_id
            if target_id in trusted:
                self.assertEqual(answer.status, 200, answer.body)
                self.assertEqual("/".join(answered_by(answer.body)[:2]), target_id)
            else:
                self.assertEqual(answer.status, 502)
                self.assertIn(b"TLS certificate not accepted", answer.body)


class RefreshTests(CloudFoundryTestCase):
    """Refreshes before their time."""

    def test_asked_for(self) -> None:
        """With an interval of a minute, a scale-up is there within seconds after asking."""
        simulated = self.start_foundation(apps=12, instances=20)
        daemon = self.start_daemon(simulated.source(interval="60s"))
        self.await_ids(daemon, simulated.target_ids)
        (app, *_) = simulated.apps(1)
        simulated.operate("scale", app_guid=app, instances=9)
        self.assertNotIn(f"{app}/8", self.labels(daemon))
        self.assertEqual(post(daemon, "/-/refresh?source=cf"), 202)
        eventually(lambda: self.assertIn(f"{app}/8", self.labels(daemon)), seconds=10)

    def test_a_hundred_crashed_instances_cause_one(self) -> None:
        """The first failure behind a success asks for it; all further scrapes fail in vain."""
        simulated = self.start_foundation(apps=60, instances=160)
        daemon = self.start_daemon(simulated.source(interval="60s"))
        self.await_ids(daemon, simulated.target_ids)
        ids = simulated.target_ids()
        self.assertGreater(len(ids), 100)
        self.assertEqual(self.statuses(daemon, ids), {200: len(ids)})
        self.assertEqual(simulated.asked("/v3/apps"), 1)
        for target_id in ids:
            guid, _, index = target_id.partition("/")
            simulated.operate("crash", app_guid=guid, index=int(index))
        self.assertEqual(self.statuses(daemon, ids), {400: len(ids)})
        eventually(lambda: self.assertEqual(metric(daemon, SUCCESSES), 2))
        for _ in range(3):
            self.assertEqual(self.statuses(daemon, ids), {400: len(ids)})
        self.assertEqual(simulated.asked("/v3/apps"), 2)

    def statuses(self, daemon: Peer, ids: set[str]) -> Counter[int]:
        return Counter(answer.status for _, answer in scrape_all(daemon, ids) if answer)
