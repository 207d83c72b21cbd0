"""Tests of promproxy.outbound.settings: what Prometheus's users paste."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text
from promproxy.errors import ConfigError

#: Settings of Prometheus's HTTP client that we have not, and what to write in their place.
PASTED = {
    "http_headers: {X-Api-Key: {values: [hunter2]}}": "authorization",
    "tls_config: {ca: hunter2}": "ca_file",
    "tls_config: {cert: hunter2}": "cert_file",
    "tls_config: {key: hunter2}": "key_file",
    "tls_config: {max_version: TLS12}": "leave it out",
    "bearer_token: hunter2": "authorization: {credentials: ...}",
    "bearer_token_file: hunter2": "authorization: {credentials_file: ...}",
    "proxy_from_environment: true": "proxy_url",
    "proxy_connect_header: {Proxy-Authorization: [hunter2]}": "proxy_basic_auth",
    "follow_redirects: true": "redirects are not followed",
    "enable_http2: false": "leave it out",
    "basic_auth: {username_file: hunter2, password: x}": "username: ",
    "oauth2: {client_id: a, token_url: 'http://a/', proxy_from_environment: true}": "proxy_url",
}


class HintsTests(SynchronousTestCase):
    def test_pasted_settings(self) -> None:
        """The message has the place and names our setting, and no secret."""
        for text, expected in PASTED.items():
            for place, content in (
                ("outbound.a", f"outbound:\n  a:\n    {text}"),
                (
                    "sources[0].http_sd",
                    f"sources: [{{name: a, http_sd: {{url: 'http://a/',\n\n    {text}}}}}]",
                ),
            ):
                error = self.assertRaises(
                    ConfigError, config_from_text, content, Path("/p.yml"), {}
                )
                self.assertIn(f"/p.yml:3: {place}.{text.partition(':')[0]}", str(error))
                self.assertIn(expected, str(error))
                self.assertNotIn("unknown key", str(error))
                self.assertNotIn("hunter2", str(error))
