"""What docs/migrating.md promises, tried with its own examples."""

from __future__ import annotations

import json
import subprocess
from http.client import HTTPConnection
from typing import Any

import yaml

from tests.docs.pages import all_pages
from tests.integration.foundation import ENVIRONMENT, PROMPROXY, CloudFoundryTestCase
from tests.integration.peers import (
    HOST,
    Peer,
    Prometheus,
    eventually,
    free_port,
    need,
    node_exporter,
    twistd,
)


def example(heading: str, *parts: str) -> Any:
    """The YAML example of a section of the page in which all of these stand."""
    page = all_pages()["docs/migrating.md"]
    section = page.text.index(f"\n## From {heading}")
    line = page.text.count("\n", 0, section)
    (found,) = [
        e.text
        for e in page.examples()
        if e.language == "yaml" and e.line > line and all(part in e.text for part in parts)
    ]
    return yaml.safe_load(found)


class MigratingTests(CloudFoundryTestCase):
    """Each kind of user's configuration, before and after."""

    def start_promproxy_with(self, **config: Any) -> Peer:
        port = free_port()
        file = self.folder / "promproxy.yml"
        document = {"listen": [f"tcp:{port}:interface={HOST}"], **config}
        file.write_text(json.dumps(document))
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", str(file)]
        daemon = Peer(command=command, port=port, folder=self.folder, environment=ENVIRONMENT)
        self.start(daemon)
        eventually(lambda: self.assertEqual(daemon.get("/-/ready").status, 200, daemon.output))
        return daemon

    def start_prometheus_with(self, jobs: list[dict[str, Any]]) -> Prometheus:
        port = free_port()
        fast = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        file = self.folder / "prometheus.yml"
        file.write_text(json.dumps({"global": fast, "scrape_configs": jobs}))
        command = [
            need("prometheus", "prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--scrape.discovery-reload-interval=200ms",
            "--log.level=warn",
        ]
        server = Prometheus(command=command, port=port, folder=self.folder)
        self.start(server)
        return server

    def sync_once(self, url: str) -> Any:
        """The document in the file that `promproxy sync` writes."""
        file = self.folder / "synced.json"
        done = subprocess.run(
            [*PROMPROXY, "sync", "--once", url, str(file)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(file.read_bytes())

    def test_prometheus_as_it_was_for_promregator(self) -> None:
        """By file and relabelled path, and as it may be now: the same series, all of them up."""
        simulated = self.start_foundation("--seed", "3", orgs=2, spaces=2, apps=6, instances=10)
        daemon = self.start_promproxy_with(
            discovery={"promregator_labels": True}, sources=[simulated.source(interval="1h")]
        )
        url = f"http://{daemon.address}/discovery"
        self.sync_once(url)
        (before,) = example("Promregator", "file_sd_configs", "orgName")["scrape_configs"]
        (after,) = example("Promregator", "http_sd_configs", "orgName")["scrape_configs"]
        before["file_sd_configs"] = [{"files": [str(self.folder / "synced.json")]}]
        after["http_sd_configs"][0]["url"] = url
        before["job_name"], after["job_name"] = "before", "after"
        server = self.start_prometheus_with([before, after])

        def same_series() -> list[dict[str, str]]:
            jobs = []
            for job in ("before", "after"):
                found = server.series(f'sim_app_info{{job="{job}"}}')
                jobs.append([{k: v for k, v in s.items() if k != "job"} for s in found])
            self.assertGreater(len(jobs[0]), 3)
            key = json.dumps
            self.assertEqual(sorted(map(key, jobs[0])), sorted(map(key, jobs[1])))
            return jobs[0]

        labels = eventually(same_series)
        items = {f"{i['app_guid']}:{i['index']}": i for i in simulated.web_instances()}
        for found in labels:
            item = items[found["cf_instance_id"]]
            self.assertEqual(found["instance"], found["cf_instance_id"])
            self.assertEqual(found["cf_instance_number"], str(item["index"]))
            for name in ("org_name", "space_name", "app_name"):
                self.assertEqual(found[name], item[name])
        own = eventually(lambda: self.own_metrics(server))
        self.assertEqual(own, {"before", "after"})

    def own_metrics(self, server: Prometheus) -> set[str]:
        found = {series["job"] for series in server.series("promproxy_build_info")}
        self.assertEqual(len(found), 2)
        return found

    def test_exporter_exporter_that_stays(self) -> None:
        """Its modules as targets, with the parameter that it wants."""
        exporter = node_exporter(self.folder)
        self.start(exporter)
        port = free_port()
        modules = self.folder / "expexp.yml"
        http = {"port": exporter.port, "address": HOST}
        modules.write_text(json.dumps({"modules": {"node": {"method": "http", "http": http}}}))
        command = [
            need("prometheus-exporter-exporter", "prometheus-exporter-exporter"),
            f"-config.file={modules}",
            f"-web.listen-address={HOST}:{port}",
        ]
        self.start(Peer(command=command, port=port, folder=self.folder))
        groups = example("exporter_exporter", "__param_module: postgres")
        groups[0]["targets"] = [f"{HOST}:{port}"]
        self.target_file.write_text(json.dumps(groups[:1]))
        source = {"name": "hosts", "files": {"paths": [self.target_file.name]}}
        daemon = self.start_promproxy_with(sources=[source])
        document = json.loads(daemon.get("/discovery?source=hosts").body)
        (labels,) = [
            group["labels"]
            for group in document
            if group["labels"]["__meta_promproxy_source"] == "hosts"
        ]
        self.assertEqual(labels["module"], "node")
        answer = daemon.get(labels["__metrics_path__"])
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIn(f"which_exporter {exporter.port}".encode(), answer.body)

    def test_exporter_exporter_that_goes(self) -> None:
        """The same names in Prometheus, whatever the exporters' own addresses are."""
        groups = example("exporter_exporter", "db1.example.org:node")
        self.target_file.write_text(json.dumps(groups))
        config = example("exporter_exporter", "name: local")
        config["sources"][0]["files"]["paths"] = [self.target_file.name]
        daemon = self.start_promproxy_with(sources=config["sources"])
        document = json.loads(daemon.get("/discovery?source=local").body)
        instances = {group["labels"]["instance"] for group in document}
        self.assertEqual({"db1.example.org:node", "db1.example.org:postgres"}, instances)

    def test_clients_of_pushprox(self) -> None:
        """`/clients` may be followed as well, though its labels are null."""
        config = example("PushProx", "pushprox:")
        daemon = self.start_promproxy_with(sources=config["sources"])
        connection = HTTPConnection(HOST, daemon.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request("POST", "/poll", "client.example.org")  # which is held

        def listed() -> None:
            found = self.sync_once(f"http://{daemon.address}/clients")
            self.assertEqual([group["targets"] for group in found], [["client.example.org"]])

        eventually(listed)
