"""promproxy as an app of Cloud Foundry, as far as it can be tried without a platform."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.integration.foundation import CloudFoundryTestCase, Foundation, scrape_all
from tests.integration.peers import CHECKOUT, Peer, eventually, free_port, twistd

APP = CHECKOUT / "conf" / "cloud-foundry"


class AppTests(CloudFoundryTestCase):
    """The folder that is pushed."""

    def setUp(self) -> None:
        super().setUp()
        self.app = self.folder / "app"
        shutil.copytree(APP, self.app, ignore=shutil.ignore_patterns("vendor"))
        (self.manifest,) = yaml.safe_load((APP / "manifest.yml").read_text())["applications"]
        self.simulated = self.start_foundation(apps=40, instances=60)

    def started(self) -> Peer:
        """The app, as the platform starts it: the command of its Procfile, and variables."""
        process_type, _, command = (self.app / "Procfile").read_text().strip().partition(": ")
        self.assertEqual(process_type, "web")
        app = Peer(
            command=["/bin/sh", "-c", f"exec {command}"],
            port=free_port(),
            folder=self.app,
            environment=self.environment(self.simulated),
        )
        app.environment["PORT"] = str(app.port)
        self.start(app)
        return app

    def environment(self, simulated: Foundation) -> dict[str, str]:
        """What the manifest and `cf set-env` set; each that the manifest sets must be there."""
        given = {
            "CF_API": f"http://{simulated.address}",
            "CF_USERNAME": "scraper",
            "CF_PASSWORD": "secret",
        }
        self.assertLessEqual(self.manifest["env"].keys(), given.keys())
        # `twistd`, by the interpreter of the tests.
        folder = self.folder / "bin"
        folder.mkdir()
        script = folder / "twistd"
        script.write_text(f'#!/bin/sh\nexec {" ".join(twistd())} "$@"\n')
        script.chmod(0o755)
        return {**given, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(CHECKOUT)}

    def document(self, app: Peer) -> list[dict[str, Any]]:
        answer = app.get("/discovery")
        self.assertEqual(answer.status, 200, answer.body)
        groups: list[dict[str, Any]] = json.loads(answer.body)
        return groups

    def test_lists_itself_and_the_apps_that_ask_for_it(self) -> None:
        """At the internal route; each of as many instances as there are is there for itself."""
        app = self.started()
        groups = eventually(lambda: self.document(app))
        (route,) = (entry["route"] for entry in self.manifest["routes"])
        of_apps = [g for g in groups if g["labels"]["__meta_promproxy_source"] == "platform"]
        self.assertTrue(of_apps)
        self.assertEqual({target for g in of_apps for target in g["targets"]}, {f"{route}:8080"})
        own = [target for g in groups if g not in of_apps for target in g["targets"]]
        expected = [f"{number}.{route}:8080" for number in range(self.manifest["instances"])]
        self.assertEqual(own, expected)
        scrape = yaml.safe_load((APP / "prometheus.yml").read_text())["scrape_configs"][0]
        url = scrape["http_sd_configs"][0]["url"]
        self.assertEqual(url, f"http://{route}:8080/discovery")

    def test_scrapes(self) -> None:
        """With the router named, since the names of simulated routes lead nowhere."""
        config: Path = self.app / "promproxy.yml"
        text = config.read_text()
        place = "      api_url: ${CF_API}\n"
        self.assertIn(place, text)
        config.write_text(text.replace(place, f"{place}      router: {self.simulated.router}\n"))
        app = self.started()
        groups = eventually(lambda: self.document(app))
        paths = [group["labels"]["__metrics_path__"] for group in groups]
        ids = [path.partition("/singleTargetMetrics/")[2] for path in paths]
        answers = scrape_all(app, filter(None, ids))
        self.assertEqual({answer.status for _, answer in answers if answer is not None}, {200})

    def test_is_healthy_for_the_platform(self) -> None:
        """At once, also while the API is down."""
        self.simulated.stop()
        app = self.started()
        answer = app.get(self.manifest["health-check-http-endpoint"])
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.manifest["health-check-type"], "http")
