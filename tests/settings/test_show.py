"""Tests of promproxy.settings.show."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text, load_config
from promproxy.config.schema import Config
from promproxy.outbound.settings import HttpClient
from promproxy.settings.show import HIDDEN, yaml_of
from promproxy.sources.settings import HttpSd, SourceSettings
from promproxy.targets.settings import Discovery

HERE = Path(__file__).absolute().parent.parent / "config"
GOOD = HERE / "good.yml"
ENVIRON = {"PORT": "8080", "PER_HOST": "64", "PASSWORD": "hunter2"}

CLOUD_FOUNDRY = """
sources:
  - name: prod
    cloud_foundry:
      api_url: https://api.example.org
      client_id: scraper
      client_secret: hunter2
      max_page_size: 8MB
      select:
        - {org: acme, space_regex: "prod-.*", label_selector: "a in (b, c),!d"}
        - {org_regex: "^x$", labels: {org: "{org_name}"}, preferred_route_regex: ["a", "b"]}
      exclude: [{app: legacy}]
"""


def shown(text: str) -> str:
    return yaml_of(config_from_text(text, GOOD, {}))


def shown_good_file() -> str:
    return yaml_of(load_config(GOOD, ENVIRON))


class ShowTests(SynchronousTestCase):
    def test_no_secret_is_shown(self) -> None:
        """Neither one that stands in the file, nor one from a variable or another file."""
        for text in (shown_good_file(), shown(CLOUD_FOUNDRY)):
            assert "hunter2" not in text and HIDDEN in text, text
        acme = yaml.safe_load(shown_good_file())["outbound"]["acme"]
        self.assertEqual(acme["basic_auth"], {"username": "scraper", "password": HIDDEN})

    def test_what_an_outbound_profile_has(self) -> None:
        """Secrets and parameters are hidden, all else means the same when it is read again."""
        text = """
        deny_addresses: [10.0.0.0/8, "fe80::1"]
        outbound:
          a:
            proxy_url: http://proxy:3128
            proxy_basic_auth: {username: u, password: hunter2}
            no_proxy: 10.0.0.0/8,.example.org,a:80
            oauth2:
              client_id: c
              client_secret: hunter2
              token_url: https://uaa/token
              scopes: [a, b]
              endpoint_params: {password: hunter2}
        """
        document = shown(text)
        self.assertNotIn("hunter2", document)
        self.assertEqual(shown(document), document)
        open_text = text.replace("hunter2", HIDDEN)
        self.assertEqual(
            config_from_text(document, GOOD, {}), config_from_text(open_text, GOOD, {})
        )

    def test_the_file_of_a_secret_is_shown(self) -> None:
        """Where it is helps, and is no secret."""
        token = yaml.safe_load(shown_good_file())["outbound"]["token"]
        self.assertEqual(token["authorization"]["credentials_file"], str(HERE / "a-secret"))

    def test_parameters_of_a_url_have_no_values(self) -> None:
        """One of them may be a token."""
        for query, expected in (
            ("?all=1", "?all=<secret>"),
            ("?a=1&b=2", "?a=<secret>&b=<secret>"),
            ("?hunter2", "?<secret>"),
            ("?a&hunter2", "?<secret>&<secret>"),
            ("?", "?"),
            ("?a=", "?a="),
            ("", ""),
        ):
            source = SourceSettings(name="a", http_sd=HttpSd(url=f"http://a/b{query}"))
            document = yaml.safe_load(yaml_of(Config(sources=(source,))))
            found = document["sources"][0]["http_sd"]["url"]
            self.assertEqual(found, f"http://a/b{expected}")

    def test_what_is_shown_can_be_read_and_means_the_same(self) -> None:
        """All but the secrets: these are what is shown of them."""
        for text in (shown_good_file(), shown(CLOUD_FOUNDRY)):
            self.assertEqual(shown(text), text)
        open_text = CLOUD_FOUNDRY.replace("hunter2", HIDDEN)
        self.assertEqual(
            config_from_text(shown(open_text), GOOD, {}), config_from_text(open_text, GOOD, {})
        )

    @given(st.text("ab${}:#'\"-? \n", max_size=12))
    def test_any_text(self, text: str) -> None:
        """A dollar sign stays one, and a text that looks like something else a text."""
        source = SourceSettings(name="a", outbound=text, http_sd=HttpSd(url="http://a/"))
        document = yaml_of(Config(outbound={text: HttpClient()}, sources=(source,)))
        config = config_from_text(document, GOOD, {})
        self.assertEqual((config.sources[0].outbound, list(config.outbound)), (text, [text]))

    def test_defaults(self) -> None:
        """What is in force is shown though nobody wrote it; what does nothing is not."""
        document = yaml.safe_load(shown("{}"))
        self.assertEqual(document["listen"], ["tcp:8080"])
        self.assertEqual(document["scrape"]["max_timeout"], "1m")
        self.assertEqual(document["discovery"], {"own_metrics": True})
        self.assertNotIn("open_admin", document)
        self.assertNotIn("sources", document)
        self.assertEqual(
            yaml.safe_load(yaml_of(Config(discovery=Discovery(own_metrics=False))))["discovery"],
            {"own_metrics": False},
        )
