"""Tests of promproxy.config.schema, beside the mistakes in ``bad/`` (see ``test_load``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.schema import Config
from promproxy.errors import ConfigError
from promproxy.outbound.settings import Authorization, BasicAuth, HttpClient, TlsConfig
from promproxy.secret import Secret
from promproxy.settings.readers import url
from promproxy.sources.settings import Files, HttpSd, SourceSettings, source_name
from promproxy.targets.settings import host_port
from tests.settings.support import node_of

FILES = Files(paths=(Path("/a.yml"),))
BASIC = HttpClient(basic_auth=BasicAuth(username="u"))
PROFILES = {
    "plain": HttpClient(tls_config=TlsConfig(ca_file=Path("/ca.pem"))),
    "basic": BASIC,
    "token": HttpClient(authorization=Authorization(credentials=Secret("x"))),
    "certificate": HttpClient(
        tls_config=TlsConfig(cert_file=Path("/c.pem"), key_file=Path("/k.pem"))
    ),
}


def http_sd(**values: Any) -> HttpSd:
    return HttpSd(url="http://a/", **values)


class ScalarTests(SynchronousTestCase):
    def refused(self, reader: Any, *texts: str) -> None:
        for text in texts:
            with self.assertRaises(ConfigError, msg=text):
                reader(node_of(f"'{text}'"))

    def accepted(self, reader: Any, *texts: str) -> None:
        for text in texts:
            self.assertEqual(reader(node_of(f"'{text}'")), text)

    def test_source_names(self) -> None:
        """They become a part of ids and the value of a metric's label."""
        self.accepted(source_name, "a", "prod-1", "a" * 31)
        self.refused(source_name, "", "A", "1a", "-a", "a_b", "a/b", "a.b", "a" * 32, "é")

    def test_host_and_port(self) -> None:
        """As Prometheus writes addresses."""
        self.accepted(host_port, "promproxy:8080", "promproxy", "10.0.0.1:80", "[::1]:80", "a-b.c")
        self.refused(host_port, "", ":80", "a:", "a:b", "a/b", "http://a", "::1", "u@a", "a b")

    def test_urls(self) -> None:
        """http and https, with a host and without credentials."""
        self.accepted(
            url, "http://a", "https://a.b:8443/c?d=e", "http://[::1]:80/", "http://10.0.0.1/"
        )
        self.refused(
            url,
            *("", "a", "a:80", "//a", "ftp://a", "http://", "http:///x", "http:a", "file:///etc"),
            *(
                "http://a:b",
                "http://a:0",
                "http://a:70000",
                "http://[::1",
                "http://é/",
                "http://a b",
            ),
            *("http://u@a", "http://u:p@a", "http://:p@a", " http://a"),
        )


class HttpClientTests(SynchronousTestCase):
    def test_credentials(self) -> None:
        """A password, a token or a client certificate; an authority alone is none."""
        found = {name for name, profile in PROFILES.items() if profile.has_credentials}
        self.assertEqual(found, {"basic", "token", "certificate"})


class SourceTests(SynchronousTestCase):
    def test_intervals(self) -> None:
        """Files are looked at every 5 s, others are asked once a minute, unless told otherwise."""
        self.assertEqual(SourceSettings(name="a", files=FILES).interval, 5)
        self.assertEqual(SourceSettings(name="a", http_sd=http_sd()).interval, 60)
        self.assertEqual(SourceSettings(name="a", files=FILES, refresh_interval=7.0).interval, 7)


class CredentialsTests(SynchronousTestCase):
    def config(self, profile: str, **kind: Any) -> Config:
        return Config(
            outbound=PROFILES, sources=(SourceSettings(name="a", outbound=profile, **kind),)
        )

    def test_any_host_of_a_document(self) -> None:
        """Credentials go only where the operator meant them to."""
        for profile in ("basic", "token", "certificate"):
            with self.assertRaises(ValueError, msg=profile):
                self.config(profile, http_sd=http_sd())

    def test_named_hosts(self) -> None:
        """The operator says where they may go."""
        for profile in ("basic", "token", "certificate"):
            self.config(profile, http_sd=http_sd(allowed_hosts=("*.example.org",)))

    def test_no_credentials(self) -> None:
        """Without any, every host may be asked, whatever the document itself is asked with."""
        self.config("plain", http_sd=http_sd())
        self.config("", http_sd=http_sd(basic_auth=BASIC.basic_auth))

    def test_own_files(self) -> None:
        """What the operator's own files name is what the operator means."""
        self.config("basic", files=FILES)
