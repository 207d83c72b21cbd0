"""From Promregator to promproxy: its configuration is imported, and its users notice nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import yaml

from tests.integration.certificates import Authority
from tests.integration.foundation import (
    ENVIRONMENT,
    PROMPROXY,
    CloudFoundryTestCase,
    answered_by,
    by_id,
)
from tests.integration.peers import HOST, Peer, eventually, free_port, twistd

# In each way that targets of Promregator are chosen; names in another case than on the platform.
PROMREGATOR = """
cf:
  api_host: {host}
  apiPort: {port}
  username: scraper
  password: secret
  skipSslValidation: true
  request.rateLimit: 0
  cache.timeout.application: 1
promregator:
  targets:
    - orgName: ORG-001
      spaceName: dev
    - orgRegex: ".*-002"
      applicationRegex: "[A-Z]*S"
    - applicationName: billing
      path: metrics
    - orgName: org-003
      kubernetesAnnotations: true
  authenticator:
    type: null
  discovery:
    hostname: promregator.example.org
"""


def is_meant(item: dict[str, Any]) -> bool:
    """What Promregator's manual says of the targets above."""
    org, space, app = item["org_name"], item["space_name"], item["app_name"]
    return (
        (org == "org-001" and space == "dev")
        or (org.endswith("-002") and app.endswith("s"))
        or app == "billing"
        or (org == "org-003" and item["annotations"].get("prometheus.io/scrape") == "true")
    )


class ImportPromregatorTests(CloudFoundryTestCase):
    """`promproxy import-promregator`, and the daemon on what it prints."""

    def setUp(self) -> None:
        super().setUp()
        pem = self.folder / "api.pem"
        pem.write_bytes(Authority().issue(HOST))
        self.simulated = self.start_with_tls(pem, orgs=3, spaces=6, apps=60, instances=120)
        self.old = self.folder / "promregator.yml"
        self.old.write_text(PROMREGATOR.format(host=HOST, port=self.simulated.port))
        self.new = self.folder / "promproxy.yml"

    def run_promproxy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PROMPROXY, *arguments],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def import_it(self) -> None:
        secrets = self.folder / "secrets"
        secrets.mkdir()
        done = self.run_promproxy(
            "import-promregator", "--secrets-dir", str(secrets), str(self.old)
        )
        self.new.write_text(done.stdout)
        self.assertEqual(done.stderr, "")
        password = secrets / "cf-password"
        self.assertEqual(password.read_text(), "secret")
        self.assertEqual(password.stat().st_mode & 0o777, 0o600)

    def expected(self) -> dict[str, dict[str, Any]]:
        return {
            f"{item['app_guid']}/{item['index']}": item
            for item in self.simulated.web_instances()
            if item["scrapable_routes"] and is_meant(item)
        }

    def test_same_targets(self) -> None:
        """Those that Promregator would find, and no other ones."""
        self.import_it()
        self.run_promproxy("check", str(self.new))
        done = self.run_promproxy("discover", str(self.new), "--json")
        found = {target["id"]: target["url"] for target in json.loads(done.stdout)["targets"]}
        ids = {target_id for target_id in found if target_id.count("/") == 1}
        self.assertEqual(ids, self.expected().keys())
        self.assertLess(len(ids), len(self.simulated.target_ids()))

    def test_old_urls_and_labels(self) -> None:
        """What an old Prometheus configuration, and old scripts, ask for goes on to work."""
        self.import_it()
        daemon = self.start_imported()
        eventually(lambda: self.assertEqual(daemon.get("/-/ready").status, 200))
        document = daemon.get("/discovery")
        groups = json.loads(document.body)
        addresses = {address for group in groups for address in group["targets"]}
        self.assertEqual(addresses, {"promregator.example.org:8080"})
        labels = by_id(document.body)
        prefix = "__meta_promregator_target_"
        for target_id, item in self.expected().items():
            guid, _, index = target_id.partition("/")
            found = {k[len(prefix) :]: v for k, v in labels[target_id].items() if prefix in k}
            self.assertEqual(
                found,
                {
                    "path": f"/singleTargetMetrics/{target_id}",
                    "orgName": item["org_name"],
                    "spaceName": item["space_name"],
                    "applicationName": item["app_name"],
                    "applicationId": guid,
                    "instanceNumber": index,
                    "instanceId": f"{guid}:{index}",
                },
            )
        running = [i for i, item in self.expected().items() if item["state"] == "RUNNING"]
        for target_id in running[:10]:
            answer = daemon.get(f"/singleTargetMetrics/{target_id}")
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual("/".join(answered_by(answer.body)[:2]), target_id)
        (own_path,) = {
            group["labels"][f"{prefix}path"]
            for group in groups
            if group["labels"]["__meta_promproxy_source"] == "promproxy"
        }
        self.assertEqual(own_path, "/promregatorMetrics")
        own = daemon.get(own_path)
        self.assertEqual(own.status, 200)
        self.assertIn(b"promproxy_build_info", own.body)
        asked = self.simulated.asked("/v3/apps")
        query = "?org=1&space=1&application=1&route=1&process=1&domain=1&resolver=1"
        self.assertEqual(daemon.get(f"/cache/invalidate{query}").status, 204)
        eventually(lambda: self.assertGreater(self.simulated.asked("/v3/apps"), asked))

    def start_imported(self) -> Peer:
        """The daemon on the imported file, but on a port of the test's, and by the router."""
        document = yaml.safe_load(self.new.read_text())
        port = free_port()
        document["listen"] = [f"tcp:{port}:interface={HOST}"]
        (source,) = document["sources"]
        source["refresh_interval"] = "1h"
        source["cloud_foundry"]["router"] = self.simulated.router
        self.new.write_text(json.dumps(document))
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", str(self.new)]
        daemon = Peer(command=command, port=port, folder=self.folder, environment=ENVIRONMENT)
        self.start(daemon)
        return daemon

    def test_file_that_is_something_else(self) -> None:
        """Is named."""
        self.old.write_text("scrape_configs: []\nglobal: {scrape_interval: 15s}\n")
        done = subprocess.run(
            [*PROMPROXY, "import-promregator", str(self.old)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{self.old}: cf.api_host is missing", done.stderr)

    def test_what_is_left_to_do_is_said(self) -> None:
        """Also to whoever looks at the screen and not into the file; no secret is shown."""
        done = self.run_promproxy("import-promregator", str(self.old))
        self.assertEqual(
            done.stderr,
            "promproxy: left to do: 1, settings that are not known: 0; see the comments at the "
            "top\n",
        )
        self.assertIn("variable CF_PASSWORD of the environment", done.stdout)
        self.assertIsNone(re.search(r"\bsecret\b(?! into)", done.stdout))
