"""Tests of promproxy.settings.files."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import load_config
from promproxy.config.schema import Config
from promproxy.settings.files import files_in, world_readable_secrets

EVERYWHERE = """
roles: [{tokens: [{name: a, token_file: role}], permissions: [scrape]}]
outbound:
  a:
    basic_auth: {username: u, password_file: basic}
    proxy_url: http://proxy
    proxy_basic_auth: {username: u, password_file: proxy}
  b:
    oauth2:
      client_id: c
      client_secret_file: oauth2
      token_url: https://uaa
      tls_config: {cert_file: own, key_file: key}
    tls_config: {ca_file: ca}
sources:
  - {name: files, files: {paths: [x.yml]}}
  - {name: sd, http_sd: {url: "http://a/", authorization: {credentials_file: bearer}}}
  - name: cf
    cloud_foundry:
      api_url: https://api
      username: u
      password_file: cf
      select: [{}]
      tls_config: {ca_file: ca}
"""
FILES = ("basic", "proxy", "oauth2", "own", "key", "ca", "bearer", "cf", "role")


class FilesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        for name in FILES:
            self.write(name, "hunter2", 0o640)

    def write(self, name: str, content: str, mode: int) -> Path:
        path = self.folder / name
        path.write_text(content)
        path.chmod(mode)
        return path

    def load(self, text: str, mode: int = 0o640, **environ: str) -> Config:
        return load_config(self.write("promproxy.yml", text, mode), environ)

    def warned_of(self, config: Config) -> list[str]:
        """The files that there are warnings of."""
        warnings = world_readable_secrets(config)
        for warning in warnings:
            self.assertIn("every user of this host may read it: chmod o-r /", warning)
            self.assertNotIn("hunter2", warning)
        return sorted(Path(warning.split()[0]).name for warning in warnings)


class FilesTests(FilesTestCase):
    def test_every_file_is_found(self) -> None:
        """Wherever it is named; target files are none of these."""
        found = {path.name for path in files_in(self.load(EVERYWHERE))}
        self.assertEqual(found, set(FILES))


class OpenSecretsTests(FilesTestCase):
    def test_closed_ones(self) -> None:
        """There is nothing to say."""
        self.assertEqual(self.warned_of(self.load(EVERYWHERE)), [])

    def test_open_ones(self) -> None:
        """Secrets and keys, not certificates."""
        for name in FILES:
            (self.folder / name).chmod(0o644)
        expected = ["basic", "bearer", "cf", "key", "oauth2", "proxy", "role"]
        self.assertEqual(self.warned_of(self.load(EVERYWHERE, 0o644)), expected)

    def test_configuration_that_holds_a_secret(self) -> None:
        """Itself, unless the secret comes from the environment."""
        text = "outbound: {{a: {{basic_auth: {{username: u, password: {}}}}}}}"
        inside, outside = text.format("hunter2"), text.format("'${PASSWORD}'")
        self.assertEqual(self.warned_of(self.load(inside, 0o644)), ["promproxy.yml"])
        self.assertEqual(self.warned_of(self.load(inside, 0o640)), [])
        config = self.load(outside, 0o644, PASSWORD="hunter2")
        self.assertEqual(self.warned_of(config), [])

    def test_file_that_is_gone(self) -> None:
        """Whoever needs it tells."""
        config = self.load(EVERYWHERE)
        (self.folder / "cf").unlink()
        self.assertEqual(self.warned_of(config), [])
