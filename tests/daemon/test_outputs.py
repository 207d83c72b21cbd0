"""Tests of promproxy.daemon.outputs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text
from promproxy.daemon.outputs import fingerprint

CF = """\
outbound: {{acme: {profile}}}
discovery: {{promregator_labels: {labels}}}
sources:
  - name: prod
    {more}
    cloud_foundry:
      api_url: https://api.cf.example.org
      username: scraper
      password: hunter2
      max_requests_per_second: 10
      router: https://10.0.0.5
      select: [{{org: acme, app_regex: "a.*", label_selector: "a=b", outbound: acme}}]
"""


def print_of(old: str = "", new: str = "", **parts: str) -> str:
    """The fingerprint of the source above with a change."""
    text = CF.format(**{"profile": "{}", "labels": "false", "more": "", **parts})
    assert old in text
    config = config_from_text(text.replace(old, new) if old else text, Path("/x/p.yml"), {})
    return fingerprint(config.sources[0], config)


class FingerprintTests(SynchronousTestCase):
    def test_what_decides_which_targets_there_are(self) -> None:
        """Each setting of that kind changes it."""
        changes = [
            *(("api.cf", "api.other"), ("10.0.0.5", "10.0.0.6"), ("org: acme", "org: other")),
            *(("a.*", "b.*"), ("a=b", "a=c"), (", outbound: acme", ""), ("org: acme", "space: s")),
            ("router: https", "instance_routing: process\n      router: https"),
        ]
        prints = [print_of(), *(print_of(*change) for change in changes)]
        prints.append(print_of(labels="true"))
        prints.append(print_of(profile="{basic_auth: {username: u, password: hunter2}}"))
        prints.append(print_of(more="honor_job: true"))
        self.assertEqual(len(set(prints)), len(prints))

    def test_how_the_source_is_asked(self) -> None:
        """A new password or another pace does not make saved targets useless."""
        same = [
            *(print_of("hunter2", "hunter3"), print_of("second: 10", "second: 5")),
            *(
                print_of("username: scraper", "username: other"),
                print_of("{}", "{proxy_url: 'http://p'}"),
            ),
            print_of(more="refresh_interval: 5s"),
            print_of("api_url:", "tls_config: {insecure_skip_verify: true}\n      api_url:"),
        ]
        self.assertEqual(set(same), {print_of()})

    def test_settings_at_their_defaults(self) -> None:
        """They do not count, so that the next version's new settings change nothing."""
        self.assertEqual(print_of("org: acme", "org: acme, scheme: https"), print_of())

    def test_it_is_the_same_in_every_process(self) -> None:
        """No hash of Python's own is in it."""
        self.assertEqual(
            print_of(), "a0bee0d2d9fc8017e2741fed57f68b8b184a6653957e4f70d73e4a068de7dd75"
        )
