"""Tests of promproxy.simulation.router and pages."""

from __future__ import annotations

import base64
import gzip
import json
import re

from twisted.trial.unittest import SynchronousTestCase

from promproxy.simulation.exchange import Answer
from tests.simulation.support import World

UNKNOWN = "00000000-0000-4000-8000-000000000000"


class RouterCase(SynchronousTestCase):
    """Has an ordinary app, and asks for it."""

    def setUp(self) -> None:
        """A world and one ordinary app with two instances."""
        self.world = World()
        self.foundation = self.world.simulation.foundation
        self.item = self.world.instance(instances=2)
        self.guid = self.item.app.guid
        self.host = self.item.routes[0].fqdn

    def scrape(self, path: str = "/metrics", host: str = "", **headers: str) -> Answer:
        answer = self.world.scrape(host or self.host, path, **headers)
        assert answer is not None
        return answer


class RouterTests(RouterCase):
    """Which instance is hit, or which error is given."""

    def assertRouterError(self, answer: Answer, status: int, error: str, text: str) -> None:
        assert (answer.status, answer.headers["X-Cf-RouterError"]) == (status, error)
        assert answer.body.decode() == text + "\n"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def assertHit(self, answer: Answer, index: int, process: str = "") -> None:
        assert answer.status == 200, answer
        text = (
            f'sim_app_info{{app_guid="{self.guid}",instance_index="{index}",'
            f'process_guid="{process or self.item.process.guid}",'
            f'app_name="{self.item.app.name}"}} 1\n'
        )
        assert text in answer.body.decode()

    def test_route_service(self) -> None:
        """It sends requests on without the header: any instance answers."""
        self.world.simulation.faults.route_services = [self.item.routes[0].url]
        for header in (f"{self.guid}:1", f"{UNKNOWN}:7"):
            bodies = {self.scrape(x_cf_app_instance=header).body for _ in range(20)}
            hit = {re.findall(rb'instance_index="(\d)"', body)[0] for body in bodies}
            assert hit == {b"0", b"1"}

    def test_app_instance(self) -> None:
        """The header chooses the instance, on any port of the Host and in any case."""
        for index in (0, 1):
            header = f"{self.guid}:{index}"
            self.assertHit(self.scrape(x_cf_app_instance=header), index)
            host = f"{self.host.upper()}:8443"
            self.assertHit(self.scrape(host=host, x_cf_app_instance=header), index)

    def test_malformed_app_instance(self) -> None:
        """Anything but a lower-case guid, a colon and digits."""
        for header in (
            *("x", f"{self.guid}", f"{self.guid}:", f"{self.guid}:x", f"{self.guid.upper()}:0"),
            *(f":{0}", f"{self.guid}:0:1", f" {self.guid}:0", f"{self.guid}:-1"),
        ):
            self.assertRouterError(
                self.scrape(x_cf_app_instance=header),
                400,
                "invalid_cf_app_instance_header",
                "400 Bad Request: Invalid X-CF-App-Instance Header",
            )

    def test_instance_that_is_not_in_the_table(self) -> None:
        """Index too high or written otherwise, another app's guid, unknown host."""
        other = next(app for app in self.foundation.apps if app != self.guid)
        for guid, index, host in (
            (self.guid, "2", self.host),
            (self.guid, "01", self.host),
            (other, "0", self.host),
            (self.guid, "0", "unknown.example.test"),
        ):
            self.assertRouterError(
                self.scrape(host=host, x_cf_app_instance=f"{guid}:{index}"),
                400,
                "unknown_route",
                f"400 Bad Request: Requested instance ('{index}') with guid ('{guid}') "
                f"does not exist for route ('{host}')",
            )

    def test_crashed_instance_is_not_in_the_table(self) -> None:
        """It comes back with its recovery."""
        header = f"{self.guid}:1"
        self.foundation.crash(self.guid, 1)
        assert self.scrape(x_cf_app_instance=header).status == 400
        self.foundation.recover(self.guid, 1)
        self.assertHit(self.scrape(x_cf_app_instance=header), 1)

    def test_process_instance(self) -> None:
        """Chooses by the process; without an index, any of it."""
        new = self.foundation.begin_deployment(self.guid)
        for guid in (self.item.process.guid, new.guid):
            self.assertHit(self.scrape(x_cf_process_instance=f"{guid}:0"), 0, guid)
        self.assertHit(self.scrape(x_cf_process_instance=new.guid), 0, new.guid)

    def test_deployment_confuses_the_app_header(self) -> None:
        """With two web processes the last match wins."""
        new = self.foundation.begin_deployment(self.guid)
        self.assertHit(self.scrape(x_cf_app_instance=f"{self.guid}:0"), 0, new.guid)
        self.assertHit(self.scrape(x_cf_app_instance=f"{self.guid}:1"), 1)

    def test_process_instance_errors(self) -> None:
        """The same table with other words."""
        self.assertRouterError(
            self.scrape(x_cf_process_instance="promproxy"),
            400,
            "invalid_cf_process_instance_header",
            "400 Bad Request: Invalid X-CF-Process-Instance Header",
        )
        self.assertRouterError(
            self.scrape(x_cf_process_instance=f"{UNKNOWN}:0"),
            400,
            "unknown_route",
            f"400 Bad Request: Requested instance ('0') with process guid ('{UNKNOWN}') "
            f"does not exist for route ('{self.host}')",
        )

    def test_old_router_ignores_the_process_header(self) -> None:
        """It balances freely, whatever the header says."""
        self.world.simulation.faults.process_instance_header = False
        assert self.scrape(x_cf_process_instance="promproxy").status == 200

    def test_app_header_wins(self) -> None:
        """Over the process header, however wrong that one is."""
        answer = self.scrape(x_cf_app_instance=f"{self.guid}:1", x_cf_process_instance="x")
        self.assertHit(answer, 1)

    def test_without_header_all_instances_are_hit(self) -> None:
        bodies = [self.scrape().body.decode() for _ in range(40)]
        for index in (0, 1):
            assert any(f'instance_index="{index}"' in body for body in bodies)

    def test_unknown_host(self) -> None:
        """404 without the header."""
        self.assertRouterError(
            self.scrape(host="unknown.example.test:80"),
            404,
            "unknown_route",
            "404 Not Found: Requested route ('unknown.example.test:80') does not exist.",
        )

    def test_route_without_instances(self) -> None:
        """503 of a stopped app."""
        self.foundation.stop(self.guid)
        answer = self.scrape()
        self.assertRouterError(
            answer,
            503,
            "no_endpoints",
            f"503 Service Unavailable: Requested route ('{self.host}') has no available endpoints.",
        )
        assert answer.headers["Cache-Control"] == "public,max-age=2"

    def test_empty_host(self) -> None:
        """No Host, or the client's own address."""
        for host in ("", "192.0.2.1", "192.0.2.1:8080"):
            answer = self.world.scrape(host, client="192.0.2.1")
            assert answer is not None
            assert answer.headers["X-Cf-RouterError"] == "empty_host"
            assert answer.status == 400

    def test_longest_path_wins(self) -> None:
        """By whole segments, without regard to case; the app gets the rest of the path."""
        other = next(
            item for item in self.foundation.web_instances() if item.app.guid != self.guid
        ).app.guid
        host = self.host.partition(".")[0]
        self.foundation.map_route(other, host, path="/shop")
        self.foundation.map_route(self.guid, host, path="/shop/deep")
        assert f'app_guid="{other}"' in self.scrape("/SHOP/metrics").body.decode()
        header = f"{self.guid}:0"
        self.assertHit(self.scrape("/shop/deep/metrics", x_cf_app_instance=header), 0)
        assert self.scrape("/shopping/metrics", x_cf_app_instance=header).status == 404
        self.assertHit(self.scrape("/metrics", x_cf_app_instance=header), 0)

    def test_wildcard_route(self) -> None:
        """A made-up host reaches it, an exact route comes first."""
        wildcard = self.foundation.map_route(self.guid, "*", path="/any")
        header = f"{self.guid}:0"
        host = "made.up." + wildcard.domain.name
        self.assertHit(self.scrape("/any/metrics", host=host, x_cf_app_instance=header), 0)

    def test_routes_that_are_not_of_the_router(self) -> None:
        """TCP and internal routes are unknown; a policy-enforcing domain ends the connection."""
        for route in self.foundation.routes.values():
            if route.protocol == "tcp" or route.domain.internal:
                assert self.scrape(host=route.fqdn).status == 404
            if route.domain.enforce_route_policies:
                assert self.world.scrape(route.fqdn) is None

    def test_every_scrapable_target_can_be_scraped(self) -> None:
        """What the foundation says should be found is found, instance by instance."""
        count = 0
        for item in self.foundation.web_instances():
            for route in item.scrapable_routes:
                header = f"{item.app.guid}:{item.instance.index}"
                path = f"{route.path}/metrics"
                answer = self.scrape(path, host=route.fqdn, x_cf_app_instance=header)
                text = answer.body.decode()
                assert f'app_guid="{item.app.guid}",instance_index="{item.instance.index}"' in text
                count += 1
        assert count > 50


class PageTests(RouterCase):
    """What the apps serve."""

    def page(self, path: str = "/metrics", index: int = 0, **headers: str) -> Answer:
        return self.scrape(path, x_cf_app_instance=f"{self.guid}:{index}", **headers)

    def test_requests_are_counted_per_instance(self) -> None:
        """From the beginning when the instance is a new one."""
        for wanted in (1, 2):
            assert f"sim_requests_total {wanted}\n" in self.page().body.decode()
        assert "sim_requests_total 1\n" in self.page(index=1).body.decode()
        self.foundation.crash(self.guid, 0)
        self.foundation.recover(self.guid, 0)
        assert "sim_requests_total 1\n" in self.page().body.decode()

    def test_page_is_an_exposition(self) -> None:
        """Comment or sample in each line, a few dozen samples, and the right type."""
        answer = self.page()
        lines = answer.body.decode().splitlines()
        samples = [line for line in lines if not line.startswith("#")]
        assert len(samples) > 40
        for line in samples:
            assert re.search(r'^[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? [0-9.e+]+$', line)
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"

    def test_gzip_when_accepted(self) -> None:
        """The same page, smaller."""
        plain = self.page(accept_encoding="br, gzip;q=0").body
        answer = self.page(accept_encoding="br, gzip;q=0.5")
        assert answer.headers["Content-Encoding"] == "gzip"
        unpacked = gzip.decompress(answer.body).decode().splitlines()
        different = set(unpacked) ^ set(plain.decode().splitlines())
        assert different == {"sim_requests_total 1", "sim_requests_total 2"}

    def test_second_and_own_path(self) -> None:
        """Each page says its path; a path of an annotation is served by that app only."""
        assert '{path="/actuator/prometheus"}' in self.page("/actuator/prometheus").body.decode()
        assert self.page("/custom/metrics").status == 404
        item = next(
            item
            for item in self.foundation.web_instances()
            if "prometheus.io/path" in item.app.annotations and item.scrapable_routes
        )
        route = item.scrapable_routes[0]
        answer = self.scrape(f"{route.path}/custom/metrics", host=route.fqdn)
        assert '{path="/custom/metrics"}' in answer.body.decode()

    def test_protected_path(self) -> None:
        """Needs the right user."""
        assert self.page("/private/metrics").status == 401
        header = "Basic " + base64.b64encode(b"metrics:secret").decode()
        assert self.page("/private/metrics", authorization=header).status == 200

    def test_what_the_app_sees(self) -> None:
        """The instance header is taken away, those that the router sets cannot be forged."""
        answer = self.page(
            "/headers", 1, x_cf_instanceindex="7", x_forwarded_for="198.51.100.1", accept="*/*"
        )
        headers = json.loads(answer.body)
        assert "x-cf-app-instance" not in headers
        assert headers["x-cf-applicationid"] == self.guid
        assert headers["x-cf-instanceindex"] == "1"
        assert headers["x-forwarded-for"] == "198.51.100.1, 192.0.2.1"
        assert headers["x-vcap-request-id"] == answer.headers["X-Vcap-Request-Id"]
        assert (headers["host"], headers["accept"]) == (self.host, "*/*")
        process = self.scrape("/headers", x_cf_process_instance=f"{self.item.process.guid}:0")
        assert "x-cf-process-instance" in json.loads(process.body)
