"""Tests of promproxy.sources.cloud_foundry.targets; see test_targets_property for the whole."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from promproxy.sources.cloud_foundry.settings import Rule, Selector
from promproxy.sources.cloud_foundry.targets import (
    MAX_META_BYTES,
    MOST_INSTANCES,
    TEMPLATE_FIELDS,
    Inventory,
    TargetOptions,
    targets_of,
)
from promproxy.targets.labels import MAX_LABEL_BYTES
from promproxy.targets.target import Dropped, LeftOut, Remark, Target
from tests.sources.cloud_foundry.support import app, inventory, process, route, to

SHOP = inventory(app(), process(instances=2), route())


def found(from_inventory: Inventory, *rules: Rule, **options: Any) -> list[Any]:
    """All that comes of it but remarks; without a rule, every app is selected."""
    whole = TargetOptions(source="prod", rules=rules or (Rule(),), **options)
    items = targets_of(from_inventory, whole)
    return [item for item in items if not isinstance(item, Remark)]


def targets(from_inventory: Inventory, *rules: Rule, **options: Any) -> list[Target]:
    """The targets; there must be nothing else."""
    items = found(from_inventory, *rules, **options)
    assert all(isinstance(item, Target) for item in items), items
    return items


def one(from_inventory: Inventory, *rules: Rule, **options: Any) -> Target:
    """The only target."""
    (target,) = targets(from_inventory, *rules, **options)
    return target


class AddressTests(SynchronousTestCase):
    """How an instance is reached, and what it is called."""

    def test_instances_of_an_app(self) -> None:
        """Each one is a target of its own, addressed by the header."""
        zero, one_ = targets(SHOP)
        self.assertEqual((zero.id, one_.id), ("app-1/0", "app-1/1"))
        self.assertEqual((zero.instance, one_.instance), ("app-1:0", "app-1:1"))
        self.assertEqual(zero.headers, (("X-CF-APP-INSTANCE", "app-1:0"),))
        self.assertEqual(one_.headers, (("X-CF-APP-INSTANCE", "app-1:1"),))
        self.assertEqual({zero.url, one_.url}, {"https://shop.apps.example/metrics"})
        self.assertEqual((zero.source, zero.router, zero.outbound), ("prod", "", ""))

    def test_process_routing(self) -> None:
        """Ids and header are of the process."""
        target = one(inventory(app(), process("p-9"), route()), by_process=True)
        self.assertEqual((target.id, target.instance), ("p-9/0", "p-9:0"))
        self.assertEqual(target.headers, (("X-CF-PROCESS-INSTANCE", "p-9:0"),))

    def test_further_paths_have_ids_of_their_own(self) -> None:
        """Only the first one has the id that Promregator uses (its issue 152)."""
        shop = inventory(app(), process(), route())
        first, second, third = targets(shop, Rule(paths=("/a", "/metrics", "/b/c?x=y")))
        self.assertEqual((first.id, first.path, first.instance), ("app-1/0", "/a", "app-1:0"))
        self.assertEqual(second.id, "app-1/0/metrics")
        self.assertEqual(second.instance, "app-1:0/metrics")
        self.assertRegex(third.id, r"^app-1/0/b/c~[0-9a-f]{8}$")
        self.assertEqual((third.path, third.query), ("/b/c", "x=y"))

    def test_first_path_may_have_a_query(self) -> None:
        """Its id stays Promregator's."""
        target = one(inventory(app(), process(), route()), Rule(paths=("/m?x=y",)))
        self.assertEqual((target.id, target.path, target.query), ("app-1/0", "/m", "x=y"))

    def test_path_of_the_route_comes_first(self) -> None:
        """The gorouter does not strip it."""
        target = one(inventory(app(), process(), route(path="/some")))
        self.assertEqual(target.url, "https://shop.apps.example/some/metrics")

    def test_scheme_and_profile_of_the_rule(self) -> None:
        """Http goes to port 80."""
        target = one(inventory(app(), process(), route()), Rule(scheme="http", outbound="p"))
        self.assertEqual((target.url, target.port), ("http://shop.apps.example/metrics", 80))
        self.assertEqual(target.outbound, "p")

    def test_router(self) -> None:
        """The URL stays the route's."""
        target = one(inventory(app(), process(), route()), router="https://10.0.0.5:443")
        self.assertEqual(target.router, "https://10.0.0.5:443")
        self.assertEqual(target.url, "https://shop.apps.example/metrics")

    def test_internal_route(self) -> None:
        """By the instance's own name, over http, without header and router."""
        shop = inventory(app(), process(instances=2), route("i", domain="internal"), route())
        rule = Rule(internal_route_port=8080, scheme="https")
        _, target = targets(shop, rule, router="https://10.0.0.5")
        self.assertEqual(target.url, "http://1.i.apps.internal:8080/metrics")
        self.assertEqual((target.headers, target.router), ((), ""))
        self.assertEqual((target.id, target.instance), ("app-1/1", "app-1:1"))

    def test_port_annotation_on_an_internal_route(self) -> None:
        """The container's port is what is asked there."""
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "9100"}
        shop = inventory(app(annotations=annotations), process(), route("i", domain="internal"))
        target = one(shop, Rule(internal_route_port=8080, annotations=True))
        self.assertEqual(target.port, 9100)

    def test_overridden_route_and_path(self) -> None:
        """In place of the app's own, which may have none. A router has no instance of it there."""
        shop = inventory(app(), process())
        target = one(shop, Rule(override_route_and_path="other.example/m?x=y", paths=("/own",)))
        self.assertEqual((target.url, target.query), ("https://other.example/m", "x=y"))
        self.assertEqual(target.headers, ())
        target = one(shop, Rule(override_route_and_path="other.example", paths=("/own",)))
        self.assertEqual(target.url, "https://other.example/own")

    def test_overridden_by_a_route_of_the_app(self) -> None:
        """Which has its instances; also a wildcard route, or another one than would be chosen."""
        for host, path, override in (
            ("b", "", "B.apps.example/m"),
            ("b", "/p", "b.apps.example/p/m"),
            ("*", "", "any.apps.example/m"),
        ):
            shop = inventory(app(), process(), route("a"), route(host, path=path))
            target = one(shop, Rule(override_route_and_path=override))
            self.assertEqual(target.headers, (("X-CF-APP-INSTANCE", "app-1:0"),), override)
        shop = inventory(app(), process(), route("a", path="/p"), route("b", to(app="app-2")))
        for override in ("a.apps.example/px", "b.apps.example/p", "apps.example"):
            target = one(shop, Rule(override_route_and_path=override))
            self.assertEqual(target.headers, (), override)

    def test_overridden_with_a_port(self) -> None:
        """It is that address, and not the router's."""
        rule = Rule(override_route_and_path="proxy.example:8443/shop/metrics")
        target = one(inventory(app(), process()), rule, router="https://10.0.0.5")
        self.assertEqual(target.url, "https://proxy.example:8443/shop/metrics")
        self.assertEqual((target.headers, target.router), ((), ""))


class InstancesTests(SynchronousTestCase):
    """Which instances an app has."""

    def ids(self, from_inventory: Inventory, *rules: Rule, **options: Any) -> list[str]:
        return [target.id for target in targets(from_inventory, *rules, **options)]

    def test_rolling_deployment_by_app(self) -> None:
        """Each index once, up to the higher one; the app is never dropped."""
        for counts in ((1, 3), (3, 1)):
            old, new = process("app-1", counts[0]), process("p-2", counts[1])
            shop = inventory(app(), old, new, route())
            self.assertEqual(self.ids(shop), ["app-1/0", "app-1/1", "app-1/2"])

    def test_rolling_deployment_by_process(self) -> None:
        """Every instance of both."""
        shop = inventory(app(), process("app-1", 1), process("p-2", 2), route())
        self.assertEqual(self.ids(shop, by_process=True), ["app-1/0", "p-2/0", "p-2/1"])

    def test_process_without_a_route_takes_no_index_from_others(self) -> None:
        """A worker with a route is listed in full beside a web process without one."""
        web, worker = process(instances=2), process("w-1", 2, type="worker")
        shop = inventory(app(), web, worker, route("w", to("worker", 9090)))
        rule = Rule(process_types=("web", "worker"))
        self.assertEqual(self.ids(shop, rule), ["app-1/0", "app-1/1"])

    def test_only_the_rule_s_process_types(self) -> None:
        shop = inventory(
            app(), process(), process("w-1", 3, type="worker"), route(), route("w", to("worker"))
        )
        self.assertEqual(self.ids(shop), ["app-1/0"])
        worker = Rule(process_types=("worker",))
        self.assertEqual(self.ids(shop, worker, by_process=True), ["w-1/0", "w-1/1", "w-1/2"])

    def test_targets_come_in_the_order_of_the_apps(self) -> None:
        """So an unchanged foundation gives an equal delivery."""
        two = app("app-2", name="Other")
        other = process("app-2", app="app-2")
        shop = inventory(
            two, app(), process(instances=2), other, route(), route("o", to(app="app-2"))
        )
        self.assertEqual(self.ids(shop), ["app-2/0", "app-1/0", "app-1/1"])


class LabelTests(SynchronousTestCase):
    """What Prometheus learns of a target."""

    def labels(self, *rules: Rule, **options: Any) -> dict[str, str]:
        changes = options.pop("app", {})
        shop = inventory(app(**changes), process("p-1"), route(path="/p"))
        return dict(one(shop, *rules, **options).labels)

    def test_meta_labels(self) -> None:
        self.assertEqual(
            self.labels(),
            {
                "__meta_cf_org_name": "Acme",
                "__meta_cf_org_guid": "org-1",
                "__meta_cf_space_name": "Prod",
                "__meta_cf_space_guid": "space-1",
                "__meta_cf_app_name": "Shop",
                "__meta_cf_app_guid": "app-1",
                "__meta_cf_instance_index": "0",
                "__meta_cf_process_type": "web",
                "__meta_cf_process_guid": "p-1",
                "__meta_cf_route": "shop.apps.example/p",
                "__meta_cf_metrics_path": "/metrics",
            },
        )

    def test_labels_and_annotations_of_the_app(self) -> None:
        """Names are sanitised as Prometheus does it for Kubernetes."""
        labels = self.labels(
            app={
                "labels": {"team.io/na-me": "x", "0": "y"},
                "annotations": {"prometheus.io/scrape": "true", "é": "z"},
            }
        )
        self.assertEqual(labels["__meta_cf_app_label_team_io_na_me"], "x")
        self.assertEqual(labels["__meta_cf_app_label_0"], "y")
        self.assertEqual(labels["__meta_cf_app_annotation_prometheus_io_scrape"], "true")
        self.assertEqual(labels["__meta_cf_app_annotation__"], "z")

    def test_promregator_labels(self) -> None:
        """Only where they are asked for; always about the app."""
        labels = self.labels(promregator_labels=True, by_process=True)
        prefix = "__meta_promregator_target_"
        self.assertEqual(
            {name[len(prefix) :]: v for name, v in labels.items() if name.startswith(prefix)},
            {
                "orgName": "Acme",
                "spaceName": "Prod",
                "applicationName": "Shop",
                "applicationId": "app-1",
                "instanceNumber": "0",
                "instanceId": "app-1:0",
            },
        )
        self.assertFalse([name for name in self.labels() if name.startswith(prefix)])

    def test_templates(self) -> None:
        """Every field may stand in one, braces too."""
        labels = self.labels(Rule(labels={"app": "{org_name}/{app_name}", "fix": "{{x}}"}))
        self.assertEqual((labels["app"], labels["fix"]), ("Acme/Shop", "{x}"))
        every = {name: f"<{{{name}}}>" for name in TEMPLATE_FIELDS}
        labels = self.labels(Rule(labels=every))
        for name in TEMPLATE_FIELDS:
            self.assertEqual(labels[name], f"<{labels[f'__meta_cf_{name}']}>")

    def test_braces_in_names_are_no_templates(self) -> None:
        """Names belong to tenants."""
        labels = self.labels(Rule(labels={"a": "{app_name}"}), app={"name": "{org_guid}{0}{"})
        self.assertEqual(labels["a"], "{org_guid}{0}{")

    def test_over_long_annotation_is_dropped_and_named(self) -> None:
        shop = inventory(
            app(annotations={"long": "x" * (MAX_LABEL_BYTES + 1), "ok": "x" * MAX_LABEL_BYTES}),
            process(instances=3),
            route(),
        )
        dropped, *rest = found(shop)
        self.assertEqual(
            dropped, Dropped("annotation 'long' of app Acme/Prod/Shop", "label_value_length")
        )
        self.assertEqual(len(rest), 3)
        self.assertNotIn("__meta_cf_app_annotation_long", rest[0].labels)
        self.assertIn("__meta_cf_app_annotation_ok", rest[0].labels)

    def test_labels_and_annotations_have_a_limit_together(self) -> None:
        """Each instance repeats them, in our memory and in that of Prometheus."""
        many = {f"k{number:03}": "x" * 4000 for number in range(100)}
        items = found(inventory(app(annotations=many), process(instances=2), route()))
        dropped = [item.reason for item in items if isinstance(item, Dropped)]
        self.assertEqual(dropped, ["labels_size"] * 92)
        labels = items[-1].labels
        size = sum(len(k) + len(v) for k, v in labels.items() if "annotation" in k)
        assert MAX_META_BYTES - 5000 < size <= MAX_META_BYTES, size

    def test_long_names_of_annotations(self) -> None:
        """They are dropped, and not shown in full."""
        items = found(inventory(app(labels={"k" * 100_000: "v"}), process(), route()))
        self.assertEqual(items[0].reason, "label_name")
        assert len(items[0].what) < 150, items[0].what

    def test_half_a_surrogate_is_dropped(self) -> None:
        """JSON can spell it, UTF-8 cannot."""
        shop = inventory(app(labels={"k": "\ud800"}), process(), route())
        self.assertEqual(found(shop)[0].reason, "label_value_type")

    def test_no_label_is_ever_too_long(self) -> None:
        """A path by annotation could be."""
        path = "/" + "x" * (MAX_LABEL_BYTES + 100)
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/path": path}
        shop = inventory(app(annotations=annotations), process(), route())
        reasons = {item.reason for item in found(shop, Rule(annotations=True))}
        self.assertEqual(reasons, {"label_value_length", "metrics_path"})


class LeftOutTests(SynchronousTestCase):
    """Apps that are no targets, and why."""

    def test_more_instances_than_anyone_runs(self) -> None:
        """Whoever owns the app says how many; the first ones are listed."""
        items = found(inventory(app(), process(instances=10**12), route()))
        self.assertEqual(len(items), MOST_INSTANCES + 1)
        self.assertEqual(items[-1], LeftOut("Acme/Prod/Shop from 10000 on", "too_many_instances"))

    def left_out(self, from_inventory: Inventory, *rules: Rule, **options: Any) -> tuple[str, str]:
        (item,) = found(from_inventory, *rules, **options)
        assert isinstance(item, LeftOut), item
        return item.what, item.reason

    def test_stopped(self) -> None:
        """Its instances are desired, but not there."""
        shop = inventory(app(started=False), process(), route())
        self.assertEqual(self.left_out(shop), ("Acme/Prod/Shop", "stopped"))

    def test_not_selected_and_excluded(self) -> None:
        """Exclusion says nothing of what is not selected anyway."""
        shop = inventory(app(), process(), route())
        no = Rule(app="no")
        exclude = (Selector(space="prod"),)
        self.assertEqual(self.left_out(shop, no), ("Acme/Prod/Shop", "not_selected"))
        self.assertEqual(self.left_out(shop, exclude=exclude), ("Acme/Prod/Shop", "excluded"))
        self.assertEqual(self.left_out(shop, no, exclude=exclude)[1], "not_selected")
        self.assertEqual(self.left_out(shop, Rule(annotations=True))[1], "not_annotated")

    def test_place_unknown(self) -> None:
        """Lists are read one after the other."""
        for shop in (
            inventory(app(), process(), route(), with_place=False),
            evolve(inventory(app(), process(), route()), organizations={}),
            inventory(app(space_guid="gone"), process(), route()),
        ):
            self.assertEqual(self.left_out(shop), ("Shop", "space_unknown"))

    def test_no_process(self) -> None:
        """None at all, or none of the types wanted."""
        self.assertEqual(
            self.left_out(inventory(app(), route())), ("Acme/Prod/Shop /metrics", "no_process")
        )
        shop = inventory(app(), process(type="worker"), route())
        self.assertEqual(self.left_out(shop)[1], "no_process")

    def test_scaled_to_zero(self) -> None:
        """By app and by process."""
        shop = inventory(app(), process(instances=0), route())
        self.assertEqual(self.left_out(shop)[1], "no_instances")
        self.assertEqual(self.left_out(shop, by_process=True)[1], "no_instances")

    def test_reasons_about_routes(self) -> None:
        """None, none that can be used, none to the port asked for."""
        shop = inventory(app(), process(), route("*"))
        self.assertEqual(self.left_out(shop)[1], "no_usable_route")
        self.assertEqual(self.left_out(inventory(app(), process()))[1], "no_route")
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "1"}
        shop = inventory(app(annotations=annotations), process(), route())
        self.assertEqual(self.left_out(shop, Rule(annotations=True))[1], "no_route_to_port")

    def test_host_that_no_request_can_name(self) -> None:
        """It would end up in a Host header."""
        for host in ("a b", "a\r\nX", "é", "a@b", "a:b"):
            shop = inventory(app(), process(), route(host))
            self.assertEqual(self.left_out(shop)[1], "route_host", host)

    def test_path_that_no_request_can_name(self) -> None:
        """By route, by rule or by annotation."""
        for path in ("/é", "/a b", "/a\r\nX: y", "/a#b", "/a?b#c", "/a?b c"):
            shop = inventory(app(), process(), route())
            self.assertEqual(self.left_out(shop, Rule(paths=(path,)))[1], "metrics_path", path)
        shop = inventory(app(), process(), route(path="/é"))
        self.assertEqual(self.left_out(shop)[1], "metrics_path")

    def test_each_path_has_its_own_reason(self) -> None:
        shop = inventory(app(), process(), route())
        good, bad = found(shop, Rule(paths=("/ok", "/é")))
        self.assertEqual(good.path, "/ok")
        self.assertEqual(bad, LeftOut("Acme/Prod/Shop /é", "metrics_path"))

    def test_what_refers_to_something_missing_is_passed_over(self) -> None:
        """Processes and routes of apps that are not in the list of apps."""
        shop = inventory(
            app(), process(), route(), process("p", app="gone"), route("x", to(app="gone"))
        )
        self.assertEqual(len(targets(shop)), 1)
        self.assertEqual(found(evolve(SHOP, apps={})), [])
